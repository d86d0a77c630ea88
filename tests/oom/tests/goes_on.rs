//! "A program that catches MemoryError goes on and ends as it would; both the moment it ran out and the peak are left."

use nix::sys::signal::Signal;
use oom::{Job, MIB, OnOom, Python, assert_close, c_library, place};

const LIMIT: u64 = 300 * MIB;

#[test]
fn a_caught_memory_error_is_reported_and_changes_nothing() {
    let here = place("caught_and_went_on.py", "HERE");
    Python::each(|python| {
        let outcome = Job::python(python, "caught_and_went_on.py")
            .limit_address_space(LIMIT)
            .exact()
            .run();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        assert_eq!(outcome.job_stderr(), "", "{outcome}");
        assert_close(outcome.out_of_memory().through(&here), outcome.truth(), 2.0, &outcome);
        assert_close(outcome.peak().through(&here), outcome.truth(), 2.0, &outcome);
        let page = std::fs::read_to_string(outcome.file("index.html")).expect("it is UTF-8");
        assert!(page.contains("program went on"), "the page does not say so: {page}");
    });
}

/// What we use in it is granted on top, where the hard limit allows it.
#[test]
fn it_has_as_much_room_as_without_us() {
    Python::each(|python| {
        let job = Job::python(python, "caught_and_went_on.py").limit_address_space(LIMIT);
        let alone = job.clone().unwatched().run().truth();
        let watched = job.run();
        assert!(watched.truth() + MIB >= alone, "alone {alone}: {watched}");
        assert!(watched.truth() <= alone + 12 * MIB, "alone {alone}: {watched}");
    });
}

#[test]
fn status_53_and_no_further_step_with_on_oom_exit() {
    let here = place("caught_and_went_on.py", "HERE");
    Python::each(|python| {
        let job = Job::python(python, "caught_and_went_on.py").limit_address_space(LIMIT);
        let outcome = job.on_oom(OnOom::Exit).run();
        assert_eq!(outcome.status, Some(53), "{outcome}");
        assert_eq!(outcome.text(), "", "{outcome}");
        // mimalloc keeps much of the address space to itself.
        let least = if python.is_free_threaded { 100 * MIB } else { 200 * MIB };
        assert!(outcome.out_of_memory().through(&here) > least, "{outcome}");
    });
}

/// The tree is of the moment of the failed allocation, and the end is the job's own.
fn dies_of_it(function: &str, signal: Signal) {
    let library = c_library("native.c");
    let here = place("native_call.py", "HERE");
    Python::each(|python| {
        let job = Job::python(python, "native_call.py").arg(&library).arg(function);
        let job = job.limit_address_space(LIMIT).exact();
        let outcome = job.clone().run();
        assert_eq!(outcome.signal, Some(signal as i32), "{outcome}");
        assert_close(outcome.out_of_memory().through(&here), outcome.truth(), 2.0, &outcome);

        let outcome = job.on_oom(OnOom::Exit).run();
        assert_eq!(outcome.status, Some(53), "{outcome}");
        assert_close(outcome.out_of_memory().through(&here), outcome.truth(), 2.0, &outcome);
    });
}

#[test]
fn an_extension_that_never_checks_for_null() {
    dies_of_it("never_checks_null", Signal::SIGSEGV);
}

#[test]
fn an_extension_that_aborts() {
    dies_of_it("aborts_on_null", Signal::SIGABRT);
}

#[test]
fn an_extension_that_gives_up_leaves_its_thread_s_memory_in_the_report() {
    let library = c_library("native.c");
    let job = Job::python(Python::any(), "native_call.py")
        .arg(&library)
        .arg("gives_up");
    let outcome = job.limit_address_space(LIMIT).exact().run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let held = outcome.out_of_memory().at(&place("native_call.py", "HERE"));
    assert_close(held, outcome.truth(), 2.0, &outcome);
}

#[test]
fn eight_threads_that_fail_at_once_make_one_dump_and_no_deadlock() {
    let library = c_library("native.c");
    Python::each(|python| {
        let job = Job::python(python, "native_call.py").arg(&library).arg("fail_at_once");
        let outcome = job.clone().run();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        assert_eq!(outcome.truth(), 800, "{outcome}");
        outcome.out_of_memory();
        let wrote = |line: &&&str| line.ends_with("/out-of-memory.svg");
        assert_eq!(outcome.our_lines().iter().filter(wrote).count(), 1, "{outcome}");

        let outcome = job.on_oom(OnOom::Exit).run();
        assert_eq!(outcome.status, Some(53), "{outcome}");
        outcome.out_of_memory();
    });
}
