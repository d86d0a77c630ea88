//! What is known about a job that has ended; the verdict is made from it.

use std::path::PathBuf;

use dumper::outcome::{Killed, Limit, Other, ProcessName};
use nix::libc::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use recording::AllocFunction;
use recording::protocol::OnOom;
use recording::protocol::message::Refusal;

use crate::kernel::headroom::Bound;
use crate::verdict::evidence::{Change, Counted};
use crate::verdict::granted::Granted;
use crate::verdict::role::Role;

/// The signals by which a process is asked to end.
const REQUESTS: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// Everything that is known about an ended job.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// How the job's first process ended.
    pub ending: Ending,
    /// When, in nanoseconds since the Unix epoch; 0 for unknown.
    pub ended_ns: u64,
    /// The same, as RFC 3339 has it; empty for unknown.
    pub ended: String,
    /// The job's first process.
    pub job: ProcessName,
    /// The children that the kernel killed for memory while the job ran on. A limit and a certainty are there if they have been judged.
    pub killed: Vec<Killed>,
    /// Signals that were sent to the supervisor for the job, in their order.
    pub signals: Vec<Sent>,
    /// The facts from the recordings, in the order of their beginning. A process that executes several programs has several.
    pub processes: Vec<ProcessFacts>,
    /// How the kernel's counters have changed.
    pub counted: Counted,
    /// The same in cgroups that processes of the job have entered after its start, the last first.
    pub entered: Vec<Counted>,
    /// Processes of our own that the kernel has killed for memory: the supervisor, and those that write reports and measure.
    pub own_kills: u64,
    /// Whether the job's cgroup has reported that a limit could not be kept ([`crate::watch::notifications::Notifications::out_of_memory`]).
    pub is_limit_reported: bool,
    /// The kernel's notifications that have come.
    pub notified: Vec<Notified>,
    /// Whether others than the job and its supervisor were in its cgroup.
    pub is_shared: bool,
    /// Whether `memory.oom.group` is set: the kernel then kills all processes of the cgroup at once.
    pub is_killed_as_group: bool,
    /// All limits at the last poll.
    pub bounds: Vec<Bound>,
    /// The tightest of them, if memory was short of it then.
    pub near: Option<Bound>,
    /// `--on-oom=exit`.
    pub on_oom: OnOom,
    /// Whether the supervisor has killed the job for `--on-oom=exit`, close to a limit.
    pub was_ended: bool,
    /// Programs on this machine that end jobs ([`crate::kernel::procfs::killers`]).
    pub killers: Vec<ProcessName>,
    /// Other processes in the cgroup.
    pub others: Vec<Other>,
    /// The limits of processes in which an allocation has failed, at that moment.
    pub at_failures: Vec<AtFailure>,
    /// What was refused beside memory, in its order.
    pub refused: Vec<Refused>,
    /// The limit of a cgroup that has refused a process or a thread, the file of the counter that says so, and how the counter moved.
    pub processes_refused: Option<(Limit, PathBuf, [u64; 2])>,
    /// Signals by which processes of the job have ended other ones, in their order.
    pub kills_within: Vec<KillWithin>,
    /// Exceptions that processes of the job have printed with their tracebacks, in their order.
    pub raised: Vec<Raised>,
    /// Processes of the job that a signal has ended, other than the kernel's for memory or one of the job's own, in their order.
    pub died: Vec<Died>,
    /// The processor time of the job and its children, and the hard limit on that of a process (`ulimit -t`), in seconds.
    pub processor_time: Option<[u64; 2]>,
    /// Whether the kernel's log says that the job's first process has met the end of its stack.
    pub stack_overflowed: bool,
    /// What of the job was in memory at the last sample.
    pub resident_bytes: u64,
    /// What a scheduler has granted.
    pub granted: Granted,
    /// The file system for shared memory, if it has become full.
    pub full: Option<Limit>,
}

impl Observed {
    /// The same, without the kills of our own processes in the kernel's counters. Somebody else may have killed one of them, so no more
    /// kills are subtracted than were counted.
    pub(super) fn without_own_kills(&self) -> Self {
        let mut observed = self.clone();
        let here = self.counted.levels.first().map(|level| level.change(|of| of.kills));
        let grown = here.and_then(Change::grown).or(self.counted.machine_kills.grown());
        observed.own_kills = self.own_kills.min(grown.unwrap_or(0));
        observed.counted.take_off(observed.own_kills);
        let others = self.own_kills - observed.own_kills;
        if !observed.counted.has_kills() {
            let mut entered = self.entered.iter().cloned();
            let killed = entered.find_map(|mut counted| {
                counted.take_off(others);
                counted.has_kills().then_some(counted)
            });
            if let Some(Counted { levels, is_whole, .. }) = killed {
                (observed.counted.levels, observed.counted.is_whole) = (levels, is_whole);
            }
        }
        observed
    }

    /// The last facts about each process.
    pub(super) fn latest(&self) -> impl Iterator<Item = &ProcessFacts> {
        let is_last = |(index, facts): &(usize, &ProcessFacts)| {
            let later = &self.processes[index + 1..];
            later.iter().all(|other| other.name.pid != facts.name.pid)
        };
        self.processes
            .iter()
            .enumerate()
            .filter(is_last)
            .map(|(_, facts)| facts)
    }

    /// Who sent this signal last.
    pub(super) fn sent(&self, signal: i32) -> Option<&Sent> {
        self.signals.iter().rfind(|sent| sent.signal == signal)
    }

    /// Who asked the job last to end.
    pub(super) fn asked(&self) -> Option<&Sent> {
        self.signals.iter().rfind(|sent| REQUESTS.contains(&sent.signal))
    }
}

/// How often a notification of the kernel has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notified {
    /// The kernel's file that it is of.
    pub file: PathBuf,
    /// What it means.
    pub says: &'static str,
    /// At least once.
    pub times: u64,
}

/// How a process ended, as its parent sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// It runs.
    Running,
    /// It has ended; how is not known.
    #[default]
    Unseen,
    /// It exited.
    Status(i32),
    /// A signal killed it.
    Signal(i32),
}

/// A signal and who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its number.
    pub signal: i32,
    /// By siginfo; process 0 is one outside of our container.
    pub sender: ProcessName,
}

/// The limits of a process in which an allocation has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtFailure {
    /// Which.
    pub pid: u32,
    /// With what it used of them, before it could free anything.
    pub bounds: Vec<Bound>,
}

/// Something other than memory was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// To whom.
    pub process: ProcessName,
    /// What.
    pub what: Refusal,
    /// At which limit, where that is known.
    pub limit: Option<Limit>,
    /// At which callstack of its recording.
    pub node: u32,
    /// That callstack's line, once it has been looked up.
    pub place: Option<String>,
}

/// An exception was printed with its traceback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// By this process.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Whether it or its reason is about memory.
    pub is_about_memory: bool,
    /// The line of its last frame.
    pub place: Option<String>,
}

/// A process of the job was ended by a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Died {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// The same, as RFC 3339 has it.
    pub time: String,
    /// Which.
    pub process: ProcessName,
    /// By this signal.
    pub signal: i32,
    /// What was resident of it when it was last seen; 0 if it was not seen.
    pub resident_bytes: u64,
}

/// A process of the job has ended another one by a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillWithin {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// The signal.
    pub signal: i32,
    /// Who sent it.
    pub sender: ProcessName,
    /// Who got it.
    pub victim: ProcessName,
    /// Whether the sender is the victim's parent.
    pub is_parent: bool,
    /// At which callstack of its recording the sender did so.
    pub node: u32,
    /// That callstack's line of the user's own code, once it has been looked up.
    pub place: Option<String>,
    /// What the sender is to the victim, once that callstack has been looked up.
    pub role: Role,
    /// What of the victim was in memory then.
    pub resident_bytes: Option<u64>,
}

/// What a recording says of its process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Which.
    pub name: ProcessName,
    /// Whether and how it ended.
    pub state: ProcessState,
    /// Failed allocations.
    pub failures: u64,
    /// The last of them.
    pub last_failure: Option<FailedAllocation>,
    /// Bytes live at last.
    pub live_bytes: u64,
    /// Whether it had the most in memory of the job's children that were cut.
    pub is_largest: bool,
    /// When it ended of itself, in nanoseconds since the Unix epoch, and with which status.
    pub exit: Option<(u64, i32)>,
}

/// Whether and how a process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProcessState {
    /// It is known to run still.
    Alive,
    /// It has ended without going through its exit handlers: it was killed, or ended by a system call of its own.
    #[default]
    Cut,
    /// It went through its exit handlers, or left by `_exit`, as workers do.
    Ended,
    /// It ended at a failed allocation, or because the supervisor killed it (`--on-oom=exit`).
    Left,
}

/// A failed allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedAllocation {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// How much was asked for.
    pub bytes: u64,
    /// By which function.
    pub function: Option<AllocFunction>,
    /// The same time, as RFC 3339 has it; empty for unknown.
    pub time: String,
    /// For people: `1.2 GiB by malloc at load.py:31`.
    pub request: String,
}
