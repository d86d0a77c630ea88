//! Everything else that ends a job.

use super::*;
use recording::protocol::OnOom;

#[test]
fn a_shells_status_tells_of_the_signal_that_killed_its_command() {
    let processes = vec![facts(10, ProcessState::Ended), facts(12, ProcessState::Cut)];
    let mut observed = Observed {
        counted: oom(Version::V2, true),
        processes,
        is_shared: true,
        ..job(Ending::Status(137))
    };
    let outcome = check(
        "137",
        &observed,
        Kind::OomKilledByCgroup,
        Certainty::Certain,
        "process 12",
    );
    assert_eq!((outcome.status, outcome.signal), (Some(137), Some(SIGKILL)));

    observed.counted = counted(Version::V2);
    let outcome = check(
        "137, idle",
        &observed,
        Kind::Terminated,
        Certainty::Likely,
        "no OOM counter moved",
    );
    assert_eq!(outcome.process.unwrap().pid, 12);
    observed.ending = Ending::Status(139);
    check("139", &observed, Kind::Crashed, Certainty::Likely, "SIGSEGV");
    observed.ending = Ending::Status(129);
    check("129", &observed, Kind::ExitedNonZero, Certainty::Certain, "status 129");
    observed.ending = Ending::Status(143);
    check("143", &observed, Kind::Terminated, Certainty::Likely, "SIGTERM");
    // A program may use these statuses for something else.
    let alone = Observed {
        processes: vec![facts(10, ProcessState::Ended)],
        ..observed.clone()
    };
    let said =
        "ended with status 143, as a shell does when SIGTERM has ended its command; no such process was recorded";
    let outcome = check("143, alone", &alone, Kind::Terminated, Certainty::Likely, said);
    assert_eq!(outcome.process.unwrap().pid, 10);
    // What was sent to the job itself, it will have died of itself.
    observed.signals = vec![sent(0, "")];
    let outcome = check(
        "143, sent",
        &observed,
        Kind::Terminated,
        Certainty::Likely,
        "from outside of this container",
    );
    assert_eq!((outcome.process.unwrap().pid, outcome.sender.unwrap().pid), (10, 0));
}

#[test]
fn a_limit_at_which_processes_wait_instead_of_being_killed_is_told() {
    let waits = "with 0 B left of the limit of 200.0 MiB of the cgroup /batch, where a process that asks for more waits for ever and is \
                 not killed (memory.oom_control: oom_kill_disable)";
    for is_without_kills in [true, false] {
        let mut observed = Observed {
            counted: counted(Version::V1),
            near: Some(bound(LimitKind::CgroupV1, "/batch", 200 * MIB)),
            ..job(Ending::Signal(SIGTERM))
        };
        observed.counted.levels[1].after.as_mut().unwrap().is_without_kills = is_without_kills;
        for ending in [Ending::Signal(SIGTERM), Ending::Signal(SIGKILL), Ending::Running] {
            observed.ending = ending;
            let outcome = judge(&observed);
            assert_eq!(
                outcome.sentence.contains(waits),
                is_without_kills,
                "{}",
                outcome.sentence
            );
        }
        observed.near = Some(bound(LimitKind::CgroupV1, "/batch/step", 200 * MIB));
        assert!(!judge(&observed).sentence.contains("waits for ever"));
    }
}

#[test]
fn who_asked_the_job_to_end_is_told_with_what_is_known_of_it() {
    let mut observed = Observed {
        signals: vec![sent(77, "slurmstepd: [123.batch]")],
        ..job(Ending::Signal(SIGKILL))
    };
    let said =
        "after SIGTERM from slurmstepd: [123.batch] (process 77), which ends steps at their time or memory limit";
    check("slurm", &observed, Kind::Terminated, Certainty::Certain, said);

    observed.ending = Ending::Signal(SIGTERM);
    let outcome = check(
        "slurm, at once",
        &observed,
        Kind::Terminated,
        Certainty::Certain,
        "SIGTERM from slurmstepd",
    );
    assert_eq!(outcome.sender.unwrap().pid, 77);

    observed.signals = vec![sent(78, "bash")];
    check(
        "somebody",
        &observed,
        Kind::Terminated,
        Certainty::Certain,
        "was killed by SIGTERM from bash (process 78).",
    );
    observed.ending = Ending::Status(3);
    check(
        "an exit for it",
        &observed,
        Kind::ExitedNonZero,
        Certainty::Certain,
        "status 3, after SIGTERM from bash",
    );
}

#[test]
fn an_evictor_is_named_where_memory_was_short_and_only_there() {
    let mut observed = Observed {
        killers: vec![process(9, "/usr/bin/earlyoom -m 5")],
        ..job(Ending::Signal(SIGTERM))
    };
    let outcome = check(
        "enough",
        &observed,
        Kind::Terminated,
        Certainty::Certain,
        "was killed by SIGTERM.",
    );
    assert_eq!(outcome.limit, None);
    observed.near = Some(machine(23_900 * MIB));
    let said = "memory was short then, with 100.0 MiB left of the machine's memory of 23.4 GiB; earlyoom -m 5 \
                runs here, which ends the largest process when the machine's memory is low";
    let outcome = check("short", &observed, Kind::Terminated, Certainty::Certain, said);
    assert!(outcome.is_killed_for_memory());
}

#[test]
fn a_refused_allocation_is_fatal_when_the_job_ends_of_it_and_otherwise_not() {
    let limits = vec![
        Bound {
            bytes: 2000 * MIB,
            ..bound(LimitKind::AddressSpace, "", 1900 * MIB)
        },
        machine(1000 * MIB),
    ];
    let with = |ending, processes| Observed {
        processes,
        bounds: limits.clone(),
        ..job(ending)
    };
    let own = |state, seconds| vec![refused(10, state, seconds)];
    let fatal = (Kind::AllocationFailedFatal, Certainty::Likely);
    let recovered = (Kind::AllocationFailedRecovered, Certainty::Certain);
    for (case, ending, processes, (kind, certainty)) in [
        ("MemoryError", Ending::Status(1), own(ProcessState::Ended, 1), fatal),
        ("abort", Ending::Signal(SIGABRT), own(ProcessState::Cut, 0), fatal),
        ("NULL", Ending::Signal(SIGSEGV), own(ProcessState::Cut, 0), fatal),
        (
            "NULL in a shell",
            Ending::Status(139),
            vec![refused(11, ProcessState::Cut, 0)],
            fatal,
        ),
        (
            "child",
            Ending::Status(1),
            vec![facts(10, ProcessState::Ended), refused(11, ProcessState::Cut, 1)],
            fatal,
        ),
        ("caught", Ending::Status(0), own(ProcessState::Ended, 1), recovered),
        (
            "long ago",
            Ending::Status(1),
            own(ProcessState::Ended, 60),
            (Kind::ExitedNonZero, Certainty::Certain),
        ),
        (
            "crash",
            Ending::Signal(SIGSEGV),
            own(ProcessState::Cut, 60),
            (Kind::Crashed, Certainty::Certain),
        ),
        (
            "bug",
            Ending::Signal(SIGSEGV),
            vec![facts(10, ProcessState::Cut)],
            (Kind::Crashed, Certainty::Certain),
        ),
    ] {
        let observed = with(ending, processes);
        let outcome = check(case, &observed, kind, certainty, "");
        if kind == Kind::AllocationFailedFatal {
            assert_eq!(outcome.limit.unwrap().kind, LimitKind::AddressSpace, "{case}");
            assert_eq!(
                outcome.failed_request.unwrap(),
                "1.2 GiB by malloc at load.py:31",
                "{case}"
            );
            let said =
                "was refused 1.2 GiB by malloc at load.py:31 at the limit of 2.0 GiB of address space (ulimit -v)";
            assert!(outcome.sentence.contains(said), "{case}: {}", outcome.sentence);
        }
    }
}

#[test]
fn a_forced_exit_is_certain() {
    let mut observed = Observed {
        on_oom: OnOom::Exit,
        processes: vec![refused(10, ProcessState::Left, 0)],
        ..job(Ending::Status(53))
    };
    check(
        "refused",
        &observed,
        Kind::AllocationFailedFatal,
        Certainty::Certain,
        "as --on-oom=exit says",
    );
    observed.processes = vec![facts(10, ProcessState::Left)];
    observed.near = Some(bound(LimitKind::CgroupV1, "/batch", 195 * MIB));
    let outcome = check(
        "margin",
        &observed,
        Kind::AllocationFailedFatal,
        Certainty::Certain,
        "had all but reached",
    );
    assert_eq!(outcome.limit.unwrap().path, "/batch");
    observed.was_ended = true;
    observed.processes = vec![facts(10, ProcessState::Left), facts(11, ProcessState::Cut)];
    let outcome = check(
        "the largest",
        &observed,
        Kind::AllocationFailedFatal,
        Certainty::Certain,
        "had all but reached",
    );
    assert_eq!(outcome.process.unwrap().pid, 11);
    observed.processes = Vec::new();
    check(
        "unrecorded",
        &observed,
        Kind::AllocationFailedFatal,
        Certainty::Certain,
        "had all but reached",
    );
    observed.was_ended = false;
    observed.processes = vec![facts(10, ProcessState::Ended), facts(11, ProcessState::Left)];
    observed.ending = Ending::Status(0);
    check(
        "child",
        &observed,
        Kind::AllocationFailedFatal,
        Certainty::Likely,
        "the job itself ended with status 0",
    );
    observed.processes = vec![facts(10, ProcessState::Ended)];
    observed.ending = Ending::Status(53);
    check(
        "its own 53",
        &observed,
        Kind::ExitedNonZero,
        Certainty::Certain,
        "status 53",
    );
}

#[test]
fn an_end_that_nobody_saw_is_told_from_what_is_left() {
    let mut observed = Observed {
        counted: Counted::default(),
        ..job(Ending::Unseen)
    };
    check(
        "all",
        &observed,
        Kind::EverythingKilled,
        Certainty::Unknown,
        "both killed, and by whom is not known",
    );
    observed.near = Some(bound(LimitKind::CgroupV2, "/pod", 199 * MIB));
    observed.is_killed_as_group = true;
    let outcome = check(
        "near",
        &observed,
        Kind::EverythingKilled,
        Certainty::Likely,
        "memory.oom.group is set",
    );
    assert_eq!(outcome.limit.unwrap().path, "/pod");
    observed.counted = oom(Version::V2, true);
    let outcome = check(
        "counted",
        &observed,
        Kind::EverythingKilled,
        Certainty::Certain,
        "by the kernel",
    );
    assert_eq!(outcome.limit.unwrap().path, "/batch");
    observed.processes = vec![facts(10, ProcessState::Ended)];
    check("alone", &observed, Kind::Unknown, Certainty::Unknown, "ended by itself");
    observed.processes = vec![facts(10, ProcessState::Alive)];
    let outcome = check(
        "alive",
        &observed,
        Kind::Running,
        Certainty::Certain,
        "is running, with 1.0 MiB left of",
    );
    assert!(outcome.limit.is_some());
}

#[test]
fn long_commands_are_cut_and_odd_signals_have_numbers() {
    let mut observed = job(Ending::Signal(35));
    observed.job.command = "ä".repeat(500);
    let outcome = check("long", &observed, Kind::Terminated, Certainty::Certain, "signal 35");
    assert!(outcome.sentence.len() < 300, "{}", outcome.sentence);
}

#[test]
fn being_made_to_wait_by_memory_high_is_not_running_out() {
    let mut observed = Observed {
        counted: counted(Version::V2),
        ..job(Ending::Status(0))
    };
    observed.counted.levels[0].before.throttled = Some(0);
    observed.counted.levels[0].after.as_mut().unwrap().throttled = Some(900);
    for (ending, kind) in [
        (Ending::Status(0), Kind::Finished),
        (Ending::Signal(SIGKILL), Kind::Terminated),
    ] {
        observed.ending = ending;
        let outcome = check("high", &observed, kind, Certainty::Certain, "");
        let high = outcome
            .evidence
            .iter()
            .find(|item| item.says.contains("memory.high"))
            .unwrap();
        assert_eq!((high.before, high.after), (Some(0), Some(900)));
    }
}
