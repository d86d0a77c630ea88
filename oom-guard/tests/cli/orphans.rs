//! A run that was killed with its supervisor is reported by the next one, and no run that goes on is taken for one.

use std::fs;

use nix::sys::signal::Signal;
use recording::STATE_RUNNING;

use crate::place::{Place, Running};
use crate::recordings::{Recorded, leaving};

const FOUND: &str = "found a run that ended without a report";

fn started(place: &Place) -> Running {
    let recording = Recorded {
        pid: 7,
        state: STATE_RUNNING,
        peak_bytes: 9 << 20,
    };
    recording.save(&place.path("7.recording"));
    let script = leaving("7.recording", "echo ready; read line; exit 4");
    let mut running = place.start(&["run", "sh", "-c", &script]);
    assert_eq!(running.line(), "ready");
    running
}

#[test]
fn the_next_run_reports_a_run_that_ended_without_a_report_once() {
    let place = Place::with_library();
    let running = started(&place);
    let folder = place.run_folder();
    running.kill_all();
    assert!(!folder.join("index.html").exists());

    let next = place.run(&["run", "sh", "-c", "exit 7"]);
    assert_eq!(next.status, Some(7));
    assert!(next.said()[0].starts_with(FOUND), "{next:?}");
    assert!(
        next.stderr.contains("index.html") || next.stderr.contains("out-of-memory.svg"),
        "{next:?}"
    );
    let run = fs::read_to_string(folder.join("run.json")).unwrap();
    assert!(run.contains("\"everything_killed\""), "{run}");
    assert!(folder.join("index.html").exists());
    for left in ["lock", "message-pipe"] {
        assert!(!folder.join(left).exists(), "{left}");
    }
    let third = place.run(&["run", "sh", "-c", "exit 7"]);
    assert!(!third.stderr.contains(FOUND), "{third:?}");
}

#[test]
fn whoever_told_the_job_to_end_before_all_were_killed_is_named() {
    let place = Place::with_library();
    let recording = Recorded {
        pid: 7,
        state: STATE_RUNNING,
        peak_bytes: 9 << 20,
    };
    recording.save(&place.path("7.recording"));
    let script = leaving(
        "7.recording",
        "trap 'echo asked' TERM; echo ready; read line; read line",
    );
    let mut running = place.start(&["run", "sh", "-c", &script]);
    assert_eq!(running.line(), "ready");
    running.signal(Signal::SIGTERM);
    assert!(running.complaint().contains("the report so far"));
    running.kill_all();
    let next = place.run(&["run", "sh", "-c", "exit 7"]);
    let program = std::env::current_exe().unwrap();
    let sender = format!("after SIGTERM from {}", program.file_name().unwrap().display());
    assert!(next.stderr.contains(&sender), "{next:?}");
}

#[test]
fn two_runs_at_once_do_not_take_each_other_for_dead() {
    let place = Place::with_library();
    let running = started(&place);
    let other = place.run(&["run", "sh", "-c", "exit 7"]);
    assert!(!other.stderr.contains(FOUND), "{other:?}");
    assert_eq!(running.end().status, Some(4));
}

#[test]
fn a_report_that_is_asked_for_is_not_written_again_by_the_next_run() {
    let place = Place::with_library();
    let running = started(&place);
    let folder = place.run_folder();
    running.kill_all();
    let outcome = place.run(&["report", folder.to_str().unwrap()]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("supervisor were both killed"), "{outcome:?}");
    let next = place.run(&["run", "sh", "-c", "exit 7"]);
    assert!(!next.stderr.contains(FOUND), "{next:?}");
}

#[test]
fn a_run_is_reported_on_another_machine_too() {
    let place = Place::with_library();
    started(&place).kill_all();
    // As it would be after copying: another place, and a lock that some other machine's process held.
    let elsewhere = Place::with_library();
    let folder = elsewhere.path("copied");
    fs::rename(place.run_folder(), &folder).unwrap();
    fs::write(folder.join("lock"), "elsewhere\nboot\n1\n1\nlocked\n").unwrap();
    for path in ["copied", "."] {
        let outcome = elsewhere.run(&["report", path]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        assert!(folder.join("index.html").exists());
    }
    let recording = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let recording = recording
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "recording"));
    let outcome = elsewhere.run(&["report", recording.unwrap().to_str().unwrap()]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
}

#[test]
fn a_report_on_a_run_that_goes_on_leaves_its_end_to_its_supervisor() {
    let place = Place::with_library();
    let running = started(&place);
    let outcome = place.run(&["report"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("so far"), "{outcome:?}");
    assert!(place.run_json().contains("\"report_written\": false"));
    assert_eq!(running.end().status, Some(4));
    assert!(place.run_json().contains("\"report_written\": true"));
}
