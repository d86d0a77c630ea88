//! "The line that a report names first is the user's own that the most is held for; imports are one group, and a library's line is told with
//! all of its callers."

use oom::{Job, MIB, Outcome, Python, Report, assert_close, joblib_python, place};
use serde_json::Value;

/// The lines of the log in one.
fn said(outcome: &Outcome) -> String {
    let words = outcome.our_lines().join(" ");
    let words: Vec<&str> = words
        .split_whitespace()
        .filter(|word| *word != "=fil-profile=")
        .collect();
    words.join(" ")
}

/// What an own line of the report has, by the end of its place.
fn held(report: &Report, is_wanted: impl Fn(&Value) -> bool) -> u64 {
    let lines = report.at("/own_lines").as_array().into_iter().flatten();
    lines
        .filter(|line| is_wanted(line))
        .filter_map(|line| line["bytes"].as_u64())
        .sum()
}

#[test]
fn of_imports_own_modules_and_a_library_with_several_callers() {
    Python::each(|python| {
        let outcome = Job::python(python, "culprit.py").run();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        let report = Report::of(&outcome);
        let [largest, second] = ["LARGEST", "SECOND"].map(|marker| place("culprit.py", marker));
        assert_eq!(report.number("/culprit/line"), Some(largest.line.into()), "{report}");
        assert_eq!(report.text("/culprit/kind"), "own", "{report}");
        assert_close(report.number("/culprit/bytes").unwrap(), 20 * MIB, 1.0, &report);
        assert!(report.text("/culprit/part").starts_with("library.py:2 "), "{report}");
        assert!(said(&outcome).contains(&format!(
            "culprit.py:{} (<module>), in library.py:2 (make)",
            largest.line
        )));
        let of_line = |name: &str, line: u32| {
            held(&report, |own| {
                let file = own["file"].as_str().unwrap_or_default();
                file.ends_with(name) && own["line"].as_u64() == Some(line.into())
            })
        };
        assert_close(of_line("own/tables.py", 2), 12 * MIB, 1.0, &report);
        assert_close(of_line("culprit.py", second.line), 11 * MIB, 1.0, &report);
        // The modules of the standard library that it imports are some MiB.
        let imports = held(&report, |line| line["kind"] == "imports");
        assert!((45 * MIB..60 * MIB).contains(&imports), "{imports}: {report}");
        let sites = report.at("/call_sites").as_array().unwrap();
        let site = |function| sites.iter().find(|site| site["function"] == function).unwrap();
        let callers = site("make")["callers"].as_array().unwrap().iter();
        let bytes: Vec<u64> = callers.map(|caller| caller["bytes"].as_u64().unwrap() >> 20).collect();
        assert_eq!(bytes, [20, 12, 11], "{report}");
        assert_eq!(site("[importing modules]")["bytes"], imports);
        assert!(
            sites
                .iter()
                .all(|site| !site["file"].as_str().unwrap_or_default().contains("importlib"))
        );
    });
}

#[test]
fn of_a_function_that_joblib_sends_to_a_worker() {
    let outcome = Job::python(joblib_python(), "sends.py").run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let report = Report::of(&outcome);
    assert_eq!(report.text("/culprit/function"), "heavy", "{report}");
    assert_eq!(report.text("/culprit/kind"), "own", "{report}");
    assert_close(report.number("/culprit/bytes").unwrap(), 60 * MIB, 2.0, &outcome);
    assert!(said(&outcome).contains(" (heavy)"), "{outcome}");
}
