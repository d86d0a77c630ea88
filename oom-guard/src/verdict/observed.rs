//! What is known about a job that has ended; the verdict is made from it.

use std::path::PathBuf;

use dumper::outcome::{Other, ProcessName};
use nix::libc::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use recording::protocol::OnOom;

use crate::kernel::headroom::Bound;
use crate::verdict::evidence::{Change, Counted};

/// The signals by which a process is asked to end.
const REQUESTS: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// Everything that is known about an ended job.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// How the job's first process ended.
    pub ending: Ending,
    /// When, in nanoseconds since the Unix epoch; 0 for unknown.
    pub ended_ns: u64,
    /// The job's first process.
    pub job: ProcessName,
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
    /// Whether the job's cgroup has reported that a limit could not be kept ([`crate::watch::alarms::Alarms::out_of_memory`]).
    pub alarmed: bool,
    /// The kernel's alarms that have rung.
    pub rings: Vec<Rings>,
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

/// How often an alarm has rung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rings {
    /// The kernel's file that it was set at.
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
    /// For people: `1.2 GiB by malloc at load.py:31`.
    pub request: String,
}
