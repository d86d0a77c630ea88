//! The process that the user has started, while the job runs: the job's parent. It waits for the job, passes signals on, and starts
//! the supervisor, and another one if that is killed.
//!
//! In a cgroup that is full, the kernel kills who asks for memory. So this process asks for none, from when the job has started until
//! what the job used is free: it opens nothing, starts a process only where there is room, and does nothing for the first time then:
//! what it has done once it can do again with the memory that it has. What it hears it tells the supervisor on the [`Board`].

use std::fs::File;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::libc::{SIGCONT, SIGKILL};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgrp, tcgetpgrp};

use crate::board::Board;
use crate::exit::End;
use crate::footing;
use crate::process;
use crate::signals::{Listener, News};
use crate::slack::{LONGEST_KILL, Slack};
use crate::witness::Witness;

/// Supervisors that may die while the job runs, and after its end. It is the kernel that kills them, or a fault of ours, which would
/// kill the next one too.
const MOST_DEATHS: u32 = 5;

/// Between two looks whether there is room, while the job runs and when it has ended.
const PAUSE: Duration = Duration::from_millis(100);
/// See [`PAUSE`].
const SHORT_PAUSE: Duration = Duration::from_millis(2);

/// More than another witness takes.
const ROOM_FOR_WITNESS: u64 = 1 << 20;

/// A witness is looked at so often.
const WITNESS_PAUSE: Duration = Duration::from_secs(1);

/// The job's parent.
pub struct Parent<'a> {
    /// What it hears.
    pub listener: Listener,
    /// Tells our signals from those of our process group.
    pub witness: Witness,
    /// What it tells.
    pub board: &'a Board,
    /// The job.
    pub job: Pid,
    /// When the job began.
    pub began: Instant,
}

/// How it went with the supervisors.
enum Supervisor {
    Runs(Pid),
    /// One is to be started.
    Wanted,
    /// The last one has done all that there was to do, or no other would.
    Done,
}

impl Supervisor {
    /// Who stops everybody and has us go on may not know of the supervisor, which nobody else would have go on.
    fn go_on(&self) {
        if let Self::Runs(pid) = self {
            process::send(*pid, SIGCONT);
        }
    }
}

impl Parent<'_> {
    /// Starts a supervisor, which does `work`, and waits until the job has ended and a supervisor has done all that is to be done then.
    /// Returns by which signal the last supervisor died that did. `slack` is looked at before another is started. Fails, and has done
    /// nothing, where there can be no other process.
    pub fn wait(&mut self, slack: &mut Slack, mut work: impl FnMut() -> i32) -> nix::Result<Option<i32>> {
        let mut start = || process::beside(&mut work);
        let mut supervisor = Supervisor::Runs(start()?);
        let mut deaths = 0;
        let mut last_death = None;
        let mut ended: Option<Instant> = None;
        self.board.tell_witness(self.witness.pid());
        if slack.is_limited() {
            footing::keep();
            slack.rehearse();
            self.witness.rehearse();
        }
        loop {
            let pause = match (&supervisor, ended) {
                (Supervisor::Wanted, Some(_)) => SHORT_PAUSE,
                (Supervisor::Wanted, None) => PAUSE,
                _ => WITNESS_PAUSE,
            };
            let mut sources = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
            // Interrupted, when we have been stopped and continued, it tells nothing; neither does any other failure.
            let _ = poll(&mut sources, PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO));
            // Whether or not a signal has told of it: one that got lost must not be waited for.
            self.listener.look_for_children();
            while let Some(news) = self.listener.next(self.job, &self.witness) {
                match news {
                    News::Ended(end) => {
                        ended = Some(Instant::now());
                        if let Supervisor::Done = supervisor {
                            // The last report is worth some more tries.
                            supervisor = Supervisor::Wanted;
                            deaths = deaths.min(MOST_DEATHS - 2);
                        }
                        self.board.tell_end(end, self.began.elapsed());
                        supervisor.go_on();
                    }
                    News::Stopped(signal) => stop_as_the_job(signal),
                    News::Reaped(pid, end) => {
                        if matches!(supervisor, Supervisor::Runs(running) if running == pid) {
                            supervisor = match end {
                                End::Status(_) => Supervisor::Done,
                                End::Signal(signal) => {
                                    deaths += 1;
                                    last_death = Some(signal);
                                    if signal == SIGKILL {
                                        self.board.count_kill();
                                    }
                                    if deaths < MOST_DEATHS {
                                        Supervisor::Wanted
                                    } else {
                                        Supervisor::Done
                                    }
                                }
                            };
                        }
                    }
                    News::ForTheJob { number, sender } => {
                        process::send(self.job, number);
                        self.board.tell_signal(number, sender);
                        if number == SIGCONT {
                            supervisor.go_on();
                        }
                    }
                    News::Seen { number, sender } => self.board.tell_signal(number, sender),
                }
            }
            if let (Supervisor::Done, Some(_)) = (&supervisor, ended) {
                return Ok(last_death);
            }
            let is_late = ended.is_some_and(|since| since.elapsed() >= LONGEST_KILL);
            match supervisor {
                Supervisor::Wanted if is_late || slack.is_there() => {
                    // Where there can be none, there may be one later.
                    if let Ok(pid) = start() {
                        supervisor = Supervisor::Runs(pid);
                    }
                }
                _ => self.refresh_witness(slack),
            }
        }
    }

    /// To call another takes memory.
    fn refresh_witness(&mut self, slack: &mut Slack) {
        let is_due = self.listener.has_heard() || self.witness.is_due();
        if is_due && slack.left() >= ROOM_FOR_WITNESS {
            self.listener.forget_heard();
            self.witness.refresh();
            self.board.tell_witness(self.witness.pid());
        }
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
