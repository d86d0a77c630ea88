//! "What each call site holds more than at an earlier moment": what grew steadily by as much as it did, what was there from the
//! start by nothing, and what was replaced by nothing within its error.

use oom::{Held, Job, Outcome, Python, Report, place};
use serde_json::Value;

/// So many printed errors are less likely to be exceeded than once in a million times.
const ERRORS: f64 = 5.0;

/// The only call site at a line.
struct Site {
    held: Held,
    growth: f64,
    /// One standard deviation of it.
    error: f64,
}

impl Site {
    #[track_caller]
    fn at(marker: &str, report: &Report, outcome: &Outcome) -> Site {
        let place = place("grows_steadily.py", marker);
        let sites = report.at("/call_sites").as_array().into_iter().flatten();
        let mut here = sites.filter(|site| site["line"].as_u64() == Some(place.line.into()));
        let site = here.next().unwrap_or_else(|| panic!("nothing at {place}: {outcome}"));
        let number = |field: &str| {
            let number = site[field].as_f64();
            number.unwrap_or_else(|| panic!("no {field} in {site}: {outcome}"))
        };
        Site {
            held: Held {
                bytes: number("bytes") as u64,
                variance: number("error_bytes").powi(2),
            },
            growth: number("growth_bytes"),
            error: number("growth_error_bytes"),
        }
    }

    /// Whether it holds as much as the victim says, within its error; exactly, if it has none.
    fn holds(&self, truth: u64) -> bool {
        if self.held.variance == 0.0 {
            self.held.bytes == truth
        } else {
            self.held.normal_score(truth).abs() <= ERRORS
        }
    }
}

/// What the victim says of itself.
struct Truth(Value);

impl Truth {
    fn of(outcome: &Outcome) -> Truth {
        let said = serde_json::from_slice(&outcome.stdout);
        Truth(said.unwrap_or_else(|error| panic!("{error}: {outcome}")))
    }

    fn number(&self, name: &str) -> f64 {
        self.0[name].as_f64().expect("the victim prints it")
    }

    /// Which part of the growth came after the process had run for so long: at least and at most. The library counts the time from
    /// when it was loaded, which was after the process was started and before the script began.
    fn part_since(&self, seconds: f64) -> (f64, f64) {
        let seen = self.0["seen"].as_array().expect("the victim prints it");
        let seen = || seen.iter().map(|pair| (pair[0].as_f64(), pair[1].as_f64()));
        // /proc/uptime has hundredths.
        let (early, late) = (seconds - 0.02, seconds + self.number("began") + 0.02);
        let before = seen().rfind(|(time, _)| *time <= Some(early));
        let after = seen().find(|(time, _)| *time >= Some(late));
        let blocks = self.number("blocks");
        let part = |pair: Option<(Option<f64>, Option<f64>)>, otherwise| {
            let there = pair.and_then(|(_, there)| there).unwrap_or(otherwise);
            (blocks - there) / blocks
        };
        (part(after, blocks), part(before, 0.0))
    }
}

fn check(job: Job) -> Outcome {
    let outcome = job.run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let (report, truth) = (Report::of(&outcome), Truth::of(&outcome));
    let since = report.at("/moment/growth_since_seconds").as_f64();
    let since = since.unwrap_or_else(|| panic!("no earlier moment: {outcome}"));
    let old = Site::at("OLD", &report, &outcome);
    assert_eq!((old.growth, old.error), (0.0, 0.0), "{outcome}");
    let Site { growth, error, .. } = Site::at("CHURNED", &report, &outcome);
    // The new block is there before the old one goes.
    let most = ERRORS * error + 2048.0;
    assert!(growth.abs() <= most, "{growth} ± {error}: {outcome}");
    // Both lines have come the same way since the earlier moment.
    let (least, most) = truth.part_since(since);
    assert!(0.0 < least && least <= most, "{least}, {most}: {outcome}");
    for (marker, name) in [("STEADY", "steady"), ("DOUBLE", "double")] {
        let site = Site::at(marker, &report, &outcome);
        let truth = truth.number(name);
        assert!(
            site.holds(truth as u64),
            "{marker}: {:?}, not {truth}: {outcome}",
            site.held
        );
        // The list grows by an eighth of its length at a time, which is 8 bytes for each block of 1033 and more.
        let (error, list) = (ERRORS * site.error, truth / 1000.0);
        let (least, most) = (least * truth - error - list, most * truth + error + list);
        let Site { growth, error, .. } = site;
        assert!(
            least <= growth && growth <= most,
            "{marker}: {growth} ± {error}, not {least} to {most}: {outcome}"
        );
    }
    outcome
}

#[test]
fn what_has_grown_is_told_from_what_was_there_from_the_start() {
    Python::each_of(Python::kinds(), |python| {
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
        assert_eq!(Site::at(marker, &report, &outcome).error, 0.0, "{marker}: {outcome}");
    }
}
