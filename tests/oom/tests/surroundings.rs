//! "It never makes the job die of being watched": odd limits, other preloaded libraries, static programs, left-behind processes.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oom::{Job, MIB, Outcome, Python, Report, assert_close, c_library, place, victim};

fn reaches_its_end(outcome: &Outcome) {
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert_eq!(outcome.text(), "end\n", "{outcome}");
}

#[test]
fn the_smallest_limit_that_a_python_lives_with_is_the_same() {
    Python::each(|python| {
        let job = |kib: u64| Job::code(python, "print('end')").limit_address_space(kib << 10);
        let lives = |kib| job(kib).unwatched().run().status == Some(0);
        let (mut dies, mut lives_with) = (2_000, 200_000);
        while lives_with - dies > 500 {
            let middle = (dies + lives_with) / 2;
            *if lives(middle) { &mut lives_with } else { &mut dies } = middle;
        }
        reaches_its_end(&job(lives_with + 500).run());
    });
}

#[test]
fn under_a_hard_limit_of_any_size_a_job_does_not_crash() {
    for mib in (8..=64).step_by(2) {
        let job = Job::code(Python::any(), "print('end')").limit_address_space_for_good(mib * MIB);
        let alone = job.clone().unwatched().run();
        let watched = job.run();
        assert_ne!(watched.signal, Some(Signal::SIGSEGV as i32), "{mib} MiB: {watched}");
        assert_ne!(watched.signal, Some(Signal::SIGBUS as i32), "{mib} MiB: {watched}");
        if mib >= 48 {
            assert_eq!(watched.status, alone.status, "{mib} MiB: {watched}");
        }
    }
}

#[test]
fn limits_on_files() {
    let code = "import resource, sys; print('end'); kept = bytearray(30 << 20)";
    for (limit, why) in [("ulimit -f 8", "file size"), ("ulimit -n 10", "open files")] {
        let script = format!("{limit} && exec \"$@\"");
        let python = Python::any();
        let words = ["sh", "-c", &script, "sh"].map(std::ffi::OsStr::new);
        let job = Job::words(words).arg(&python.path).arg("-c").arg(code);
        let outcome = job.run();
        println!("{why}");
        reaches_its_end(&outcome);
    }
}

#[test]
fn a_job_that_closes_every_file() {
    let code = "import os\nprint('end', flush=True)\nos.closerange(0, 100)\n\
                kept = bytearray(60 << 20)\nif os.fork() == 0:\n more = bytearray(10 << 20)\n";
    Python::each_of(Python::kinds(), |python| {
        let outcome = Job::code(python, code).run();
        reaches_its_end(&outcome);
        assert!(outcome.peak().total() > 60 * MIB, "{outcome}");
    });
}

#[test]
fn another_preloaded_library_keeps_working() {
    let other = c_library("other_allocator.c");
    let lines = |outcome: &Outcome| {
        outcome
            .job_stderr()
            .lines()
            .filter(|line| line.ends_with("many"))
            .count()
    };
    let here = place("waits.py", "HERE");
    let pythons = Python::with_gil("from 3.15 on, it hardly calls malloc, whose calls are counted here");
    Python::each_of(pythons, |python| {
        let job = Job::python(python, "waits.py").arg("/").env("LD_PRELOAD", &other);
        let alone = job.clone().unwatched().run();
        assert_eq!(lines(&alone), 1, "{alone}");
        let outcome = job.run();
        assert_eq!(outcome.status, Some(4), "{outcome}");
        // fil-profile itself and the shell that sets the limits are further processes with that library.
        assert!(lines(&outcome) >= 2, "{outcome}");
        assert_close(outcome.peak().through(&here), 40 * MIB, 2.0, &outcome);
    });
}

#[test]
fn python_s_own_allocators_and_debug_modes() {
    let here = place("waits.py", "HERE");
    Python::each(|python| {
        for (name, value) in [
            ("PYTHONMALLOC", "malloc"),
            ("PYTHONMALLOC", "debug"),
            ("PYTHONMALLOC", "pymalloc"),
            ("PYTHONMALLOC", "pymalloc_debug"),
            ("PYTHONTRACEMALLOC", "5"),
            ("PYTHONDEVMODE", "1"),
            ("PYTHONFAULTHANDLER", "1"),
        ] {
            let value = python.allocator(value);
            let outcome = Job::python(python, "waits.py").arg("/").env(name, value).run();
            assert_eq!(outcome.status, Some(4), "{name}={value}: {outcome}");
            assert_eq!(outcome.job_stderr(), "", "{name}={value}: {outcome}");
            assert_close(outcome.peak().through(&here), 40 * MIB, 2.0, &outcome);
        }
    });
}

#[test]
fn a_static_program_runs_and_is_said_to_be_out_of_reach() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = folder.path().join("static");
    let mut cc = Command::new("cc");
    cc.args(["-static", "-o"]).arg(&program).arg(victim("zero_sizes.c"));
    if !cc.status().is_ok_and(|status| status.success()) {
        return oom::announce("left out: static programs, for this compiler cannot link one");
    }
    let outcome = Job::words([&program]).run();
    assert_eq!(outcome.text(), "fine\n", "{outcome}");
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("static"), "not a word about it: {outcome}");
}

#[test]
fn a_process_left_behind_keeps_nobody_waiting() {
    let outcome = Job::words(["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"]).run();
    let left = outcome.text().trim().parse().expect("a pid");
    kill(Pid::from_raw(left), Signal::SIGKILL).expect("it is still there");
    assert_eq!(outcome.status, Some(0), "{outcome}");
}

#[test]
fn workers_of_a_pool_however_started() {
    let here = place("workers.py", "WORKER");
    Python::each_of(Python::kinds(), |python| {
        for method in ["fork", "spawn", "forkserver"] {
            let outcome = Job::python(python, "workers.py").arg(method).run();
            assert_eq!(outcome.text(), "[0, 0, 0, 0]\n", "{method}: {outcome}");
            assert_close(outcome.peak().through(&here), 20 * MIB, 2.0, &outcome);
        }
    });
}

#[test]
fn a_hundred_short_processes() {
    let code = "import subprocess\nfor _ in range(100): subprocess.check_call(['/bin/true'])\nprint('end')";
    let outcome = Job::code(Python::any(), code).run();
    reaches_its_end(&outcome);
    outcome.peak();
    // They never hold as much as makes a recording.
    let report = Report::of(&outcome);
    let processes = report.at("/processes").as_array().expect("a list");
    assert_eq!(processes.len(), 1, "{report}");
    assert_eq!(report.number("/unrecorded/folded/processes"), Some(0), "{report}");
}

#[test]
fn a_python_of_a_version_that_nobody_knows_runs_and_is_reported_without_its_lines() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = folder.path().join("python3.99");
    let mut cc = Command::new("cc");
    cc.args(["-rdynamic", "-o"])
        .arg(&program)
        .arg(victim("unknown_python.c"));
    assert!(cc.status().is_ok_and(|status| status.success()));
    let outcome = Job::words([&program]).run();
    reaches_its_end(&outcome);
    assert_close(outcome.peak().total(), 30 * MIB, 2.0, &outcome);
    assert!(outcome.stderr.contains("3.99"), "not a word about it: {outcome}");
}

#[test]
fn a_job_with_the_smallest_stacks_there_are() {
    let program = oom::c_program("small_stacks.c");
    let limited = "ulimit -s 20; exec \"$0\"";
    let job = Job::words(["sh".as_ref(), "-c".as_ref(), limited.as_ref(), program.as_os_str()]);
    let alone = job.clone().unwatched().run();
    assert_eq!((alone.status, alone.text().as_str()), (Some(0), "done\n"), "{alone}");
    let outcome = job.run();
    assert_eq!(
        (outcome.status, outcome.text().as_str()),
        (Some(0), "done\n"),
        "{outcome}"
    );
    // Of two failures at once, which the program copes with, the report is about the first or the second.
    assert!(outcome.peak().total() >= 40 * MIB, "{outcome}");
}
