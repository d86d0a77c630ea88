//! Waiting for the job: signals, the doorbell and the clock in one loop.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::AsFd;

use nix::libc::{SIGALRM, SIGCHLD, SIGUSR2, signalfd_siginfo};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgrp, tcgetpgrp};

use crate::doorbell::{Doorbell, Ring};
use crate::exit::End;
use crate::process;
use crate::reports::Reports;

/// What the supervisor wakes for.
#[derive(Debug)]
enum Event {
    /// The job has ended.
    Ended(End),
    /// The job has been stopped, and waits to be continued.
    Stopped(Signal),
    /// A child that is not the job has ended: a report's process, or as process 1 of a container, anybody's.
    Reaped(Pid),
    /// Somebody has sent us a signal that is meant for the job.
    ForTheJob(i32),
    /// A report is wanted, or an allocation has failed.
    Rung(Ring),
    /// A report may be due.
    Clock,
}

/// The events of one job.
pub struct Events {
    signals: SignalFd,
    doorbell: Option<Doorbell>,
    waiting: VecDeque<Event>,
}

impl Events {
    /// The sources of events. Signals are among them as soon as they are held.
    pub fn new(doorbell: Option<Doorbell>) -> nix::Result<Self> {
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&SigSet::all(), flags)?;
        Ok(Self {
            signals,
            doorbell,
            waiting: VecDeque::new(),
        })
    }

    /// Waits for the job to end, and meanwhile does what is asked of a supervisor.
    pub fn supervise(mut self, job: Pid, mut reports: Reports) -> End {
        loop {
            match self.next(job, &reports) {
                Event::Ended(end) => {
                    reports.finish();
                    return end;
                }
                Event::Stopped(signal) => stop_as_the_job(signal),
                Event::Reaped(pid) => reports.reaped(pid),
                Event::ForTheJob(number) => process::send(job, number),
                Event::Rung(Ring::Report) => reports.request(),
                Event::Rung(Ring::Failed) => reports.failure(),
                Event::Clock => reports.start(),
            }
        }
    }

    fn next(&mut self, job: Pid, reports: &Reports) -> Event {
        if let Some(event) = self.waiting.pop_front() {
            return event;
        }
        let pause = reports.pause().map_or(PollTimeout::NONE, |pause| {
            // Rounded up: waking early would only mean to wait again.
            PollTimeout::try_from(pause.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        let sources = std::iter::once(self.signals.as_fd()).chain(self.doorbell.iter().map(AsFd::as_fd));
        let mut sources: Vec<_> = sources.map(|source| PollFd::new(source, PollFlags::POLLIN)).collect();
        // Interrupted, when we have been stopped and continued, it tells nothing; neither does any other failure.
        let _ = poll(&mut sources, pause);
        while let Ok(Some(signal)) = self.signals.read_signal() {
            self.sort(&signal, job);
        }
        let rings = self.doorbell.as_mut().map(Doorbell::answer).unwrap_or_default();
        self.waiting.extend(rings.into_iter().map(Event::Rung));
        self.waiting.push_back(Event::Clock);
        self.waiting.pop_front().unwrap_or(Event::Clock)
    }

    fn sort(&mut self, signal: &signalfd_siginfo, job: Pid) {
        let number = signal.ssi_signo as i32;
        // The terminal signals the whole process group, so the job has it already. An alarm that was set before we were
        // executed is the kernel's too, but ours alone.
        let by_a_process = signal.ssi_code <= 0 || number == SIGALRM;
        let sender = signal.ssi_pid as i32;
        match number {
            SIGCHLD => self.reap(job),
            _ if !by_a_process => {}
            // What the job sends to its process group has reached it.
            _ if sender == job.as_raw() || sender == Pid::this().as_raw() => {}
            SIGUSR2 => self.waiting.push_back(Event::Rung(Ring::Report)),
            number => self.waiting.push_back(Event::ForTheJob(number)),
        }
    }

    /// Takes the news of every child: one SIGCHLD may stand for many.
    fn reap(&mut self, job: Pid) {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
            let event = match (status, End::of(status)) {
                (WaitStatus::StillAlive, _) => return,
                (WaitStatus::Stopped(pid, signal), _) if pid == job => Event::Stopped(signal),
                (_, Some(end)) if status.pid() == Some(job) => Event::Ended(end),
                (_, Some(_)) => Event::Reaped(status.pid().unwrap_or(job)),
                _ => continue,
            };
            self.waiting.push_back(event);
        }
    }
}

/// Stops as the job has been stopped, so that an interactive shell gets its prompt; its `fg` continues both of us.
///
/// Only where a shell is waiting: elsewhere whoever stopped the job will continue the job, and nobody would us.
fn stop_as_the_job(signal: Signal) {
    let in_foreground = || File::open("/dev/tty").and_then(|tty| Ok(tcgetpgrp(tty)? == getpgrp()));
    let by_terminal = matches!(signal, Signal::SIGTTIN | Signal::SIGTTOU);
    if by_terminal || in_foreground().unwrap_or(false) {
        process::stop_of(signal);
    }
}
