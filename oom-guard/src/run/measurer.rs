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
    /// The same; it is looked at which variables hold it. This has a measure of its own, so that measurements are made as often as
    /// without it.
    Held,
}

/// What is done again when the job has grown.
#[derive(Clone, Copy)]
struct Growing {
    /// What was resident, and what was in use of the limit, when it was done last. The copies that forks make of what they share are new
    /// in the second alone.
    highest: [u64; 2],
    due: Instant,
}

impl Growing {
    fn new() -> Self {
        Self {
            highest: [0; 2],
            due: Instant::now() + SHORTEST,
        }
    }

    /// Whether so much is enough for it, and it is time. Then it counts as done.
    fn begins(&mut self, now: [u64; 2]) -> bool {
        let has_grown = |(now, highest): (&u64, &u64)| *now >= highest.saturating_add((highest / PART).max(LEAST));
        let begins = Instant::now() >= self.due && now.iter().zip(&self.highest).any(has_grown);
        if begins {
            self.highest = std::array::from_fn(|index| now[index].max(self.highest[index]));
        }
        begins
    }

    /// It took so much processor time.
    fn took(&mut self, cost: Duration) {
        self.due = Instant::now() + (cost * COST).max(SHORTEST);
    }
}

/// Starts measurements.
pub struct Measurer<'a> {
    measure: &'a dyn Fn(Why) -> i32,
    shared: &'a SharedState,
    /// The process that measures now, what, and the processor time of our children when it began.
    at_work: Option<(Pid, Why, Duration)>,
    failed: Option<u32>,
    pages: Growing,
    /// None if it is not to be looked at.
    holders: Option<Growing>,
}

impl<'a> Measurer<'a> {
    /// Nothing has been measured. Which variables hold the memory is only looked at if `holders` says so.
    pub fn new(measure: &'a dyn Fn(Why) -> i32, shared: &'a SharedState, holders: bool) -> Self {
        Self {
            measure,
            shared,
            at_work: None,
            failed: None,
            pages: Growing::new(),
            holders: holders.then(Growing::new),
        }
    }

    /// An allocation has failed.
    pub fn failed(&mut self, pid: u32) {
        self.failed = Some(pid);
        self.start();
    }

    /// Starts a measurement if the job, of which so much is resident and in use of the limit, has grown enough.
    pub fn consider(&mut self, resident: u64, used: u64) {
        let now = [resident, used];
        if self.at_work.is_some() {
            return;
        }
        if self.pages.begins(now) {
            self.begin(Why::Grown);
        } else if self.holders.as_mut().is_some_and(|holders| holders.begins(now)) {
            self.begin(Why::Held);
        }
    }

    /// A child other than the job has ended. `true` if it was one that measured.
    pub fn reaped(&mut self, pid: Pid, end: End) -> bool {
        let Some((_, why, began)) = self.at_work.take_if(|(at_work, ..)| *at_work == pid) else {
            return false;
        };
        let cost = children_time().saturating_sub(began);
        match &mut self.holders {
            Some(holders) if why == Why::Held => holders.took(cost),
            _ => self.pages.took(cost),
        }
        self.ended(end);
        self.start();
        true
    }

    /// Waits for the measurement that still runs.
    pub fn finish(&mut self) {
        if let Some(end) = self.at_work.take().and_then(|(pid, ..)| process::wait_for(pid)) {
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
        self.at_work = process::beside(|| (self.measure)(why))
            .ok()
            .map(|pid| (pid, why, began));
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
        let mut measurer = Measurer::new(&measure, &shared, true);
        measurer.consider(100 << 20, 0);
        assert!(measurer.at_work.is_none(), "too soon");
        measurer.pages.due = Instant::now();
        measurer.consider(100 << 20, 0);
        let (pid, ..) = measurer.at_work.expect("it has begun");
        measurer.failed(7);
        assert_eq!(measurer.failed, Some(7));
        let end = process::wait_for(pid).expect("it is our child");
        assert_eq!(end, End::Status(1));
        assert!(measurer.reaped(pid, end));
        let (next, ..) = measurer.at_work.expect("the failure comes next");
        assert!(next != pid && measurer.failed.is_none());
        measurer.finish();
        assert_eq!(shared.kills(), 0);
    }

    #[test]
    fn holders_are_looked_at_when_it_is_measured_already() {
        let measure = |why| i32::from(why == Why::Held);
        let shared = SharedState::new().unwrap();
        for is_wanted in [true, false] {
            let mut measurer = Measurer::new(&measure, &shared, is_wanted);
            measurer.pages.due = Instant::now();
            measurer
                .holders
                .iter_mut()
                .for_each(|holders| holders.due = Instant::now());
            measurer.consider(100 << 20, 0);
            let (pid, why, _) = measurer.at_work.expect("it has begun");
            assert_eq!(why, Why::Grown);
            measurer.reaped(pid, process::wait_for(pid).expect("it is our child"));
            measurer.consider(100 << 20, 0);
            assert_eq!(measurer.at_work.map(|(_, why, _)| why), is_wanted.then_some(Why::Held));
            measurer.finish();
        }
    }
}
