//! When each of the hints is given, and when it is not.

use super::*;
use crate::outcome::{Limit, Other, Outcome, ProcessName};
use crate::profile::FailedAllocation;

const MIB: u64 = 1 << 20;

fn outcome(kind: Kind, limit: LimitKind, bytes: u64) -> Outcome {
    Outcome {
        kind,
        limit: Some(Limit {
            kind: limit,
            bytes,
            ..Limit::default()
        }),
        ..Outcome::default()
    }
}

fn killed() -> Outcome {
    outcome(Kind::OomKilledByCgroup, LimitKind::CgroupV2, 1000 * MIB)
}

fn outcome_of_failure() -> Outcome {
    outcome(Kind::AllocationFailedFatal, LimitKind::AddressSpace, 1000 * MIB)
}

fn sample(seconds: f64, tracked: u64, resident: u64) -> Sample {
    Sample {
        seconds,
        tracked_bytes: tracked * MIB,
        resident_bytes: resident * MIB,
        cgroup_bytes: Some(resident * MIB),
        ..Sample::default()
    }
}

fn clues<'a>(outcome: &'a Outcome, timeline: &'a [Sample]) -> Clues<'a> {
    Clues {
        outcome: Some(outcome),
        timeline,
        ..Clues::default()
    }
}

#[test]
fn a_limit_on_addresses_is_told_where_memory_was_not_the_matter() {
    let failure = FailedAllocation {
        request_bytes: MIB,
        live_bytes: 0,
        time_ns: 0,
        function: None,
        node: 0,
    };
    let hint = |kind, resident, failure| {
        let timeline = [sample(1.0, 10, resident)];
        let outcome = outcome(Kind::AllocationFailedFatal, kind, 1000 * MIB);
        limit_is_on_addresses(&Clues {
            failure,
            ..clues(&outcome, &timeline)
        })
    };
    assert!(
        hint(LimitKind::AddressSpace, 300, Some(&failure))
            .unwrap()
            .seen
            .contains("300.0 MiB")
    );
    assert_eq!(hint(LimitKind::AddressSpace, 900, Some(&failure)), None);
    assert_eq!(hint(LimitKind::CgroupV2, 300, Some(&failure)), None);
    assert_eq!(hint(LimitKind::AddressSpace, 300, None), None);
}

#[test]
fn a_child_that_was_killed_is_told_and_the_program_itself_is_not() {
    let hint = |is_child, kind| {
        let outcome = Outcome {
            process: Some(ProcessName {
                pid: 12,
                is_child,
                ..ProcessName::default()
            }),
            ..outcome(kind, LimitKind::CgroupV2, MIB)
        };
        a_child_died(&clues(&outcome, &[]))
    };
    assert!(
        hint(true, Kind::OomKilledByCgroup)
            .unwrap()
            .seen
            .starts_with("Process 12")
    );
    assert_eq!(hint(false, Kind::OomKilledByCgroup), None);
    assert_eq!(hint(true, Kind::Finished), None);
}

#[test]
fn workers_are_told_where_they_are_alike_and_hold_most() {
    let outcome = killed();
    let hint = |running: &[u64]| {
        many_alike(&Clues {
            running: &running.iter().map(|mib| mib * MIB).collect::<Vec<_>>(),
            ..clues(&outcome, &[])
        })
    };
    let said = hint(&[20, 200, 210, 220, 230]).unwrap().seen;
    assert!(said.starts_with("4 processes held 860.0 MiB together"), "{said}");
    assert_eq!(hint(&[200, 210]), None);
    assert_eq!(hint(&[900, 30, 30, 30]), None);
    assert_eq!(hint(&[1, 1, 1, 1]), None);
    assert_eq!(hint(&[]), None);
}

#[test]
fn others_are_told_where_they_had_more_than_the_job() {
    let timeline = [sample(1.0, 100, 300)];
    let hint = |mib: u64| {
        let outcome = Outcome {
            others: vec![Other {
                pid: 9,
                command: "rsync".into(),
                resident_bytes: mib * MIB,
            }],
            ..killed()
        };
        others_hold_more(&clues(&outcome, &timeline))
    };
    assert!(hint(600).unwrap().seen.contains("process 9 with 600.0 MiB"));
    assert_eq!(hint(200), None);
}

#[test]
fn page_cache_is_ruled_out_where_processes_filled_the_limit() {
    let hint = |tracked, resident| page_cache_is_not_it(&clues(&killed(), &[sample(1.0, tracked, resident)]));
    assert!(hint(900, 970).unwrap().seen.contains("97.0 % of the limit"));
    assert_eq!(hint(480, 500), None);
    // Mapped files.
    assert_eq!(hint(100, 970), None);
    // Shared pages, counted more than once: nothing follows from that.
    assert_eq!(hint(900, 1500), None);
    let machine = outcome(Kind::OomKilledByMachine, LimitKind::Machine, 1000 * MIB);
    assert_eq!(page_cache_is_not_it(&clues(&machine, &[sample(1.0, 900, 970)])), None);
    // A limit in a file may be any number.
    let largest = outcome(Kind::OomKilledByCgroup, LimitKind::CgroupV2, u64::MAX);
    let most = Sample {
        tracked_bytes: u64::MAX,
        resident_bytes: u64::MAX,
        ..sample(1.0, 1, 1)
    };
    assert!(page_cache_is_not_it(&clues(&largest, &[most])).is_some());
}

#[test]
fn what_was_freed_and_stayed_is_told() {
    let outcome = killed();
    let hint = |timeline: &[Sample]| freed_but_kept(&clues(&outcome, timeline));
    let said = hint(&[sample(1.0, 800, 820), sample(2.0, 100, 800)]).unwrap().seen;
    assert!(said.contains("freed 700.0 MiB, and 680.0 MiB of that stayed"), "{said}");
    // It went back to the system, or was never in memory, or nothing was freed.
    assert_eq!(hint(&[sample(1.0, 800, 820), sample(2.0, 100, 130)]), None);
    assert_eq!(hint(&[sample(1.0, 800, 30), sample(2.0, 100, 30)]), None);
    assert_eq!(hint(&[sample(1.0, 100, 820), sample(2.0, 800, 820)]), None);
    let failed = outcome_of_failure();
    let timeline = [sample(1.0, 800, 820), sample(2.0, 100, 800)];
    assert_eq!(freed_but_kept(&clues(&failed, &timeline)), None);
    // The last sample is of a process that had ended.
    assert_eq!(hint(&[sample(1.0, 800, 820), sample(2.0, 0, 0)]), None);
    assert_eq!(hint(&[]), None);
}
