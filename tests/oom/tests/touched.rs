//! "A block that was never touched is never the line that is named, and hides no peak before or after it."

use nix::sys::signal::Signal;
use oom::{Job, MIB, Python, Report};

/// Cases of the victim, and whether it is killed.
const CASES: &[(&str, bool)] = &[
    ("killed", true),
    ("killed_when_filled", true),
    ("freed_early", false),
    ("late", false),
    ("only_read", false),
    ("given_back", false),
    ("written", false),
];

/// What functions of the victim have in memory.
fn resident(report: &Report, functions: &[&str]) -> u64 {
    let sites = report.at("/call_sites").as_array().into_iter().flatten();
    let of_functions = sites.filter(|site| functions.contains(&site["function"].as_str().unwrap_or_default()));
    let bytes = of_functions.map(|site| site["resident_bytes"].as_u64().or(site["bytes"].as_u64()));
    bytes.flatten().sum()
}

#[test]
fn the_line_whose_data_is_in_memory_is_named_and_one_that_was_never_touched_is_not() {
    for (case, is_killed) in CASES {
        let outcome = Job::python(Python::any(), "untouched_blocks.py").arg(case).run();
        let signal = is_killed.then_some(Signal::SIGKILL as i32);
        assert_eq!(outcome.signal, signal, "{case}: {outcome}");
        let truth = outcome.truths()["real"];
        let report = Report::of(&outcome);
        let first = report.text("/call_sites/0/function");
        assert!(["real", "mapped"].contains(&first), "{case}: {first} {outcome}{report}");
        let real = resident(&report, &["real", "mapped"]);
        let slack = 2 * MIB + truth / 50;
        assert!(
            real.abs_diff(truth) <= slack,
            "{case}: {real} of {truth} {outcome}{report}"
        );
        // What was only read counts as far as the kernel's own count does not exclude it.
        let untouched = resident(&report, &["untouched", "zeros"]);
        assert!(untouched <= 24 * MIB, "{case}: {untouched} {outcome}{report}");
    }
}

#[test]
fn a_breakdown_of_another_time_than_the_peak_says_so() {
    // Many small blocks that are freed long before the end: every measurement may be later than the peak, or before it.
    let outcome = Job::python(Python::any(), "freed_before_end.py").run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let report = Report::of(&outcome);
    let Some(total) = report.number("/ledger/total_bytes") else {
        return oom::announce("nothing was measured of freed_before_end.py, so that there is no breakdown");
    };
    let peak = report.number("/moment/bytes").unwrap_or(0);
    let told = outcome.our_lines().join(" ");
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_of_peak = total >= peak - peak / 10;
    let says_when = told.contains("before the peak") || told.contains("after the peak");
    assert!(is_of_peak || says_when, "{total} beside a peak of {peak}: {outcome}");
}
