//! Workers that a process of the job has ended.

use super::*;
use crate::verdict::observed::KillWithin;
use crate::verdict::role::Role;

fn kill(role: Role, signal: i32, victim: u32, resident_mib: u64) -> KillWithin {
    KillWithin {
        time_ns: ENDED_NS,
        signal,
        sender: process(10, "python3 train.py"),
        victim: process(victim, "python3 worker.py"),
        is_parent: true,
        node: 3,
        place: Some("train.py:12 (watch)".to_owned()),
        role,
        resident_bytes: Some(resident_mib * MIB),
    }
}

fn with(kills: Vec<KillWithin>) -> Observed {
    Observed {
        kills_within: kills,
        processes: vec![
            facts(10, ProcessState::Ended),
            facts(12, ProcessState::Cut),
            facts(13, ProcessState::Cut),
        ],
        ..job(Ending::Status(1))
    }
}

#[test]
fn a_supervisor_of_workers_is_named_with_what_the_largest_of_its_victims_held() {
    let kills = vec![kill(Role::Dask, SIGTERM, 12, 540), kill(Role::Dask, SIGTERM, 13, 20)];
    let said = "A child of the job (python3 worker.py, process 12) was ended by dask's nanny (SIGTERM from the job itself, its parent) when \
                it had 540.0 MiB in memory: it ends a worker at 95 % of the worker's memory limit; the job itself ended with status 1.";
    let outcome = check(
        "dask",
        &with(kills),
        Kind::OomKilledBySupervisor,
        Certainty::Likely,
        said,
    );
    assert!(outcome.is_killed_for_memory());
    assert_eq!((outcome.process.unwrap().pid, outcome.sender.unwrap().pid), (12, 10));
    let cut: Vec<_> = outcome
        .evidence
        .iter()
        .filter(|item| item.source.contains("process 13"))
        .collect();
    assert!(cut.iter().all(|item| item.is_beside), "{cut:#?}");
}

#[test]
fn a_check_of_the_jobs_own_is_named_by_its_line() {
    let said = "was ended by SIGKILL from the job itself, its parent, at train.py:12 (watch), when it had 540.0 MiB in memory; the job";
    let outcome = check(
        "own",
        &with(vec![kill(Role::Unknown, SIGKILL, 12, 540)]),
        Kind::Terminated,
        Certainty::Likely,
        said,
    );
    assert_eq!(outcome.signal, Some(SIGKILL));
}

#[test]
fn what_is_ended_with_the_job_is_no_reason() {
    let ended = |kill: KillWithin| Observed {
        processes: vec![facts(12, ProcessState::Ended)],
        ..with(vec![kill])
    };
    for (case, observed) in [
        ("a pool", with(vec![kill(Role::Pool, SIGTERM, 12, 540)])),
        ("asked to end", with(vec![kill(Role::Unknown, SIGTERM, 12, 540)])),
        ("a small worker of Ray", with(vec![kill(Role::Ray, SIGKILL, 12, 1)])),
        ("it ended of itself", ended(kill(Role::Dask, SIGTERM, 12, 540))),
    ] {
        check(case, &observed, Kind::ExitedNonZero, Certainty::Certain, "status 1");
    }
    let mut well = with(vec![kill(Role::Dask, SIGTERM, 12, 540)]);
    well.ending = Ending::Status(0);
    check("ended well", &well, Kind::Finished, Certainty::Certain, "finished");
}
