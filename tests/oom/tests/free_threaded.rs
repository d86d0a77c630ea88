//! "Python without the global interpreter lock is recorded as well as with it": threads that run at once, and the allocator of such builds.

use nix::sys::signal::Signal;
use oom::{Folded, Job, MIB, Outcome, Python, Report, announce, assert_close, c_library, place};

/// The free-threaded Pythons; a line on the terminal if there is none.
fn pythons() -> Vec<&'static Python> {
    let found = Python::free_threaded();
    if found.is_empty() {
        announce("No free-threaded CPython: what is special about it is not tested. scripts/new-pythons prepares it.");
    }
    found
}

fn run(job: Job) -> Outcome {
    let outcome = job.run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    has_no_damage(&outcome);
    outcome
}

fn has_no_damage(outcome: &Outcome) {
    let report = Report::of(outcome);
    assert_eq!(report.at("/damage"), &serde_json::json!([]), "{outcome}");
}

/// Each line of the victim holds what it says, to the byte.
fn is_exact(outcome: &Outcome) {
    let report = Report::of(outcome);
    let truths = outcome.truths();
    assert_eq!(truths.len(), 7, "{truths:?}");
    let held = |file: &str, line| report.lines_of(file).get(&line).copied().unwrap_or_default();
    for (name, truth) in truths {
        if name == "EXEC" {
            // Python frees the copies of thrown away bytecode later.
            assert_close(held("<string>", 1).bytes, truth, 10.0, outcome);
            continue;
        }
        let held = held("parallel.py", place("parallel.py", &name).line);
        assert_eq!((held.bytes, held.variance), (truth, 0.0), "{name}: {outcome}");
    }
}

#[test]
fn threads_that_run_at_once_have_every_byte_at_its_line() {
    Python::each_of(pythons(), |python| {
        for _ in 0..20 {
            is_exact(&run(Job::python(python, "parallel.py").exact()));
        }
        // All threads run the same bytecode.
        is_exact(&run(Job::python(python, "parallel.py").env("PYTHON_TLBC", "0").exact()));
    });
}

/// Builds with the lock have mimalloc as well, for whoever asks for it. Python then sets the allocator anew while it starts.
#[test]
fn lines_are_right_where_mimalloc_is_asked_for() {
    let pythons = Python::all().iter().filter(|python| python.version.1 >= 13);
    Python::each_of(pythons, |python| {
        for allocator in ["mimalloc", "mimalloc_debug"] {
            let job = Job::python(python, "parallel.py").env("PYTHONMALLOC", allocator);
            let exact = run(job.clone().exact());
            let large = Report::of(&exact).lines_of("parallel.py")[&place("parallel.py", "LARGE").line];
            assert_eq!((large.bytes, large.variance), (exact.truths()["LARGE"], 0.0), "{exact}");
            let outcome = run(job);
            let report = Report::of(&outcome);
            let large = report.lines_of("parallel.py")[&place("parallel.py", "LARGE").line];
            // Sampled: five standard deviations, one test in a million.
            let percent = 1.0 + 5.0 * large.error() / large.bytes as f64 * 100.0;
            assert!(percent < 30.0, "an error of {percent} % says nothing: {outcome}");
            assert_close(large.bytes, outcome.truths()["LARGE"], percent, &outcome);
            assert!(outcome.peak().total() < 80 * MIB, "what is reserved counts: {outcome}");
        }
    });
}

#[test]
fn a_child_has_its_own_lines() {
    Python::each_of(pythons(), |python| {
        for way in ["fork", "subprocess", "multiprocessing-spawn"] {
            let outcome = run(Job::python(python, "starts_child.py").arg(way));
            let tree = Folded::load(&outcome.file("process-tree.prof"));
            let child = place("starts_child.py", "CHILD");
            assert_close(tree.through(&child), 48 * MIB, 1.0, &outcome);
        }
    });
}

#[test]
fn a_kill_amid_threads_that_allocate_leaves_what_was_held() {
    Python::each_of(pythons(), |python| {
        for _ in 0..5 {
            let mut running = Job::python(python, "churns.py").start();
            running.wait_for_stdout("holding");
            let job = running.job();
            running.signal(job, Signal::SIGKILL);
            let outcome = running.finish();
            assert_eq!(outcome.signal, Some(Signal::SIGKILL as i32), "{outcome}");
            assert_close(outcome.peak().at(&place("churns.py", "HERE")), 20 * MIB, 2.0, &outcome);
            has_no_damage(&outcome);
        }
    });
}

#[test]
fn a_thread_without_python_counts_for_no_line() {
    let library = c_library("native.c");
    Python::each_of(pythons(), |python| {
        let job = Job::python(python, "native_thread_growth.py").arg(&library).arg("free");
        let outcome = job.limit_address_space(300 * MIB).exact().run();
        assert_eq!(outcome.status, Some(7), "{outcome}");
        let held = outcome.out_of_memory().in_function("[No Python stack]");
        assert!(held >= outcome.truth(), "{outcome}");
    });
}

/// mimalloc reserves a gibibyte at once, and gives out blocks of every size.
#[test]
fn the_breakdown_has_the_blocks_of_its_allocator_once() {
    Python::each_of(pythons(), |python| {
        let mut running = Job::python(python, "fragmented.py").arg("python").start();
        running.wait_for_stdout("holding");
        let seen = running.snapshot();
        std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
        let outcome = running.finish();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        let ledger = |name| seen.report.ledger(name);
        // Every second of ten million objects is gone, and the list of them is there.
        let (each, all) = (40, 10_000_000);
        assert_close(ledger("objects"), all / 2 * each + all * 8, 10.0, &outcome);
        assert!(ledger("arena_slack") >= all / 2 * each, "{seen:#?} {outcome}");
        // Python's stack of frames is a mapping.
        assert!(
            ledger("mappings") < MIB && ledger("foreign_slack") == 0,
            "{seen:#?} {outcome}"
        );
        assert!(seen.explained() >= 0.95, "{seen:#?} {outcome}");
    });
}
