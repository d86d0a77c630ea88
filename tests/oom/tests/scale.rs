//! "The recording of a process is at most 8 MiB for a job of ordinary size and never more than 64 MiB", whatever the job does, and what
//! it takes to watch it does not grow with it. `cargo test -p oom --test scale -- --nocapture` prints the curves, and with
//! OOM_TESTS_LONG=1 more of them; what is asserted does not depend on the machine.

use oom::{Footprint, Job, MIB, Python, Report, announce};

fn is_long() -> bool {
    std::env::var_os("OOM_TESTS_LONG").is_some()
}

/// The points of a curve: those of a usual run, and those of a long one.
fn points<T: Copy>(short: &[T], long: &[T]) -> Vec<T> {
    let more: &[T] = if is_long() { long } else { &[] };
    short.iter().chain(more).copied().collect()
}

fn python(victim: &str, arguments: &[u64]) -> Job {
    let job = Job::python(Python::any(), victim);
    arguments
        .iter()
        .fold(job, |job, argument| job.arg(argument.to_string()))
}

/// Measures each of the points and prints the curve.
fn curve<T: Copy + std::fmt::Debug>(what: &str, points: Vec<T>, job: impl Fn(T) -> Job) -> Vec<(T, Footprint)> {
    announce(&format!("{what}\n| point {}", Footprint::head()));
    let measure = |point| {
        let footprint = Footprint::of(job(point));
        announce(&format!("| {point:?} {footprint}"));
        (point, footprint)
    };
    points.into_iter().map(measure).collect()
}

/// What holds for a job of ordinary size, in the default mode.
#[track_caller]
fn assert_ordinary(footprint: &Footprint) {
    let outcome = &footprint.outcome;
    assert!(footprint.resident <= 22 * MIB as i64, "{footprint}: {outcome}");
    assert!(footprint.recording <= 8 * MIB, "{footprint}: {outcome}");
    assert!(footprint.report_resident <= 30 * MIB, "{footprint}: {outcome}");
    assert_eq!(Report::of(outcome).at("/trouble"), &serde_json::json!([]), "{outcome}");
}

#[test]
fn heaps_of_any_size_take_the_same() {
    // (MiB, bytes of a block)
    let long = [
        (1000, 100),
        (4000, 1000),
        (4000, 60_000),
        (16_000, 1 << 20),
        (16_000, 16 << 20),
    ];
    let sizes = points(&[(10, 100), (100, 100), (400, 1000), (1000, 1 << 20)], &long);
    for (_, footprint) in curve("heaps: (MiB, bytes of a block)", sizes, |(mib, block)| {
        python("holds.py", &[mib, block])
    }) {
        assert_ordinary(&footprint);
    }
}

#[test]
fn as_many_callstacks_as_there_may_be() {
    let counts = points(&[1000, 100_000], &[1_000_000]);
    for (_, footprint) in curve("callstacks, sampled", counts, |count| {
        python("distinct_stacks.py", &[count, 0])
    }) {
        assert_ordinary(&footprint);
    }
    let counts = points(&[100_000, 1_000_000], &[10_000]);
    for (count, footprint) in curve("callstacks, every one recorded", counts, |count| {
        python("distinct_stacks.py", &[count, 0]).exact()
    }) {
        let outcome = &footprint.outcome;
        assert!(footprint.recording <= 64 * MIB, "{footprint}: {outcome}");
        assert!(footprint.peak.0 >= footprint.held, "{footprint}: {outcome}");
        let report = Report::of(outcome);
        if count <= 100_000 {
            assert!(footprint.report_resident <= 150 * MIB, "{footprint}: {outcome}");
            assert_eq!(report.at("/trouble"), &serde_json::json!([]), "{outcome}");
        } else {
            let what = report.text("/trouble/0/what");
            assert!(
                what.contains("full") && what.contains("put together"),
                "{what:?}: {outcome}"
            );
        }
    }
}

#[test]
fn callstacks_of_any_depth() {
    for (_, footprint) in curve("frames of a callstack", points(&[10, 1000], &[100, 3000]), |depth| {
        python("deep.py", &[depth, 1_000_000])
    }) {
        assert_ordinary(&footprint);
    }
}

fn threads(count: u64, blocks: u64) -> Job {
    Job::c("many_threads.c").arg(count.to_string()).arg(blocks.to_string())
}

#[test]
fn any_number_of_threads() {
    const BLOCKS: u64 = 6_400_000;
    for (count, footprint) in curve(
        "threads, together 6.4 million blocks",
        points(&[1, 64], &[2, 8]),
        |count| threads(count, BLOCKS / count),
    ) {
        assert_ordinary(&footprint);
        let (peak, error) = footprint.peak;
        let least = footprint.held as f64 - 5.0 * error as f64;
        assert!(
            peak as f64 > least,
            "{count} threads, {footprint}: {}",
            footprint.outcome
        );
    }
}

#[test]
fn any_number_of_allocations() {
    let counts = points(&[100_000, 10_000_000], &[1_000_000, 100_000_000]);
    for (_, footprint) in curve("allocations", counts, |count| threads(1, count)) {
        assert_ordinary(&footprint);
    }
}

/// Each round replaces all of the heap. A week of a program that replaces its 20 MiB twenty times a second is 12 million rounds.
#[test]
fn a_heap_that_stays_the_same_for_a_week() {
    let rounds = points(&[0, 30, 300], &[1000, 3000]);
    for (_, footprint) in curve("rounds in which 20 MiB are replaced", rounds, |rounds| {
        python("steady.py", &[20, rounds])
    }) {
        assert_ordinary(&footprint);
    }
}

/// Instructions that one more block of a victim's last argument costs when it is recorded, beyond those without us.
fn of_one_more(victim: &str, arguments: impl Fn(u64) -> [u64; 2]) -> f64 {
    const MORE: u64 = 10_000;
    let count = |blocks, watched: bool| {
        let job = Job::python_under_callgrind(Python::any(), victim, &arguments(blocks));
        let job = if watched { job.exact() } else { job.unwatched() };
        job.run().instructions() as f64
    };
    let round = |watched| (count(2 * MORE, watched) - count(MORE, watched)) / MORE as f64;
    round(true) - round(false)
}

/// Each of the blocks is a sample and a new peak.
#[test]
fn a_sample_and_a_new_peak_cost_the_same_in_a_recording_of_any_size_and_no_more_than_the_frames_deeper_down() {
    if !is_long() {
        announce("what a sample costs is not counted: that takes minutes, and needs OOM_TESTS_LONG=1");
        return;
    }
    let by_size = |stacks| {
        let cost = of_one_more("distinct_stacks.py", |blocks| [stacks, blocks]);
        announce(&format!(
            "a sample, a new peak, and a sample that ends, among {stacks} callstacks: {cost:.0} instructions"
        ));
        cost
    };
    let (small, large) = (by_size(100), by_size(50_000));
    assert!(large < 1.5 * small, "{small:.0} instructions have become {large:.0}");
    let by_depth = |depth| {
        let cost = of_one_more("deep.py", |blocks| [depth, blocks]);
        announce(&format!(
            "two samples and their ends below {depth} frames: {cost:.0} instructions"
        ));
        cost
    };
    let (shallow, deep) = (by_depth(10), by_depth(1000));
    // Two samples each: the block, and the number of the round.
    let per_frame = (deep - shallow) / 990.0 / 2.0;
    assert!(per_frame < 120.0, "{per_frame:.1} instructions for each frame");
}
