//! The job's memory over time, sampled into `timeline.csv`: often at first, then ever less, and never for more than a hundredth
//! of a processor.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dumper::process;
use dumper::recording::State;
use dumper::timeline::{Sample, Timeline};
use nix::unistd::Pid;

use crate::headroom::Bound;
use crate::procfs::{self, Usage};

/// The shortest and the longest time between two samples.
const SHORTEST: Duration = Duration::from_millis(100);
/// See [`SHORTEST`].
const LONGEST: Duration = Duration::from_secs(10);
/// The time between two samples is this part of the time since the start.
const PART: u32 = 1000;
/// And so many times what taking one costs.
const COST: u32 = 100;

/// Takes the samples of one job.
pub struct Sampling {
    recordings: PathBuf,
    job: Pid,
    began: Instant,
    due: Instant,
    /// None where it cannot be written: a run is worth more than its timeline.
    timeline: Option<Timeline>,
    mark: Option<String>,
}

impl Sampling {
    /// Of a job that has just been started: the timeline goes to `folder`, the recordings are in `recordings`.
    pub fn new(folder: &Path, recordings: &Path, job: Pid) -> Self {
        Self {
            recordings: recordings.to_owned(),
            job,
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

    /// Takes a sample if one is due, and returns how much is resident then. `tightest` is the limit that will be felt first.
    pub fn take(&mut self, tightest: impl FnOnce() -> Option<Bound>) -> Option<u64> {
        if self.pause() > Duration::ZERO {
            return None;
        }
        let timeline = self.timeline.as_mut()?;
        let start = Instant::now();
        let bound = tightest();
        let (tracked_bytes, resident_bytes) = held(&self.recordings, self.job);
        let sample = Sample {
            seconds: self.began.elapsed().as_secs_f64(),
            tracked_bytes,
            resident_bytes,
            cgroup_bytes: bound
                .as_ref()
                .filter(|bound| !bound.path.is_empty())
                .map(|bound| bound.used),
            limit_bytes: bound.map(|bound| bound.bytes),
            mark: self.mark.take(),
        };
        // A row less is no trouble.
        let _ = timeline.add(sample);
        let pause = (self.began.elapsed() / PART).max(start.elapsed() * COST);
        self.due = Instant::now() + pause.clamp(SHORTEST, LONGEST);
        Some(resident_bytes)
    }
}

/// What the job and its descendants hold: by their recordings, and resident, in bytes. Who has left the family, as a
/// daemon does, is not counted.
fn held(recordings: &Path, job: Pid) -> (u64, u64) {
    let root = Path::new("/");
    let family = procfs::tree(root, job);
    let resident = family.iter().filter_map(|pid| Usage::of(root, *pid));
    let resident = resident.map(|usage| usage.resident).sum();
    let running = latest(recordings);
    let recorded = family.iter().filter_map(|pid| running.get(&pid.as_raw()));
    let live = recorded.filter_map(|(_, path)| {
        let (recordings, _) = process::load(path).ok()?;
        let facts = &recordings.first()?.facts;
        (facts.state == State::Running).then_some(facts.live_bytes)
    });
    (live.sum(), resident)
}

/// The newest recording of each process, `<pid>-<n>.recording`.
fn latest(folder: &Path) -> HashMap<i32, (u32, PathBuf)> {
    let mut latest = HashMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some((pid, number)) = numbers(&path) else { continue };
        let known: &mut (u32, PathBuf) = latest.entry(pid).or_insert_with(|| (number, path.clone()));
        if known.0 < number {
            *known = (number, path);
        }
    }
    latest
}

/// The process and the number of a recording, by its name.
pub fn numbers(path: &Path) -> Option<(i32, u32)> {
    let name = path.file_name()?.to_str()?.strip_suffix(".recording")?;
    let (pid, number) = name.split_once('-')?;
    Some((pid.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_recording_of_each_process_counts() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "7-0.recording",
            "7-10.recording",
            "7-9.recording",
            "8-0.recording",
            "run.json",
            "x-0.recording",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let latest = latest(folder.path());
        assert_eq!(latest.len(), 2);
        assert_eq!(latest[&7].1, folder.path().join("7-10.recording"));
    }

    #[test]
    fn a_mark_makes_a_sample_due_at_once_and_marks_are_gathered() {
        let folder = tempfile::tempdir().unwrap();
        let mut sampling = Sampling::new(folder.path(), folder.path(), Pid::this());
        sampling.take(|| None);
        sampling.mark("SIGTERM");
        sampling.mark("close to the limit");
        assert_eq!(sampling.pause(), Duration::ZERO);
        sampling.take(|| None);
        let samples = dumper::timeline::load(folder.path()).unwrap();
        let marks: Vec<_> = samples.iter().map(|sample| sample.mark.as_deref()).collect();
        assert_eq!(marks, [None, Some("SIGTERM; close to the limit")]);
        assert!(samples[0].resident_bytes > 0);
    }
}
