//! "On a normal end the run folder holds the tree at the high-water mark; SIGUSR2 writes it while the job runs."

use nix::sys::signal::Signal;
use oom::{Folded, Job, MIB, Python, Running, Svg, assert_close, place};

#[test]
fn the_peak_is_what_was_held_at_the_highest_total_not_at_the_end() {
    let line = |marker| place("high_water.py", marker);
    Python::each(|python| {
        let outcome = Job::python(python, "high_water.py").run();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        assert!(!outcome.has("out-of-memory.svg"), "{outcome}");
        let peak = outcome.peak();
        assert_close(peak.through(&line("KEPT")), 60 * MIB, 2.0, &outcome);
        assert_close(peak.through(&line("MORE")), 30 * MIB, 2.0, &outcome);
        assert_eq!(peak.through(&line("LAST")), 0, "{outcome}");
    });
}

/// Asks for a report by SIGUSR2, sent to whom `target` names, and lets the job end only after it is there.
fn reports_while_it_runs(target: impl Fn(&mut Running) -> nix::unistd::Pid) {
    let here = place("waits.py", "HERE");
    Python::each(|python| {
        let mut running = Job::python(python, "waits.py").arg("go-on").start();
        running.wait_for_stdout("holding");
        let pid = target(&mut running);
        running.signal(pid, Signal::SIGUSR2);
        let prof = running.wait_for_file("fil-result/latest/peak-memory.prof");
        let picture = running.wait_for_file("fil-result/latest/peak-memory.svg");
        assert_close(Folded::load(&prof).through(&here), 40 * MIB, 2.0, &running);
        Svg::load(&picture);
        std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
        let outcome = running.finish();
        assert_eq!(outcome.status, Some(4), "{outcome}");
        assert!(outcome.text().ends_with("done\n"), "{outcome}");
        assert_close(outcome.peak().through(&here), 40 * MIB, 2.0, &outcome);
    });
}

#[test]
fn sigusr2_to_the_job_writes_the_peak_so_far_and_the_job_runs_on() {
    reports_while_it_runs(Running::job);
}

#[test]
fn sigusr2_to_the_supervisor_does_the_same() {
    reports_while_it_runs(|running| running.pid());
}
