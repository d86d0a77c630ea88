//! "What each call site holds more than at an earlier moment": what grew steadily by as much as it did, what was there from the
//! start by nothing, and what was replaced by nothing within its error.

use oom::{Job, MIB, Outcome, Python, Report, place};

/// Bytes, growth, and its error, of the only call site at a line.
#[track_caller]
fn site(report: &Report, marker: &str, outcome: &Outcome) -> [f64; 3] {
    let place = place("grows_steadily.py", marker);
    let sites = report.at("/call_sites").as_array().into_iter().flatten();
    let mut here = sites.filter(|site| site["line"].as_u64() == Some(place.line.into()));
    let site = here.next().unwrap_or_else(|| panic!("nothing at {place}: {outcome}"));
    ["bytes", "growth_bytes", "growth_error_bytes"].map(|field| {
        let number = site[field].as_f64();
        number.unwrap_or_else(|| panic!("no {field} in {site}: {outcome}"))
    })
}

fn check(job: Job) -> Outcome {
    let outcome = job.run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let report = Report::of(&outcome);
    let since = report.at("/moment/growth_since_seconds").as_f64();
    assert!(since.is_some_and(|since| since > 0.0), "{since:?}: {outcome}");
    let [_, growth, error] = site(&report, "OLD", &outcome);
    assert_eq!((growth, error), (0.0, 0.0), "{outcome}");
    let [held, growth, error] = site(&report, "CHURNED", &outcome);
    // The new block is there before the old one goes.
    let most = 4.0 * error + 2048.0;
    assert!(growth.abs() <= most, "{growth} of {held} within {error}: {outcome}");
    // Whenever the earlier moment was, both lines have come the same way since.
    let [held, growth, error] = site(&report, "STEADY", &outcome);
    assert!(held >= 19.0 * MIB as f64, "{held}: {outcome}");
    let most = held + 4.0 * error;
    assert!(
        growth > 4.0 * error && growth <= most,
        "{growth} of {held} within {error}: {outcome}"
    );
    // A block is 33 bytes longer than its text, and takes some 9 in the list.
    let ratio = (2000.0 + 42.0) / (1000.0 + 42.0);
    let [_, double, double_error] = site(&report, "DOUBLE", &outcome);
    let most = 4.0 * (double_error + ratio * error) + 0.02 * double;
    assert!(
        (double - ratio * growth).abs() <= most,
        "{growth} and {double}: {outcome}"
    );
    outcome
}

#[test]
fn what_has_grown_is_told_from_what_was_there_from_the_start() {
    Python::each(|python| {
        let outcome = check(Job::python(python, "grows_steadily.py"));
        let page = std::fs::read_to_string(outcome.file("index.html")).expect("there is a page");
        assert!(page.contains(">growth since "), "{outcome}");
    });
}

#[test]
fn with_every_allocation_recorded_it_is_exact() {
    let outcome = check(Job::python(Python::any(), "grows_steadily.py").exact());
    let report = Report::of(&outcome);
    for marker in ["OLD", "CHURNED", "STEADY", "DOUBLE"] {
        assert_eq!(site(&report, marker, &outcome)[2], 0.0, "{marker}: {outcome}");
    }
}
