//! "Whichever function it was that failed: malloc, calloc, realloc, posix_memalign, aligned_alloc, memalign, mmap, mremap."

use oom::{Job, MIB, OnOom, Outcome, assert_close};

fn grows_by(function: &str) {
    let job = Job::c("grow.c").arg(function).limit_address_space(200 * MIB).exact();
    let outcome = job.clone().run();
    assert_eq!(outcome.status, Some(3), "{outcome}");
    assert!(
        outcome.text().starts_with("ENOMEM\n"),
        "{function} must say why it failed: {outcome}"
    );
    assert_close(outcome.out_of_memory().total(), outcome.truth(), 2.0, &outcome);
    names(&outcome, function);

    let outcome = job.on_oom(OnOom::Exit).run();
    assert_eq!(outcome.status, Some(53), "{outcome}");
    assert_eq!(outcome.text(), "", "the program went on: {outcome}");
    assert!(outcome.out_of_memory().total() > 100 * MIB, "{outcome}");
    names(&outcome, function);
}

/// mmap64 is mmap's second name on this platform.
fn names(outcome: &Outcome, function: &str) {
    let function = function.trim_end_matches("64");
    let named = outcome.our_lines().iter().any(|line| line.contains(function));
    assert!(named, "no line of ours names {function}: {outcome}");
}

#[test]
fn malloc() {
    grows_by("malloc");
}

#[test]
fn calloc() {
    grows_by("calloc");
}

#[test]
fn realloc() {
    grows_by("realloc");
}

#[test]
fn reallocarray() {
    grows_by("reallocarray");
}

#[test]
fn posix_memalign() {
    grows_by("posix_memalign");
}

#[test]
fn aligned_alloc() {
    grows_by("aligned_alloc");
}

#[test]
fn memalign() {
    grows_by("memalign");
}

#[test]
fn valloc() {
    grows_by("valloc");
}

#[test]
fn pvalloc() {
    grows_by("pvalloc");
}

#[test]
fn mmap() {
    grows_by("mmap");
}

#[test]
fn mmap64() {
    grows_by("mmap64");
}

#[test]
fn mremap() {
    grows_by("mremap");
}

#[test]
fn zero_sizes_and_wrong_arguments_are_not_failures() {
    for policy in [OnOom::Report, OnOom::Exit] {
        let outcome = Job::c("zero_sizes.c").on_oom(policy).run();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        assert_eq!(outcome.text(), "fine\n");
        assert!(!outcome.has("out-of-memory.svg"), "{outcome}");
    }
}
