//! "Every process of the job has a recording of its own: forks, programs put in its place, and what a script starts."

use oom::{Job, MIB, OnOom, Outcome, Python, assert_close, place, victim};

/// Processes that were recorded.
fn recordings(outcome: &Outcome) -> usize {
    let files = std::fs::read_dir(outcome.run_folder()).expect("it is there").flatten();
    files
        .filter(|file| file.path().extension() == Some("recording".as_ref()))
        .count()
}

/// The pictures are of the process with the highest peak, the page lists them all.
#[test]
fn a_fork_and_its_parent_are_both_in_the_report() {
    let child = place("fork_child.py", "CHILD");
    Python::each_of(Python::kinds(), |python| {
        let outcome = Job::python(python, "fork_child.py").run();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        assert_eq!(outcome.text(), "5\n");
        let peak = outcome.peak();
        assert_close(peak.through(&child), 60 * MIB, 2.0, &peak);
        assert_eq!(recordings(&outcome), 2, "{outcome}");
        let page = std::fs::read_to_string(outcome.file("index.html")).expect("it is UTF-8");
        let listed = page
            .split("Processes")
            .nth(1)
            .and_then(|rest| rest.split("</table>").next());
        let listed = listed.expect("a table of the processes");
        assert_eq!(listed.matches("fork_child.py").count(), 2, "{listed}");
    });
}

/// What is surely held when 300 MiB of address space are full: so much, or half of it where the allocator of free-threaded builds reserves
/// more than it uses.
fn surely_held(python: &Python, bytes: u64) -> u64 {
    if python.is_free_threaded { bytes / 2 } else { bytes }
}

#[test]
fn a_child_that_runs_out_is_reported_though_its_parent_ends_well() {
    let child = place("fork_child_runs_out.py", "CHILD");
    Python::each(|python| {
        for (policy, status) in [(OnOom::Report, 1), (OnOom::Exit, 53)] {
            let job = Job::python(python, "fork_child_runs_out.py").limit_address_space(300 * MIB);
            let outcome = job.on_oom(policy).run();
            assert_eq!(outcome.status, Some(0), "{outcome}");
            assert_eq!(outcome.text(), format!("child {status}\n"), "{outcome}");
            let held = outcome.out_of_memory().through(&child);
            assert!(held > surely_held(python, 150 * MIB), "{outcome}");
        }
    });
}

#[test]
fn a_program_that_takes_the_place_of_another_is_followed() {
    let before = place("execs.py", "BEFORE");
    let after = place("steady_arrays.py", "HERE");
    Python::each_of(Python::kinds(), |python| {
        let job = Job::python(python, "execs.py").arg(&python.path);
        let job = job.arg(victim("steady_arrays.py")).limit_address_space(300 * MIB);
        let outcome = job.exact().run();
        assert_eq!(outcome.status, Some(1), "{outcome}");
        let folded = outcome.out_of_memory();
        assert_close(folded.through(&after), outcome.truth(), 2.0, &outcome);
        assert_eq!(
            folded.through(&before),
            0,
            "what the first program held is gone: {outcome}"
        );
    });
}

#[test]
fn a_job_script_whose_program_runs_out() {
    let here = place("steady_arrays.py", "HERE");
    Python::each_of(Python::kinds(), |python| {
        let job = Job::words([victim("job.sh")]).arg(&python.path);
        let outcome = job.arg(victim("steady_arrays.py")).limit_address_space(300 * MIB).run();
        assert_eq!(outcome.status, Some(1), "{outcome}");
        assert!(outcome.text().ends_with("ended with 1\n"), "{outcome}");
        let held = outcome.out_of_memory().through(&here);
        assert!(held > surely_held(python, 200 * MIB), "{outcome}");
    });
}

#[test]
fn a_run_under_a_run_reports_both() {
    let here = place("steady_arrays.py", "HERE");
    let python = Python::any();
    let job = Job::words([oom::fil_profile()]);
    let job = ["--no-browser", "-o", "inner", "run"]
        .iter()
        .fold(job, |job, word| job.arg(word));
    let job = job.arg(&python.path).arg(victim("steady_arrays.py"));
    let outcome = job.limit_address_space(300 * MIB).run();
    assert_eq!(outcome.status, Some(1), "{outcome}");
    let inner = oom::Folded::load(&outcome.folder().join("inner/latest/out-of-memory.prof"));
    assert!(inner.through(&here) > 200 * MIB, "{outcome}");
}
