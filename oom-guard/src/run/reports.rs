//! Reports while the job runs: one at a time, each by a process of its own, so that signals are passed on meanwhile, the
//! supervisor stays small, and what goes wrong in a report is not the job's trouble.

use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::kernel::end::End;
use crate::kernel::process;
use crate::run::board::Board;
use crate::terminal::say::say;
use crate::verdict::observed::Sent;
use crate::watch::lookout::Near;

/// After a failed allocation most jobs end at once, and are then reported on as a whole.
const GRACE: Duration = Duration::from_millis(500);
/// So they do after SIGTERM; but where they take their time, SIGKILL follows.
const SHORT_GRACE: Duration = Duration::from_millis(200);
/// At most one report of a failed allocation in this time.
const QUIET: Duration = Duration::from_secs(10);

/// What a report is wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A limit is near.
    Near(Near),
    /// Somebody asks for the peak so far.
    Requested,
    /// The job has been told to end, and may not have the time for a report when it has.
    Terminating(Sent),
    /// An allocation has failed.
    Failed,
}

/// What is wanted, and what is being done.
pub struct Reports<'a> {
    write: &'a dyn Fn(&Wanted) -> i32,
    board: &'a Board,
    at_work: Option<Pid>,
    /// At most one of each kind.
    due: Vec<(Instant, Wanted)>,
    next_failure: Instant,
}

impl<'a> Reports<'a> {
    /// Reports that `write` writes, in a process of their own; it returns that process's exit status.
    pub fn new(write: &'a dyn Fn(&Wanted) -> i32, board: &'a Board) -> Self {
        Self {
            write,
            board,
            at_work: None,
            due: Vec::new(),
            next_failure: Instant::now(),
        }
    }

    /// Somebody, or something, asks for a report.
    pub fn want(&mut self, wanted: Wanted) {
        let now = Instant::now();
        let due = match wanted {
            Wanted::Near(_) | Wanted::Requested => now,
            Wanted::Terminating(_) => now + SHORT_GRACE,
            Wanted::Failed => self.next_failure.max(now + GRACE),
        };
        let is_same = |known: &Wanted| std::mem::discriminant(known) == std::mem::discriminant(&wanted);
        match self.due.iter_mut().find(|(_, known)| is_same(known)) {
            Some((_, known)) => *known = wanted,
            None => self.due.push((due, wanted)),
        }
    }

    /// A job that waits to be measured after a failed allocation cannot end of it before: its grace begins so much later.
    pub fn put_off_failure(&mut self, later: Duration) {
        let due = self.next_failure.max(Instant::now() + GRACE + later);
        let failures = self.due.iter_mut().filter(|(_, wanted)| *wanted == Wanted::Failed);
        failures.for_each(|(known, _)| *known = due);
    }

    /// How long to wait at most before [`Reports::start`] is called.
    pub fn pause(&self) -> Duration {
        let first = self.due.iter().map(|(due, _)| *due).min();
        match (self.at_work, first) {
            (None, Some(due)) => due.saturating_duration_since(Instant::now()),
            _ => Duration::MAX,
        }
    }

    /// Starts what is due, if nothing is being done.
    pub fn start(&mut self) {
        if self.pause() > Duration::ZERO {
            return;
        }
        let first = (0..self.due.len()).min_by_key(|index| self.due[*index].0);
        let Some(first) = first else { return };
        let (_, wanted) = self.due.swap_remove(first);
        if wanted == Wanted::Failed {
            self.next_failure = Instant::now() + QUIET;
        }
        // Where no process can be had, the job has none to spare either; its end will be reported.
        self.at_work = process::beside(|| (self.write)(&wanted)).ok();
    }

    /// A child other than the job has ended.
    pub fn reaped(&mut self, pid: Pid, end: End) {
        if self.at_work.take_if(|at_work| *at_work == pid).is_some() {
            self.ended(end);
        }
    }

    /// Lets the one that is being written come to its end.
    pub fn finish(mut self) {
        if let Some(end) = self.at_work.take().and_then(process::wait_for) {
            self.ended(end);
        }
    }

    fn ended(&mut self, end: End) {
        if let End::Signal(signal) = end {
            if signal == libc::SIGKILL {
                self.board.count_kill();
            }
            say("a report was cut short for want of memory; the job goes on, and so does its recording");
        }
    }
}
