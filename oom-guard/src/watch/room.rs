//! How much room the cgroups of a job have left. It is read from open files, which charges no memory.

use std::thread;
use std::time::{Duration, Instant};

use crate::kernel::cgroup::Cgroup;
use crate::kernel::end::End;
use crate::kernel::headroom::Bound;
use crate::watch::usage_reader::UsageReader;

/// The longest time until a process that the kernel has killed is gone, on a busy machine.
pub const LONGEST_KILL: Duration = Duration::from_secs(2);
/// The time between two checks whether it is gone.
pub const KILL_PAUSE: Duration = Duration::from_millis(1);

/// The room that is left in a cgroup and its ancestors.
#[derive(Debug)]
pub struct Room {
    cgroup: Option<Cgroup>,
    readers: Vec<UsageReader>,
}

impl Room {
    /// In this cgroup. The caller keeps its files open.
    pub fn in_cgroup(cgroup: Option<&Cgroup>) -> Self {
        let readers = cgroup.map(|cgroup| UsageReader::all(cgroup, &cgroup.bounds(0)));
        Self {
            cgroup: cgroup.cloned(),
            readers: readers.unwrap_or_default(),
        }
    }

    /// Whether there is any limit at all.
    pub fn is_limited(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Whether no limit is near.
    pub fn is_there(&mut self) -> bool {
        self.by_readers().is_some() || self.bounds().iter().all(|bound| !bound.is_near(0))
    }

    /// What is left of the limits, in bytes.
    pub fn left(&mut self) -> u64 {
        let left = self.by_readers();
        left.or_else(|| self.bounds().iter().map(Bound::left).min())
            .unwrap_or(u64::MAX)
    }

    /// Does once what the other functions do. Only the first time takes memory: pages of the program, and pages that are shared after a
    /// fork and written to.
    pub fn rehearse(&mut self) {
        self.left();
        self.bounds();
        thread::sleep(Duration::from_nanos(1));
    }

    /// Waits until the memory of a job that has ended is free. There is no need to wait for a job that ended well.
    pub fn wait(&mut self, end: End) {
        let since = Instant::now();
        while end != End::Status(0) && since.elapsed() < LONGEST_KILL && !self.is_there() {
            thread::sleep(KILL_PAUSE);
        }
    }

    /// The least room above the margin, counting page cache as used; none if there is none, or if a file cannot be read.
    fn by_readers(&mut self) -> Option<u64> {
        let mut least = None;
        for reader in &mut self.readers {
            let used = reader.read()?;
            let room = reader.room(used)?;
            least = Some(least.map_or(room, |least: u64| least.min(room)));
        }
        least
    }

    /// Without swap, which is room only until it is full.
    fn bounds(&self) -> Vec<Bound> {
        self.cgroup.as_ref().map_or(Vec::new(), |cgroup| cgroup.bounds(0))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nix::unistd::Pid;

    use super::*;
    use crate::kernel::host::Host;

    #[test]
    fn there_is_room_where_no_limit_is_and_up_to_the_margin_of_one() {
        let mut nowhere = Room::in_cgroup(None);
        nowhere.rehearse();
        assert!(nowhere.is_there() && !nowhere.is_limited());
        assert_eq!(nowhere.left(), u64::MAX);
        nowhere.wait(End::Signal(9));

        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        for fixture in ["v1/before", "v2/before"] {
            let cgroup = Cgroup::find(&Host::at(&fixtures.join(fixture)), Pid::from_raw(7)).unwrap();
            let mut room = Room::in_cgroup(Some(&cgroup));
            let bounds = cgroup.bounds(0);
            assert!(room.is_limited() && !bounds.is_empty(), "{fixture}");
            assert_eq!(
                room.is_there(),
                bounds.iter().all(|bound| !bound.is_near(0)),
                "{fixture}"
            );
            assert!(
                room.left() <= bounds.iter().map(Bound::left).min().unwrap(),
                "{fixture}"
            );
        }
    }
}
