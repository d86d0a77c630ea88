//! Requests that are refused: at which limit, and what is refused beside memory.

use super::*;
use crate::verdict::observed::{AtFailure, Refused};
use recording::AllocFunction;
use recording::protocol::message::Refusal;

/// Process 10 was refused so many bytes, with these limits at that moment, and then ended with status 1.
fn refused_at(bytes: u64, bounds: Vec<Bound>) -> Observed {
    let mut facts = refused(10, ProcessState::Ended, 1);
    if let Some(failure) = &mut facts.last_failure {
        failure.bytes = bytes;
    }
    Observed {
        processes: vec![facts],
        at_failures: vec![AtFailure { pid: 10, bounds }],
        ..job(Ending::Status(1))
    }
}

fn counted_bound(kind: LimitKind, bytes: u64, used: u64) -> Bound {
    Bound {
        bytes,
        ..bound(kind, "", used)
    }
}

#[test]
fn the_limit_that_was_used_up_is_the_one_that_has_refused() {
    let addresses = |used| counted_bound(LimitKind::AddressSpace, 2000 * MIB, used);
    let mappings = |used| counted_bound(LimitKind::Mappings, 65_530, used);
    let locked = |used| counted_bound(LimitKind::LockedMemory, MIB, used);
    let commit = counted_bound(LimitKind::Commit, 1000 * MIB, 999 * MIB);
    for (case, bounds, kind) in [
        (
            "addresses",
            vec![addresses(1999 * MIB), mappings(100)],
            Some(LimitKind::AddressSpace),
        ),
        (
            "mappings",
            vec![addresses(50 * MIB), mappings(65_532)],
            Some(LimitKind::Mappings),
        ),
        (
            "both",
            vec![addresses(1999 * MIB), mappings(65_532)],
            Some(LimitKind::AddressSpace),
        ),
        (
            "all is locked",
            vec![mappings(100), locked(MIB)],
            Some(LimitKind::LockedMemory),
        ),
        ("nothing is locked", vec![mappings(100), locked(0)], None),
        ("promised", vec![mappings(100), commit], Some(LimitKind::Commit)),
        (
            "some addresses",
            vec![addresses(50 * MIB), mappings(100)],
            Some(LimitKind::AddressSpace),
        ),
        ("none", vec![mappings(100)], None),
    ] {
        let observed = refused_at(100 * MIB, bounds);
        let outcome = check(
            case,
            &observed,
            Kind::AllocationFailedFatal,
            Certainty::Likely,
            "was refused 1.2 GiB",
        );
        assert_eq!(outcome.limit.map(|limit| limit.kind), kind, "{case}");
    }
    let said = "at the limit of 65530 mappings (/proc/sys/vm/max_map_count), and then ended with status 1";
    let observed = refused_at(8192, vec![mappings(65_532)]);
    let outcome = check("said", &observed, Kind::AllocationFailedFatal, Certainty::Likely, said);
    assert_eq!(outcome.limit.unwrap().usage, Some(65_532));
}

#[test]
fn huge_pages_are_told_by_who_asked_for_them() {
    let mut observed = refused_at(20 * MIB, vec![counted_bound(LimitKind::Mappings, 65_530, 100)]);
    observed.refused = vec![other(Refusal::HugePages, Some((LimitKind::HugePages, 30 * MIB)))];
    let said = "at the limit of 30.0 MiB of huge pages (/proc/sys/vm/nr_hugepages), and then";
    check(
        "at once",
        &observed,
        Kind::AllocationFailedFatal,
        Certainty::Likely,
        said,
    );
    observed.refused[0].process.pid = 11;
    assert_eq!(judge(&observed).limit, None, "another process");
}

#[test]
fn a_request_that_nothing_can_fulfil_is_the_problem_itself() {
    let addresses = || vec![counted_bound(LimitKind::AddressSpace, 2000 * MIB, 50 * MIB)];
    for (bytes, bounds, said) in [
        (
            100 << 40,
            Vec::new(),
            "The request itself is the problem: it is more than the 23.4 GiB that this machine has in all.",
        ),
        (1 << 50, Vec::new(), "it is more than a process can address (128 TiB)."),
        (1 << 63, Vec::new(), "it is more than a process can address (128 TiB)."),
        (
            -8_i64 as u64,
            Vec::new(),
            "as a signed number it is -8, a negative size.",
        ),
        (
            3000 * MIB,
            addresses(),
            "it is more than the limit of 2.0 GiB of address space (ulimit -v) in all.",
        ),
    ] {
        let observed = refused_at(bytes, bounds);
        check(said, &observed, Kind::AllocationFailedFatal, Certainty::Likely, said);
    }
    for (bytes, bounds) in [(1 << 30, Vec::new()), (1 << 30, addresses())] {
        let outcome = judge(&refused_at(bytes, bounds));
        assert!(!outcome.sentence.contains("itself"), "{}", outcome.sentence);
    }
    // A product that does not fit into 64 bits is no negative number.
    let mut observed = refused_at(u64::MAX, Vec::new());
    observed.processes[0].last_failure.as_mut().unwrap().function = Some(AllocFunction::Calloc);
    let said = "more than a process can address";
    check(
        "product",
        &observed,
        Kind::AllocationFailedFatal,
        Certainty::Likely,
        said,
    );
}

fn other(what: Refusal, limit: Option<(LimitKind, u64)>) -> Refused {
    Refused {
        time_ns: ENDED_NS - 1_000_000_000,
        process: process(10, "python3 train.py"),
        what,
        limit: limit.map(|(kind, bytes)| dumper::outcome::Limit {
            kind,
            path: if kind == LimitKind::FileSystem {
                "/dev/shm".to_owned()
            } else {
                String::new()
            },
            bytes,
            usage: (kind == LimitKind::FileSystem).then_some(bytes),
        }),
        node: 7,
        place: Some("load.py:31 (load)".to_owned()),
    }
}

#[test]
fn what_else_is_refused_is_told_with_its_limit() {
    let with = |ending, refused| Observed {
        refused: vec![refused],
        ..job(ending)
    };
    let status = Ending::Status(1);
    let user = other(Refusal::Thread, Some((LimitKind::UserProcesses, 500)));
    let shared = other(Refusal::FileSystem, Some((LimitKind::FileSystem, 64 * MIB)));
    for (observed, said) in [
        (
            with(status, user.clone()),
            "could not start a thread at load.py:31 (load), because the limit of 500 processes and threads of the user (ulimit -u) \
             was used up, and then ended with status 1",
        ),
        (
            with(Ending::Signal(SIGABRT), user.clone()),
            "and then was killed by SIGABRT, most likely because of that.",
        ),
        (
            with(Ending::Signal(SIGBUS), shared),
            "found no room in the shared-memory file system /dev/shm (64.0 MiB of 64.0 MiB in use) at load.py:31 (load), and",
        ),
        (
            with(
                status,
                other(Refusal::LockedMemory, Some((LimitKind::LockedMemory, 65_536))),
            ),
            "could not lock memory at load.py:31 (load), because the limit of 64.0 KiB of locked memory (ulimit -l) was used up",
        ),
        (
            with(
                status,
                other(Refusal::HugePages, Some((LimitKind::HugePages, 20 * MIB))),
            ),
            "got no huge page at load.py:31 (load), because the limit of 20.0 MiB of huge pages (/proc/sys/vm/nr_hugepages) was used up",
        ),
        (
            with(status, other(Refusal::Process, None)),
            "because the machine allows no more",
        ),
    ] {
        check(said, &observed, Kind::ResourceRefused, Certainty::Likely, said);
    }
    // Long before, or in a job that ended well, it was no reason.
    let mut early = with(status, user);
    early.refused[0].time_ns -= 60_000_000_000;
    check(
        "early",
        &early,
        Kind::ExitedNonZero,
        Certainty::Certain,
        "nothing says that memory",
    );
    early.ending = Ending::Status(0);
    check("well", &early, Kind::Finished, Certainty::Certain, "finished");
}

#[test]
fn the_counter_of_a_cgroup_tells_whose_limit_on_processes_it_was() {
    let limit = dumper::outcome::Limit {
        kind: LimitKind::CgroupProcesses,
        path: "/sys/fs/cgroup/pids/job".to_owned(),
        bytes: 100,
        usage: None,
    };
    let file = "/sys/fs/cgroup/pids/job/pids.events".into();
    let mut observed = Observed {
        processes_refused: Some((limit, file, [2, 5])),
        refused: vec![other(Refusal::Process, Some((LimitKind::UserProcesses, 500)))],
        ..job(Ending::Status(1))
    };
    let said = "because the limit of 100 processes and threads in /sys/fs/cgroup/pids/job (pids.max) was used up";
    let outcome = check("told", &observed, Kind::ResourceRefused, Certainty::Likely, said);
    let moved = outcome
        .evidence
        .iter()
        .find(|item| item.source.ends_with("pids.events"))
        .unwrap();
    assert_eq!((moved.before, moved.after, moved.is_beside), (Some(2), Some(5), false));
    observed.refused.clear();
    let said = "ended with status 1, most likely because the limit of 100 processes and threads in";
    check("by vfork", &observed, Kind::ResourceRefused, Certainty::Likely, said);
    observed.is_shared = true;
    check(
        "of others",
        &observed,
        Kind::ExitedNonZero,
        Certainty::Certain,
        "status 1",
    );
}

#[test]
fn only_what_bears_on_the_end_is_shown() {
    let neighbours = Observed {
        counted: Counted {
            machine_kills: Change {
                before: Some(604),
                after: Some(620),
            },
            ..counted(Version::V1)
        },
        notified: vec![crate::verdict::observed::Notified {
            file: "/sys/fs/cgroup/memory/memory.oom_control".into(),
            says: "memory is short",
            times: 11,
        }],
        ..job(Ending::Status(2))
    };
    let shown = |observed: &Observed| -> Vec<String> {
        let evidence = judge(observed).evidence.into_iter();
        evidence.filter(|item| !item.is_beside).map(|item| item.says).collect()
    };
    assert_eq!(shown(&neighbours), ["the job exited with status 2"]);
    let all = judge(&neighbours).evidence.len();
    assert!(all > 2, "the rest is in report.json: {all}");
    // Of a SIGKILL it is worth knowing.
    let killed = Observed {
        ending: Ending::Signal(SIGKILL),
        ..neighbours
    };
    let says = shown(&killed).join("; ");
    assert!(
        says.contains("killed nobody in the job's cgroup") && says.contains("killed on this machine"),
        "{says}"
    );
}
