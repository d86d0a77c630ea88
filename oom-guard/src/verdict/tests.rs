//! The verdict, case by case, and its laws.

mod children;
mod ends;
mod kills;
mod laws;
mod ran_on;
mod refusals;
mod within;

use dumper::outcome::LimitKind;
use nix::libc::SIGTERM;

use super::observed::{FailedAllocation, ProcessFacts, Sent};
use super::*;
use crate::kernel::cgroup::{Counters, Level, Version};
use crate::verdict::evidence::{Change, Counted, Moved};

const MIB: u64 = 1 << 20;
const ENDED_NS: u64 = 1_700_000_000_000_000_000;

/// A job, `python3 train.py`, with limits on nothing; each case changes what it is about.
fn job(ending: Ending) -> Observed {
    let job = process(10, "python3 train.py");
    Observed {
        ending,
        ended_ns: ENDED_NS,
        processes: vec![facts(10, ProcessState::Cut)],
        job,
        counted: counted(Version::V1),
        bounds: vec![bound(LimitKind::CgroupV1, "/batch", 50 * MIB), machine(1000 * MIB)],
        ..Observed::default()
    }
}

fn process(pid: u32, command: &str) -> ProcessName {
    ProcessName {
        pid,
        command: command.to_owned(),
        is_child: pid != 10,
    }
}

fn facts(pid: u32, state: ProcessState) -> ProcessFacts {
    ProcessFacts {
        name: process(pid, "python3 train.py"),
        state,
        live_bytes: u64::from(pid) * MIB,
        ..ProcessFacts::default()
    }
}

fn refused(pid: u32, state: ProcessState, seconds_before: u64) -> ProcessFacts {
    ProcessFacts {
        failures: 1,
        last_failure: Some(FailedAllocation {
            time_ns: ENDED_NS - seconds_before * 1_000_000_000,
            bytes: 1200 * MIB,
            request: "1.2 GiB by malloc at load.py:31".to_owned(),
            ..FailedAllocation::default()
        }),
        ..facts(pid, state)
    }
}

fn bound(kind: LimitKind, path: &str, used: u64) -> Bound {
    Bound {
        kind,
        path: path.to_owned(),
        bytes: 200 * MIB,
        used,
        swappable: 0,
    }
}

fn machine(used: u64) -> Bound {
    Bound {
        bytes: 24_000 * MIB,
        ..bound(LimitKind::Machine, "", used)
    }
}

/// `/batch`, which has the limit, and `/batch/step` in it, where the job is, with nothing counted.
fn counted(version: Version) -> Counted {
    let level = |name: &str, limit| Moved {
        level: Level {
            version,
            folder: format!("/sys/fs/cgroup{name}").into(),
            name: name.to_owned(),
        },
        limit,
        swap_limit: None,
        before: still(version),
        after: Some(still(version)),
    };
    Counted {
        levels: vec![level("/batch/step", None), level("/batch", Some(200 * MIB))],
        is_whole: true,
        machine_kills: Change {
            before: Some(5),
            after: Some(5),
        },
    }
}

fn still(version: Version) -> Counters {
    let of_v2 = |number| (version == Version::V2).then_some(number);
    Counters {
        kills: Some(0),
        kills_below: of_v2(0),
        ooms: of_v2(0),
        group_kills: of_v2(0),
        met: Some(3),
        peak: Some(0),
        ..Counters::default()
    }
}

/// The OOM killer has killed in `/batch/step`, for the limit of `/batch` if that `is_full`.
fn oom(version: Version, is_full: bool) -> Counted {
    let mut counted = counted(version);
    counted.machine_kills.after = Some(6);
    let leaf = counted.levels[0].after.as_mut().unwrap();
    leaf.kills = Some(1);
    leaf.kills_below = leaf.kills_below.map(|_| 1);
    if is_full {
        let limited = counted.levels[1].after.as_mut().unwrap();
        limited.met = Some(80);
        limited.ooms = limited.ooms.map(|_| 1);
        limited.kills_below = limited.kills_below.map(|_| 1);
        limited.peak = Some(200 * MIB);
    }
    counted
}

fn check(case: &str, observed: &Observed, kind: Kind, certainty: Certainty, said: &str) -> Outcome {
    let outcome = judge(observed);
    assert_eq!(
        (outcome.kind, outcome.certainty),
        (kind, certainty),
        "{case}: {outcome:#?}"
    );
    assert!(outcome.sentence.contains(said), "{case}: {}", outcome.sentence);
    assert!(!outcome.evidence.is_empty(), "{case}");
    outcome
}

fn sent(pid: u32, command: &str) -> Sent {
    Sent {
        signal: SIGTERM,
        sender: process(pid, command),
    }
}
