//! Signals and ends of children, as the process that the user has started receives them.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::libc::{SIGALRM, SIGCHLD, SIGUSR2, signalfd_siginfo};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getpgrp, tcgetpgrp};

use crate::kernel::end::End;
use crate::kernel::process::{self, ChildEvent};
use crate::run::shared_state::SharedState;
use crate::run::signal_probe::{self, SignalProbe};

/// The time between two tries when signals cannot be read.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// News for the job's parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The job has ended.
    Ended(End),
    /// The job has been stopped, and waits to be continued.
    Stopped(Signal),
    /// A child that is not the job has ended: one of our own or, if we are process 1 of a container, any orphan.
    Reaped(Pid, End),
    /// Somebody has sent us a signal that is meant for the job.
    ForTheJob { number: i32, sender: Pid },
    /// A signal was sent to the whole process group, or to us and is not for the job.
    Seen { number: i32, sender: Pid },
}

/// Reads signals and the ends of children. Nothing here takes memory.
#[derive(Debug)]
pub struct Listener {
    signals: SignalFd,
    has_child_news: bool,
    /// Signals could not be read just now.
    is_deaf: bool,
}

impl Listener {
    /// Reads signals as soon as they are blocked.
    pub fn new() -> nix::Result<Self> {
        Ok(Self {
            signals: waiting_for(&SigSet::all())?,
            has_child_news: false,
            is_deaf: false,
        })
    }

    /// The next news; none if there is none yet.
    pub fn next(&mut self, job: Pid, probe: &mut SignalProbe, shared: &SharedState) -> Option<News> {
        loop {
            if self.has_child_news {
                match process::next_child_event() {
                    Some((pid, ChildEvent::Ended(end))) if pid == job => return Some(News::Ended(end)),
                    Some((pid, ChildEvent::Ended(end))) => return Some(News::Reaped(pid, end)),
                    Some((pid, ChildEvent::Stopped(signal))) if pid == job => return Some(News::Stopped(signal)),
                    Some((_, ChildEvent::Stopped(_))) => continue,
                    None => self.has_child_news = false,
                }
            }
            let signal = match self.signals.read_signal() {
                Ok(signal) => signal?,
                Err(_) if self.is_deaf => {
                    self.is_deaf = false;
                    return None;
                }
                // Even if signals cannot be read, the end of the job is not missed.
                Err(_) => {
                    (self.is_deaf, self.has_child_news) = (true, true);
                    std::thread::sleep(BETWEEN_LOOKS);
                    continue;
                }
            };
            // One SIGCHLD may stand for many children.
            self.has_child_news = signal.ssi_signo == SIGCHLD as u32;
            if let Some(news) = sort(&signal, job, probe, shared) {
                return Some(news);
            }
        }
    }

    /// Makes [`Listener::next`] check for children that have ended without a signal.
    pub fn look_for_children(&mut self) {
        self.has_child_news = true;
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

/// A file that is readable while one of `signals` is pending for the process that reads it.
pub fn waiting_for(signals: &SigSet) -> nix::Result<SignalFd> {
    SignalFd::with_flags(signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Passes on a signal that was sent to us alone. SIGUSR2 asks us for a report. The job gets it too if it handles it; the value tells the
/// handler of our library that the report is already being written.
pub fn pass_on(number: i32, job: Pid) {
    if number != SIGUSR2 {
        process::send(job, number);
    } else if signal_probe::is_caught(number, job) && !process::send_passed_on(job, number) {
        // The queue of signals is full. A signal without a value needs no place in it; at worst there is a second report.
        process::send(job, number);
    }
}

/// Stops this process by the signal that has stopped the job, so that an interactive shell prints its prompt. Its `fg` continues both.
///
/// Only if a shell waits for us: otherwise whoever stopped the job will continue the job alone, and not us.
pub fn stop_as_the_job(signal: Signal) {
    let in_foreground = || File::open("/dev/tty").and_then(|tty| Ok(tcgetpgrp(tty)? == getpgrp()));
    let by_terminal = matches!(signal, Signal::SIGTTIN | Signal::SIGTTOU);
    if by_terminal || in_foreground().unwrap_or(false) {
        process::stop_of(signal);
    }
}

fn sort(signal: &signalfd_siginfo, job: Pid, probe: &mut SignalProbe, shared: &SharedState) -> Option<News> {
    let number = signal.ssi_signo as i32;
    // The terminal signals the whole process group, so the job has that signal already. A SIGALRM also comes from the kernel, if a timer
    // was set before we were executed, but to us alone.
    let by_a_process = signal.ssi_code <= 0 || number == SIGALRM;
    let sender = Pid::from_raw(signal.ssi_pid as i32);
    if number == SIGCHLD {
        return None;
    }
    // A signal that the job sends to its process group has reached the job.
    if !by_a_process || sender == job || sender == Pid::this() {
        probe.has_come(number, shared);
        return None;
    }
    Some(match probe.has_reached(number, job, shared) {
        true => News::Seen { number, sender },
        false => News::ForTheJob { number, sender },
    })
}
