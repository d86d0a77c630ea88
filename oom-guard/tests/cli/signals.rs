//! The supervisor passes on what is sent to it, once, and does what is asked of itself.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
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
fn sigusr2_asks_for_a_report_and_does_not_reach_a_job_without_a_handler() {
    let place = Place::with_library();
    let mut running = listener(&place);
    running.signal(Signal::SIGUSR2);
    assert!(running.complaint().contains("nothing has been recorded so far"));
    running.type_line("end");
    assert_eq!(running.end().status, Some(4));
}

/// Signals that timeout(1) sends: to its child, which is `fil-profile`, and right after that to the whole group.
#[test]
fn what_timeout_sends_reaches_the_job_once() {
    let place = Place::with_library();
    let before = "set -- timeout -s INT 1000 \"$0\" \"$@\"; exec \"$@\"";
    // The C handler of Python writes a byte for each signal that it gets.
    let code = "import os, signal, time
for number in signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1:
    signal.signal(number, lambda *_: None)
ours, its = os.pipe()
os.set_blocking(its, False)
signal.set_wakeup_fd(its)
print(os.getppid(), flush=True)
while True:
    print(os.read(ours, 1)[0], flush=True)";
    for round in 0..20 {
        let mut running = place.start_after(before, &["run", "python3", "-c", code]);
        let supervisor = Pid::from_raw(running.line().parse().unwrap());
        // An alarm is what timeout(1) gets when the time is over.
        for (sent, heard) in [
            (Signal::SIGALRM, Signal::SIGINT),
            (Signal::SIGTERM, Signal::SIGTERM),
            (Signal::SIGHUP, Signal::SIGHUP),
        ] {
            running.signal(sent);
            assert_eq!(running.line(), (heard as i32).to_string(), "round {round}");
            // By now it has been passed on a second time, or is not.
            kill(supervisor, Signal::SIGUSR1).unwrap();
            assert_eq!(running.line(), (Signal::SIGUSR1 as i32).to_string(), "round {round}");
        }
        running.kill_all();
    }
}

#[test]
fn sigusr2_to_us_alone_asks_for_a_report_and_reaches_a_job_that_handles_it_once() {
    let place = Place::with_library();
    let mut running = place.start(&["run", "sh", "-c", &format!("trap 'echo USR2' USR2; {LISTENER}")]);
    assert_eq!(running.line(), "ready");
    for is_to_group in [false, true, false, true, true, false] {
        if is_to_group {
            killpg(running.pid(), Signal::SIGUSR2).unwrap();
        } else {
            running.signal(Signal::SIGUSR2);
        }
        assert_eq!(running.heard(), "USR2");
        running.signal(Signal::SIGUSR1);
        assert_eq!(running.heard(), "USR1", "to the group: {is_to_group}");
        assert!(running.complaint().contains("nothing has been recorded so far"));
    }
    running.type_line("end");
    assert_eq!(running.end().status, Some(4));
}

#[test]
fn signals_to_us_alone_reach_the_job_as_often_as_they_are_sent() {
    let place = Place::with_library();
    let mut running = listener(&place);
    for _ in 0..3 {
        running.signal(Signal::SIGTERM);
        assert_eq!(running.heard(), "TERM");
    }
    running.type_line("end");
    assert_eq!(running.end().status, Some(4));
}

#[test]
fn a_message_asks_for_a_report() {
    let place = Place::with_library();
    let mut running = listener(&place);
    for message in ["nonsense\n", "report x\n", "report 1\n"] {
        fs::write(place.run_folder().join("message-pipe"), message).unwrap();
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
