//! A report of a running job from outside, in a folder of its own.

use std::fs;
use std::path::Path;

use recording::STATE_RUNNING;

use crate::place::Place;
use crate::recordings::{Recorded, leaving};

fn snapshots(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let snapshots = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("snapshot-"));
    snapshots
        .filter(|entry| entry.path().join("index.html").exists())
        .count()
}

#[test]
fn a_job_is_found_by_its_process_its_supervisors_and_its_folder() {
    let place = Place::with_library();
    let recording = Recorded {
        pid: 7,
        state: STATE_RUNNING,
        peak_bytes: 9 << 20,
    };
    recording.save(&place.path("7.recording"));
    let script = leaving("7.recording", "echo $$; read line; exit 4");
    let mut running = place.start(&["run", "sh", "-c", &script]);
    let job = running.line();
    let folder = place.run_folder();
    let supervisor = running.pid().to_string();
    let names = [job.as_str(), &supervisor, folder.to_str().unwrap(), "fil-result"];
    for (before, name) in names.into_iter().enumerate() {
        let outcome = place.run(&["snapshot", name]);
        assert_eq!(outcome.status, Some(0), "{name}: {outcome:?}");
        assert!(outcome.stderr.contains("so far"), "{name}: {outcome:?}");
        assert_eq!(snapshots(&folder), before + 1, "{name}");
    }
    assert!(!folder.join("index.html").exists());
    assert_eq!(running.end().status, Some(4));
}

#[test]
fn what_is_no_job_is_told_apart_from_one_without_recordings() {
    let place = Place::with_library();
    let mut running = place.start(&["run", "sh", "-c", "echo $$; read line"]);
    let job = running.line();
    for (name, said) in [
        (job.as_str(), "nothing has been recorded so far"),
        (&std::process::id().to_string(), "not part of a run"),
        ("999999999", "no such process"),
        ("missing", "no such file or folder"),
        ("bin", "no run in this folder"),
    ] {
        let outcome = place.run(&["snapshot", name]);
        assert_eq!(
            (outcome.status, outcome.said().len()),
            (Some(1), 1),
            "{name}: {outcome:?}"
        );
        assert!(outcome.stderr.contains(said), "{name}: {outcome:?}");
    }
    running.end();
}
