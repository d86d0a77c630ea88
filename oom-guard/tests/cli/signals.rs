//! The supervisor passes on what is sent to it, once, and does what is asked of itself.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::place::{Place, Running};

/// Prints the name of each signal it gets and each line it reads; `end` ends it with status 4.
const LISTENER: &str = "for signal in TERM INT HUP QUIT USR1; do trap \"echo $signal\" $signal; done
    echo ready
    while :; do
        line=
        read line
        case $line in
            end) exit 4;;
            ?*) echo $line;;
        esac
    done";

fn listener(place: &Place) -> Running {
    let mut running = place.start(&["run", "sh", "-c", LISTENER]);
    assert_eq!(running.line(), "ready");
    running
}

#[test]
fn a_signal_is_passed_on_once() {
    let place = Place::with_library();
    let mut running = listener(&place);
    for (signal, name) in [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGQUIT, "QUIT"),
        (Signal::SIGUSR1, "USR1"),
    ] {
        running.signal(signal);
        // What is passed on twice would be seen instead of the next name.
        assert_eq!(running.heard(), name);
    }
    running.type_line("");
    running.type_line("end");
    let outcome = running.end();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(4), ""));
}

#[test]
fn a_signal_to_the_process_group_is_not_passed_on_a_second_time() {
    let place = Place::with_library();
    let mut running = listener(&place);
    let group = Pid::from_raw(running.pid().as_raw());
    for _ in 0..20 {
        for (signal, name) in [
            (Signal::SIGTERM, "TERM"),
            (Signal::SIGINT, "INT"),
            (Signal::SIGHUP, "HUP"),
        ] {
            killpg(group, signal).unwrap();
            assert_eq!(running.heard(), name);
            // It has had its time to come again before what is sent to us alone, which still arrives.
            running.signal(Signal::SIGUSR1);
            assert_eq!(running.heard(), "USR1", "after {name}");
        }
    }
    running.type_line("end");
    let outcome = running.end();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(4), ""));
    // Who asked the job to end is known all the same.
    let sender = format!("SIGHUP from process {}", std::process::id());
    let run = place.run_json();
    assert!(run.contains(&sender), "{run}");
}

#[test]
fn a_signal_to_a_group_that_the_job_has_left_is_passed_on() {
    let place = Place::with_library();
    let script = "exec setsid sh -c \"$0\"";
    let mut running = place.start(&["run", "sh", "-c", script, LISTENER]);
    assert_eq!(running.line(), "ready");
    killpg(running.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(running.heard(), "TERM");
    running.type_line("end");
    assert_eq!(running.end().status, Some(4));
}

#[test]
fn a_job_that_dies_of_a_signal_passed_on_is_our_death() {
    let place = Place::with_library();
    let mut running = place.start(&["run", "sh", "-c", "echo ready; read line"]);
    assert_eq!(running.line(), "ready");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.outcome().signal, Some(Signal::SIGTERM as i32));
}

#[test]
fn sigusr2_asks_for_a_report_and_does_not_reach_the_job() {
    let place = Place::with_library();
    let mut running = listener(&place);
    running.signal(Signal::SIGUSR2);
    assert!(running.complaint().contains("nothing has been recorded so far"));
    running.type_line("end");
    assert_eq!(running.end().status, Some(4));
}

#[test]
fn the_doorbell_asks_for_a_report() {
    let place = Place::with_library();
    let mut running = listener(&place);
    for ring in ["nonsense\n", "report x\n", "report 1\n"] {
        fs::write(place.run_folder().join("doorbell"), ring).unwrap();
    }
    assert!(running.complaint().contains("nothing has been recorded so far"));
    running.type_line("end");
    let outcome = running.end();
    assert_eq!((outcome.status, outcome.said().len()), (Some(4), 1), "{outcome:?}");
}

#[test]
fn an_unreadable_recording_is_named_and_changes_nothing() {
    let place = Place::with_library();
    let outcome = place.run(&[
        "run",
        "sh",
        "-c",
        "echo nonsense > $FIL_PROFILE_RUN/1-0.recording; exit 7",
    ]);
    assert_eq!(outcome.status, Some(7));
    assert!(outcome.said()[0].contains("1-0.recording"), "{outcome:?}");
}

#[test]
fn what_the_job_sends_to_us_does_not_come_back() {
    let place = Place::with_library();
    let script = format!("kill -USR1 $PPID; {LISTENER}");
    let mut running = place.start(&["run", "sh", "-c", &script]);
    assert_eq!(running.line(), "ready");
    running.signal(Signal::SIGTERM);
    // Both are taken in the order of their numbers, so a USR1 that came back would be seen first.
    assert_eq!(running.heard(), "TERM");
    running.type_line("end");
    assert_eq!(running.end().status, Some(4));
}

#[test]
fn a_job_stopped_where_no_shell_waits_is_continued_by_a_signal_to_us() {
    let place = Place::with_library();
    let mut running = place.start(&["run", "sh", "-c", "echo ready $$; kill -STOP $$; echo continued"]);
    let ready = running.line();
    let job = ready.strip_prefix("ready ").unwrap();
    let state = || fs::read_to_string(format!("/proc/{job}/stat")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !state().contains(") T ") {
        assert!(Instant::now() < deadline, "{}", state());
        std::thread::yield_now();
    }
    running.signal(Signal::SIGCONT);
    assert_eq!(running.line(), "continued");
    assert_eq!(running.end().status, Some(0));
}
