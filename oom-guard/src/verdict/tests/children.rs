//! Children that end badly while the job runs on, for another reason than the OOM killer.

use super::*;
use crate::verdict::observed::{Died, Raised};

const SECOND: u64 = 1_000_000_000;

fn child_refused(seconds_before: u64, exit: Option<(u64, i32)>) -> ProcessFacts {
    ProcessFacts {
        exit,
        ..refused(12, ProcessState::Ended, seconds_before)
    }
}

#[test]
fn a_child_that_ended_badly_just_after_a_refusal_died_of_it() {
    let failed_at = ENDED_NS - 60 * SECOND;
    for (exit, is_fatal) in [
        (Some((failed_at + SECOND, 1)), true),
        (Some((failed_at + SECOND, 0)), false),
        (Some((failed_at + 30 * SECOND, 1)), false),
        (None, false),
    ] {
        let observed = Observed {
            processes: vec![facts(10, ProcessState::Ended), child_refused(60, exit)],
            ..job(Ending::Status(0))
        };
        let (kind, said) = match is_fatal {
            true => (
                Kind::AllocationFailedFatal,
                "and then ended with status 1, most likely because of that; the job itself ended with status 0.",
            ),
            false => (
                Kind::AllocationFailedRecovered,
                "went on, and the job ended with status 0",
            ),
        };
        check(&format!("{exit:?}"), &observed, kind, Certainty::Likely, said);
    }
}

#[test]
fn a_refusal_is_not_the_reason_of_another_exception_later() {
    let raised = |name: &str, is_about_memory, seconds_before: u64| Raised {
        time_ns: ENDED_NS - seconds_before * SECOND,
        pid: 10,
        name: name.to_owned(),
        is_about_memory,
        place: None,
    };
    for (case, raised, is_fatal) in [
        ("none", None, true),
        ("of memory", Some(raised("MemoryError", true, 1)), true),
        ("at once", Some(raised("TypeError", false, 4)), true),
        ("later", Some(raised("ValueError", false, 1)), false),
        ("before", Some(raised("ValueError", false, 9)), true),
    ] {
        let observed = Observed {
            processes: vec![refused(10, ProcessState::Ended, 4)],
            raised: raised.into_iter().collect(),
            ..job(Ending::Status(1))
        };
        let outcome = judge(&observed);
        assert_eq!(
            outcome.kind == Kind::AllocationFailedFatal,
            is_fatal,
            "{case}: {}",
            outcome.sentence
        );
    }
}

#[test]
fn the_request_that_is_named_is_that_of_the_process_that_is_named() {
    let mut child = refused(12, ProcessState::Ended, 0);
    child.last_failure.as_mut().unwrap().request = "7.0 MiB by mmap".to_owned();
    let observed = Observed {
        processes: vec![refused(10, ProcessState::Ended, 1), child],
        ..job(Ending::Status(1))
    };
    let outcome = judge(&observed);
    assert!(
        outcome.sentence.contains(outcome.failed_request.as_deref().unwrap()),
        "{outcome:?}"
    );
}

#[test]
fn a_job_that_waited_for_a_killed_worker_has_that_as_its_verdict_and_one_that_failed_later_has_not() {
    let died = |signal| Died {
        time_ns: ENDED_NS - 60 * SECOND,
        time: "2026-01-31T12:03:15.250+01:00".to_owned(),
        process: process(12, "python3 train.py"),
        signal,
        resident_bytes: 50 * MIB,
    };
    let with = |signal, ending| Observed {
        died: vec![died(signal)],
        ended: "2026-01-31T14:00:00.000+01:00".to_owned(),
        signals: vec![sent(77, "timeout 15 fil-profile")],
        ..job(ending)
    };
    let outcome = judge(&with(SIGKILL, Ending::Signal(SIGTERM)));
    assert_eq!((outcome.kind, outcome.signal), (Kind::Terminated, Some(SIGKILL)));
    let said = "was killed by SIGKILL at 12:03:15, when it had 50.0 MiB in memory";
    assert!(outcome.sentence.contains(said), "{}", outcome.sentence);
    // A worker that crashes has told so itself, and a pool starts another one.
    assert_eq!(judge(&with(SIGSEGV, Ending::Signal(SIGTERM))).process.unwrap().pid, 10);
    assert_eq!(judge(&with(SIGKILL, Ending::Status(1))).process.unwrap().pid, 10);
}
