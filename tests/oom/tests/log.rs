//! "At most ten lines for an out-of-memory death, one or two for a run that went well; the rest with `--verbose`."

use oom::{Job, MIB, Outcome, Python};

fn ends_with_the_report(outcome: &Outcome) -> bool {
    let report = format!("Report: {}", outcome.file("index.html").display());
    outcome.our_lines().last() == Some(&&*report)
}

#[test]
fn a_death_has_ten_lines_with_what_happened_and_who_holds_it() {
    Python::each_of(Python::kinds(), |python| {
        let job = Job::words(["held_by.py", "fails"]).env("FIL_PROFILE_PYTHON", &python.path);
        let job = job.limit_address_space(600 * MIB);
        let run = |job: Job| {
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            let copy = folder.path().join("held_by.py");
            std::fs::copy(oom::victim("held_by.py"), copy).expect("the folder is writable");
            job.start_in(folder).finish()
        };
        let outcome = run(job.clone().brief());
        let lines = outcome.our_lines();
        assert!(lines.len() <= 10, "{outcome}");
        assert!(ends_with_the_report(&outcome), "{outcome}");
        let text = lines.join(" ");
        for part in [
            "was refused",
            "of address space",
            "In use at that moment",
            "held_by.py:",
        ] {
            assert!(text.contains(part), "no {part}: {outcome}");
        }
        // Who holds what is known from 3.7 on, of builds with the interpreter's lock.
        let is_known = python.version >= (3, 7, 0) && !python.is_free_threaded;
        assert_eq!(text.contains("Held by: "), is_known, "{outcome}");
        for part in ["explained", "Wrote "] {
            assert!(!text.contains(part), "{part}: {outcome}");
        }
        let verbose = run(job).our_lines().join(" ");
        assert!(verbose.contains("explained") && verbose.contains("Wrote "), "{verbose}");
    });
}

#[test]
fn a_run_that_went_well_has_two_lines_and_a_mistake_of_the_job_one() {
    let python = Python::any();
    let outcome = Job::python(python, "own_lines.py").brief().run();
    let lines = outcome.our_lines();
    assert_eq!(lines.len(), 2, "{outcome}");
    assert!(
        lines[0].starts_with("Peak memory: ") && ends_with_the_report(&outcome),
        "{outcome}"
    );
    assert!(lines[0].contains("ines.py:"), "{outcome}");
    let wrong = Job::words(["-c", "import sys; kept = bytearray(20 << 20); sys.exit('usage: …')"]);
    let wrong = wrong.env("FIL_PROFILE_PYTHON", &python.path).brief().run();
    assert_eq!(wrong.status, Some(1), "{wrong}");
    assert!(wrong.our_lines().len() == 1 && ends_with_the_report(&wrong), "{wrong}");
}
