//! Many runs as one: what is written, and that it is as the schema says.

use std::fs;
use std::path::Path;

use dumper::merge::Merged;
use dumper::outcome::{Kind, Limit, Outcome};
use dumper::{Run, process};
use serde_json::{Value, json};

use crate::builder::Builder;
use crate::json::validator;

const SCHEMA: &str = include_str!("../../schema/merged.schema.json");
const MIB: u64 = 1 << 20;

fn task(number: u64, killed: bool) -> Run {
    let limit = Limit {
        bytes: 100 * MIB,
        usage: Some(100 * MIB),
        ..Limit::default()
    };
    Run {
        identity: [("JOB_COMPLETION_INDEX".to_owned(), number.to_string())].into(),
        outcome: Some(Outcome {
            kind: if killed {
                Kind::OomKilledByCgroup
            } else {
                Kind::Finished
            },
            limit: killed.then_some(limit),
            ..Outcome::default()
        }),
        ..Run::default()
    }
}

/// A recording of one stack that holds so much.
fn recording(line: u32, bytes: u64) -> Vec<u8> {
    let mut builder = Builder::new(7, &["python3", "job.py"]);
    let node = builder.stack(&[("job.py", 1, "main"), ("job.py", line, "load")]);
    builder.holds(node, bytes);
    builder.running();
    builder.bytes()
}

fn merged(tasks: &[(Run, Vec<u8>)]) -> (Value, Vec<String>, String) {
    let place = tempfile::tempdir().unwrap();
    let mut merged = Merged::new();
    for (number, (run, recording)) in tasks.iter().enumerate() {
        let folder = place.path().join(number.to_string());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("7-0.recording"), recording).unwrap();
        merged.add(
            &crate::job::opened(&folder),
            run,
            &process::load(&crate::job::opened(&folder)).unwrap().0,
        );
    }
    let written = merged.write(&crate::job::opened(place.path())).unwrap();
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let report: Value = serde_json::from_str(&read(&place.path().join("merged.json"))).unwrap();
    let errors: Vec<_> = validator(SCHEMA, true)
        .iter_errors(&report)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, [""; 0], "{report:#}");
    assert_eq!(
        read(&place.path().join("merged.txt")).lines().collect::<Vec<_>>(),
        written.summary
    );
    assert!(written.picture.ends_with("merged.svg") && written.picture.exists());
    (report, written.summary, read(&place.path().join("merged.prof")))
}

#[test]
fn what_the_killed_held_is_added_up_and_what_they_need_is_not_known() {
    let tasks = [
        (task(1, true), recording(5, 80 * MIB)),
        (task(0, false), recording(5, 10 * MIB)),
        (task(2, true), recording(5, 70 * MIB)),
    ];
    let (report, summary, stacks) = merged(&tasks);
    assert_eq!(report["ran_out"], json!(["index 1", "index 2"]));
    assert_eq!(report["stacks"].as_array().unwrap().len(), 1);
    assert_eq!(
        report["enough_for_all"],
        json!({ "bytes": 100 * MIB, "at_least": true })
    );
    assert_eq!(stacks, format!("job.py:1 (main);job.py:5 (load) {}\n", 150 * MIB));
    assert_eq!(
        summary[..2],
        [
            "2 of 3 tasks ran out of memory: index 1, index 2.",
            "All of them while the same callstack held the most, at job.py:5 (load)."
        ]
    );
}

#[test]
fn where_none_ran_out_the_peaks_are_added_up() {
    let (report, summary, stacks) = merged(&[
        (task(0, false), recording(5, 30 * MIB)),
        (task(1, false), recording(6, 10 * MIB)),
    ]);
    assert_eq!(report["ran_out"], json!([]));
    assert_eq!(
        report["enough_for_all"],
        json!({ "bytes": 30 * MIB, "at_least": false })
    );
    assert_eq!(stacks.lines().count(), 2, "{stacks}");
    assert_eq!(summary[0], "None of 2 tasks ran out of memory.");
    assert!(
        summary
            .iter()
            .any(|line| line == "Enough for all of them: 30.0 MiB (--mem=30M)."),
        "{summary:?}"
    );
}

#[test]
fn two_places_are_two_groups() {
    let tasks = [
        (task(0, true), recording(5, 80 * MIB)),
        (task(1, true), recording(6, 80 * MIB)),
        (task(2, true), recording(6, 80 * MIB)),
    ];
    let (report, summary, _) = merged(&tasks);
    let tasks: Vec<_> = report["stacks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stack| &stack["tasks"])
        .collect();
    assert_eq!(tasks, [&json!(["index 1", "index 2"]), &json!(["index 0"])]);
    assert_eq!(summary[1], "Not all while the same callstack held the most:");
}
