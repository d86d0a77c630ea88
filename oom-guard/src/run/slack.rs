//! Whether there is room in the cgroups that limit a job, seen by files that are open: to look charges nothing.

use std::thread;
use std::time::{Duration, Instant};

use crate::kernel::cgroup::Cgroup;
use crate::kernel::end::End;
use crate::kernel::headroom::Bound;
use crate::watch::gauge::Gauge;

/// A process that the kernel has killed takes so long at most to be gone, on a machine that has other things to do too.
pub const LONGEST_KILL: Duration = Duration::from_secs(2);
/// Between two looks whether it is gone.
pub const KILL_PAUSE: Duration = Duration::from_millis(1);

/// The room that is left in a cgroup and its ancestors.
#[derive(Debug)]
pub struct Slack {
    cgroup: Option<Cgroup>,
    gauges: Vec<Gauge>,
}

impl Slack {
    /// In this cgroup. Its files are to be kept open by who calls this.
    pub fn of(cgroup: Option<&Cgroup>) -> Self {
        let gauges = cgroup.map(|cgroup| Gauge::all(cgroup, &cgroup.bounds(0)));
        Self {
            cgroup: cgroup.cloned(),
            gauges: gauges.unwrap_or_default(),
        }
    }

    /// Whether there is any limit that may leave no slack.
    pub fn is_limited(&self) -> bool {
        !self.gauges.is_empty()
    }

    /// Whether no limit is near.
    pub fn is_there(&mut self) -> bool {
        self.by_gauges().is_some() || self.bounds().iter().all(|bound| !bound.is_near(0))
    }

    /// What is left of the limits, in bytes.
    pub fn left(&mut self) -> u64 {
        let left = self.by_gauges();
        left.or_else(|| self.bounds().iter().map(Bound::left).min())
            .unwrap_or(u64::MAX)
    }

    /// Does all that the others do, for what is done for the first time takes memory: pages of the program, and after a fork those
    /// that are written to.
    pub fn rehearse(&mut self) {
        self.left();
        self.bounds();
        thread::sleep(Duration::from_nanos(1));
    }

    /// Waits until what a job used that has ended is free. One that ended well was in nobody's way.
    pub fn wait(&mut self, end: End) {
        let since = Instant::now();
        while end != End::Status(0) && since.elapsed() < LONGEST_KILL && !self.is_there() {
            thread::sleep(KILL_PAUSE);
        }
    }

    /// The least that is left above the margin, page cache and all; none if that is nothing, or no gauge can be read.
    fn by_gauges(&mut self) -> Option<u64> {
        let mut least = None;
        for gauge in &mut self.gauges {
            let used = gauge.read()?;
            let room = gauge.room(used)?;
            least = Some(least.map_or(room, |least: u64| least.min(room)));
        }
        least
    }

    /// Without swap: who counts on that has room only until it is full.
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
        let mut nowhere = Slack::of(None);
        nowhere.rehearse();
        assert!(nowhere.is_there() && !nowhere.is_limited());
        assert_eq!(nowhere.left(), u64::MAX);
        nowhere.wait(End::Signal(9));

        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        for fixture in ["v1/before", "v2/before"] {
            let cgroup = Cgroup::of(&Host::at(&fixtures.join(fixture)), Pid::from_raw(7)).unwrap();
            let mut slack = Slack::of(Some(&cgroup));
            let bounds = cgroup.bounds(0);
            assert!(slack.is_limited() && !bounds.is_empty(), "{fixture}");
            assert_eq!(
                slack.is_there(),
                bounds.iter().all(|bound| !bound.is_near(0)),
                "{fixture}"
            );
            assert!(
                slack.left() <= bounds.iter().map(Bound::left).min().unwrap(),
                "{fixture}"
            );
        }
    }
}
