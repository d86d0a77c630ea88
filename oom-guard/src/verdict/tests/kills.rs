//! Kills by the kernel, and kills that look like them.

use dumper::outcome::Evidence;

use super::*;

#[test]
fn a_kill_at_an_ancestors_limit_names_that_limit_and_the_counter_of_the_jobs_cgroup() {
    for (version, kind) in [(Version::V1, LimitKind::CgroupV1), (Version::V2, LimitKind::CgroupV2)] {
        let observed = Observed {
            counted: oom(version, true),
            ..job(Ending::Signal(SIGKILL))
        };
        let said = "oom_kill of /batch/step went from 0 to 1";
        let outcome = check(
            "limit above",
            &observed,
            Kind::OomKilledByCgroup,
            Certainty::Certain,
            said,
        );
        let limit = outcome.limit.unwrap();
        assert_eq!((limit.kind, limit.path.as_str()), (kind, "/batch"));
        assert_eq!((limit.bytes, limit.usage), (200 * MIB, Some(200 * MIB)));
        assert_eq!(outcome.signal, Some(SIGKILL));
        let proof = &outcome.evidence[1];
        assert_eq!(
            (proof.before, proof.after),
            (Some(0), Some(1)),
            "{:#?}",
            outcome.evidence
        );
    }
}

#[test]
fn a_kill_without_a_full_cgroup_is_the_machines_where_all_cgroups_can_be_seen() {
    let seen = Observed {
        counted: oom(Version::V2, false),
        ..job(Ending::Signal(SIGKILL))
    };
    let said = "the machine's memory of 23.4 GiB was used up";
    check("machine", &seen, Kind::OomKilledByMachine, Certainty::Certain, said);

    let mut inside = seen.clone();
    inside.counted.is_whole = false;
    let said = "a limit that cannot be seen from here";
    check("hidden", &inside, Kind::OomKilledByCgroup, Certainty::Likely, said);
    inside.near = Some(bound(LimitKind::CgroupV1, "/batch/..", 199 * MIB));
    let said = "the limit of 200.0 MiB of a cgroup around this container";
    check("around", &inside, Kind::OomKilledByCgroup, Certainty::Likely, said);
    inside.near = Some(machine(23_990 * MIB));
    check(
        "machine from inside",
        &inside,
        Kind::OomKilledByMachine,
        Certainty::Likely,
        "",
    );
}

#[test]
fn a_kernel_that_does_not_count_how_often_a_limit_is_met_is_not_taken_at_its_word() {
    let mut observed = Observed {
        counted: oom(Version::V1, false),
        ..job(Ending::Signal(SIGKILL))
    };
    let limit = |outcome: Outcome| outcome.limit.map(|limit| (limit.path, limit.usage));
    let guess = check(
        "fast",
        &observed,
        Kind::OomKilledByCgroup,
        Certainty::Likely,
        "most likely",
    );
    assert_eq!(limit(guess), Some(("/batch".to_owned(), None)));
    observed.is_limit_reported = true;
    let told = check(
        "told",
        &observed,
        Kind::OomKilledByCgroup,
        Certainty::Certain,
        "/batch was used up",
    );
    assert!(!told.sentence.contains("most likely"), "{}", told.sentence);
    observed.near = Some(machine(23_990 * MIB));
    check("machine", &observed, Kind::OomKilledByMachine, Certainty::Certain, "");
    observed.near = None;
    observed.counted.levels[1].after.as_mut().unwrap().peak = Some(200 * MIB);
    let peaked = check("peak", &observed, Kind::OomKilledByCgroup, Certainty::Certain, "");
    assert_eq!(limit(peaked), Some(("/batch".to_owned(), Some(200 * MIB))));
}

#[test]
fn page_cache_that_met_a_limit_is_not_blamed_for_a_full_machine() {
    let mut observed = Observed {
        counted: oom(Version::V1, true),
        near: Some(machine(23_990 * MIB)),
        ..job(Ending::Signal(SIGKILL))
    };
    observed.counted.levels[1].after.as_mut().unwrap().peak = Some(100 * MIB);
    check("cache", &observed, Kind::OomKilledByMachine, Certainty::Likely, "");
}

#[test]
fn a_limit_of_memory_and_swap_is_named_when_it_is_the_one() {
    let mut observed = Observed {
        counted: oom(Version::V1, false),
        ..job(Ending::Signal(SIGKILL))
    };
    let level = &mut observed.counted.levels[1];
    level.limit = None;
    level.swap_limit = Some(300 * MIB);
    level.before.swap_met = Some(0);
    level.after.as_mut().unwrap().swap_met = Some(4);
    let outcome = check(
        "memsw",
        &observed,
        Kind::OomKilledByCgroup,
        Certainty::Certain,
        "300.0 MiB",
    );
    assert_eq!(outcome.limit.unwrap().path, "/batch");
}

#[test]
fn sigkill_with_no_counter_moved_is_by_someone_and_not_for_memory() {
    let observed = job(Ending::Signal(SIGKILL));
    let said = "no OOM counter moved, so it was a person or a program and not the kernel for memory";
    let outcome = check("kill -9", &observed, Kind::Terminated, Certainty::Certain, said);
    assert!(
        outcome
            .evidence
            .iter()
            .any(|item| item.says.contains("killed nobody in the job's cgroup"))
    );
    assert_eq!(outcome.limit, None);
}

#[test]
fn victims_elsewhere_are_not_the_jobs_fault() {
    let mut observed = job(Ending::Signal(SIGKILL));
    observed.counted.machine_kills.after = Some(6);
    observed.counted.levels[1].after.as_mut().unwrap().kills = Some(1);
    check(
        "sibling",
        &observed,
        Kind::Terminated,
        Certainty::Likely,
        "not in the job's cgroup",
    );
    observed.ending = Ending::Status(0);
    check(
        "sibling, well",
        &observed,
        Kind::Finished,
        Certainty::Certain,
        "finished",
    );
}

#[test]
fn what_cannot_be_counted_is_never_certain() {
    // The job was moved, or its cgroup is gone, and only the machine's counter is left.
    let mut observed = job(Ending::Signal(SIGKILL));
    observed.counted.levels[0].after = None;
    observed.counted.machine_kills.after = Some(6);
    observed.counted.levels[1].after.as_mut().unwrap().met = Some(4);
    check(
        "gone",
        &observed,
        Kind::OomKilledByCgroup,
        Certainty::Likely,
        "most likely",
    );
    observed.counted.machine_kills.after = Some(5);
    check(
        "gone, idle",
        &observed,
        Kind::Terminated,
        Certainty::Certain,
        "no OOM counter moved",
    );

    // Before Linux 4.13 nothing is counted.
    observed.counted = counted(Version::V1);
    observed.counted.machine_kills = Change::default();
    observed.counted.levels[0].before = Counters::default();
    observed.counted.levels[0].after = Some(Counters::default());
    check(
        "old",
        &observed,
        Kind::Terminated,
        Certainty::Unknown,
        "cannot be read here",
    );
    observed.counted.levels[1].after.as_mut().unwrap().met = Some(4);
    check("old, far from it", &observed, Kind::Terminated, Certainty::Unknown, "");
    observed.near = Some(bound(LimitKind::CgroupV1, "/batch", 199 * MIB));
    check(
        "old, full",
        &observed,
        Kind::OomKilledByCgroup,
        Certainty::Likely,
        "/batch",
    );
}

#[test]
fn a_kill_of_our_own_reports_process_is_not_the_jobs() {
    let observed = Observed {
        counted: oom(Version::V2, true),
        own_kills: 1,
        ..job(Ending::Signal(SIGKILL))
    };
    check(
        "own",
        &observed,
        Kind::Terminated,
        Certainty::Certain,
        "a person or a program",
    );
}

#[test]
fn kills_of_our_own_processes_are_not_told_as_the_jobs_and_figures_are_those_of_the_files() {
    for version in [Version::V1, Version::V2] {
        let mut counted = oom(version, true);
        for (above, level) in counted.levels.iter_mut().enumerate() {
            let after = level.after.as_mut().unwrap();
            after.kills = after.kills.map(|kills| if above == 0 { kills + 2 } else { kills });
            after.kills_below = after.kills_below.map(|kills| kills + 2);
        }
        let observed = Observed {
            counted,
            own_kills: 2,
            ..job(Ending::Signal(SIGKILL))
        };
        let alone = Observed {
            counted: oom(version, true),
            ..job(Ending::Signal(SIGKILL))
        };
        let (mut outcome, alone) = (judge(&observed), judge(&alone));
        let (told, _) = alone.sentence.split_once("; oom_kill of").unwrap();
        assert_eq!(outcome.sentence, format!("{told}."));
        let own = outcome
            .evidence
            .iter()
            .position(|item| item.source == "fil-profile")
            .unwrap();
        let own = outcome.evidence.remove(own);
        assert!(own.says.starts_with("2 of these kills"), "{own:?}");
        let of_cgroup = |outcome: &Outcome, more: u64| {
            let evidence = outcome.evidence.iter().filter(|item| item.source != "/proc/vmstat");
            let with = |item: &Evidence| Evidence {
                after: item
                    .after
                    .map(|after| after + if item.says.starts_with("oom_kill") { more } else { 0 }),
                ..item.clone()
            };
            evidence.map(with).collect::<Vec<_>>()
        };
        assert_eq!(of_cgroup(&outcome, 0), of_cgroup(&alone, 2));
    }
}

#[test]
fn a_killed_child_is_told_of_even_if_the_job_returns_0() {
    let mut observed = Observed {
        counted: oom(Version::V1, true),
        processes: vec![
            facts(10, ProcessState::Ended),
            facts(11, ProcessState::Ended),
            facts(12, ProcessState::Cut),
            facts(13, ProcessState::Cut),
            facts(14, ProcessState::Alive),
        ],
        ..job(Ending::Status(0))
    };
    let said = "a child of the job (python3 train.py, process 13)";
    let outcome = check("child", &observed, Kind::OomKilledByCgroup, Certainty::Certain, said);
    assert!(
        outcome.sentence.contains("; the job itself ended with status 0"),
        "{}",
        outcome.sentence
    );
    assert!(outcome.process.unwrap().is_child);
    assert_eq!((outcome.status, outcome.signal), (Some(0), Some(SIGKILL)));

    observed.is_shared = true;
    check(
        "shared",
        &observed,
        Kind::OomKilledByCgroup,
        Certainty::Likely,
        "process 13",
    );
    // A process that replaced itself by another program has not been cut off by that.
    observed.processes = vec![
        facts(10, ProcessState::Ended),
        facts(13, ProcessState::Cut),
        facts(13, ProcessState::Ended),
    ];
    check("others'", &observed, Kind::Finished, Certainty::Certain, "");
    observed.is_shared = false;
    check(
        "unrecorded",
        &observed,
        Kind::OomKilledByCgroup,
        Certainty::Likely,
        "a child of the job:",
    );
}

#[test]
fn a_kill_in_a_cgroup_that_was_entered_later_names_the_limit_there() {
    for version in [Version::V1, Version::V2] {
        let mut entered = oom(version, true);
        for level in &mut entered.levels {
            level.level.name = level.level.name.replace("/batch", "/inner");
        }
        let mut observed = Observed {
            entered: vec![counted(version), entered],
            ..job(Ending::Signal(SIGKILL))
        };
        observed.counted.machine_kills.after = Some(6);
        let said = "oom_kill of /inner/step went from 0 to 1";
        let outcome = check("entered", &observed, Kind::OomKilledByCgroup, Certainty::Certain, said);
        assert_eq!(outcome.limit.unwrap().path, "/inner");
        // What was killed there was our own.
        observed.own_kills = 1;
        assert_eq!(judge(&observed).kind, Kind::Terminated);
    }
}
