//! The verdict on a run: which process ended, why, by which limit, and on which evidence.

use serde::{Deserialize, Serialize};

use crate::bounded::{self, LISTED};
use crate::units::Bytes;

/// What became of a job. Fields that a file does not have are empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// How it ended.
    pub kind: Kind,
    /// How sure that is.
    pub certainty: Certainty,
    /// One plain sentence: what died, of what, by which limit, how sure.
    pub sentence: String,
    /// Who died.
    pub process: Option<ProcessName>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Its exit status.
    pub status: Option<i32>,
    /// Who sent the signal, where the kernel says.
    pub sender: Option<ProcessName>,
    /// The limit that was hit, or was the nearest.
    pub limit: Option<Limit>,
    /// The last request for memory that failed.
    pub failed_request: Option<String>,
    /// The processes of the job that the kernel killed for memory while the job ran on, in their order; of many the first.
    #[serde(
        deserialize_with = "bounded::list::<_, _, LISTED>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub killed: Vec<Killed>,
    /// What the verdict rests on.
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    pub evidence: Vec<Evidence>,
    /// Who else was in the control group.
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    pub others: Vec<Other>,
}

/// The ways in which a job ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It has not ended.
    Running,
    /// With status 0.
    Finished,
    /// With another status, and not for want of memory.
    ExitedNonZero,
    /// An allocation failed, and the program went on.
    AllocationFailedRecovered,
    /// An allocation failed, and the program ended of it.
    AllocationFailedFatal,
    /// Something other than memory was refused (a thread, a process, room in a file system), and the program ended of it.
    ResourceRefused,
    /// Killed by the kernel, since a control group's limit was reached.
    OomKilledByCgroup,
    /// Killed by the kernel, since the machine's memory was full.
    OomKilledByMachine,
    /// Killed by a supervisor of the job's own for its memory: dask's nanny, Ray's memory monitor.
    OomKilledBySupervisor,
    /// By a signal that another process sent.
    Terminated,
    /// By a signal for a fault of its own: SIGSEGV, SIGABRT, SIGBUS, SIGILL or SIGFPE.
    Crashed,
    /// No supervisor was left to see the end.
    EverythingKilled,
    /// Nothing is known, or it is of a later version.
    #[default]
    #[serde(other)]
    Unknown,
}

/// How sure a verdict is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// The kernel has said so.
    Certain,
    /// Nothing else fits what is known.
    Likely,
    /// Several things fit.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A process, as people tell it from others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessName {
    /// Process id.
    pub pid: u32,
    /// Its command line, or what is left of it.
    pub command: String,
    /// Whether it is not the job's first process.
    pub is_child: bool,
}

/// A process of the job that the kernel killed for memory while the job ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Killed {
    /// Which.
    pub process: ProcessName,
    /// When that was noticed: RFC 3339, local time with its offset.
    pub time: String,
    /// What was resident of it when it was last seen, with what it shared with others; 0 if it was not seen.
    pub resident_bytes: u64,
    /// The limit that was used up; none if it cannot be seen.
    pub limit: Option<Limit>,
    /// How sure that is.
    pub certainty: Certainty,
}

/// A limit on memory, or on what memory is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limit {
    /// Of what kind.
    pub kind: LimitKind,
    /// The control group, as the kernel names it, or where the file system is; empty for other kinds.
    pub path: String,
    /// How much it allows: bytes, or for some kinds how many ([`LimitKind::is_number`]).
    pub bytes: u64,
    /// How much of that was in use; none where that is not known.
    pub usage: Option<u64>,
}

/// The kinds of limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// Memory of a control group, version 1.
    CgroupV1,
    /// Memory of a control group, version 2.
    CgroupV2,
    /// `RLIMIT_AS`, `ulimit -v`.
    AddressSpace,
    /// `RLIMIT_DATA`, `ulimit -d`.
    Data,
    /// The memory that the machine has.
    Machine,
    /// What the machine promises in all where `vm.overcommit_memory` is 2.
    Commit,
    /// `vm.max_map_count`: the mappings of a process.
    Mappings,
    /// `RLIMIT_MEMLOCK`, `ulimit -l`: memory that is locked.
    LockedMemory,
    /// Huge pages that are set aside.
    HugePages,
    /// `RLIMIT_NPROC`, `ulimit -u`: processes and threads of the user.
    UserProcesses,
    /// `pids.max`: processes and threads of a control group.
    CgroupProcesses,
    /// The size of a file system in memory (tmpfs).
    FileSystem,
    /// Of a later version.
    #[default]
    #[serde(other)]
    Other,
}

/// Something that was observed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// A path or a system call.
    pub source: String,
    /// What it says, in plain words.
    pub says: String,
    /// The counter before the job.
    pub before: Option<u64>,
    /// The counter after it.
    pub after: Option<u64>,
    /// Whether it says nothing about how this job ended. Then only `report.json` has it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_beside: bool,
}

/// Somebody else in the control group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Other {
    /// Process id.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// How much it had in memory.
    pub resident_bytes: u64,
}

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

impl Outcome {
    /// Whether something killed a process for the memory that it and its like held, so that what was live at that
    /// moment is what there is to look at. An evictor's signal counts if a limit was all but reached.
    pub fn is_killed_for_memory(&self) -> bool {
        match self.kind {
            Kind::OomKilledByCgroup
            | Kind::OomKilledByMachine
            | Kind::OomKilledBySupervisor
            | Kind::EverythingKilled => true,
            Kind::Terminated => {
                matches!(self.signal, Some(SIGKILL | SIGTERM)) && self.limit.as_ref().is_some_and(Limit::is_near)
            }
            Kind::Running => !self.killed.is_empty(),
            _ => false,
        }
    }
}

/// What a limit counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// Bytes of memory.
    Memory,
    /// Bytes of a process's address space.
    Addresses,
    /// Processes, threads or mappings.
    Things,
}

impl LimitKind {
    /// Whether it counts things, and not bytes.
    pub fn is_number(self) -> bool {
        self.unit() == Unit::Things
    }

    /// Whether it is one of a process on what is asked for, in memory or not: the kernel kills nobody at it, but refuses.
    pub fn counts_addresses(self) -> bool {
        self.unit() == Unit::Addresses
    }

    fn unit(self) -> Unit {
        match self {
            Self::AddressSpace | Self::Data => Unit::Addresses,
            Self::Mappings | Self::UserProcesses | Self::CgroupProcesses => Unit::Things,
            Self::CgroupV1
            | Self::CgroupV2
            | Self::Machine
            | Self::Commit
            | Self::LockedMemory
            | Self::HugePages
            | Self::FileSystem
            | Self::Other => Unit::Memory,
        }
    }
}

impl Limit {
    /// So much of what it counts, for a reader.
    pub fn amount(&self, amount: u64) -> String {
        match self.kind.is_number() {
            true => amount.to_string(),
            false => Bytes(amount).to_string(),
        }
    }

    /// Whether it is known that at least nine tenths were in use.
    pub fn is_near(&self) -> bool {
        self.usage.is_some_and(|usage| usage >= self.bytes - self.bytes / 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_files_are_snake_case_and_unknown_ones_are_no_error() {
        let outcome: Outcome = serde_json::from_str(
            r#"{"kind": "oom_killed_by_cgroup", "certainty": "certain", "limit": {"kind": "cgroup_v2"}, "novelty": 1}"#,
        )
        .unwrap();
        assert_eq!(outcome.kind, Kind::OomKilledByCgroup);
        assert_eq!(outcome.certainty, Certainty::Certain);
        assert_eq!(outcome.limit.unwrap().kind, LimitKind::CgroupV2);
        let later: Outcome =
            serde_json::from_str(r#"{"kind": "abducted", "certainty": "very", "limit": {"kind": "quota"}}"#).unwrap();
        assert_eq!((later.kind, later.certainty), (Kind::Unknown, Certainty::Unknown));
        assert_eq!(later.limit.unwrap().kind, LimitKind::Other);
        assert_eq!(
            serde_json::to_string(&Kind::ExitedNonZero).unwrap(),
            r#""exited_non_zero""#
        );
    }

    #[test]
    fn what_is_counted_has_no_unit() {
        let limit = |kind| Limit {
            kind,
            ..Limit::default()
        };
        assert_eq!(limit(LimitKind::Mappings).amount(65_530), "65530");
        assert_eq!(limit(LimitKind::FileSystem).amount(64 << 20), "64.0 MiB");
    }

    #[test]
    fn a_signal_is_about_memory_only_near_a_limit() {
        let killed = |signal, usage| {
            let limit = Limit {
                bytes: 1000,
                usage,
                ..Limit::default()
            };
            Outcome {
                kind: Kind::Terminated,
                signal: Some(signal),
                limit: Some(limit),
                ..Outcome::default()
            }
            .is_killed_for_memory()
        };
        assert!(killed(SIGKILL, Some(900)));
        assert!(killed(SIGTERM, Some(1100)));
        assert!(!killed(SIGKILL, Some(899)));
        assert!(!killed(SIGKILL, None));
        assert!(!killed(2, Some(1000)));
    }
}
