//! "Ctrl-C ends it, as it ends any program": a report that takes long, at the end of a run or asked for afterwards, and no half of
//! a file is left under its name.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oom::{Folded, Job, Python, Report, Svg, fil_profile};

/// Those who are writing a file of a report, which has this name until it is whole: `.index.html.PID.unfinished`.
fn writers(run: &Path) -> Vec<Pid> {
    let files = std::fs::read_dir(run).into_iter().flatten().flatten();
    let writer = |name: String| {
        let stem = name.strip_suffix(".unfinished")?;
        let (file, pid) = stem.strip_prefix('.')?.rsplit_once('.')?;
        let is_of_report = ["peak-memory", "index", "report"].iter().any(|of| file.starts_with(of));
        pid.parse().ok().filter(|_| is_of_report).map(Pid::from_raw)
    };
    let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    names.filter_map(writer).collect()
}

/// Interrupts whoever is in the middle of a file of a report; none if nobody is.
fn interrupt(run: &Path) -> Option<()> {
    let pid = writers(run).pop()?;
    // It may come to the end of the file meanwhile: it is held there. It may also have come to its own.
    kill(pid, Signal::SIGSTOP).ok()?;
    let is_writing = writers(run).contains(&pid);
    if is_writing {
        kill(pid, Signal::SIGINT).ok()?;
    }
    kill(pid, Signal::SIGCONT).ok()?;
    is_writing.then_some(())
}

/// Whatever file of a report is there is whole.
fn assert_none_is_torn(run: &Path) {
    let there = |name: &str| Some(run.join(name)).filter(|path| path.exists());
    there("peak-memory.prof")
        .iter()
        .for_each(|path| drop(Folded::load(path)));
    there("report.json").iter().for_each(|path| drop(Report::load(path)));
    for name in ["peak-memory.svg", "peak-memory-reversed.svg"] {
        there(name).iter().for_each(|path| drop(Svg::load(path)));
    }
    if let Some(path) = there("index.html") {
        let page = std::fs::read_to_string(&path).expect("it is UTF-8");
        assert!(page.ends_with("</html>\n"), "{}", path.display());
    }
}

/// So many callstacks that their report takes long.
fn many_callstacks() -> Job {
    let job = Job::python(Python::any(), "distinct_stacks.py").exact();
    job.arg("300000").arg("0")
}

#[test]
fn the_report_at_the_end_of_a_run_can_be_interrupted_and_made_later() {
    let mut running = many_callstacks().start();
    running.wait_for("report in the making", |job| {
        interrupt(&job.folder().join("fil-result/latest"))
    });
    let outcome = running.finish();
    assert_eq!(outcome.status, Some(0), "it is the job's: {outcome}");
    let run = outcome.run_folder();
    assert!(!run.join("index.html").exists(), "it was not done: {outcome}");
    assert_none_is_torn(&run);
    let made = Command::new(fil_profile()).arg("report").arg(&run).output();
    let made = made.expect("it can be run");
    assert!(made.status.success(), "{made:?}: {outcome}");
    assert!(run.join("index.html").exists(), "{outcome}");
    assert_eq!(writers(&run), [], "what was left is gone: {outcome}");
    assert_none_is_torn(&run);
}

#[test]
fn a_report_that_was_asked_for_can_be_interrupted_and_what_was_there_stays_whole() {
    let outcome = many_callstacks().run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let run = outcome.run_folder();
    // By a shell, since it is a shell's number that people know.
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "\"$0\" report \"$1\"; exit $?"])
        .arg(fil_profile())
        .arg(&run);
    let mut shell = shell
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("there is a shell");
    while interrupt(&run).is_none() {
        let ended = shell.try_wait().expect("it is ours");
        assert_eq!(ended, None, "no file was seen in the making: {outcome}");
        std::thread::sleep(Duration::from_millis(1));
    }
    let status = shell.wait().expect("it is ours");
    assert_eq!(status.code(), Some(130), "{outcome}");
    assert_none_is_torn(&run);
    assert!(run.join("index.html").exists(), "the older one stays: {outcome}");
}
