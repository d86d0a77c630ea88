//! "Every process of the job is recorded, however it was started."

use oom::{
    Folded, Job, MIB, Outcome, Python, Report, Svg, announce, assert_close, gunicorn_python, joblib_python, place,
    torch_python,
};

const HELD: u64 = 48 * MIB;

fn run(python: &Python, way: &str) -> Outcome {
    let outcome = Job::python(python, "starts_child.py").arg(way).run();
    assert_eq!(outcome.status, Some(0), "{way}: {outcome}");
    outcome
}

/// One process beside the first holds what is held, and the one report has it at its line.
fn is_followed(python: &Python, way: &str) {
    let outcome = run(python, way);
    let report = Report::of(&outcome);
    let processes = report.at("/processes").as_array().expect("a list");
    let job = processes[0]["pid"].as_u64();
    let children = processes.iter().filter(|process| process["pid"].as_u64() != job);
    let holders = children.filter(|process| process["peak_bytes"].as_u64() >= Some(HELD));
    let holders: Vec<_> = holders.map(|process| process["pid"].as_u64()).collect();
    assert_eq!(holders.len(), 1, "{way}: {outcome}{report}");
    let tree = Folded::load(&outcome.file("process-tree.prof"));
    Svg::load(&outcome.file("process-tree.svg"));
    // joblib sends a script's functions to its workers as code, which then has no file.
    let held = match way {
        "joblib" => tree.in_function("hold"),
        _ => tree.through(&place("starts_child.py", "CHILD")),
    };
    assert_close(held, HELD, 1.0, &outcome);
    let frame = format!("process {},", holders[0].expect("it has one"));
    let text = std::fs::read_to_string(outcome.file("process-tree.prof")).expect("it is UTF-8");
    let at_root = text.lines().any(|line| {
        let root = line.split(';').next().unwrap_or_default();
        (root.to_owned() + ",").contains(&frame) && line.contains("(hold)")
    });
    assert!(at_root, "{way}: no {frame:?} in\n{text}");
}

#[test]
fn forks_and_what_multiprocessing_makes_of_them() {
    for way in ["fork", "multiprocessing-fork", "pool", "executor"] {
        is_followed(Python::any(), way);
    }
}

#[test]
fn new_interpreters_of_multiprocessing() {
    for way in ["multiprocessing-spawn", "multiprocessing-forkserver"] {
        is_followed(Python::any(), way);
    }
}

#[test]
fn programs_that_are_started_in_every_way_and_through_shells() {
    let python = Python::any();
    for way in ["subprocess", "vfork", "shells"] {
        is_followed(python, way);
    }
    if python.version >= (3, 8, 0) {
        is_followed(python, "posix_spawn");
    }
}

#[test]
fn workers_that_a_signal_ends() {
    let outcome = run(Python::any(), "prefork");
    let tree = Folded::load(&outcome.file("process-tree.prof"));
    let held = tree.through(&place("starts_child.py", "WORKER"));
    assert_close(held, 2 * HELD, 1.0, &outcome);
}

#[test]
fn workers_of_joblib() {
    is_followed(joblib_python(), "joblib");
}

#[test]
fn workers_of_gunicorn() {
    is_followed(gunicorn_python(), "gunicorn");
}

#[test]
fn workers_of_a_data_loader_of_pytorch() {
    let Some(python) = torch_python() else {
        announce("left out: PyTorch's DataLoader, for no Python here has torch (see torch_python)");
        return;
    };
    is_followed(python, "dataloader");
}

/// A child that is not recorded records a part of itself, and forks.
const RECORDS_ITSELF: &str = "import filprofiler, os, signal
child = os.fork()
if child == 0:
    signal.alarm(30)
    filprofiler.profile(lambda: bytearray(2 << 20), 'report')
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(0)
    os._exit(os.waitpid(grandchild, 0)[1])
print(os.waitpid(child, 0)[1])";

#[test]
fn a_child_that_is_not_recorded_records_a_part_of_itself_and_forks() {
    Python::each_of(Python::kinds(), |python| {
        let job = Job::code(python, RECORDS_ITSELF).option("--no-children");
        let outcome = job.env("PYTHONPATH", oom::workspace().join("python")).run();
        assert_eq!(outcome.text(), "0\n", "{outcome}");
    });
}
