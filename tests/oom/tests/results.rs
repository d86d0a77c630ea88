//! "`fil-result/out-of-memory.svg` and `fil-result/latest` always lead to the newest; a job that changes directory does not move them."

use std::path::Path;

use oom::{Job, MIB, Outcome, Python, Svg, assert_close, place};

fn runs_out(python: &Python) -> Job {
    Job::python(python, "steady_arrays.py").limit_address_space(200 * MIB)
}

fn lines_wrote(outcome: &Outcome) -> Vec<&Path> {
    let prefix = "Wrote memory usage flamegraph to ";
    let lines = outcome.our_lines();
    lines
        .into_iter()
        .filter_map(|line| line.strip_prefix(prefix).map(Path::new))
        .collect()
}

#[test]
fn the_paths_on_stderr_are_absolute_and_lead_to_pictures() {
    let outcome = runs_out(Python::any()).run();
    let paths = lines_wrote(&outcome);
    assert!(
        paths.iter().any(|path| path.ends_with("out-of-memory.svg")),
        "{outcome}"
    );
    for path in paths {
        assert!(path.is_absolute(), "{outcome}");
        Svg::load(path);
    }
}

#[test]
fn a_job_that_changes_directory_does_not_move_the_results() {
    let here = place("changes_directory.py", "HERE");
    let elsewhere = tempfile::tempdir().expect("a temporary folder can be made");
    Python::each_of(Python::kinds(), |python| {
        let job = Job::python(python, "changes_directory.py").arg(elsewhere.path());
        let outcome = job.limit_address_space(200 * MIB).exact().run();
        assert_eq!(outcome.status, Some(1), "{outcome}");
        assert_close(outcome.out_of_memory().through(&here), outcome.truth(), 2.0, &outcome);
        let left = std::fs::read_dir(elsewhere.path()).expect("it is there").count();
        assert_eq!(left, 0, "something was left in the other folder: {outcome}");
    });
}

#[test]
fn each_run_has_a_folder_of_its_own_and_the_links_lead_to_the_newest() {
    let python = Python::any();
    let first = runs_out(python).run();
    let oldest = first.run_folder();
    let oldest_name = oldest.file_name().expect("it has one").to_owned();
    let second = runs_out(python).start_in(first.into_folder()).finish();
    let newest = second.run_folder();
    assert_ne!(newest.file_name(), Some(&*oldest_name), "{second}");
    let result = second.folder().join("fil-result");
    assert!(result.join(&oldest_name).join("out-of-memory.svg").exists(), "{second}");
    let link = result
        .join("out-of-memory.svg")
        .canonicalize()
        .expect("it leads somewhere");
    assert_eq!(
        link.parent(),
        Some(&*newest.canonicalize().expect("it is there")),
        "{second}"
    );

    // A run that does not run out leaves the link at the last one that did.
    let third = Job::code(python, "pass").start_in(second.into_folder()).finish();
    assert_ne!(third.run_folder(), newest, "{third}");
    let link = third
        .folder()
        .join("fil-result/out-of-memory.svg")
        .canonicalize()
        .expect("it leads somewhere");
    assert_eq!(
        link.parent(),
        Some(&*newest.canonicalize().expect("it is there")),
        "{third}"
    );
}

#[test]
fn the_folder_is_named_for_the_local_time() {
    let outcome = Job::code(Python::any(), "pass").run();
    let folder = outcome.run_folder();
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .expect("plain text")
        .to_owned();
    let shape: String = name.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert!(shape.starts_with("0000-00-00T000000"), "{name}");
}

#[test]
fn another_folder_by_option_or_by_environment() {
    let python = Python::any();
    let by_option = Job::code(python, "pass").option("-o").option("deep/er").run();
    assert!(
        by_option.folder().join("deep/er/latest/peak-memory.svg").exists(),
        "{by_option}"
    );
    assert!(!by_option.folder().join("fil-result").exists(), "{by_option}");
    let by_environment = Job::code(python, "pass").env("FIL_PROFILE_OUTPUT", "other").run();
    assert!(
        by_environment.folder().join("other/latest/peak-memory.svg").exists(),
        "{by_environment}"
    );
}

#[test]
fn a_folder_that_cannot_be_written_does_not_keep_the_job_from_running() {
    let outcome = Job::code(Python::any(), "print('ran'); raise SystemExit(3)")
        .option("-o")
        .option("/proc/nowhere")
        .run();
    assert_eq!(outcome.text(), "ran\n", "{outcome}");
    assert_eq!(outcome.status, Some(3), "{outcome}");
    assert!(!outcome.our_lines().is_empty(), "not a word about it: {outcome}");
}
