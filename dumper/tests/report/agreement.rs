//! What every view says of a run: the log, the page, the line of `fil-profile ls`, the tables, a difference and a merge name one
//! culprit, with one share of one total, one limit and one outcome.

mod own_code;
mod views;

use std::fs;
use std::mem::offset_of;
use std::path::Path;

use dumper::folder::Place;
use dumper::measured::{Measured, Measurements, Pages, SitePages};
use dumper::merge::Merged;
use dumper::outcome::{Kind, Limit, LimitKind, Outcome, ProcessName};
use dumper::report::{self, Occasion};
use dumper::{Process, Rank, Run, Unrecorded, bundle, process};
use recording::{AllocFunction, Header};
use serde_json::Value;

use crate::builder::{Builder, Held, STARTED_NS};
use crate::job;
use views::{Site, Truth, check, check_headline, check_page};

const MIB: u64 = 1 << 20;
const SCRIPT: &str = "job.py";
const LIBRARY: &str = "/venv/lib/python3.11/site-packages/numpy/core.py";

const IMPORT: &str = "<frozen importlib._bootstrap>";

const PLAIN: Truth = Truth {
    place: "job.py:7 (load)",
    inside: Some("in numpy/core.py:5 (ones)"),
    bytes: 45 * MIB,
    total: 100 * MIB,
    site: Site {
        place: "numpy/core.py:5 (ones)",
        bytes: 60 * MIB,
        callers: &[("job.py:7 (load)", 45), ("job.py:9 (load)", 15)],
    },
    is_by_resident: false,
    is_at_the_peak: true,
};

/// One whose culprit is also the line that allocated the most.
const fn alone(place: &'static str, bytes: u64, total: u64) -> Truth {
    Truth {
        place,
        inside: None,
        bytes,
        total,
        site: Site {
            place,
            bytes,
            callers: &[],
        },
        ..PLAIN
    }
}

fn held(mib: u64) -> Held {
    Held {
        bytes: mib * MIB,
        variance: 0,
    }
}

/// A job that holds 60 MiB in a library for two lines of its own, and 40 MiB in one line of its own.
fn plain(pid: u32) -> Builder {
    let mut job = Builder::new(pid, &["python3", SCRIPT]);
    let ones = (LIBRARY, 5, "ones");
    for (line, mib) in [(7, 45), (9, 15)] {
        let node = job.stack(&[(SCRIPT, line, "load"), ones]);
        job.holds(node, mib * MIB);
    }
    let node = job.stack(&[(SCRIPT, 12, "index")]);
    job.holds(node, 40 * MIB);
    job
}

/// A job that has reserved 1000 MiB in line 1, of which 50 MiB are there, and filled 100 MiB in line 2.
fn reserved(pid: u32) -> (Builder, Measurements) {
    let mut job = Builder::new(pid, &["python3", SCRIPT]);
    job.running();
    let [reserves, fills] = [(1, "reserve"), (2, "fill")].map(|(line, name)| job.stack(&[(SCRIPT, line, name)]));
    job.holds(reserves, 1000 * MIB);
    job.holds(fills, 100 * MIB);
    let pages = Pages {
        bytes: 1000 * MIB,
        resident: 50 * MIB,
        ..Pages::default()
    };
    let measured = Measured {
        live_bytes: 1100 * MIB,
        blocks: [(recording::Kind::Mapping as u32, pages)].into(),
        sites: vec![SitePages {
            site: 1,
            pages,
            ..SitePages::default()
        }],
        ..Measured::default()
    };
    let mut measurements = Measurements::default();
    measurements.add(measured, false);
    (job, measurements)
}

fn limit(mib: u64) -> Limit {
    Limit {
        kind: LimitKind::CgroupV2,
        path: "/job".into(),
        bytes: mib * MIB,
        usage: Some(mib * MIB),
    }
}

fn outcome(kind: Kind, limit: Option<Limit>) -> Outcome {
    let is_killed = kind == Kind::OomKilledByCgroup;
    Outcome {
        kind,
        sentence: format!("The verdict is {kind:?}."),
        process: Some(ProcessName {
            pid: 1,
            command: SCRIPT.into(),
            is_child: false,
        }),
        signal: is_killed.then_some(9),
        limit,
        ..Outcome::default()
    }
}

/// A run in a folder of its own.
struct Case {
    folder: tempfile::TempDir,
    run: Run,
}

impl Case {
    fn new(kind: Kind, limit: Option<Limit>, jobs: Vec<(Builder, Measurements)>) -> Case {
        let folder = tempfile::tempdir().unwrap();
        for (number, (job, measurements)) in jobs.into_iter().enumerate() {
            let path = folder.path().join(format!("{}-0.recording", number + 1));
            fs::write(&path, job.bytes()).unwrap();
            if measurements != Measurements::default() {
                measurements.save(&Place::of(&path).unwrap()).unwrap();
            }
        }
        let run = Run {
            outcome: Some(outcome(kind, limit)),
            address_space_limit: None,
            ..job::run(folder.path())
        };
        Case { folder, run }
    }

    fn simple(job: Builder) -> Case {
        Case::new(Kind::Finished, None, vec![(job, Measurements::default())])
    }

    fn processes(&self) -> Vec<Process> {
        process::load(&job::opened(self.folder.path())).unwrap().0
    }

    /// Writes its bundle, and returns what that says.
    fn bundled(&self) -> bundle::Bundle {
        let folder = job::opened(self.folder.path());
        let written = bundle::write(&folder, &self.run, &self.processes(), &[], &Unrecorded::default(), None).unwrap();
        bundle::read(&Place::of(&written.path).unwrap()).unwrap()
    }

    fn check(&self, truth: &Truth) {
        check(&self.run, &self.processes(), truth);
    }
}

#[test]
fn of_a_run_that_went_well() {
    Case::simple(plain(1)).check(&PLAIN);
}

#[test]
fn of_a_failed_allocation() {
    let mut job = plain(1);
    let node = job.stack(&[(SCRIPT, 20, "big")]);
    job.failed(AllocFunction::Malloc, 4096 * MIB, node, STARTED_NS + 5);
    let limit = Limit {
        kind: LimitKind::AddressSpace,
        path: String::new(),
        ..limit(2048)
    };
    Case::new(
        Kind::AllocationFailedFatal,
        Some(limit),
        vec![(job, Measurements::default())],
    )
    .check(&PLAIN);
}

#[test]
fn of_a_killed_run_whose_resident_memory_was_measured() {
    let case = Case::new(Kind::OomKilledByCgroup, Some(limit(150)), vec![reserved(1)]);
    let truth = Truth {
        is_by_resident: true,
        ..alone("job.py:2 (fill)", 100 * MIB, 150 * MIB)
    };
    let run = Run {
        rank: Some(Rank::Resident),
        ..case.run.clone()
    };
    check(&run, &case.processes(), &truth);
    let bundle = case.bundled();
    let run = Run {
        rank: Some(Rank::Resident),
        ..bundle.run
    };
    check(&run, &bundle.processes, &truth);
}

#[test]
fn of_several_processes_that_were_killed() {
    let mut jobs = Vec::new();
    for pid in 1..=3u32 {
        let mut job = plain(pid);
        job.running();
        let node = job.stack(&[(SCRIPT, 30, "more")]);
        job.holds(node, u64::from(pid == 1) * 10 * MIB);
        jobs.push((job, Measurements::default()));
    }
    let truth = Truth {
        total: 110 * MIB,
        ..PLAIN
    };
    Case::new(Kind::OomKilledByCgroup, Some(limit(350)), jobs).check(&truth);
}

#[test]
fn of_a_run_that_grew() {
    let mut job = plain(1);
    let node = job.stack(&[(SCRIPT, 15, "grow")]);
    job.site(node, held(200), held(200), held(200));
    job.earlier(2_000_000_000, 50 * MIB, true);
    let case = Case::simple(job);
    let truth = alone("job.py:15 (grow)", 200 * MIB, 300 * MIB);
    case.check(&truth);
}

#[test]
fn of_call_sites_that_hold_the_same() {
    let mut job = Builder::new(1, &["python3", SCRIPT]);
    let [f, g] = [(SCRIPT, 3, "f"), (SCRIPT, 9, "g")];
    // The second has more with what it calls.
    for (stack, mib) in [(vec![f], 50), (vec![g], 50), (vec![g, (SCRIPT, 20, "h")], 30)] {
        let node = job.stack(&stack);
        job.holds(node, mib * MIB);
    }
    let truth = alone("job.py:3 (f)", 50 * MIB, 130 * MIB);
    Case::simple(job).check(&truth);
}

#[test]
fn of_a_program_without_python() {
    let mut job = Builder::new(1, &["/usr/bin/sort"]);
    let node = job.stack(&[("", 0, "[No Python stack]")]);
    job.holds(node, 80 * MIB);
    let truth = alone("[No Python stack]", 80 * MIB, 80 * MIB);
    Case::simple(job).check(&truth);
}

#[test]
fn of_a_damaged_recording() {
    let mut job = plain(1);
    job.holds(9999, 200 * MIB);
    let truth = alone("[damaged]", 200 * MIB, 300 * MIB);
    Case::simple(job).check(&truth);
}

#[test]
fn of_a_run_that_is_read_back_from_its_bundle() {
    let case = Case::simple(plain(1));
    let bundle = case.bundled();
    check(&bundle.run, &bundle.processes, &PLAIN);
}

#[test]
fn of_a_process_that_forked_and_inherited() {
    let mut child = Builder::new(2, &["python3", SCRIPT]);
    child.u32(offset_of!(Header, ppid), 1);
    child.u64(offset_of!(Header, inherited_bytes), 50 * MIB);
    let node = child.stack(&[(SCRIPT, 40, "work")]);
    child.holds(node, 5 * MIB);
    let jobs = vec![(plain(1), Measurements::default()), (child, Measurements::default())];
    Case::new(Kind::Finished, None, jobs).check(&PLAIN);
}

#[test]
fn of_a_run_of_which_nothing_was_recorded() {
    let case = Case::new(Kind::ExitedNonZero, None, Vec::new());
    let folder = tempfile::tempdir().unwrap();
    let written = report::write(&job::opened(folder.path()), &case.run, &[], &[], Occasion::Ended);
    assert_eq!(
        job::said(&written),
        ["The verdict is ExitedNonZero.", "No memory was recorded."]
    );
    assert_eq!(written.headline, None);
    let page = fs::read_to_string(&written.index).unwrap();
    assert!(page.contains("The verdict is ExitedNonZero.") && !page.contains("class=\"culprit\""));
    let report: Value = serde_json::from_slice(&fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(
        (&report["moment"], &report["call_sites"]),
        (&Value::Null, &serde_json::json!([]))
    );
    let mut merged = Merged::new();
    merged.add(&job::opened(folder.path()), &case.run, &[]);
    merged.write(&job::opened(folder.path())).unwrap();
    let merged: Value = serde_json::from_slice(&fs::read(folder.path().join("merged.json")).unwrap()).unwrap();
    assert_eq!(merged["runs"][0]["place"], Value::Null);
}

/// A bundle that was written before one model was behind all reports; its figures are those that its report had then.
#[test]
fn of_a_bundle_that_an_earlier_program_has_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bundle-1-measured.fil");
    let bundle = bundle::read(&Place::of(&path).unwrap()).unwrap();
    let truth = Truth {
        is_by_resident: true,
        is_at_the_peak: false,
        ..alone("oom.py:12 (index_rows)", 100 * MIB, 150 * MIB)
    };
    let folder = tempfile::tempdir().unwrap();
    let written = report::write(
        &job::opened(folder.path()),
        &bundle.run,
        &bundle.processes,
        &[],
        Occasion::Ended,
    );
    let said = job::said(&written);
    for line in [
        "In use at that moment: 150.0 MiB ± 2.5 MiB (in memory, of 1.1 GiB",
        " 66.7 %  100.0 MiB  oom.py:12 (index_rows)",
        " 33.3 %   50.0 MiB  oom.py:7 (load)",
        "                    in numpy/_core/numeric.py:235 (ones)",
        "                    asked for 1000.0 MiB",
        "In memory: 511.0 MiB = 0 B held by call sites + 511.0 MiB",
        "process 4712 (oom.py): Peak by phase: load 1.1 GiB",
    ] {
        assert!(said.iter().any(|known| known == line), "{line}: {said:#?}");
    }
    check_headline(&written, &truth);
    // Of the same moment as the culprit's share.
    assert_eq!(written.headline.unwrap().peak_bytes, 150 * MIB);
    check_page(&fs::read_to_string(&written.index).unwrap(), &bundle.run, &truth);
    assert_eq!(bundle.timeline.len(), 2);
    assert_eq!(bundle.timeline[1].processes[1].resident_bytes, 100_663_296);
}
