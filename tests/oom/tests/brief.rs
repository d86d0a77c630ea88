//! "The tree at the highest total of the run", however short that was and however long the run.

use oom::{Job, MIB, Outcome, Python, Report, place};

fn report_of(outcome: &Outcome) -> Report {
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let report = Report::of(outcome);
    assert_eq!(report.text("/moment/name"), "peak", "{report}");
    report
}

/// Nothing of what came before or after is missing or too much: the peak is that one moment.
fn is_seen(what: &str, marker: &str) {
    // The large block is never touched: it is a peak where what is asked for is limited.
    let job = Job::python(Python::any(), "brief_peak.py").arg(what);
    let outcome = job.limit_address_space(1024 * MIB).run();
    let lines = report_of(&outcome).lines_of("brief_peak.py");
    let held = |marker| {
        let line = place("brief_peak.py", marker).line;
        lines.get(&line).copied().unwrap_or_default()
    };
    let (truths, brief) = (outcome.truths(), held(marker));
    oom::announce(&format!(
        "a peak of {} bytes that lasted {} microseconds: {} ± {:.0} bytes reported",
        truths["BRIEF"],
        truths["MICROSECONDS"],
        brief.bytes,
        brief.error()
    ));
    if what == "large" {
        assert_eq!((brief.bytes, brief.variance), (truths["BRIEF"], 0.0), "{outcome}");
    } else {
        let score = brief.normal_score(truths["BRIEF"]);
        assert!(score.abs() < 5.0, "{score:.1} printed errors off: {outcome}");
    }
    assert!(held("KEPT").bytes > 4_000_000, "{outcome}");
    assert_eq!(held("AFTER").bytes, 0, "{outcome}");
}

#[test]
fn one_large_block_for_less_than_a_millisecond_is_the_peak() {
    is_seen("large", "LARGE");
}

#[test]
fn small_blocks_for_a_few_milliseconds_are_the_peak() {
    is_seen("burst", "BURST");
}

/// The highest of many estimates is too high, the more so the longer a heap stays the same: what is reported must not be.
#[test]
fn the_peak_of_a_heap_that_stays_the_same_is_what_it_holds() {
    let here = place("steady.py", "HERE");
    let outcome = Job::python(Python::any(), "steady.py").arg("20").arg("200").run();
    let lines = report_of(&outcome).lines_of("steady.py");
    let (held, truth) = (lines[&here.line], outcome.truths()["HELD"]);
    let error = held.error() / truth as f64;
    let off = held.bytes as f64 / truth as f64 - 1.0;
    oom::announce(&format!(
        "replaced 200 times: {:.2} % off, ± {:.2} %",
        100.0 * off,
        100.0 * error
    ));
    // It was built while a sample was taken every 4 to 8 KiB; what replaces it is sampled more coarsely, and no better peak.
    assert!(error < 0.02, "{outcome}");
    // One run in forty was 3.5 printed errors off, the highest of many totals; five are less likely than one in a thousand.
    assert!(held.normal_score(truth).abs() < 5.0, "{outcome}");
}
