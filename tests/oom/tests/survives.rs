//! "Whatever ends the job or its supervisor, the recording is still there, and a report is made of it."

use nix::sys::signal::Signal;
use oom::{Job, MIB, Python, Svg, assert_close, fil_profile, place};

#[test]
fn a_job_that_is_killed_is_reported() {
    let here = place("waits.py", "HERE");
    Python::each(|python| {
        let mut running = Job::python(python, "waits.py").arg("never").start();
        running.wait_for_stdout("holding");
        let job = running.job();
        running.signal(job, Signal::SIGKILL);
        let outcome = running.finish();
        assert_eq!(outcome.signal, Some(Signal::SIGKILL as i32), "{outcome}");
        assert_close(outcome.peak().through(&here), 40 * MIB, 2.0, &outcome);
    });
}

#[test]
fn a_job_whose_supervisor_is_killed_makes_its_own_report_when_it_runs_out() {
    let here = place("waits_then_grows.py", "HERE");
    let job = Job::python(Python::any(), "waits_then_grows.py").arg("go-on");
    let mut running = job.limit_address_space(300 * MIB).start();
    running.wait_for_stdout("waiting");
    running.signal(running.pid(), Signal::SIGKILL);
    std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
    let picture = running.wait_for_file("fil-result/latest/out-of-memory.svg");
    Svg::load(&picture);
    let folded = oom::Folded::load(&picture.with_extension("prof"));
    assert!(folded.through(&here) > 200 * MIB, "{folded}");
    running.wait_for_file("ended");
    let outcome = running.finish();
    assert_eq!(outcome.signal, Some(Signal::SIGKILL as i32), "{outcome}");
}

#[test]
fn the_reports_of_a_run_can_be_written_again() {
    let outcome = Job::python(Python::any(), "steady_arrays.py")
        .limit_address_space(200 * MIB)
        .run();
    let before = outcome.out_of_memory();
    let folder = outcome.run_folder();
    for name in ["out-of-memory.svg", "out-of-memory.prof", "index.html"] {
        std::fs::remove_file(folder.join(name)).expect("it was there");
    }
    let mut report = std::process::Command::new(fil_profile());
    let report = report
        .args(["--no-browser", "report"])
        .current_dir(outcome.folder())
        .output();
    let report = report.expect("it can be run");
    assert_eq!(report.status.code(), Some(0), "{report:?}");
    assert_eq!(outcome.out_of_memory().to_string(), before.to_string());
}
