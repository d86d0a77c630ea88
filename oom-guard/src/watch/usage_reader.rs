//! Reads the charge of a cgroup at almost no cost: one number from an open file, page cache included. So it can tell that a limit is not
//! near, and how fast memory fills. That a limit is near, only a full poll can tell.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::kernel::cgroup::{Cgroup, Level, Version};
use crate::kernel::headroom::Bound;
use crate::kernel::kernel_file::number;

/// Growth within less time than this is noise.
const LEAST_TIME: Duration = Duration::from_micros(500);

/// On a busy machine the job does not run all the time: in so much time without growth, the pace is taken to be half of what it was.
const HALF: Duration = Duration::from_millis(10);

/// The usage that one limit counts.
#[derive(Debug)]
pub struct UsageReader {
    limit: Bound,
    usage: PathBuf,
    last: Option<(Instant, u64)>,
    /// Bytes a second.
    pace: u64,
}

/// The files of limits and of what they count, for both versions.
pub const FILES: [(Version, &str, &str); 3] = [
    (Version::V1, "memory.limit_in_bytes", "memory.usage_in_bytes"),
    (
        Version::V1,
        "memory.memsw.limit_in_bytes",
        "memory.memsw.usage_in_bytes",
    ),
    (Version::V2, "memory.max", "memory.current"),
];

impl UsageReader {
    /// The readers of a cgroup and its ancestors. `bounds` are the limits that have been read there.
    pub fn all(cgroup: &Cgroup, bounds: &[Bound]) -> Vec<Self> {
        let levels = cgroup.levels.iter();
        levels.flat_map(|level| Self::of_level(level, bounds)).collect()
    }

    fn of_level(level: &Level, bounds: &[Bound]) -> impl Iterator<Item = Self> {
        FILES.into_iter().filter_map(|(version, limit, usage)| {
            if version != level.version {
                return None;
            }
            let bytes = number(&level.file(limit))?;
            let is_of = |bound: &&Bound| bound.path == level.name && bound.bytes == bytes;
            Some(Self {
                limit: bounds.iter().find(is_of)?.clone(),
                usage: level.file(usage),
                last: None,
                pace: 0,
            })
        })
    }

    /// Whether this reader is for that limit, with its current value.
    pub fn is_of(&self, bound: &Bound) -> bool {
        self.limit.path == bound.path && self.limit.bytes == bound.bytes
    }

    /// Reads what is charged now, in bytes; `None` if the cgroup is gone.
    pub fn read(&mut self) -> Option<u64> {
        let used = number(&self.usage)?;
        self.follow(Instant::now(), used);
        Some(used)
    }

    fn follow(&mut self, now: Instant, used: u64) {
        match self.last {
            Some((then, before)) => {
                let time = now.saturating_duration_since(then);
                if time >= LEAST_TIME {
                    let growth = used.saturating_sub(before) as f64 / time.as_secs_f64();
                    let halves = time.as_secs_f64() / HALF.as_secs_f64();
                    let lately = self.pace as f64 / (1.0 + halves);
                    self.pace = if used < before { 0 } else { growth.max(lately) as u64 };
                    self.last = Some((now, used));
                }
            }
            None => self.last = Some((now, used)),
        }
    }

    /// The room above the margin at this charge if nothing of it can be reclaimed; none if there is none.
    pub fn room(&self, used: u64) -> Option<u64> {
        let most = self.limit.bytes.saturating_sub(self.limit.margin());
        most.checked_sub(used).filter(|room| *room > 0)
    }

    /// By how many bytes the charge would grow in `time`, at the last known pace.
    pub fn growth(&self, time: Duration) -> u64 {
        (self.pace as f64 * time.as_secs_f64()) as u64
    }

    /// Whether at that pace the limit is met within `time`, if nothing of the charge can be reclaimed.
    pub fn will_be_met(&self, time: Duration) -> bool {
        let used = self.last.map_or(0, |(_, used)| used);
        self.pace > 0 && used.saturating_add(self.growth(time)) >= self.limit.bytes
    }

    /// The limit.
    pub fn limit(&self) -> &Bound {
        &self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::host::Host;
    use nix::unistd::Pid;
    use std::path::Path;

    const MIB: u64 = 1 << 20;

    fn readers(fixture: &str) -> Vec<UsageReader> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let cgroup = Cgroup::find(&Host::at(&fixtures.join(fixture)), Pid::from_raw(7)).unwrap();
        UsageReader::all(&cgroup, &cgroup.bounds(0))
    }

    #[test]
    fn every_limit_of_a_cgroup_has_a_reader_that_reads_what_the_kernel_says() {
        for (fixture, file) in [
            ("v1/before", "sys/fs/cgroup/memory/batch/memory.usage_in_bytes"),
            ("v2/before", "sys/fs/cgroup/job/memory.current"),
        ] {
            let root = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/fixtures")
                .join(fixture);
            let mut readers = readers(fixture);
            assert!(!readers.is_empty(), "{fixture}");
            let used = number(&root.join(file)).unwrap();
            let bytes: Vec<_> = readers.iter_mut().filter_map(UsageReader::read).collect();
            assert!(bytes.contains(&used), "{fixture}: {used} is not in {bytes:?}");
        }
    }

    #[test]
    fn the_pace_is_that_of_the_last_growth() {
        let mut reader = readers("v2/before").remove(0);
        let (start, limit) = (Instant::now(), reader.limit.bytes);
        let ms = |ms| start + Duration::from_millis(ms);
        reader.follow(ms(0), limit - 50 * MIB);
        assert!(!reader.will_be_met(Duration::from_secs(100)));
        reader.follow(ms(10), limit - 40 * MIB);
        assert_eq!(reader.growth(Duration::from_millis(20)), 20 * MIB);
        assert!(!reader.will_be_met(Duration::from_millis(30)));
        assert!(reader.will_be_met(Duration::from_millis(41)));
        // It may have had to wait for a processor.
        reader.follow(ms(20), limit - 40 * MIB);
        assert_eq!(reader.growth(Duration::from_millis(20)), 10 * MIB);
        reader.follow(ms(30), limit - 45 * MIB);
        assert!(!reader.will_be_met(Duration::from_secs(100)));
    }

    #[test]
    fn there_is_room_up_to_the_margin() {
        let reader = readers("v2/before").remove(0);
        let most = reader.limit.bytes - reader.limit.margin();
        assert_eq!(reader.room(most - 1), Some(1));
        assert_eq!((reader.room(most), reader.room(u64::MAX)), (None, None));
    }
}
