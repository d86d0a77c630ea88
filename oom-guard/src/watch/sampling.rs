//! Samples the job's memory over time into `timeline.csv`: often at first, then ever less often, and never for more than a hundredth of
//! one processor.

use std::time::{Duration, Instant};

use dumper::Folder;
use dumper::timeline::{Sample, Timeline};

use crate::kernel::headroom::Bound;
use crate::watch::family::Family;

/// The shortest and the longest time between two samples.
const SHORTEST: Duration = Duration::from_millis(100);
/// See [`SHORTEST`].
const LONGEST: Duration = Duration::from_secs(10);
/// The longest time between two samples while many processes come and go.
const LONGEST_OF_MANY: Duration = Duration::from_secs(1);
/// The time between two samples is at least this part of the time since the start.
const PART: u32 = 1000;
/// It is also at least this many times the duration of a sample.
const COST: u32 = 100;

/// Takes the samples of one job.
pub struct Sampling {
    /// The processes of the job.
    pub family: Family,
    began: Instant,
    due: Instant,
    /// None if it cannot be written: the run goes on without a timeline.
    timeline: Option<Timeline>,
    mark: Option<String>,
}

impl Sampling {
    /// For a job that will be started soon; the timeline goes to `folder`.
    pub fn new(folder: &Folder, family: Family) -> Self {
        Self {
            family,
            began: Instant::now(),
            due: Instant::now(),
            timeline: Timeline::begin(folder).ok(),
            mark: None,
        }
    }

    /// How long to wait at most before [`Sampling::take`] is called.
    pub fn pause(&self) -> Duration {
        match (&self.timeline, &self.mark) {
            (None, _) => Duration::MAX,
            (Some(_), Some(_)) => Duration::ZERO,
            (Some(_), None) => self.due.saturating_duration_since(Instant::now()),
        }
    }

    /// Marks what has just happened, in a few words.
    pub fn mark(&mut self, what: &str) {
        self.mark.get_or_insert_default();
        if let Some(mark) = &mut self.mark {
            if !mark.is_empty() {
                mark.push_str("; ");
            }
            mark.push_str(what);
        }
    }

    /// Takes a sample if one is due, and returns how much is resident. `tightest` is the limit that will be met first; for `is_quiet` see
    /// [`Family::sample`].
    pub fn take(&mut self, tightest: impl FnOnce() -> Option<Bound>, is_quiet: impl Fn() -> bool) -> Option<u64> {
        if self.pause() > Duration::ZERO {
            return None;
        }
        let timeline = self.timeline.as_mut()?;
        let start = Instant::now();
        let bound = tightest();
        let held = self.family.sample(is_quiet);
        let resident = held.resident_bytes;
        let in_cgroup = bound
            .as_ref()
            .filter(|bound| !bound.path.is_empty())
            .map(|bound| bound.used);
        // Of pages of files, another cgroup may be charged for some; several processes may have mapped one page.
        let charged = in_cgroup.map_or(resident, |used| resident.min(used.max(held.own_bytes)));
        let longest = if held.is_crowded { LONGEST_OF_MANY } else { LONGEST };
        let sample = Sample {
            seconds: self.began.elapsed().as_secs_f64(),
            tracked_bytes: held.tracked_bytes,
            resident_bytes: charged,
            processes: held.shares,
            cgroup_bytes: in_cgroup,
            limit_bytes: bound.map(|bound| bound.bytes),
            mark: self.mark.take(),
        };
        // One missing row does no harm.
        let _ = timeline.add(sample);
        let pause = (self.began.elapsed() / PART).max(start.elapsed() * COST);
        self.due = Instant::now() + pause.clamp(SHORTEST, longest);
        Some(resident)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_mark_makes_a_sample_due_at_once_and_marks_are_gathered() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = &Folder::open(temporary.path()).unwrap();
        let library = Path::new("libpreload.so");
        let family = Family::new(folder, folder, library, false);
        let mut sampling = Sampling::new(folder, family);
        sampling.take(|| None, || true);
        sampling.mark("SIGTERM");
        sampling.mark("close to the limit");
        assert_eq!(sampling.pause(), Duration::ZERO);
        sampling.take(|| None, || true);
        let samples = dumper::timeline::load(folder).unwrap();
        let marks: Vec<_> = samples.iter().map(|sample| sample.mark.as_deref()).collect();
        assert_eq!(marks, [None, Some("SIGTERM; close to the limit")]);
        assert!(samples[0].resident_bytes > 0);
    }
}
