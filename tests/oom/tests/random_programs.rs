//! "Figures are right the first time": of random programs in Python and in C whose truth is known, as much is told to be in memory as they
//! had touched at most, nothing is more than the kernel has ever counted, and the first line is one that had touched the most. With
//! `OOM_TESTS_LONG=1` thousands of programs are run, with `OOM_TESTS_PROGRAMS` so many more of each sort.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use oom::{Job, MIB, Outcome, Python, Report, place};
use serde_json::Value;

const PYTHON: &str = "random_program.py";
const C: &str = "random_program.c";
/// Seeds of the usual programs; others begin at 1000.
const USUAL: std::ops::Range<u64> = 0..5;
/// How many programs of each sort there are beside them if the tests may take long.
const LONG: u64 = 400;

/// What such a program tells of itself.
struct Truth {
    touched: u64,
    most_resident: u64,
    /// The lines that may be the first; none where the program has no lines.
    firsts: BTreeSet<u64>,
}

impl Truth {
    fn of(outcome: &Outcome) -> Truth {
        let text = outcome.text();
        let last = text
            .lines()
            .rev()
            .find_map(|line| serde_json::from_str::<Value>(line).ok());
        let told = last.unwrap_or_else(|| panic!("no JSON object on stdout: {outcome}"));
        let number = |name: &str| told[name].as_u64().unwrap_or_else(|| panic!("no {name}: {outcome}"));
        let marks = told["firsts"].as_array().into_iter().flatten();
        let firsts = marks.filter_map(|mark| Some(place(PYTHON, mark.as_str()?).line.into()));
        Truth {
            touched: number("touched"),
            most_resident: number("most_resident"),
            firsts: firsts.collect(),
        }
    }
}

/// What is wrong with a report; nothing if all is right.
fn faults(outcome: &Outcome, end: &str) -> Vec<String> {
    match end {
        "killed" => assert_eq!(outcome.signal, Some(Signal::SIGKILL as i32), "{outcome}"),
        _ => assert_eq!(outcome.status, Some(0), "{outcome}"),
    }
    let (truth, report) = (Truth::of(outcome), Report::of(outcome));
    let number = |name: &str| report.number(name).unwrap_or(0);
    let sites = report.at("/call_sites").as_array().into_iter().flatten();
    let resident = |site: &Value| site["resident_bytes"].as_u64().or(site["bytes"].as_u64()).unwrap_or(0);
    // The interpreter's own memory is no part of what the program counts.
    let of_program = |site: &&Value| {
        let file = site["file"].as_str().unwrap_or_default();
        truth.firsts.is_empty() || file.ends_with(PYTHON)
    };
    let sum: u64 = sites.filter(of_program).map(resident).sum();
    let mut faults = Vec::new();
    let mut demand = |is_met: bool, what: String| {
        if !is_met {
            faults.push(what);
        }
    };
    let slack = truth.touched / 20 + 2 * MIB;
    demand(
        sum.abs_diff(truth.touched) <= slack,
        format!("{sum} bytes in memory, and {} were touched", truth.touched),
    );
    // The kernel's counts of one process differ by some pages.
    let most = truth.most_resident + truth.most_resident / 50 + 2 * MIB;
    demand(
        sum <= most,
        format!("{sum} bytes in memory, and never more than {most}"),
    );
    if report.text("/moment/ranked_by") != "resident" {
        let asked = number("/moment/bytes");
        demand(
            asked <= truth.touched + truth.touched / 8 + 8 * MIB,
            format!("ranked by {asked} bytes that were asked for"),
        );
    }
    let first = number("/call_sites/0/line");
    demand(
        truth.firsts.is_empty() || truth.firsts.contains(&first),
        format!("line {first} is first, and not one of {:?}", truth.firsts),
    );
    if let Some(total) = report.number("/ledger/total_bytes") {
        demand(
            total <= most,
            format!("a breakdown of {total} bytes, and never more than {most}"),
        );
    }
    faults
}

#[test]
fn what_random_programs_hold_is_told_and_never_more_than_the_kernel_counts() {
    let of_environment = std::env::var("OOM_TESTS_PROGRAMS").ok();
    let more = of_environment.and_then(|number| number.parse::<u64>().ok());
    let long = std::env::var_os("OOM_TESTS_LONG").map_or(0, |_| LONG);
    let seeds = USUAL.chain(1000..1000 + more.unwrap_or(long));
    let (mut programs, mut wrong) = (0, Vec::new());
    for seed in seeds {
        for (program, fills, end) in [PYTHON, C].into_iter().flat_map(|program| {
            let of_fills = move |fills| ["ends", "killed"].map(|end| (program, fills, end));
            ["all", "some"].into_iter().flat_map(of_fills)
        }) {
            let job = match program {
                PYTHON => Job::python(Python::any(), program),
                _ => Job::c(program),
            };
            let outcome = job.arg(seed.to_string()).arg(fills).arg(end).run();
            programs += 1;
            let faults = faults(&outcome, end);
            if !faults.is_empty() {
                wrong.push(format!(
                    "{program} {seed} {fills} {end}: {}\n{outcome}",
                    faults.join("; ")
                ));
            }
        }
    }
    oom::announce(&format!(
        "{} of {programs} random programs are told wrongly",
        wrong.len()
    ));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
