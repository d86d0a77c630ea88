//! The message for Kubernetes: there if the job ran out of memory, and the file was.

use std::fs;

use recording::{STATE_ENDED, STATE_OOM_EXIT};

use crate::place::Place;
use crate::recordings::{Recorded, leaving};

/// Runs a job under `--on-oom=exit` that leaves a recording in this state; returns what is in the file afterwards.
fn message(place: &Place, state: u32, status: i32) -> Option<String> {
    let recording = Recorded {
        pid: 7,
        state,
        peak_bytes: 9 << 20,
    };
    recording.save(&place.path("7.recording"));
    let script = leaving("7.recording", &format!("exit {status}"));
    let mut command = place.command(&["--on-oom=exit", "run", "sh", "-c", &script]);
    let log = place.path("log");
    let ended = command.env("FIL_PROFILE_TERMINATION_LOG", &log).output().unwrap();
    assert_eq!(ended.status.code(), Some(status));
    fs::read_to_string(log).ok()
}

#[test]
fn a_job_that_ran_out_of_memory_leaves_the_verdict() {
    let place = Place::with_library();
    fs::write(place.path("log"), "").unwrap();
    let message = message(&place, STATE_OOM_EXIT, 53).unwrap();
    assert!(message.contains("--on-oom=exit"), "{message}");
    assert!(
        message.len() < 4096 && message.lines().all(|line| line.starts_with("=fil-profile= ")),
        "{message}"
    );
}

#[test]
fn a_job_that_did_not_leaves_the_file_alone_and_none_is_made() {
    let place = Place::with_library();
    assert_eq!(message(&place, STATE_OOM_EXIT, 53), None);
    fs::write(place.path("log"), "own words\n").unwrap();
    assert_eq!(message(&place, STATE_ENDED, 3).as_deref(), Some("own words\n"));
}
