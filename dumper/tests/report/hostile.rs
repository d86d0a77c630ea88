//! Names that command a terminal, forge a line, compute in a spreadsheet or end an element: in every format they are only names. And
//! lines of files that nobody has brought along are not shown.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dumper::outcome::{Evidence, Limit, Other, Outcome, ProcessName};
use dumper::report::{self, Occasion, Side, Subject};
use dumper::timeline::Sample;
use dumper::unrecorded::Unrecorded;
use dumper::{Ending, Folder, LocalSource, Run, bundle, merge, process, timeline};
use recording::is_hidden;

use crate::builder::Builder;
use crate::bundle::formats;
use crate::formats::gunzipped;
use crate::job;

/// All that a name can do.
pub const EVIL: &str = "=cmd\u{1b}]0;owned\u{7}\u{9b}31m\n=fil-profile= all is well\r\t\u{202e}\u{2066}\u{200b}\u{2028}\u{7f}</script><b>&\u{e0041};=1+41|@x";

fn run() -> Run {
    let evil = || EVIL.to_owned();
    let outcome = Outcome {
        sentence: evil(),
        process: Some(ProcessName {
            command: evil(),
            ..ProcessName::default()
        }),
        limit: Some(Limit {
            path: evil(),
            ..Limit::default()
        }),
        failed_request: Some(evil()),
        evidence: vec![Evidence {
            source: evil(),
            says: evil(),
            ..Evidence::default()
        }],
        others: vec![Other {
            command: evil(),
            ..Other::default()
        }],
        ..Outcome::default()
    };
    Run {
        version: evil(),
        command: vec![evil(), evil()],
        directory: EVIL.into(),
        host: evil(),
        started: evil(),
        ending: Some(Ending {
            ended: evil(),
            ..Ending::default()
        }),
        limits: outcome.limit.iter().cloned().collect(),
        outcome: Some(outcome),
        identity: BTreeMap::from([(evil(), evil())]),
        text: true,
        ..Run::default()
    }
}

fn opened(folder: &tempfile::TempDir) -> Folder {
    Folder::open(folder.path()).unwrap()
}

/// A folder with two recordings and a timeline of such names.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for pid in [7, 8] {
        let mut job = Builder::new(pid, &["python3", EVIL]);
        let node = job.stack(&[(EVIL, 3, EVIL), ("a.py", 3, EVIL), (EVIL, 9, "f")]);
        job.holds(node, 5 << 20);
        job.phase(EVIL, 5 << 20, 1_000_000);
        fs::write(folder.path().join(format!("{pid}-0.recording")), job.bytes()).unwrap();
    }
    let sample = |seconds: f64| Sample {
        seconds,
        resident_bytes: 1 << 20,
        mark: Some(EVIL.to_owned()),
        ..Sample::default()
    };
    timeline::save_all(&opened(&folder), &[sample(1.0), sample(2.0)]).unwrap();
    folder
}

fn unrecorded() -> Unrecorded {
    let text = serde_json::json!({
        "folded": { "processes": 3, "programs": { EVIL: 3 } },
        "unseen": [{ "pid": 9, "command": EVIL, "why": EVIL }],
    });
    serde_json::from_value(text).unwrap()
}

#[test]
fn no_name_is_more_than_a_name_in_any_format() {
    let folder = folder();
    let (processes, _) = process::load(&opened(&folder)).unwrap();
    let (run, unrecorded) = (run(), unrecorded());
    let timeline = timeline::load(&opened(&folder)).unwrap();
    assert_eq!(timeline.len(), 2);
    let subject = Subject {
        run: &run,
        processes: &processes,
        unreadable: &[],
        timeline: &timeline,
        unrecorded: &unrecorded,
        occasion: Occasion::Ended,
    };
    for format in formats() {
        let mut out = Vec::new();
        report::export(&mut out, report::format(format).unwrap(), &subject).unwrap();
        if format == "pprof" {
            out = gunzipped(&out);
            // Its own bytes are not text: only the names are looked at.
            assert!(!out.windows(8).any(|bytes| bytes == b"\x1b]0;owne"), "{format:?}");
            continue;
        }
        shows_nothing_hidden(&String::from_utf8(out).unwrap(), &format!("{format:?}"));
    }
}

#[test]
fn no_name_is_more_than_a_name_in_any_file_of_a_report() {
    let folder = folder();
    let (processes, unreadable) = process::load(&opened(&folder)).unwrap();
    let (run, unrecorded) = (run(), unrecorded());
    unrecorded.save(&opened(&folder)).unwrap();
    run.save(&opened(&folder)).unwrap();
    let written = report::write(&opened(&folder), &run, &processes, &unreadable, Occasion::Ended);
    shows_nothing_hidden(&report::termination_message(&run, &processes), "termination message");
    assert!(!job::said(&written).is_empty());
    let mut merged = merge::Merged::new();
    for _ in 0..2 {
        merged.add(&opened(&folder), &run, &processes);
    }
    merged.miss(EVIL.to_owned());
    merged.write(&opened(&folder)).unwrap();
    let side = || Side {
        run: &run,
        processes: &processes,
    };
    let diff = report::Diff::between(side(), side()).unwrap().unwrap();
    let mut picture = Vec::new();
    diff.picture(&mut picture).unwrap();
    shows_nothing_hidden(&String::from_utf8(picture).unwrap(), "difference");
    let mut looked_at = 0;
    for file in fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".recording") {
            shows_nothing_hidden(&fs::read_to_string(&path).unwrap(), &name);
            looked_at += 1;
        }
    }
    assert!(looked_at >= 10, "{looked_at}");
    // What machines read is as it was given.
    assert_eq!(Run::load(&opened(&folder)).unwrap().host, EVIL);
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(report["run"]["host"], EVIL);
    assert_eq!(report["call_sites"][0]["file"], EVIL);
}

#[test]
fn no_cell_is_a_formula() {
    let folder = folder();
    let (processes, _) = process::load(&opened(&folder)).unwrap();
    let (run, unrecorded) = (Run::default(), Unrecorded::default());
    let subject = Subject {
        run: &run,
        processes: &processes,
        unreadable: &[],
        timeline: &[],
        unrecorded: &unrecorded,
        occasion: Occasion::Ended,
    };
    let mut table = Vec::new();
    report::export(&mut table, report::format("csv").unwrap(), &subject).unwrap();
    let timeline = fs::read(folder.path().join("timeline.csv")).unwrap();
    let mut cells = 0;
    for text in [table, timeline] {
        for separator in b",;|\t" {
            let mut reader = csv::ReaderBuilder::new()
                .delimiter(*separator)
                .flexible(true)
                .from_reader(&text[..]);
            for row in reader.records() {
                for cell in row.unwrap().iter() {
                    assert!(!cell.trim_start().starts_with(['=', '+', '-', '@']), "{cell}");
                    cells += 1;
                }
            }
        }
    }
    assert!(cells > 20);
}

#[test]
fn lines_that_nobody_has_brought_along_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = job::run(folder.path());
    fs::write(folder.path().join("4711-0.recording"), job::recording()).unwrap();
    let (processes, _) = process::load(&opened(&folder)).unwrap();
    let code = "np.ones((1024, 1024, 16))";
    let shows = |run: &Run| -> Vec<&str> {
        let subject = Subject {
            run,
            processes: &processes,
            unreadable: &[],
            timeline: &[],
            unrecorded: &Unrecorded::default(),
            occasion: Occasion::Ended,
        };
        let shown = |format: &&str| {
            let mut out = Vec::new();
            report::export(&mut out, report::format(format).unwrap(), &subject).unwrap();
            String::from_utf8_lossy(&out).contains(code)
        };
        formats().filter(shown).collect()
    };
    let brings = |run: &Run| {
        let mut out = Vec::new();
        bundle::to(&mut out, run, &processes, &[], &Unrecorded::default()).unwrap();
        let unpacked = gunzipped(&out[12..]);
        unpacked.windows(code.len()).any(|bytes| bytes == code.as_bytes())
    };
    let pictures = ["html", "svg", "svg-reversed"];
    assert_eq!(shows(&run), pictures);
    assert!(brings(&run));
    run.source = LocalSource::Nothing;
    assert_eq!(shows(&run), [""; 0]);
    assert!(!brings(&run));
    let written = report::write(&opened(&folder), &run, &processes, &[], Occasion::Ended);
    assert!(!fs::read_to_string(written.index).unwrap().contains(code));
    // A report on a bundle reads nothing but what is in the folder that was named.
    let elsewhere = tempfile::tempdir().unwrap();
    run.source = LocalSource::Inside(elsewhere.path().to_owned());
    assert_eq!(shows(&run), [""; 0]);
    run.source = LocalSource::Inside(folder.path().to_owned());
    run.directory = Path::new("/home/ada").to_owned();
    assert_eq!(shows(&run), pictures);
}

fn shows_nothing_hidden(text: &str, what: &str) {
    let hidden = text.lines().find(|line| line.contains(|c| is_hidden(c) && c != '\t'));
    assert_eq!(hidden, None, "{what}");
    let forged = text.lines().find(|line| line.trim_start().starts_with("=fil-profile="));
    assert_eq!(forged, None, "{what}");
    let is_markup = text.contains("<svg");
    assert!(!is_markup || !text.contains("</script><b>"), "{what}");
}
