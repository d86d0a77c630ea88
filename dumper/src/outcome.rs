//! The verdict on a run: which process ended, why, by which limit, and on which evidence.

use serde::{Deserialize, Serialize};

use crate::bounded::{self, LISTED};

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
    /// Killed by the kernel, since a control group's limit was reached.
    OomKilledByCgroup,
    /// Killed by the kernel, since the machine's memory was full.
    OomKilledByMachine,
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

/// A limit on memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limit {
    /// Of what kind.
    pub kind: LimitKind,
    /// The control group, as the kernel names it; empty where there is none.
    pub path: String,
    /// How much it allows.
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
            Kind::OomKilledByCgroup | Kind::OomKilledByMachine | Kind::EverythingKilled => true,
            Kind::Terminated => {
                matches!(self.signal, Some(SIGKILL | SIGTERM)) && self.limit.as_ref().is_some_and(Limit::is_near)
            }
            _ => false,
        }
    }
}

impl Limit {
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
