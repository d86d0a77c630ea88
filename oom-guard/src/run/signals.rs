//! What reaches the process that the user has started: signals that are meant for the job, and the ends of children.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::libc::{SIGALRM, SIGCHLD, SIGUSR2, signalfd_siginfo};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getpgrp, tcgetpgrp};

use crate::kernel::end::End;
use crate::kernel::process::{self, Change};
use crate::run::witness::{self, Witness};

/// How long we sleep between two looks when signals cannot be read.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// News for the job's parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The job has ended.
    Ended(End),
    /// The job has been stopped, and waits to be continued.
    Stopped(Signal),
    /// A child that is not the job has ended: one of our own, or as process 1 of a container, anybody's.
    Reaped(Pid, End),
    /// Somebody has sent us a signal that is meant for the job.
    ForTheJob { number: i32, sender: Pid },
    /// Somebody has sent a signal to the whole process group, or to us one that is not for the job.
    Seen { number: i32, sender: Pid },
}

/// Hears signals and the ends of children. Nothing here takes memory.
#[derive(Debug)]
pub struct Listener {
    signals: SignalFd,
    has_child_news: bool,
    has_heard: bool,
    /// Signals could not be read just now.
    is_deaf: bool,
}

impl Listener {
    /// Hears signals as soon as they are held.
    pub fn new() -> nix::Result<Self> {
        Ok(Self {
            signals: waiting_for(&SigSet::all())?,
            has_child_news: false,
            has_heard: false,
            is_deaf: false,
        })
    }

    /// The next news; none if there is none yet.
    pub fn next(&mut self, job: Pid, witness: &Witness) -> Option<News> {
        loop {
            if self.has_child_news {
                match process::next_change() {
                    Some((pid, Change::Ended(end))) if pid == job => return Some(News::Ended(end)),
                    Some((pid, Change::Ended(end))) => return Some(News::Reaped(pid, end)),
                    Some((pid, Change::Stopped(signal))) if pid == job => return Some(News::Stopped(signal)),
                    Some((_, Change::Stopped(_))) => continue,
                    None => self.has_child_news = false,
                }
            }
            let signal = match self.signals.read_signal() {
                Ok(signal) => signal?,
                Err(_) if self.is_deaf => {
                    self.is_deaf = false;
                    return None;
                }
                // Whatever is wrong with the signals, the end of the job is not missed.
                Err(_) => {
                    (self.is_deaf, self.has_child_news) = (true, true);
                    std::thread::sleep(BETWEEN_LOOKS);
                    continue;
                }
            };
            self.has_heard = true;
            // One may stand for the ends of many.
            self.has_child_news = signal.ssi_signo == SIGCHLD as u32;
            if let Some(news) = sort(&signal, job, witness) {
                return Some(news);
            }
        }
    }

    /// The next news may be of children of whose end no signal has told.
    pub fn look_for_children(&mut self) {
        self.has_child_news = true;
    }

    /// Whether there has been any signal since [`Listener::forget_heard`].
    pub fn has_heard(&self) -> bool {
        self.has_heard
    }

    /// What a signal calls for has been done.
    pub fn forget_heard(&mut self) {
        self.has_heard = false;
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

/// A file that can be read when one of `signals` waits for the process that reads it.
pub fn waiting_for(signals: &SigSet) -> nix::Result<SignalFd> {
    SignalFd::with_flags(signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Gives the job a signal that has come to us alone. SIGUSR2 asks us for a report; the job gets it as well if it handles it, and where
/// the handler is our library's the value tells it that the report is being written already.
pub fn pass_on(number: i32, job: Pid) {
    if number != SIGUSR2 {
        process::send(job, number);
    } else if witness::is_caught(number, job) && !process::send_passed_on(job, number) {
        // The queue is full; one without a value needs no place in it. At worst there is a second report.
        process::send(job, number);
    }
}

/// Stops as the job has been stopped, so that an interactive shell gets its prompt; its `fg` continues both of us.
///
/// Only where a shell is waiting: elsewhere whoever stopped the job will continue the job, and nobody would us.
pub fn stop_as_the_job(signal: Signal) {
    let in_foreground = || File::open("/dev/tty").and_then(|tty| Ok(tcgetpgrp(tty)? == getpgrp()));
    let by_terminal = matches!(signal, Signal::SIGTTIN | Signal::SIGTTOU);
    if by_terminal || in_foreground().unwrap_or(false) {
        process::stop_of(signal);
    }
}

fn sort(signal: &signalfd_siginfo, job: Pid, witness: &Witness) -> Option<News> {
    let number = signal.ssi_signo as i32;
    // The terminal signals the whole process group, so the job has it already. An alarm that was set before we were
    // executed is the kernel's too, but ours alone.
    let by_a_process = signal.ssi_code <= 0 || number == SIGALRM;
    let sender = Pid::from_raw(signal.ssi_pid as i32);
    match number {
        SIGCHLD => None,
        _ if !by_a_process => None,
        // What the job sends to its process group has reached it.
        _ if sender == job || sender == Pid::this() => None,
        _ if witness.soon_has_reached(number, job) => Some(News::Seen { number, sender }),
        number => Some(News::ForTheJob { number, sender }),
    }
}
