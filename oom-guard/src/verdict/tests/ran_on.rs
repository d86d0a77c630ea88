//! Children that the kernel kills while the job runs on.

use super::*;

fn killed(pid: u32) -> Killed {
    Killed {
        process: process(pid, "python3 train.py"),
        time: "2026-01-31T12:03:15.250+01:00".to_owned(),
        ..Killed::default()
    }
}

/// One child was killed at the limit of `/batch`, and the job ended like this.
fn lost_a_child(ending: Ending) -> Observed {
    Observed {
        killed: vec![killed(12)],
        ended: "2026-01-31T14:00:00.000+01:00".to_owned(),
        counted: oom(Version::V1, true),
        processes: vec![facts(10, ProcessState::Cut), facts(12, ProcessState::Cut)],
        ..job(ending)
    }
}

#[test]
fn a_job_that_ran_on_until_a_signal_has_the_kill_of_its_child_as_its_verdict() {
    for (signal, name) in [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT"), (SIGKILL, "SIGKILL")] {
        let observed = Observed {
            signals: vec![sent(77, "timeout 15 fil-profile")],
            ..lost_a_child(Ending::Signal(signal))
        };
        let said = format!("The job ran on until {name}");
        let outcome = check(name, &observed, Kind::OomKilledByCgroup, Certainty::Certain, &said);
        assert_eq!(outcome.process.map(|process| process.pid), Some(12));
        assert_eq!(outcome.signal, Some(SIGKILL), "that of the child");
        assert_eq!(outcome.limit.map(|limit| limit.path), Some("/batch".to_owned()));
        let killed = &outcome.killed[0];
        assert_eq!(killed.certainty, Certainty::Certain);
        assert!(killed.limit.is_some());
    }
    let outcome = judge(&Observed {
        signals: vec![sent(77, "timeout 15 fil-profile")],
        ..lost_a_child(Ending::Signal(SIGTERM))
    });
    assert_eq!(
        outcome.sentence,
        "The kernel killed a child of the job (python3 train.py, process 12) at 12:03:15: the limit of 200.0 MiB of the cgroup \
         /batch was used up. The job ran on until SIGTERM from timeout 15 fil-profile (process 77) ended it at 14:00:00."
    );
}

#[test]
fn a_job_that_ended_by_itself_has_it_too() {
    for status in [0, 1, 143] {
        let said = format!("The job itself ended with status {status} at 14:00:00.");
        let observed = lost_a_child(Ending::Status(status));
        let outcome = check("status", &observed, Kind::OomKilledByCgroup, Certainty::Certain, &said);
        assert_eq!(outcome.status, Some(status));
    }
}

#[test]
fn as_long_as_the_job_runs_that_is_said() {
    let observed = lost_a_child(Ending::Running);
    let outcome = check(
        "runs",
        &observed,
        Kind::Running,
        Certainty::Certain,
        "The job is still running.",
    );
    assert!(outcome.is_killed_for_memory());
    assert!(!judge(&job(Ending::Running)).is_killed_for_memory());
}

#[test]
fn several_are_counted_and_the_first_is_named() {
    let mut observed = lost_a_child(Ending::Status(1));
    observed.killed.push(killed(13));
    observed.counted.levels[0].after.as_mut().unwrap().kills = Some(7);
    let said = "killed 7 children of the job, first process 12 (python3 train.py) at 12:03:15";
    let outcome = check("storm", &observed, Kind::OomKilledByCgroup, Certainty::Certain, said);
    assert_eq!(outcome.killed.len(), 2);
    // Where others are in the cgroup, some may be theirs.
    observed.is_shared = true;
    let said = "killed 2 children of the job";
    check("shared", &observed, Kind::OomKilledByCgroup, Certainty::Likely, said);
}

#[test]
fn if_the_kernel_killed_the_job_as_well_that_is_the_verdict() {
    let mut observed = lost_a_child(Ending::Signal(SIGKILL));
    observed.counted.levels[0].after.as_mut().unwrap().kills = Some(2);
    let outcome = check(
        "both",
        &observed,
        Kind::OomKilledByCgroup,
        Certainty::Certain,
        "the job (",
    );
    assert_eq!(outcome.process.map(|process| process.pid), Some(10));
    assert_eq!(outcome.killed.len(), 1);
    // A kill of our own is none of the job.
    observed.own_kills = 1;
    let outcome = judge(&observed);
    assert_eq!(outcome.process.map(|process| process.pid), Some(12));
}

#[test]
fn what_was_known_at_the_kill_stays() {
    let limit = Limit {
        path: "/removed".to_owned(),
        bytes: 300 * MIB,
        ..Limit::default()
    };
    let mut observed = lost_a_child(Ending::Unseen);
    observed.killed[0].limit = Some(limit.clone());
    observed.killed[0].certainty = Certainty::Likely;
    observed.counted = Counted::default();
    let said = "how it ended is not known";
    let outcome = check(
        "found later",
        &observed,
        Kind::OomKilledByCgroup,
        Certainty::Likely,
        said,
    );
    assert_eq!(outcome.limit, Some(limit));
}

#[test]
fn another_day_is_told_with_its_date() {
    let mut observed = lost_a_child(Ending::Signal(SIGTERM));
    observed.ended = "2026-02-01T02:00:00.000+01:00".to_owned();
    let sentence = judge(&observed).sentence;
    assert!(sentence.contains(" at 12:03:15 on 2026-01-31: "), "{sentence}");
    assert!(sentence.ends_with("ended it at 02:00:00 on 2026-02-01."), "{sentence}");
}
