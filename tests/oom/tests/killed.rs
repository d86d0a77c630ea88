//! "Everything killed at once: the recording is on disk, and the next run, or `fil-profile report`, finds it."

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use oom::{Chance, Folded, Job, MIB, Python, Report, Running, Svg, assert_close, fil_profile, place};
use tempfile::TempDir;

/// What the report of a run begins with that nobody was left to report on.
const FOUND: &str = "found a run that ended without a report";

/// The job and its supervisor have a process group to themselves.
fn start(folder: TempDir) -> Running {
    let job = Job::python(Python::any(), "churns.py").launched_by(["setsid"]);
    let mut running = job.start_in(folder);
    running.wait_for_stdout("holding");
    running
}

fn kill_everything(running: Running) -> TempDir {
    killpg(running.pid(), Signal::SIGKILL).expect("they run");
    let outcome = running.finish();
    assert_eq!(outcome.signal, Some(Signal::SIGKILL as i32), "{outcome}");
    outcome.into_folder()
}

/// Run folders, oldest first.
fn runs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("fil-result"))
        .into_iter()
        .flatten()
        .flatten();
    let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut runs: Vec<_> = entries.map(|entry| entry.path()).collect();
    runs.sort();
    runs
}

fn report(arguments: &[&Path], folder: &Path) -> Output {
    let mut command = Command::new(fil_profile());
    command
        .args(["--no-browser", "report"])
        .args(arguments)
        .current_dir(folder);
    command.output().expect("it can be run")
}

/// The verdict is right, and what was held at the moment of the kill is at its line.
#[track_caller]
fn is_reported(run: &Path) {
    let json = Report::load(&run.join("report.json"));
    assert_eq!(json.kind(), "everything_killed", "{json}");
    Svg::load(&run.join("out-of-memory.svg"));
    let folded = Folded::load(&run.join("out-of-memory.prof"));
    let held = folded.at(&place("churns.py", "HERE"));
    assert_close(held, 20 * MIB, 2.0, &folded);
    assert_eq!(json.at("/damage").as_array().map(Vec::len), Some(0), "{json}");
}

#[test]
fn a_recording_is_readable_whenever_everything_is_killed_and_the_next_run_reports_it() {
    let times = if std::env::var_os("OOM_TESTS_LONG").is_some() {
        100
    } else {
        30
    };
    let mut chance = Chance::new();
    let mut folder = tempfile::tempdir().expect("a temporary folder can be made");
    for time in 0..times {
        let running = start(folder);
        if time > 0 {
            // That of the run before, before the job has begun.
            let all = runs(running.folder());
            let before = &all[all.len() - 2];
            let stderr = running.stderr();
            assert!(stderr.contains(FOUND), "kill {time}: {running}");
            assert!(
                stderr.contains(before.to_str().expect("a plain name")),
                "kill {time}: {running}"
            );
            is_reported(before);
        }
        // The moment is what is at random here.
        std::thread::sleep(Duration::from_micros(chance.below(50_000)));
        folder = kill_everything(running);
    }
    assert_eq!(runs(folder.path()).len(), times, "one folder a run");
}

#[test]
fn a_run_that_is_killed_while_it_starts_does_no_harm() {
    let mut chance = Chance::new();
    let mut folder = tempfile::tempdir().expect("a temporary folder can be made");
    for _ in 0..10 {
        let job = Job::python(Python::any(), "churns.py").launched_by(["setsid"]);
        let mut running = job.start_in(folder);
        let supervisor = running.pid();
        running.wait_for("a session of its own", |_| {
            (nix::unistd::getpgid(Some(supervisor)).ok()? == supervisor).then_some(())
        });
        std::thread::sleep(Duration::from_micros(chance.below(60_000)));
        folder = kill_everything(running);
    }
    let outcome = Job::code(Python::any(), "print('end')").start_in(folder).finish();
    assert_eq!(
        (outcome.status, outcome.text()),
        (Some(0), "end\n".to_owned()),
        "{outcome}"
    );
    let outcome = Job::code(Python::any(), "print('end')")
        .start_in(outcome.into_folder())
        .finish();
    assert!(!outcome.stderr.contains(FOUND), "once is enough: {outcome}");
}

#[test]
fn a_report_of_a_killed_run_is_made_on_its_own_also_elsewhere() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = kill_everything(start(folder));
    let run = runs(folder.path()).pop().expect("there has been a run");
    // As copied to another machine.
    let elsewhere = tempfile::tempdir().expect("a temporary folder can be made");
    let copied = elsewhere.path().join("copy");
    let copy = Command::new("cp").arg("-r").arg(&run).arg(&copied).status();
    assert!(copy.expect("cp can be run").success());
    let output = report(&[&copied], elsewhere.path());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // What was not made there is only read.
    is_reported(&elsewhere.path().join("fil-result/report-of-copy"));
    assert!(!copied.join("report.json").exists());
    // The `-o` folder: its newest run.
    let output = report(&[], folder.path());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    is_reported(&run);
    // And it is known to have been reported.
    let outcome = Job::code(Python::any(), "print('end')").start_in(folder).finish();
    assert!(!outcome.stderr.contains(FOUND), "{outcome}");
}

#[test]
fn two_runs_at_once_do_not_take_each_other_for_dead() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let output = folder.path().join("both");
    let job = Job::python(Python::any(), "waits.py").arg("go-on");
    let mut first = job.option("-o").option(&output).start();
    first.wait_for_stdout("holding");
    let job = Job::code(Python::any(), "kept = bytearray(30 << 20); print('end')");
    let second = job.option("-o").option(&output).run();
    assert_eq!(
        (second.status, second.text()),
        (Some(0), "end\n".to_owned()),
        "{second}"
    );
    assert!(!second.stderr.contains(FOUND), "{second}");
    std::fs::write(first.folder().join("go-on"), "").expect("the folder is writable");
    let first = first.finish();
    assert_eq!(first.status, Some(4), "{first}");
    assert!(!first.stderr.contains(FOUND), "{first}");
}
