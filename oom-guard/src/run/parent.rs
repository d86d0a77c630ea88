//! The process that the user has started, while the job runs: the job's parent. It waits for the job, passes signals on, and starts
//! the supervisor, and another one if that is killed.
//!
//! In a cgroup that is full, the kernel kills who asks for memory. So this process asks for none, from when the job has started until
//! what the job used is free: it opens nothing, starts a process only where there is room, and does nothing for the first time then:
//! what it has done once it can do again with the memory that it has. What it hears it tells the supervisor on the [`Board`].

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::libc::{SIGCONT, SIGKILL};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

use crate::kernel::end::End;
use crate::kernel::kernel_file::keep_open;
use crate::kernel::process;
use crate::run::board::Board;
use crate::run::footing;
use crate::run::signals::{Listener, News, pass_on, stop_as_the_job};
use crate::run::slack::{LONGEST_KILL, Slack};
use crate::run::supervise::Source;
use crate::run::witness::{self, Witness};

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
    listener: Listener,
    witness: Witness,
    board: &'a Board,
    began: Instant,
    supervisor: Supervisor,
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

impl<'a> Parent<'a> {
    /// Of a job that is to begin now.
    pub fn new(listener: Listener, witness: Witness, board: &'a Board, began: Instant) -> Self {
        board.tell_witness(witness.pid());
        Self {
            listener,
            witness,
            board,
            began,
            supervisor: Supervisor::Wanted,
        }
    }

    /// Starts the first supervisor, which does `work`, and makes this process ready to ask for no memory. Returns whether there can be
    /// such a process.
    pub fn begin(&mut self, slack: &mut Slack, work: impl FnOnce() -> i32) -> bool {
        let Ok(pid) = process::beside(work) else { return false };
        self.supervisor = Supervisor::Runs(pid);
        if slack.is_limited() {
            footing::keep();
            slack.rehearse();
            self.witness.rehearse();
        }
        true
    }

    /// There is no job.
    pub fn dismiss(&mut self) {
        if let Supervisor::Runs(pid) = self.supervisor {
            process::send(pid, SIGKILL);
            process::wait_for(pid);
        }
    }

    /// What a supervisor hears that is the job's parent itself.
    pub fn into_source(self) -> Source {
        Source::Kernel {
            listener: self.listener,
            witness: self.witness,
            began: self.began,
        }
    }

    /// Waits until the job has ended and a supervisor has done all that is to be done then. Another one does `work`, if there is `slack`
    /// to start it. Returns by which signal the last supervisor died that did.
    pub fn wait(&mut self, job: Pid, slack: &mut Slack, mut work: impl FnMut() -> i32) -> Option<i32> {
        // Whether it handles SIGUSR2 is asked when memory may be short.
        keep_open(&witness::status(job));
        let mut deaths = 0;
        let mut last_death = None;
        let mut ended: Option<Instant> = None;
        loop {
            let pause = match (&self.supervisor, ended) {
                (Supervisor::Wanted, Some(_)) => SHORT_PAUSE,
                (Supervisor::Wanted, None) => PAUSE,
                _ => WITNESS_PAUSE,
            };
            let mut sources = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
            // Interrupted, when we have been stopped and continued, it tells nothing; neither does any other failure.
            let _ = poll(&mut sources, PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO));
            // Whether or not a signal has told of it: one that got lost must not be waited for.
            self.listener.look_for_children();
            while let Some(news) = self.listener.next(job, &self.witness) {
                match news {
                    News::Ended(end) => {
                        ended = Some(Instant::now());
                        if let Supervisor::Done = self.supervisor {
                            // The last report is worth some more tries.
                            self.supervisor = Supervisor::Wanted;
                            deaths = deaths.min(MOST_DEATHS - 2);
                        }
                        self.board.tell_end(end, self.began.elapsed());
                        self.supervisor.go_on();
                    }
                    News::Stopped(signal) => stop_as_the_job(signal),
                    News::Reaped(pid, end) => {
                        if matches!(self.supervisor, Supervisor::Runs(running) if running == pid) {
                            self.supervisor = match end {
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
                        pass_on(number, job);
                        self.board.tell_signal(number, sender);
                        if number == SIGCONT {
                            self.supervisor.go_on();
                        }
                    }
                    News::Seen { number, sender } => self.board.tell_signal(number, sender),
                }
            }
            if let (Supervisor::Done, Some(_)) = (&self.supervisor, ended) {
                return last_death;
            }
            let is_late = ended.is_some_and(|since| since.elapsed() >= LONGEST_KILL);
            match self.supervisor {
                Supervisor::Wanted if is_late || slack.is_there() => {
                    // Where there can be none, there may be one later.
                    if let Ok(pid) = process::beside(&mut work) {
                        self.supervisor = Supervisor::Runs(pid);
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
