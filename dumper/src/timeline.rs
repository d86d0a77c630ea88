//! `timeline.csv`: how much memory a job had, over time, however long it runs.

use std::fs::File;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::bounded;
use crate::error::Error;
use crate::folder::Folder;
use crate::outlet::{Cell, Sheet, text_of_cell};
use crate::save::save;

/// Its name in a run folder.
pub use recording::protocol::files::TIMELINE as FILE;
const TITLES: &str = "seconds,tracked_bytes,resident_bytes,cgroup_bytes,limit_bytes,processes,mark";
/// How many columns those are.
const COLUMNS: usize = 7;
/// Processes that a row tells apart.
pub const MOST_PROCESSES: usize = 5;
/// Bytes of a row: a mark is a name of at most 4096 bytes, which may be written six times as long.
const LONGEST_ROW: usize = 32 << 10;
/// Rows that a timeline never exceeds.
pub(crate) const MOST_ROWS: usize = 2000;
/// Rows are short, but for what the job calls its phases.
const MOST_BYTES: u64 = 8 << 20;

/// How much memory a job had at one time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// Since the job's start.
    pub seconds: f64,
    /// Live bytes in all recordings.
    pub tracked_bytes: u64,
    /// Resident bytes of all the job's processes.
    pub resident_bytes: u64,
    /// In use in the control group; none without one.
    pub cgroup_bytes: Option<u64>,
    /// What the smallest limit allows; none without one.
    pub limit_bytes: Option<u64>,
    /// Where there are several processes, those that have the most resident; at most [`MOST_PROCESSES`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "bounded::list::<_, _, MOST_PROCESSES>")]
    pub processes: Vec<Share>,
    /// What happened then, if anything did.
    pub mark: Option<String>,
}

/// What one process has of the totals. In `timeline.csv`, `pid:tracked:resident`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Share {
    /// Process id.
    pub pid: u32,
    /// Live bytes in its recording.
    pub tracked_bytes: u64,
    /// Resident bytes.
    pub resident_bytes: u64,
}

impl Share {
    fn parse(text: &str) -> Option<Share> {
        let mut numbers = text.split(':');
        let share = Share {
            pid: numbers.next()?.parse().ok()?,
            tracked_bytes: numbers.next()?.parse().ok()?,
            resident_bytes: numbers.next()?.parse().ok()?,
        };
        Some(share).filter(|_| numbers.next().is_none())
    }
}

/// The samples of a run; none where there is no timeline. A row that is not whole is left out.
///
/// # Errors
///
/// There is a timeline, and it cannot be read.
pub fn load(folder: &Folder) -> Result<Vec<Sample>, Error> {
    match folder.read(FILE, MOST_BYTES) {
        Ok(text) => Ok(parse(&text)),
        Err(reason) if reason.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(reason) => Err(Error::read(&folder.path().join(FILE), reason)),
    }
}

/// The samples that a text has, as far as they are whole. More rows than a timeline can have are left out, as are marks that are longer
/// than any, so that of a text of n bytes no more than 3 n + 8 MiB of memory are taken.
pub fn parse(text: &[u8]) -> Vec<Sample> {
    // What is not terminated was being written when the writer died.
    let mut rows = text
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(|row| row.strip_suffix(b"\n"));
    // An earlier version had one column less.
    let columns = rows
        .next()
        .map_or(COLUMNS, |titles| titles.split(|byte| *byte == b',').count());
    let rows = rows.filter(|row| row.len() <= LONGEST_ROW);
    // Fewer columns than any version had are none.
    let samples = rows.filter_map(|row| Sample::parse(row, columns.clamp(COLUMNS - 1, COLUMNS)));
    samples.take(MOST_ROWS).collect()
}

/// Writes the timeline of a run that has ended, in place of one that there may be.
///
/// # Errors
///
/// It cannot be written.
pub fn save_all(folder: &Folder, samples: &[Sample]) -> Result<(), Error> {
    rewrite(folder, samples).map(drop)
}

/// The timeline of a run as it is written. A row is in the file as soon as it is kept; when there are too many, every
/// other one is dropped, and from then on rows are kept half as often.
#[derive(Debug)]
pub struct Timeline {
    folder: Folder,
    file: File,
    kept: Vec<Sample>,
    /// Least seconds between two rows without a mark.
    interval: f64,
}

impl Timeline {
    /// An empty timeline in a run folder, in place of one that there may be.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn begin(folder: &Folder) -> Result<Timeline, Error> {
        Ok(Timeline {
            folder: folder.clone(),
            file: rewrite(folder, &[])?,
            kept: Vec::new(),
            interval: 0.0,
        })
    }

    /// Adds a sample, unless it has no mark and comes too soon after the last one.
    ///
    /// # Errors
    ///
    /// It cannot be written; later ones may be.
    pub fn add(&mut self, sample: Sample) -> Result<(), Error> {
        let is_early = |last: &Sample| sample.seconds - last.seconds < self.interval;
        if sample.mark.is_none() && self.kept.last().is_some_and(is_early) {
            return Ok(());
        }
        let failed = |reason| Error::write(&self.folder.path().join(FILE), reason);
        let row = sample.row().map_err(failed)?;
        self.kept.push(sample);
        if self.kept.len() > MOST_ROWS {
            self.thin_out();
            self.file = rewrite(&self.folder, &self.kept)?;
            return Ok(());
        }
        // One write, so that a row is there wholly or not at all.
        self.file.write_all(&row).map_err(failed)
    }

    /// Marked rows stay as long as they are the minority.
    fn thin_out(&mut self) {
        let span = match (self.kept.first(), self.kept.last()) {
            (Some(first), Some(last)) => last.seconds - first.seconds,
            _ => 0.0,
        };
        self.interval = span / (MOST_ROWS / 2) as f64;
        let marked = self.kept.iter().filter(|sample| sample.mark.is_some()).count();
        let keeps_marks = marked < MOST_ROWS / 4;
        let mut number = 0;
        self.kept.retain(|sample| {
            number += 1;
            number % 2 == 1 || keeps_marks && sample.mark.is_some()
        });
    }
}

/// Replaces the file, and opens it for further rows.
fn rewrite(folder: &Folder, samples: &[Sample]) -> Result<File, Error> {
    let path = save(folder, FILE, |out| {
        writeln!(out, "{TITLES}")?;
        samples.iter().try_for_each(|sample| out.write_all(&sample.row()?))
    })?;
    let opened = folder.append(FILE);
    opened.map_err(|reason| Error::write(&path, reason))
}

impl Sample {
    fn row(&self) -> io::Result<Vec<u8>> {
        let count = |number: Option<u64>| number.map_or(Cell::Nothing, Cell::Count);
        let processes = self.processes.iter();
        let processes: Vec<_> = processes
            .map(|share| format!("{}:{}:{}", share.pid, share.tracked_bytes, share.resident_bytes))
            .collect();
        let mut row = Vec::new();
        let mut sheet = Sheet::without_titles(&mut row);
        sheet.put(&[
            Cell::Text(&format!("{:.3}", self.seconds)),
            Cell::Count(self.tracked_bytes),
            Cell::Count(self.resident_bytes),
            count(self.cgroup_bytes),
            count(self.limit_bytes),
            Cell::Text(&processes.join(" ")),
            Cell::Text(self.mark.as_deref().unwrap_or_default()),
        ])?;
        sheet.finish()?;
        Ok(row)
    }

    /// Of a row of so many columns.
    fn parse(row: &[u8], columns: usize) -> Option<Sample> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(row);
        let row = reader.records().next()?.ok().filter(|row| row.len() == columns)?;
        let optional = |field: &str| match field {
            "" => Some(None),
            number => number.parse().ok().map(Some),
        };
        let shares = match columns {
            COLUMNS => &row[5],
            _ => "",
        };
        let shares = shares.split_ascii_whitespace().take(MOST_PROCESSES);
        Some(Sample {
            seconds: row[0].parse().ok().filter(|seconds: &f64| seconds.is_finite())?,
            tracked_bytes: row[1].parse().ok()?,
            resident_bytes: row[2].parse().ok()?,
            cgroup_bytes: optional(&row[3])?,
            limit_bytes: optional(&row[4])?,
            processes: shares.map(Share::parse).collect::<Option<_>>()?,
            mark: Some(&row[columns - 1])
                .filter(|mark| !mark.is_empty())
                .map(text_of_cell),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn sample(seconds: f64) -> Sample {
        Sample {
            seconds,
            tracked_bytes: 1 << 20,
            resident_bytes: 2 << 20,
            ..Sample::default()
        }
    }

    #[test]
    fn samples_are_read_as_they_were_added() {
        let folder = tempfile::tempdir().unwrap();
        let mut timeline = Timeline::begin(&Folder::open(folder.path()).unwrap()).unwrap();
        let samples = [
            sample(0.5),
            Sample {
                cgroup_bytes: Some(7),
                limit_bytes: Some(8),
                processes: vec![
                    Share {
                        pid: 4,
                        tracked_bytes: 5,
                        resident_bytes: 6,
                    },
                    Share::default(),
                ],
                mark: Some("close to the limit, \"really\";=1+1".into()),
                ..sample(1.25)
            },
        ];
        for sample in &samples {
            timeline.add(sample.clone()).unwrap();
        }
        assert_eq!(load(&Folder::open(folder.path()).unwrap()).unwrap(), samples);
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert_eq!(text.lines().next(), Some(TITLES));
    }

    #[test]
    fn a_row_that_was_being_written_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(&Folder::open(folder.path()).unwrap()).unwrap(), []);
        let rows = format!("{TITLES}\n1.000,10,20,,,,\nnan,1,1,,,,\n2.000,10,2");
        fs::write(folder.path().join(FILE), rows).unwrap();
        let samples = load(&Folder::open(folder.path()).unwrap()).unwrap();
        assert_eq!(samples.len(), 1);
        assert_eq!(samples[0].resident_bytes, 20);
    }

    #[test]
    fn a_sample_of_a_bundle_has_no_more_processes_than_a_row() {
        for (count, is_read) in [(MOST_PROCESSES, true), (MOST_PROCESSES + 1, false)] {
            let sample = Sample {
                processes: vec![Share::default(); count],
                ..Sample::default()
            };
            let packed = rmp_serde::to_vec_named(&sample).unwrap();
            assert_eq!(rmp_serde::from_slice::<Sample>(&packed).is_ok(), is_read, "{count}");
        }
    }

    #[test]
    fn a_timeline_of_an_earlier_version_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let rows = "seconds,tracked_bytes,resident_bytes,cgroup_bytes,limit_bytes,mark\n1.000,10,20,,,SIGTERM\n";
        fs::write(folder.path().join(FILE), rows).unwrap();
        let samples = load(&Folder::open(folder.path()).unwrap()).unwrap();
        assert_eq!(samples.len(), 1);
        assert_eq!(samples[0].mark.as_deref(), Some("SIGTERM"));
    }

    #[test]
    fn a_long_run_has_no_more_rows_than_a_short_one_and_keeps_its_marks() {
        let folder = tempfile::tempdir().unwrap();
        let mut timeline = Timeline::begin(&Folder::open(folder.path()).unwrap()).unwrap();
        for second in 0..50_000 {
            let mark = (second == 700).then(|| "an allocation failed".to_owned());
            timeline
                .add(Sample {
                    mark,
                    ..sample(f64::from(second))
                })
                .unwrap();
            assert!(timeline.kept.len() <= MOST_ROWS);
        }
        let samples = load(&Folder::open(folder.path()).unwrap()).unwrap();
        assert!(samples.len() > MOST_ROWS / 3, "{}", samples.len());
        assert_eq!(samples, timeline.kept);
        assert_eq!(samples.iter().filter(|sample| sample.mark.is_some()).count(), 1);
        let widest = samples
            .windows(2)
            .map(|pair| pair[1].seconds - pair[0].seconds)
            .fold(0.0, f64::max);
        assert!(widest <= 100.0, "{widest}");
    }

    #[test]
    fn a_run_of_nothing_but_marks_is_bounded_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut timeline = Timeline::begin(&Folder::open(folder.path()).unwrap()).unwrap();
        for second in 0..5000 {
            timeline
                .add(Sample {
                    mark: Some("again".into()),
                    ..sample(f64::from(second))
                })
                .unwrap();
        }
        assert!(load(&Folder::open(folder.path()).unwrap()).unwrap().len() <= MOST_ROWS);
    }
}
