//! The job's parent, which is the process that the user has started. It waits for the job, passes signals on, and starts the supervisor,
//! and another one if that is killed.
//!
//! In a full cgroup the kernel kills a process that asks for memory. So this process asks for none, from the start of the job until the
//! job's memory is free. It opens no file, starts a process only if there is room, and does nothing for the first time: what it has done
//! once, it can repeat with the memory that it has. It tells the supervisor all news through [`SharedState`].

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::libc::{SIGCONT, SIGKILL};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

use crate::kernel::end::End;
use crate::kernel::kernel_file::keep_open;
use crate::kernel::process;
use crate::run::pinned_pages::{self, PageByPage};
use crate::run::shared_state::SharedState;
use crate::run::signal_probe::{self, SignalProbe};
use crate::run::signals::{Listener, News, pass_on, stop_as_the_job};
use crate::run::supervise::Source;
use crate::watch::room::{LONGEST_KILL, Room};

/// How many supervisors may die. The kernel kills them, or a bug of ours, which would kill the next one too.
const MOST_DEATHS: u32 = 5;

/// The time between two checks whether there is room for a supervisor, while the job runs.
const PAUSE: Duration = Duration::from_millis(100);
/// The same when the job has ended.
const SHORT_PAUSE: Duration = Duration::from_millis(2);

/// More than a new probe takes.
const ROOM_FOR_PROBE: u64 = 1 << 20;

/// How often the probe is checked.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// The job's parent.
pub struct Parent<'a> {
    listener: Listener,
    probe: SignalProbe,
    shared: &'a SharedState,
    began: Instant,
    supervisor: SupervisorProcess,
    /// Until everything has been done once.
    page_by_page: Option<PageByPage>,
}

/// The state of the supervisor.
enum SupervisorProcess {
    Runs(Pid),
    /// A supervisor is to be started.
    Wanted,
    /// The last one has done everything, or too many have died.
    Done,
}

impl SupervisorProcess {
    /// Continues the supervisor: somebody who stops and continues all processes may not know of it.
    fn go_on(&self) {
        if let Self::Runs(pid) = self {
            process::send(*pid, SIGCONT);
        }
    }
}

impl<'a> Parent<'a> {
    /// Of a job that will be started now.
    pub fn new(listener: Listener, probe: SignalProbe, shared: &'a SharedState, began: Instant) -> Self {
        shared.tell_probe(probe.pid());
        Self {
            listener,
            probe,
            shared,
            began,
            supervisor: SupervisorProcess::Wanted,
            page_by_page: None,
        }
    }

    /// Starts the first supervisor, which does `work`, and prepares this process to ask for no more memory. Returns whether a process
    /// could be started.
    pub fn begin(&mut self, room: &mut Room, work: impl FnOnce() -> i32) -> bool {
        let Ok(pid) = process::beside(work) else { return false };
        self.supervisor = SupervisorProcess::Runs(pid);
        if room.is_limited() {
            self.page_by_page = Some(pinned_pages::pin_page_by_page());
            room.rehearse();
            self.probe.rehearse();
        }
        true
    }

    /// Ends the supervisor, because the job could not be started.
    pub fn dismiss(&mut self) {
        if let SupervisorProcess::Runs(pid) = self.supervisor {
            process::send(pid, SIGKILL);
            process::wait_for(pid);
        }
    }

    /// The source of events for a supervisor that is the job's parent itself.
    pub fn into_source(self) -> Source {
        Source::Kernel {
            listener: self.listener,
            probe: self.probe.into(),
            began: self.began,
        }
    }

    /// Waits until the job has ended and a supervisor has finished the run. If a supervisor dies, another one does `work` as soon as there
    /// is `room` for it. Returns the signal that killed the last supervisor that was killed.
    pub fn wait(&mut self, job: Pid, room: &mut Room, mut work: impl FnMut() -> i32) -> Option<i32> {
        // Memory may be short when we ask whether the job handles SIGUSR2.
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
            // An interrupted poll, after a stop and a continue, returns nothing; neither does any other failure.
            let _ = poll(&mut sources, PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO));
            // Also without a SIGCHLD: a lost signal must not make us wait for ever.
            self.listener.look_for_children();
            let mut how = None;
            while let Some(news) = self.listener.next(job, &mut self.probe, self.shared) {
                match news {
                    News::Ended(end) => how = Some(end),
                    News::Stopped(signal) => stop_as_the_job(signal),
                    News::Reaped(pid, end) => {
                        self.probe.reaped(pid, end, self.shared);
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
            // Not before the kills of our own processes are counted: the verdict follows.
            if let Some(end) = how {
                ended = Some(Instant::now());
                if let SupervisorProcess::Done = self.supervisor {
                    // The last report is worth a few more tries.
                    self.supervisor = SupervisorProcess::Wanted;
                    deaths = deaths.min(MOST_DEATHS - 2);
                }
                self.shared.tell_end(end, self.began.elapsed());
                self.supervisor.go_on();
            }
            if let (SupervisorProcess::Done, Some(_)) = (&self.supervisor, ended) {
                return last_death;
            }
            let is_late = ended.is_some_and(|since| since.elapsed() >= LONGEST_KILL);
            match self.supervisor {
                SupervisorProcess::Wanted if is_late || room.is_there() => {
                    // If no process can be started now, it is tried again later.
                    if let Ok(pid) = process::beside(&mut work) {
                        self.supervisor = SupervisorProcess::Runs(pid);
                    }
                }
                _ => self.refresh_probe(room),
            }
            self.page_by_page = None;
        }
    }

    /// Starts the probe again if it was killed and there is room for it.
    fn refresh_probe(&mut self, room: &mut Room) {
        if self.probe.is_due() && (self.probe.pid().is_some() || room.left() >= ROOM_FOR_PROBE) {
            self.probe.refresh(self.shared);
            self.shared.tell_probe(self.probe.pid());
        }
    }
}
