//! `report.json`: as the schema says, and what it says.

use std::fs;
use std::path::Path;

use dumper::report::Occasion;
use dumper::{Run, process, report};
use serde_json::{Value, json};

use crate::builder::Builder;
use crate::job;

const SCHEMA: &str = include_str!("../../schema/report.schema.json");

/// The schema; a `strict` one allows nothing that it does not describe.
fn schema(strict: bool) -> jsonschema::Validator {
    validator(SCHEMA, strict)
}

pub fn validator(schema: &str, strict: bool) -> jsonschema::Validator {
    let mut schema: Value = serde_json::from_str(schema).unwrap();
    if strict {
        forbid_more(&mut schema);
    }
    jsonschema::validator_for(&schema).unwrap()
}

fn forbid_more(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(forbid_more);
            if fields
                .get("properties")
                .is_some_and(|properties| properties.get("type").is_none_or(Value::is_object))
            {
                fields.insert("additionalProperties".into(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_more),
        _ => {}
    }
}

fn report_json(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap()
}

fn reported(run: fn(&Path) -> Run, recordings: &[Vec<u8>], occasion: Occasion) -> Value {
    let folder = tempfile::tempdir().unwrap();
    job::report(folder.path(), &run(folder.path()), recordings, occasion);
    report_json(folder.path())
}

fn reports() -> Vec<Value> {
    let nothing = |_: &Path| Run::default();
    vec![
        reported(job::run, &[job::recording()], Occasion::Ended),
        reported(job::killed_run, &[job::killed(), job::recording()], Occasion::Ended),
        reported(nothing, &[job::killed()], Occasion::NearLimit),
        reported(nothing, &[], Occasion::Ended),
    ]
}

#[test]
fn every_report_keeps_to_the_schema_and_has_nothing_undocumented() {
    let schema = schema(true);
    for report in reports() {
        let errors: Vec<String> = schema.iter_errors(&report).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}\n{report:#}", errors.join("\n"));
    }
}

#[test]
fn the_schema_notices_what_is_wrong_and_bears_what_is_added() {
    let report = reported(job::killed_run, &[job::killed()], Occasion::Ended);
    let schema = schema(false);
    let altered = |pointer: &str, value: Value| {
        let mut altered = report.clone();
        *altered.pointer_mut(pointer).unwrap() = value;
        schema.is_valid(&altered)
    };
    assert!(altered("/format", json!(1)));
    assert!(!altered("/format", json!(2)));
    assert!(!altered("/outcome/kind", json!("abducted")));
    assert!(!altered("/outcome/limit/bytes", json!("512 MiB")));
    assert!(!altered("/call_sites/0/bytes", json!(-1)));
    assert!(!altered("/processes/0/pid", json!(null)));
    assert!(!altered("/timeline", json!(null)));
    let mut less = report.clone();
    less.as_object_mut().unwrap().remove("ledger");
    assert!(!schema.is_valid(&less));
    let mut more = report.clone();
    more["novelty"] = json!(1);
    assert!(schema.is_valid(&more));
}

#[test]
fn the_outcome_is_the_runs_and_knows_the_request_that_failed_before() {
    let report = reported(job::killed_run, &[job::killed()], Occasion::Ended);
    assert_eq!(report["outcome"]["kind"], "oom_killed_by_cgroup");
    assert_eq!(report["outcome"]["limit"]["usage"], 511 << 20);
    let failed = report["outcome"]["failed_request"].as_str().unwrap();
    assert!(
        failed.starts_with("mmap of 8.0 GiB failed at numpy/_core/numeric.py:235 (ones)"),
        "{failed}"
    );
    assert_eq!(report["run"]["identity"]["SLURM_JOB_ID"], "42");
}

#[test]
fn call_sites_are_those_of_the_moment_that_is_named() {
    let report = reported(job::killed_run, &[job::killed()], Occasion::Ended);
    assert_eq!(report["moment"]["name"], "end");
    assert_eq!(report["moment"]["bytes"], 428 << 20);
    assert_eq!(report["ledger"]["tracked_bytes"], 428 << 20);
    assert_eq!(report["ledger"]["arena_bytes"], 40 << 20);
    let first = &report["call_sites"][0];
    assert_eq!(first["bytes"], 384 << 20);
    assert_eq!(first["line"], 235);
    assert_eq!(first["caller"], "oom.py:7 (load)");
    assert_eq!(first["share"].as_f64(), Some(384.0 / 428.0));

    let failed = reported(job::run, &[job::recording()], Occasion::Ended);
    assert_eq!(failed["moment"]["name"], "allocation_failed");
    let nameless = failed["call_sites"]
        .as_array()
        .unwrap()
        .iter()
        .find(|site| site["file"].is_null());
    assert_eq!(nameless.unwrap()["function"], "[No Python stack]");
}

#[test]
fn of_very_many_call_sites_the_largest_are_listed() {
    let mut job = Builder::new(1, &["a"]);
    for line in 1..=500 {
        let node = job.stack(&[("a.py", line, "f")]);
        job.holds(node, line.into());
    }
    let report = reported(|_| Run::default(), &[job.bytes()], Occasion::Ended);
    let sites = report["call_sites"].as_array().unwrap();
    assert_eq!(sites.len(), 200);
    assert_eq!((&sites[0]["line"], &sites[199]["line"]), (&json!(500), &json!(301)));
}

#[test]
fn files_that_are_no_recordings_are_named_and_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut newer = job::recording();
    newer[std::mem::offset_of!(recording::Header, version)] = 9;
    fs::write(folder.path().join("7-0.recording"), newer).unwrap();
    fs::write(folder.path().join("8-0.recording"), "half a head").unwrap();
    let whole = job::recording();
    fs::write(folder.path().join("9-0.recording"), &whole[..whole.len() - 100_000]).unwrap();
    let written = job::report(
        folder.path(),
        &job::run(folder.path()),
        &[job::recording()],
        Occasion::Ended,
    );
    let report = report_json(folder.path());
    let named = |list: &str| -> Vec<String> {
        let concerns = report[list].as_array().unwrap().iter();
        concerns
            .map(|concern| concern["recording"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(named("trouble"), ["7-0.recording", "8-0.recording"]);
    assert!(named("damage").iter().all(|name| name == "9-0.recording"));
    assert!(!named("damage").is_empty());
    assert_eq!(report["processes"].as_array().unwrap().len(), 2);
    let page = fs::read_to_string(written.index).unwrap();
    assert!(page.contains("7-0.recording: the recording has layout 9"), "{page}");
    assert!(written.out_of_memory.is_some());
}

#[test]
fn a_recording_that_vanishes_after_it_was_found_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1-0.recording");
    fs::write(&path, job::recording()).unwrap();
    let (processes, unreadable) = process::load(&crate::job::opened(folder.path())).unwrap();
    fs::remove_file(path).unwrap();
    report::write(
        &crate::job::opened(folder.path()),
        &Run::default(),
        &processes,
        &unreadable,
        Occasion::Ended,
    );
    let report = report_json(folder.path());
    assert_eq!(report["trouble"][0]["recording"], "1-0.recording");
    assert_eq!(report["moment"], Value::Null);
}
