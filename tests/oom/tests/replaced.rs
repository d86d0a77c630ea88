//! "If the kernel kills the supervisor, another one goes on": what is lost of `fil-profile` costs no report.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oom::{Job, Python, Report, Running, place};

/// Kills the supervisor, and returns its process id.
#[track_caller]
fn kill_supervisor(running: &mut Running) -> Pid {
    let supervisor = running.supervisor();
    running.signal(supervisor, Signal::SIGKILL);
    running.wait_for("end of the supervisor", |_| has_ended(supervisor));
    supervisor
}

/// Whoever waits for it then may be slow.
fn has_ended(pid: Pid) -> Option<()> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    (stat.is_empty() || stat.contains(") Z ")).then_some(())
}

fn waiting() -> Running {
    let mut running = Job::python(Python::any(), "waits.py").arg("go-on").start();
    running.wait_for_stdout("holding");
    running
}

#[test]
fn another_supervisor_goes_on_and_the_job_notices_nothing() {
    let mut running = waiting();
    let first = kill_supervisor(&mut running);
    assert_ne!(running.supervisor(), first);
    std::fs::write(running.folder().join("go-on"), "").expect("the folder is the test's");
    let outcome = running.finish();
    assert_eq!(outcome.status, Some(4), "{outcome}");
    assert!(outcome.text().ends_with("done\n"), "{outcome}");
    let report = Report::of(&outcome);
    assert_eq!(report.kind(), "exited_non_zero", "{outcome}{report}");
    let (bytes, _) = report.held_at(&place("waits.py", "HERE"));
    assert!(bytes > 0, "{report}");
}

#[test]
fn signals_that_came_before_are_known_to_the_next_supervisor() {
    let mut running = waiting();
    let parent = running.pid();
    // A job that has not ended of it.
    running.signal(parent, Signal::SIGWINCH);
    kill_supervisor(&mut running);
    running.signal(parent, Signal::SIGTERM);
    let outcome = running.finish();
    assert_eq!(outcome.signal, Some(Signal::SIGTERM as i32), "{outcome}");
    let report = Report::of(&outcome);
    assert_eq!(report.kind(), "terminated", "{outcome}{report}");
    let sender = report.number("/outcome/sender/pid");
    assert_eq!(sender, Some(u64::from(std::process::id())), "{report}");
}

#[test]
fn when_every_supervisor_is_killed_the_report_at_the_end_is_there_all_the_same() {
    let mut running = waiting();
    for _ in 0..5 {
        kill_supervisor(&mut running);
    }
    std::fs::write(running.folder().join("go-on"), "").expect("the folder is the test's");
    let outcome = running.finish();
    assert_eq!(outcome.status, Some(4), "{outcome}");
    assert_eq!(Report::of(&outcome).kind(), "exited_non_zero", "{outcome}");
}

#[test]
fn the_supervisor_and_the_job_go_with_the_process_that_the_user_started() {
    let mut running = waiting();
    let (parent, job) = (running.pid(), running.job());
    let supervisor = running.supervisor();
    running.signal(parent, Signal::SIGKILL);
    running.wait_for("end of the supervisor", |_| has_ended(supervisor));
    // Without us, that process would be the job.
    running.wait_for("end of the job", |_| has_ended(job));
    running.finish();
}

/// Who is writing a file of a report in this folder, which has this name until it is whole: `.index.html.PID.unfinished`.
fn writer(run: &Path) -> Option<Pid> {
    let files = std::fs::read_dir(run).ok()?.flatten();
    let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    let pids = names.filter_map(|name| name.strip_suffix(".unfinished")?.rsplit_once('.')?.1.parse().ok());
    pids.map(Pid::from_raw).next()
}

#[test]
fn a_last_report_that_is_killed_is_written_again() {
    let job = Job::python(Python::any(), "distinct_stacks.py").exact();
    let mut running = job.arg("100000").arg("0").start();
    let latest = running.wait_for_file("fil-result/latest");
    running.wait_for("report that is being written", |_| {
        kill(writer(&latest)?, Signal::SIGKILL).ok()
    });
    let outcome = running.finish();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert_eq!(Report::of(&outcome).kind(), "finished", "{outcome}");
    let files = std::fs::read_dir(&latest).expect("it is there").flatten();
    let names: Vec<_> = files
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!names.iter().any(|name| name.ends_with(".unfinished")), "{names:?}");
}
