//! How the tasks' peaks are spread, and how much memory would have been enough.

use serde::Serialize;

use super::Task;

/// Bars of the histogram.
const BARS: usize = 10;

/// How a number is spread over tasks, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The least.
    pub least: u64,
    /// A quarter have no more than this.
    pub lower_quarter: u64,
    /// Half of them.
    pub median: u64,
    /// Three quarters.
    pub upper_quarter: u64,
    /// 95 %.
    pub most_of_95_percent: u64,
    /// The most.
    pub most: u64,
    /// How many there are in each of ten equal parts from the least to the most.
    pub histogram: Vec<u64>,
}

/// A request of memory that would have been enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Enough {
    /// How much, in bytes.
    pub bytes: u64,
    /// Some of the tasks ran out, and how much more they would have needed is not known.
    pub at_least: bool,
}

impl Spread {
    /// Of the tasks' peaks; none where there are no tasks.
    pub fn of(tasks: &[Task]) -> Option<Spread> {
        let mut peaks: Vec<u64> = tasks.iter().map(|task| task.peak_bytes).collect();
        peaks.sort_unstable();
        let (least, most) = (*peaks.first()?, *peaks.last()?);
        let mut histogram = vec![0; BARS];
        for peak in &peaks {
            let part = (peak - least) as u128 * BARS as u128 / u128::from((most - least).max(1));
            histogram[(part as usize).min(BARS - 1)] += 1;
        }
        let part = |percent| peaks[place(peaks.len(), percent)];
        Some(Spread {
            least,
            lower_quarter: part(25),
            median: part(50),
            upper_quarter: part(75),
            most_of_95_percent: part(95),
            most,
            histogram,
        })
    }

    /// Whether a peak lies far outside of what most tasks have, by Tukey's rule.
    pub fn is_outlier(&self, peak: u64) -> bool {
        let fence = (self.upper_quarter - self.lower_quarter).saturating_mul(3) / 2;
        // Where all are nearly equal, a little more is no news.
        let fence = fence.max(self.median / 10);
        peak > self.upper_quarter.saturating_add(fence) || peak.saturating_add(fence) < self.lower_quarter
    }
}

impl Enough {
    /// For this part of the tasks; none where there are no tasks.
    pub fn of(tasks: &[Task], percent: usize) -> Option<Enough> {
        let mut needs: Vec<(bool, u64)> = tasks.iter().map(|task| (task.ran_out, task.needed_bytes)).collect();
        // Those that ran out would have needed more than any that did not, for all that is known.
        needs.sort_unstable();
        let (at_least, _) = *needs.get(place(needs.len().max(1), percent))?;
        let within = needs.iter().take(place(needs.len(), percent) + 1);
        let bytes = within.map(|(_, bytes)| *bytes).max()?;
        Some(Enough { bytes, at_least })
    }
}

/// The index, in a sorted list, of the first that no less than this part of all does not exceed.
fn place(count: usize, percent: usize) -> usize {
    (count * percent).div_ceil(100).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(peaks: impl IntoIterator<Item = u64>) -> Vec<Task> {
        let task = |peak_bytes| Task {
            peak_bytes,
            needed_bytes: peak_bytes,
            ..Task::default()
        };
        peaks.into_iter().map(task).collect()
    }

    #[test]
    fn the_spread_of_a_hundred_numbers_is_known() {
        let spread = Spread::of(&tasks(1..=100)).unwrap();
        assert_eq!((spread.least, spread.median, spread.most), (1, 50, 100));
        assert_eq!(
            (spread.lower_quarter, spread.upper_quarter, spread.most_of_95_percent),
            (25, 75, 95)
        );
        assert_eq!(spread.histogram, [10; 10]);
        assert!(spread.is_outlier(151) && !spread.is_outlier(149));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn what_would_have_been_enough_is_exact_as_long_as_few_ran_out() {
        let mut tasks = tasks(1..=100);
        let enough = |tasks: &[Task], percent| Enough::of(tasks, percent).unwrap();
        assert_eq!(
            enough(&tasks, 95),
            Enough {
                bytes: 95,
                at_least: false
            }
        );
        assert_eq!(
            enough(&tasks, 100),
            Enough {
                bytes: 100,
                at_least: false
            }
        );
        // A small one that ran out may have needed any amount.
        tasks[2].ran_out = true;
        assert_eq!(
            enough(&tasks, 95),
            Enough {
                bytes: 96,
                at_least: false
            }
        );
        assert_eq!(
            enough(&tasks, 100),
            Enough {
                bytes: 100,
                at_least: true
            }
        );
        tasks.iter_mut().take(6).for_each(|task| task.ran_out = true);
        assert!(enough(&tasks, 95).at_least);
    }
}
