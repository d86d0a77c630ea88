//! The process that the user has started, while the job runs: the job's parent. It waits for the job, passes signals on, and starts
//! the supervisor, and another one if that is killed.
//!
//! In a cgroup that is full, the kernel kills who asks for memory. So this process asks for none, from when the job has started until
//! what the job used is free: it opens nothing, starts a process only where there is room, and does nothing for the first time then:
//! what it has done once it can do again with the memory that it has. What it hears it tells the supervisor on the [`SharedState`].

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::libc::{SIGCONT, SIGKILL};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

use crate::kernel::end::End;
use crate::kernel::kernel_file::keep_open;
use crate::kernel::process;
use crate::run::pinned_pages;
use crate::run::shared_state::SharedState;
use crate::run::signal_probe::{self, SignalProbe};
use crate::run::signals::{Listener, News, pass_on, stop_as_the_job};
use crate::run::supervise::Source;
use crate::watch::room::{LONGEST_KILL, Room};

/// Supervisors that may die while the job runs, and after its end. It is the kernel that kills them, or a fault of ours, which would
/// kill the next one too.
const MOST_DEATHS: u32 = 5;

/// Between two looks whether there is room, while the job runs and when it has ended.
const PAUSE: Duration = Duration::from_millis(100);
/// See [`PAUSE`].
const SHORT_PAUSE: Duration = Duration::from_millis(2);

/// More than another probe takes.
const ROOM_FOR_PROBE: u64 = 1 << 20;

/// A probe is looked at so often.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// The job's parent.
pub struct Parent<'a> {
    listener: Listener,
    probe: SignalProbe,
    shared: &'a SharedState,
    began: Instant,
    supervisor: SupervisorProcess,
}

/// How it went with the supervisors.
enum SupervisorProcess {
    Runs(Pid),
    /// One is to be started.
    Wanted,
    /// The last one has done all that there was to do, or no other would.
    Done,
}

impl SupervisorProcess {
    /// Who stops everybody and has us go on may not know of the supervisor, which nobody else would have go on.
    fn go_on(&self) {
        if let Self::Runs(pid) = self {
            process::send(*pid, SIGCONT);
        }
    }
}

impl<'a> Parent<'a> {
    /// Of a job that is to begin now.
    pub fn new(listener: Listener, probe: SignalProbe, shared: &'a SharedState, began: Instant) -> Self {
        shared.tell_probe(probe.pid());
        Self {
            listener,
            probe,
            shared,
            began,
            supervisor: SupervisorProcess::Wanted,
        }
    }

    /// Starts the first supervisor, which does `work`, and makes this process ready to ask for no memory. Returns whether there can be
    /// such a process.
    pub fn begin(&mut self, room: &mut Room, work: impl FnOnce() -> i32) -> bool {
        let Ok(pid) = process::beside(work) else { return false };
        self.supervisor = SupervisorProcess::Runs(pid);
        if room.is_limited() {
            pinned_pages::pin();
            room.rehearse();
            self.probe.rehearse();
        }
        true
    }

    /// There is no job.
    pub fn dismiss(&mut self) {
        if let SupervisorProcess::Runs(pid) = self.supervisor {
            process::send(pid, SIGKILL);
            process::wait_for(pid);
        }
    }

    /// What a supervisor hears that is the job's parent itself.
    pub fn into_source(self) -> Source {
        Source::Kernel {
            listener: self.listener,
            probe: self.probe,
            began: self.began,
        }
    }

    /// Waits until the job has ended and a supervisor has done all that is to be done then. Another one does `work`, if there is `room`
    /// to start it. Returns by which signal the last supervisor died that did.
    pub fn wait(&mut self, job: Pid, room: &mut Room, mut work: impl FnMut() -> i32) -> Option<i32> {
        // Whether it handles SIGUSR2 is asked when memory may be short.
        keep_open(&signal_probe::status(job));
        let mut deaths = 0;
        let mut last_death = None;
        let mut ended: Option<Instant> = None;
        loop {
            let pause = match (&self.supervisor, ended) {
                (SupervisorProcess::Wanted, Some(_)) => SHORT_PAUSE,
                (SupervisorProcess::Wanted, None) => PAUSE,
                _ => PROBE_PAUSE,
            };
            let mut sources = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
            // Interrupted, when we have been stopped and continued, it tells nothing; neither does any other failure.
            let _ = poll(&mut sources, PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO));
            // Whether or not a signal has told of it: one that got lost must not be waited for.
            self.listener.look_for_children();
            while let Some(news) = self.listener.next(job, &self.probe) {
                match news {
                    News::Ended(end) => {
                        ended = Some(Instant::now());
                        if let SupervisorProcess::Done = self.supervisor {
                            // The last report is worth some more tries.
                            self.supervisor = SupervisorProcess::Wanted;
                            deaths = deaths.min(MOST_DEATHS - 2);
                        }
                        self.shared.tell_end(end, self.began.elapsed());
                        self.supervisor.go_on();
                    }
                    News::Stopped(signal) => stop_as_the_job(signal),
                    News::Reaped(pid, end) => {
                        if matches!(self.supervisor, SupervisorProcess::Runs(running) if running == pid) {
                            self.supervisor = match end {
                                End::Status(_) => SupervisorProcess::Done,
                                End::Signal(signal) => {
                                    deaths += 1;
                                    last_death = Some(signal);
                                    if signal == SIGKILL {
                                        self.shared.count_kill();
                                    }
                                    if deaths < MOST_DEATHS {
                                        SupervisorProcess::Wanted
                                    } else {
                                        SupervisorProcess::Done
                                    }
                                }
                            };
                        }
                    }
                    News::ForTheJob { number, sender } => {
                        pass_on(number, job);
                        self.shared.tell_signal(number, sender);
                        if number == SIGCONT {
                            self.supervisor.go_on();
                        }
                    }
                    News::Seen { number, sender } => self.shared.tell_signal(number, sender),
                }
            }
            if let (SupervisorProcess::Done, Some(_)) = (&self.supervisor, ended) {
                return last_death;
            }
            let is_late = ended.is_some_and(|since| since.elapsed() >= LONGEST_KILL);
            match self.supervisor {
                SupervisorProcess::Wanted if is_late || room.is_there() => {
                    // Where there can be none, there may be one later.
                    if let Ok(pid) = process::beside(&mut work) {
                        self.supervisor = SupervisorProcess::Runs(pid);
                    }
                }
                _ => self.refresh_probe(room),
            }
        }
    }

    /// To call another takes memory.
    fn refresh_probe(&mut self, room: &mut Room) {
        let is_due = self.listener.has_heard() || self.probe.is_due();
        if is_due && room.left() >= ROOM_FOR_PROBE {
            self.listener.forget_heard();
            self.probe.refresh();
            self.shared.tell_probe(self.probe.pid());
        }
    }
}
