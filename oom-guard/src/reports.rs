//! Reports while the job runs: one at a time, each by a process of its own, so that signals are passed on meanwhile, the
//! supervisor stays small, and what goes wrong in a report is not the job's trouble.

use std::time::{Duration, Instant};

use dumper::report::Occasion;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::process;

/// After a failed allocation most jobs end at once, and are then reported on as a whole.
const GRACE: Duration = Duration::from_millis(500);
/// At most one report of a failed allocation in this time.
const QUIET: Duration = Duration::from_secs(10);

/// What is wanted, and what is being done.
pub struct Reports<'a> {
    write: &'a dyn Fn(Occasion) -> i32,
    at_work: Option<Pid>,
    requested: bool,
    failure_due: Option<Instant>,
    next_failure: Instant,
}

impl<'a> Reports<'a> {
    /// Reports that `write` writes, in a process of their own; it returns that process's exit status.
    pub fn new(write: &'a dyn Fn(Occasion) -> i32) -> Self {
        Self {
            write,
            at_work: None,
            requested: false,
            failure_due: None,
            next_failure: Instant::now(),
        }
    }

    /// Somebody asks for a report of the peak so far.
    pub fn request(&mut self) {
        self.requested = true;
    }

    /// An allocation has failed.
    pub fn failure(&mut self) {
        let earliest = self.next_failure.max(Instant::now() + GRACE);
        self.failure_due.get_or_insert(earliest);
    }

    /// How long to wait for other events before calling [`Reports::start`]; `None` for as long as it takes.
    pub fn pause(&self) -> Option<Duration> {
        match self {
            Self { at_work: Some(_), .. } => None,
            Self { requested: true, .. } => Some(Duration::ZERO),
            Self { failure_due, .. } => failure_due.map(|due| due.saturating_duration_since(Instant::now())),
        }
    }

    /// Starts what is due, if nothing is being done.
    pub fn start(&mut self) {
        if self.pause() != Some(Duration::ZERO) {
            return;
        }
        let occasion = if std::mem::take(&mut self.requested) {
            Occasion::Requested
        } else {
            Occasion::AllocationFailed
        };
        if occasion == Occasion::AllocationFailed {
            self.failure_due = None;
            self.next_failure = Instant::now() + QUIET;
        }
        // Where no process can be had, the job has none to spare either; its end will be reported.
        self.at_work = process::apart(|| (self.write)(occasion)).ok();
    }

    /// A child other than the job has ended.
    pub fn reaped(&mut self, pid: Pid) {
        self.at_work.take_if(|at_work| *at_work == pid);
    }

    /// Lets the one that is being written come to its end.
    pub fn finish(self) {
        if let Some(pid) = self.at_work {
            let _ = waitpid(pid, None);
        }
    }
}

/// Writes the report of a job that has ended, in a process that Ctrl-C may interrupt, and returns how that went.
pub fn last(write: impl FnOnce() -> i32) -> nix::Result<WaitStatus> {
    let pid = process::apart(|| {
        process::let_through(&[Signal::SIGINT, Signal::SIGQUIT]);
        write()
    })?;
    loop {
        match waitpid(pid, Some(WaitPidFlag::empty())) {
            Err(nix::errno::Errno::EINTR) => {}
            ended => return ended,
        }
    }
}
