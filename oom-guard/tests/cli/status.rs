//! The job's status, signal and streams are those that it has without us, whether it is recorded or not.

use std::io::Write;
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::place::{Outcome, Place};

fn both() -> [Place; 2] {
    [Place::with_library(), Place::without_library()]
}

#[test]
fn the_status_is_the_jobs() {
    for place in both() {
        for status in [0, 1, 7, 53, 255] {
            let outcome = place.run(&["run", "sh", "-c", &format!("exit {status}")]);
            assert_eq!(outcome.status, Some(status), "{outcome:?}");
        }
    }
}

#[test]
fn we_die_of_the_signal_that_killed_the_job() {
    for place in both() {
        for signal in [
            Signal::SIGKILL,
            Signal::SIGSEGV,
            Signal::SIGABRT,
            Signal::SIGTERM,
            Signal::SIGUSR2,
            Signal::SIGINT,
        ] {
            let outcome = place.run(&["run", "sh", "-c", &format!("kill -{} $$", signal as i32)]);
            assert_eq!(outcome.signal, Some(signal as i32), "{outcome:?}");
        }
    }
}

#[test]
fn stdin_and_stdout_are_the_jobs() {
    for place in both() {
        let mut command = place.command(&["run", "cat"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"\0\xffbytes\n").unwrap();
        assert_eq!(child.wait_with_output().unwrap().stdout, b"\0\xffbytes\n");
    }
}

#[test]
fn what_follows_run_is_the_jobs() {
    for place in both() {
        let words = ["-h", "--", "--output", "x", "", "-V", "a b"];
        let outcome = place.run(&[&["run", "sh", "-c", "printf '<%s>' \"$@\"", "sh"][..], &words].concat());
        assert_eq!(outcome.stdout, words.map(|word| format!("<{word}>")).concat());
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_job_as_it_would_without_us() {
    for place in both() {
        let mut command = place.command(&["run", "sh", "-c", "while :; do echo; done"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        let outcome = Outcome::of(child.wait_with_output().unwrap());
        assert_eq!(outcome.signal, Some(Signal::SIGPIPE as i32));
    }
}

#[test]
fn a_closed_stderr_is_no_trouble() {
    let place = Place::with_library();
    let output = place
        .command_after("exec 2>&-", &["run", "sh", "-c", "exit 7"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn without_the_library_one_line_says_so() {
    let place = Place::without_library();
    let outcome = place.run(&["run", "true"]);
    assert_eq!(outcome.said().len(), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("libpreload.so"));
    assert!(!place.path("fil-result").exists());
}

#[test]
fn a_tiny_job_that_ran_well_gets_no_word_from_us() {
    let outcome = Place::with_library().run(&["run", "true"]);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""));
}

#[test]
fn with_nothing_recorded_of_a_job_that_failed_one_line_says_so() {
    let outcome = Place::with_library().run(&["run", "false"]);
    assert_eq!(outcome.said().len(), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("nothing was recorded"));
}

#[test]
fn an_interpreter_is_started_in_place_with_recording_off() {
    let place = Place::with_library();
    let script = "echo $FIL_PROFILE_RECORDING $LD_PRELOAD; echo $$; exit 9";
    let running = place.start(&["--python", "/bin/sh", "python", "-c", script]);
    let pid = running.pid();
    let outcome = running.end();
    assert_eq!(outcome.status, Some(9));
    assert_eq!(outcome.stdout, format!("off {}\n{pid}\n", place.library().display()));
}
