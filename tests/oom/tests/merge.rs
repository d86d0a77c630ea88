//! "`fil-profile merge` makes one report of many runs: which of them ran out, at the same callstack or not, and what would have been
//! enough."

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oom::{Folded, Job, MIB, Outcome, Python, Report, fil_profile, place};
use serde_json::{Value, json};

/// Address space that merging may take, in KiB.
const ROOM: u64 = 300 << 10;

/// Merges what is in `runs` with little memory; the merged report and what was said.
fn merge(runs: &Path, output: &Path) -> (PathBuf, String) {
    let script = format!("ulimit -v {ROOM} && exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(fil_profile());
    let merged = command
        .arg("-o")
        .arg(output)
        .arg("merge")
        .arg(runs)
        .output()
        .expect("sh can be run");
    let stderr = String::from_utf8_lossy(&merged.stderr).into_owned();
    assert!(merged.status.success(), "{:?}: {stderr}", merged.status);
    assert!(merged.stdout.is_empty());
    let folders = fs::read_dir(output).expect("it was made").flatten();
    let mut folders = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with("merged-"));
    (folders.next().expect("it was made").path(), stderr)
}

/// Makes a run of a task from a real one, without copying what it recorded.
fn make(folder: &Path, like: &Outcome, task: usize, resident: u64) {
    let from = like.run_folder();
    fs::create_dir_all(folder).expect("the folder is writable");
    for file in fs::read_dir(&from)
        .expect("it is there")
        .flatten()
        .map(|entry| entry.path())
    {
        if file.extension() == Some("recording".as_ref()) {
            let name = file.file_name().expect("it has one");
            fs::copy(&file, folder.join(name)).expect("the folder is writable");
        }
    }
    let run = fs::read(from.join("run.json")).expect("it is there");
    let mut run: Value = serde_json::from_slice(&run).expect("it is JSON");
    run["identity"] = json!({ "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": task.to_string() });
    fs::write(folder.join("run.json"), run.to_string()).expect("the folder is writable");
    let timeline = format!(
        "seconds,tracked_bytes,resident_bytes,cgroup_bytes,limit_bytes,processes,mark\n0.000,1,1,,,,\n0.100,1,{resident},,,,\n"
    );
    fs::write(folder.join("timeline.csv"), timeline).expect("the folder is writable");
}

#[test]
fn a_thousand_runs_are_one_report_in_little_memory() {
    const TASKS: usize = 1000;
    let python = Python::any();
    let fine = Job::code(python, "kept = bytearray(20 << 20)").run();
    let ran_out = Job::python(python, "steady_arrays.py")
        .limit_address_space(300 * MIB)
        .run();
    assert_eq!((fine.status, ran_out.status), (Some(0), Some(1)), "{fine}{ran_out}");
    let place_name = tempfile::tempdir().expect("a temporary folder can be made");
    let runs = place_name.path().join("runs");
    for task in 0..TASKS {
        let folder = runs.join(format!("2026-01-31T140509.123-job7_{task}"));
        let mib = 100 + task as u64 % 50;
        match task % 100 {
            99 => make(&folder, &ran_out, task, mib * MIB),
            // Far from all others.
            42 if task == 542 => make(&folder, &fine, task, 1000 * MIB),
            _ => make(&folder, &fine, task, mib * MIB),
        }
    }
    let (folder, said) = merge(&runs, place_name.path());
    let report = Report::load(&folder.join("merged.json"));
    assert_eq!(report.number("/tasks"), Some(TASKS as u64), "{said}");
    let expected: Vec<_> = (99..TASKS).step_by(100).map(|task| format!("task {task}")).collect();
    assert_eq!(report.at("/ran_out"), &json!(expected), "{said}");
    let stacks = report.at("/stacks").as_array().expect("a list");
    assert_eq!(stacks.len(), 1, "{said}");
    let here = place("steady_arrays.py", "HERE");
    assert!(
        stacks[0]["place"]
            .as_str()
            .is_some_and(|place| place.contains(&here.to_string())),
        "{said}"
    );
    let mut far = expected;
    far.insert(5, "task 542".to_owned());
    assert_eq!(report.at("/outliers"), &json!(far), "{said}");
    assert_eq!(report.number("/peaks/least"), Some(100 * MIB), "{said}");
    assert_eq!(report.number("/peaks/most"), Some(1000 * MIB), "{said}");
    // Of those that did not run out, some 20 have each of the sizes from 100 to 149 MiB.
    assert_eq!(report.number("/enough_for_95_percent/bytes"), Some(147 * MIB), "{said}");
    assert_eq!(
        report.at("/enough_for_95_percent/at_least").as_bool(),
        Some(false),
        "{said}"
    );
    assert_eq!(report.number("/enough_for_all/bytes"), Some(1000 * MIB), "{said}");
    assert_eq!(report.at("/enough_for_all/at_least").as_bool(), Some(true), "{said}");
    // What ten held that ran out, added up.
    let one = ran_out.out_of_memory().through(&here);
    let all = Folded::load(&folder.join("merged.prof"));
    assert_eq!(all.through(&here), 10 * one, "{said}");
    oom::Svg::load(&folder.join("merged.svg"));
    for words in [
        "10 of 1000 tasks ran out of memory: task 99, task 199,",
        "All of them while the same callstack",
        "--mem=147M",
    ] {
        assert!(said.contains(words), "{words:?}: {said}");
    }
    let text = fs::read_to_string(folder.join("merged.txt")).expect("it is UTF-8");
    assert_eq!(
        said.lines()
            .filter(|line| text.lines().any(|other| line.ends_with(other)))
            .count(),
        text.lines().count()
    );
}

#[test]
fn runs_that_ran_out_at_different_places_are_told_apart() {
    let python = Python::any();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let runs = folder.path().join("runs");
    for (task, victim) in ["steady_arrays.py", "one_list.py", "steady_arrays.py"]
        .into_iter()
        .enumerate()
    {
        let outcome = Job::python(python, victim).limit_address_space(300 * MIB).run();
        make(&runs.join(task.to_string()), &outcome, task, (task as u64 + 1) * MIB);
    }
    let (merged, said) = merge(&runs, folder.path());
    let report = Report::load(&merged.join("merged.json"));
    let stacks = report.at("/stacks").as_array().expect("a list");
    let tasks: Vec<_> = stacks.iter().map(|stack| &stack["tasks"]).collect();
    assert_eq!(tasks, [&json!(["task 0", "task 2"]), &json!(["task 1"])], "{said}");
    assert!(said.contains("Not all while the same callstack"), "{said}");
}

/// Kubernetes gives each pod of an indexed Job its index.
#[test]
fn pods_of_an_indexed_job_are_told_by_their_index() {
    let python = Python::any();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let runs = folder.path().join("runs");
    fs::create_dir(&runs).expect("the folder is writable");
    for index in ["0", "1", "2"] {
        let job = match index {
            "1" => Job::python(python, "steady_arrays.py").limit_address_space(300 * MIB),
            _ => Job::code(python, "kept = bytearray(20 << 20)"),
        };
        let outcome = job.env("JOB_COMPLETION_INDEX", index).run();
        fs::rename(outcome.run_folder(), runs.join(index)).expect("both are temporary folders");
    }
    let (merged, said) = merge(&runs, folder.path());
    let report = Report::load(&merged.join("merged.json"));
    let names = [0, 1, 2].map(|run: usize| report.text(&format!("/runs/{run}/name")).to_owned());
    assert_eq!(names, ["index 0", "index 1", "index 2"], "{said}");
    assert_eq!(report.at("/ran_out"), &json!(["index 1"]), "{said}");
    assert!(said.contains("1 of 3 tasks ran out of memory: index 1."), "{said}");
}

#[test]
fn a_folder_without_a_run_is_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let merged = Command::new(fil_profile())
        .arg("merge")
        .arg(folder.path())
        .output()
        .expect("it is built");
    assert_eq!(merged.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&merged.stderr).contains("no run in these folders"));
}
