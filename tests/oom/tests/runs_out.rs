//! "Under `ulimit -Sv`, a failed allocation of any size leaves an `out-of-memory.svg` that names the line."

use oom::{Job, MIB, OnOom, Outcome, Place, Python, assert_close, c_library, place};

const LIMIT: u64 = 300 * MIB;

/// The default policy, under which a job ends with this status, and where the version may make a difference, the other one.
fn policies(python: &Python, status: i32) -> Vec<(OnOom, i32)> {
    let exit = python.is_kind().then_some((OnOom::Exit, 53));
    [(OnOom::Report, status)].into_iter().chain(exit).collect()
}

/// Runs a job under the policies with every Python, and compares the bytes at `place` with what the victim says.
fn names_the_line(place: &Place, status: i32, job: impl Fn(&Python) -> Job) {
    Python::each(|python| {
        for (policy, status) in policies(python, status) {
            let outcome = job(python).limit_address_space(LIMIT).exact().on_oom(policy).run();
            assert_eq!(outcome.status, Some(status), "{policy:?}: {outcome}");
            assert_close(outcome.out_of_memory().through(place), outcome.truth(), 2.0, &outcome);
            names_the_request(&outcome, place);
        }
    });
}

/// The last lines on stderr are for a log that is all that remains.
fn names_the_request(outcome: &Outcome, place: &Place) {
    let lines = outcome.our_lines();
    let named = lines.iter().any(|line| line.contains(&place.to_string()));
    assert!(named, "no line of ours names {place}: {outcome}");
}

#[test]
fn one_absurd_request_is_shown_apart_and_not_as_memory_held() {
    let asks = place("absurd_request.py", "HERE");
    let kept = place("absurd_request.py", "KEPT");
    names_the_line(&kept, 1, |python| {
        Job::python(python, "absurd_request.py").arg("1000000000000")
    });
    Python::each_of(Python::kinds(), |python| {
        let job = Job::python(python, "absurd_request.py").arg("1000000000000");
        let outcome = job.limit_address_space(LIMIT).exact().run();
        let folded = outcome.out_of_memory();
        assert!(folded.through(&asks) < 4096, "{outcome}");
        assert!(folded.total() < 100 * MIB, "{folded}");
        names_the_request(&outcome, &asks);
        let page = std::fs::read_to_string(outcome.file("index.html")).expect("it is UTF-8");
        assert!(
            page.contains(&asks.to_string()),
            "the page does not name {asks}: {outcome}"
        );
    });
}

#[test]
fn steady_growth_of_arrays() {
    names_the_line(&place("steady_arrays.py", "HERE"), 1, |python| {
        Job::python(python, "steady_arrays.py")
    });
}

/// They are sampled, as they would be in earnest: the bytes at the line are true within what the report says of its error.
fn small_objects(kind: &str, marker: &str) {
    let place = place("small_objects.py", marker);
    Python::each(|python| {
        for (policy, status) in policies(python, 1) {
            let job = Job::python(python, "small_objects.py")
                .arg(kind)
                .limit_address_space(LIMIT);
            let outcome = job.on_oom(policy).run();
            assert_eq!(outcome.status, Some(status), "{policy:?}: {outcome}");
            let (reported, truth) = (outcome.out_of_memory().through(&place), outcome.truth());
            let error = outcome.printed_error();
            assert!(error > 0 && error < truth / 100, "{outcome}");
            // One result in sixteen thousand is further off than four standard deviations. 250 dicts are 60 KB.
            let allowed = 4 * error + 60_000;
            assert!(
                reported.abs_diff(truth) < allowed,
                "{policy:?}: {reported} reported, {truth} true, {allowed} allowed: {outcome}"
            );
            names_the_request(&outcome, &place);
        }
    });
}

#[test]
fn millions_of_small_dicts() {
    small_objects("dict", "DICT");
}

#[test]
fn millions_of_small_tuples() {
    small_objects("tuple", "TUPLE");
}

#[test]
fn millions_of_small_strings() {
    small_objects("str", "STR");
}

/// What a failed realloc leaves where it was is still held.
#[test]
fn one_list_that_grows() {
    names_the_line(&place("one_list.py", "HERE"), 1, |python| {
        Job::python(python, "one_list.py")
    });
}

#[test]
fn anonymous_mappings() {
    names_the_line(&place("mmap_growth.py", "HERE"), 1, |python| {
        Job::python(python, "mmap_growth.py")
    });
}

#[test]
fn growth_in_a_thread() {
    names_the_line(&place("thread_growth.py", "HERE"), 7, |python| {
        Job::python(python, "thread_growth.py")
    });
}

#[test]
fn growth_in_a_thread_of_c_while_another_thread_holds_the_gil_or_does_not() {
    let library = c_library("native.c");
    let here = place("native_thread_growth.py", "HERE");
    Python::each_of(Python::with_gil(oom::NOBODY_WAITS), |python| {
        for gil in ["held", "free"] {
            let job = Job::python(python, "native_thread_growth.py").arg(&library).arg(gil);
            let job = job.limit_address_space(LIMIT).exact();
            let outcome = job.clone().run();
            assert_eq!(outcome.status, Some(7), "{outcome}");
            assert_close(outcome.out_of_memory().at(&here), outcome.truth(), 2.0, &outcome);

            let outcome = job.on_oom(OnOom::Exit).run();
            assert_eq!(outcome.status, Some(53), "{outcome}");
            assert!(outcome.out_of_memory().at(&here) > 200 * MIB, "{outcome}");
        }
    });
}

#[test]
fn a_thousand_calls_deep() {
    let here = place("deep_recursion.py", "HERE");
    names_the_line(&here, 1, |python| Job::python(python, "deep_recursion.py"));
    let deeper = place("deep_recursion.py", "DEEPER");
    Python::each_of(Python::kinds(), |python| {
        let outcome = Job::python(python, "deep_recursion.py")
            .limit_address_space(LIMIT)
            .run();
        let folded = outcome.out_of_memory();
        let calls = folded.largest_through(&here).frames.iter();
        assert_eq!(calls.filter(|frame| frame.is_at(&deeper)).count(), 1000, "{outcome}");
    });
}
