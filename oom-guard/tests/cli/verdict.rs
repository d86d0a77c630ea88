//! What became of the job: at the end of run.json, and first on stderr.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use recording::{STATE_ENDED, STATE_RUNNING};

use crate::place::Place;
use crate::recordings::{Recorded, leaving};

#[test]
fn every_end_has_its_kind() {
    for (script, kind) in [
        ("exit 0", "finished"),
        ("exit 7", "exited_non_zero"),
        ("kill -SEGV $$", "crashed"),
        ("kill -TERM $$", "terminated"),
        ("kill -40 $$", "terminated"),
    ] {
        let place = Place::with_library();
        place.run(&["run", "sh", "-c", script]);
        let run = place.run_json();
        assert!(run.contains(&format!("\"kind\": \"{kind}\"")), "{script}: {run}");
        assert!(run.contains("\"report_written\": true"), "{run}");
        assert!(!place.run_folder().join("lock").exists());
    }
}

#[test]
fn a_job_killed_by_somebody_was_not_killed_for_memory() {
    let place = Place::with_library();
    let outcome = place.run(&["run", "sh", "-c", "kill -KILL $$"]);
    assert_eq!(outcome.signal, Some(Signal::SIGKILL as i32));
    let said = outcome.said().join(" ");
    assert!(said.starts_with("The job (sh -c 'kill -KILL $$', process "), "{said}");
    assert!(said.contains("SIGKILL"), "{said}");
    assert!(!place.run_folder().join("out-of-memory.svg").exists());
}

#[test]
fn a_job_that_merely_fails_is_told_without_counters_that_did_not_move() {
    let place = Place::with_library();
    let outcome = place.run(&["run", "sh", "-c", "exit 7"]);
    assert_eq!(outcome.status, Some(7));
    let said = outcome.said().join(" ");
    for noise in ["oom_kill", "wait4", "/proc/vmstat"] {
        assert!(!said.contains(noise), "{said}");
    }
    // The report has them all the same.
    let run = place.run_json();
    assert!(run.contains("oom_kill: the OOM killer killed nobody"), "{run}");
}

#[test]
fn whoever_sent_the_signal_is_named() {
    let place = Place::with_library();
    let mut running = place.start(&["run", "sh", "-c", "echo ready; read line"]);
    assert_eq!(running.line(), "ready");
    running.signal(Signal::SIGTERM);
    let outcome = running.outcome();
    assert_eq!(outcome.signal, Some(Signal::SIGTERM as i32));
    let sender = format!("(process {})", std::process::id());
    // Wherever the line was broken.
    let said = outcome
        .said()
        .join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(said.contains(&sender), "{outcome:?}");
}

#[test]
fn sigterm_makes_a_report_before_the_job_has_ended() {
    let place = Place::with_library();
    let recording = Recorded {
        pid: 7,
        state: STATE_RUNNING,
        peak_bytes: 9 << 20,
    };
    recording.save(&place.path("7.recording"));
    let script = leaving(
        "7.recording",
        "trap 'echo asked' TERM; echo ready; read line; read line; exit 3",
    );
    let mut running = place.start(&["run", "sh", "-c", &script]);
    assert_eq!(running.line(), "ready");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.line(), "asked");
    assert!(running.complaint().contains("the report so far"));
    assert!(place.run_folder().join("index.html").exists());
    assert_eq!(running.end().status, Some(3));
}

#[test]
fn the_timeline_says_what_happened_when() {
    let place = Place::with_library();
    let mut running = place.start(&[
        "run",
        "sh",
        "-c",
        "trap 'echo asked' TERM; echo ready; read line; read line",
    ]);
    assert_eq!(running.line(), "ready");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.line(), "asked");
    let resident = |row: &str| row.split(',').nth(2).and_then(|bytes| bytes.parse::<u64>().ok());
    let has_all = |timeline: &str| {
        timeline.lines().any(|row| row.ends_with(",SIGTERM"))
            && timeline.lines().any(|row| resident(row) > Some(1 << 16))
    };
    let path = place.run_folder().join("timeline.csv");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !fs::read_to_string(&path).is_ok_and(|timeline| has_all(&timeline)) {
        assert!(Instant::now() < deadline, "{:?}", fs::read_to_string(&path));
        std::thread::yield_now();
    }
    running.end();
}

#[test]
fn recordings_with_nothing_to_add_go_after_the_report() {
    let place = Place::with_library();
    for (pid, peak_bytes) in [(7, 90 << 20), (8, 20 << 10), (9, 4 << 20)] {
        let recording = Recorded {
            pid,
            state: STATE_ENDED,
            peak_bytes,
        };
        recording.save(&place.path(&format!("{pid}-0.recording")));
    }
    place.run(&["run", "sh", "-c", "cp *.recording $FIL_PROFILE_RUN"]);
    let folder = place.run_folder();
    assert!(!folder.join("8-0.recording").exists());
    for kept in ["7-0.recording", "9-0.recording", "report.json"] {
        assert!(folder.join(kept).exists(), "{kept}");
    }
}
