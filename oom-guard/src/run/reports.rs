//! Schedules the reports while the job runs: one at a time, each in a process of its own. So the supervisor reacts to events meanwhile and
//! stays small, and a failed report does not affect the job.

use std::time::{Duration, Instant};

use dumper::Outcome;
use nix::unistd::Pid;

use crate::kernel::end::End;
use crate::kernel::process;
use crate::run::shared_state::SharedState;
use crate::terminal::say::say;
use crate::verdict::observed::{AtFailure, Sent};
use crate::watch::limit_poller::Near;

/// Delay of a report after a failed allocation: most jobs end at once, and then the last report covers it.
const GRACE: Duration = Duration::from_millis(500);
/// Delay of a report after SIGTERM: most jobs end at once, but if one takes longer, SIGKILL may follow.
const SHORT_GRACE: Duration = Duration::from_millis(200);
/// How often a report of killed processes is tried, if the kernel kills each for want of memory.
const MOST_TRIES: u32 = 4;
/// At most one report of a failed allocation in this time.
const QUIET: Duration = Duration::from_secs(10);

/// Why a report is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// A limit is near.
    Near(Near),
    /// Somebody asks for a report.
    Requested,
    /// The job has been told to end; there may be no time for a report afterwards.
    Terminating(Sent),
    /// An allocation has failed; the limits of the processes in which one has.
    Failed(Vec<AtFailure>),
    /// The kernel has killed processes of the job; the verdict names all of them so far.
    Killed(Box<Outcome>),
}

/// The reports that are due, and the one that is being written.
pub struct Reports<'a> {
    write: &'a dyn Fn(&Wanted) -> i32,
    shared: &'a SharedState,
    at_work: Option<(Pid, Wanted)>,
    /// How many reports of killed processes were killed themselves, one after the other.
    tries: u32,
    /// At most one of each kind.
    due: Vec<(Instant, Wanted)>,
    next_failure: Instant,
}

impl<'a> Reports<'a> {
    /// `write` writes a report in a process of its own, and returns that process's exit status.
    pub fn new(write: &'a dyn Fn(&Wanted) -> i32, shared: &'a SharedState) -> Self {
        Self {
            write,
            shared,
            at_work: None,
            tries: 0,
            due: Vec::new(),
            next_failure: Instant::now(),
        }
    }

    /// Schedules a report.
    pub fn want(&mut self, wanted: Wanted) {
        let now = Instant::now();
        let due = match wanted {
            Wanted::Near(_) | Wanted::Requested => now,
            Wanted::Terminating(_) => now + SHORT_GRACE,
            Wanted::Failed(_) => self.next_failure.max(now + GRACE),
            Wanted::Killed(_) => now + GRACE,
        };
        let is_same = |known: &Wanted| std::mem::discriminant(known) == std::mem::discriminant(&wanted);
        match self.due.iter_mut().find(|(_, known)| is_same(known)) {
            Some((_, known)) => *known = wanted,
            None => self.due.push((due, wanted)),
        }
    }

    /// Delays the report of a failed allocation by `later`: the process waits for its measurement, and cannot end before.
    pub fn put_off_failure(&mut self, later: Duration) {
        let due = self.next_failure.max(Instant::now() + GRACE + later);
        let failures = self
            .due
            .iter_mut()
            .filter(|(_, wanted)| matches!(wanted, Wanted::Failed(_)));
        failures.for_each(|(known, _)| *known = due);
    }

    /// How long to wait at most before [`Reports::start`] is called.
    pub fn pause(&self) -> Duration {
        let first = self.due.iter().map(|(due, _)| *due).min();
        match (&self.at_work, first) {
            (None, Some(due)) => due.saturating_duration_since(Instant::now()),
            _ => Duration::MAX,
        }
    }

    /// Starts the next report that is due, if none is being written.
    pub fn start(&mut self) {
        if self.pause() > Duration::ZERO {
            return;
        }
        let first = (0..self.due.len()).min_by_key(|index| self.due[*index].0);
        let Some(first) = first else { return };
        let (_, wanted) = self.due.swap_remove(first);
        if matches!(wanted, Wanted::Failed(_)) {
            self.next_failure = Instant::now() + QUIET;
        }
        // If no process can be started, the job can start none either; its end will be reported.
        self.at_work = process::beside(|| (self.write)(&wanted)).ok().map(|pid| (pid, wanted));
    }

    /// A child other than the job has ended.
    pub fn reaped(&mut self, pid: Pid, end: End) {
        if let Some((_, wanted)) = self.at_work.take_if(|(at_work, _)| *at_work == pid) {
            self.ended(wanted, end);
        }
    }

    /// Waits for the report that is being written.
    pub fn finish(&mut self) {
        if let Some((pid, wanted)) = self.at_work.take()
            && let Some(end) = process::wait_for(pid)
        {
            self.ended(wanted, end);
        }
    }

    fn ended(&mut self, wanted: Wanted, end: End) {
        let End::Signal(signal) = end else {
            self.tries = 0;
            return;
        };
        if signal == libc::SIGKILL {
            self.shared.count_kill();
            self.tries += 1;
            let has_newer = self.due.iter().any(|(_, due)| matches!(due, Wanted::Killed(_)));
            if matches!(wanted, Wanted::Killed(_)) && !has_newer && self.tries < MOST_TRIES {
                self.want(wanted);
                return;
            }
        }
        say("a report was cut short for want of memory; the job goes on, and so does its recording");
    }
}
