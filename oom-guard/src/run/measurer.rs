//! Decides when memory is measured while the job runs: at once after a failed allocation, else when the job has grown, and never for more
//! than a fiftieth of one processor. Each measurement is a process of its own.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

use crate::kernel::end::End;
use crate::kernel::process;
use crate::run::shared_state::SharedState;

/// The shortest time between two measurements because of growth.
const SHORTEST: Duration = Duration::from_millis(300);
/// It is also at least this many times the processor time of the last measurement.
const COST: u32 = 50;
/// Growth that is worth another measurement: this part of the last one, and at least [`LEAST`].
const PART: u64 = 20;
/// See [`PART`].
const LEAST: u64 = 8 << 20;

/// Why memory is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// An allocation has failed in this process, which waits.
    Failed(u32),
    /// The job holds more than ever.
    Grown,
}

/// Starts measurements.
pub struct Measurer<'a> {
    measure: &'a dyn Fn(Why) -> i32,
    shared: &'a SharedState,
    /// The process that measures now, and the processor time of our children when it began.
    at_work: Option<(Pid, Duration)>,
    failed: Option<u32>,
    /// What was resident when it was measured last.
    highest: u64,
    due: Instant,
}

impl<'a> Measurer<'a> {
    /// Nothing has been measured.
    pub fn new(measure: &'a dyn Fn(Why) -> i32, shared: &'a SharedState) -> Self {
        Self {
            measure,
            shared,
            at_work: None,
            failed: None,
            highest: 0,
            due: Instant::now() + SHORTEST,
        }
    }

    /// An allocation has failed.
    pub fn failed(&mut self, pid: u32) {
        self.failed = Some(pid);
        self.start();
    }

    /// Starts a measurement if the job, of which so much is resident, has grown enough.
    pub fn consider(&mut self, resident: u64) {
        let step = (self.highest / PART).max(LEAST);
        if self.at_work.is_none() && resident >= self.highest.saturating_add(step) && Instant::now() >= self.due {
            self.highest = resident;
            self.begin(Why::Grown);
        }
    }

    /// A child other than the job has ended. `true` if it was one that measured.
    pub fn reaped(&mut self, pid: Pid, end: End) -> bool {
        let Some((_, began)) = self.at_work.take_if(|(at_work, _)| *at_work == pid) else {
            return false;
        };
        let cost = children_time().saturating_sub(began);
        self.due = Instant::now() + (cost * COST).max(SHORTEST);
        self.ended(end);
        self.start();
        true
    }

    /// Waits for the measurement that still runs.
    pub fn finish(mut self) {
        if let Some(end) = self.at_work.take().and_then(|(pid, _)| process::wait_for(pid)) {
            self.ended(end);
        }
    }

    fn ended(&self, end: End) {
        if end == End::Signal(libc::SIGKILL) {
            self.shared.count_kill();
        }
    }

    fn start(&mut self) {
        if self.at_work.is_none()
            && let Some(pid) = self.failed.take()
        {
            self.begin(Why::Failed(pid));
        }
    }

    fn begin(&mut self, why: Why) {
        let began = children_time();
        // If no process can be started, this measurement is left out.
        self.at_work = process::beside(|| (self.measure)(why)).ok().map(|pid| (pid, began));
    }
}

/// The processor time of our children that have ended.
fn children_time() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return Duration::ZERO;
    };
    let microseconds = [usage.user_time(), usage.system_time()].map(|time| time.num_microseconds());
    Duration::from_micros(microseconds.iter().sum::<i64>().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_measured_once_and_a_failure_each_time() {
        let measure = |why| i32::from(why == Why::Grown);
        let shared = SharedState::new().unwrap();
        let mut measurer = Measurer::new(&measure, &shared);
        measurer.consider(100 << 20);
        assert!(measurer.at_work.is_none(), "too soon");
        measurer.due = Instant::now();
        measurer.consider(100 << 20);
        let (pid, _) = measurer.at_work.expect("it has begun");
        measurer.failed(7);
        assert_eq!(measurer.failed, Some(7));
        let end = process::wait_for(pid).expect("it is our child");
        assert_eq!(end, End::Status(1));
        assert!(measurer.reaped(pid, end));
        let (next, _) = measurer.at_work.expect("the failure comes next");
        assert!(next != pid && measurer.failed.is_none());
        measurer.due = Instant::now();
        measurer.highest = 100 << 20;
        measurer.finish();
        assert_eq!(shared.kills(), 0);
    }
}
