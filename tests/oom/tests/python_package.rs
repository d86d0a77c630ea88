//! "`pip install .` brings the program and a package that says from inside what a program holds."

use std::path::{Path, PathBuf};
use std::process::Command;

use oom::{Job, Outcome, Python, Report, announce, assert_close, place, workspace};

/// A job that finds the package in the checkout, and the program that cargo has built.
fn with_package(job: Job) -> Job {
    job.env("PYTHONPATH", workspace().join("python"))
}

/// A program of an environment, with arguments, away from the checkout; what it says on stdout.
#[track_caller]
fn run(program: &Path, arguments: &[&str], folder: &Path) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    for name in ["PYTHONPATH", "VIRTUAL_ENV", "LD_PRELOAD", "FIL_PROFILE_PYTHON"] {
        command.env_remove(name);
    }
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}\n{stderr}");
    said
}

fn beside(python: &Python, name: &str) -> PathBuf {
    python.path.with_file_name(name)
}

/// Runs out of memory, catches that, and prints which environment it ran in.
const RUNS_OUT: &str = "import sys; kept = []
try:
    while True: kept.append(bytearray(10 << 20))
except MemoryError: kept.clear(); print(sys.prefix)";

/// The report of a job that has run out of memory in its third line.
#[track_caller]
fn assert_ran_out(folder: &Path) {
    let report = Report::load(&folder.join("fil-result/latest/report.json"));
    assert_eq!(report.text("/moment/name"), "allocation_failed", "{report}");
    assert_eq!(report.number("/call_sites/0/line"), Some(3), "{report}");
}

/// The arguments of `sh` that run a command under `ulimit`.
fn limited<'a>(command: &[&'a str]) -> Vec<&'a str> {
    [&["-c", "ulimit -Sv 500000; exec \"$0\" \"$@\""], command].concat()
}

/// The arguments of an interpreter that install what follows.
const INSTALL: [&str; 5] = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];

/// With OOM_TESTS_LONG all of them, else one.
fn each(test: impl Fn(&Python)) {
    if std::env::var_os("OOM_TESTS_LONG").is_some() {
        return Python::each(test);
    }
    announce("one Python: OOM_TESTS_LONG=1 tests the package with each");
    test(Python::any());
}

/// What an installed package says of itself.
const DESCRIPTION: &str = "import importlib.metadata as m
said, files = m.metadata('fil-profile'), m.files('fil-profile')
print(m.requires('fil-profile'), said['License'], said['Requires-Python'])
print(*sorted(f.name for f in files if 'LICEN' in f.name or f.name == 'py.typed'))";

#[test]
fn a_wheel_of_a_few_megabytes_serves_every_python_and_pulls_in_nothing() {
    let wheel = oom::wheel();
    let name = wheel.file_name().and_then(|name| name.to_str()).expect("it has a name");
    let (_, tag) = name.split_once("-py3-none-manylinux_2_").expect("for every Python");
    let glibc: u32 = tag.trim_end_matches("_x86_64.whl").parse().expect("a number");
    assert!(glibc <= 34, "{name}: docs/python.md says 2.34");
    let size = wheel.metadata().expect("it is there").len();
    announce(&format!("{name}: {size} bytes"));
    assert!(size < 4 << 20, "{size} bytes");
    each(|base| {
        let python = oom::package_python(base, &[]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sh = |arguments: &[&str]| run(Path::new("sh"), arguments, folder.path());
        let run = |program: &str, arguments: &[&str]| run(&beside(&python, program), arguments, folder.path());
        if base.version >= (3, 8, 0) {
            assert_eq!(
                run("python", &["-c", DESCRIPTION]),
                "None Apache-2.0 OR MIT >=3.6\nLICENSE-APACHE LICENSE-MIT THIRD-PARTY-LICENCES.txt py.typed\n"
            );
        }
        let version = run(
            "python",
            &[
                "-c",
                "import filprofiler; print('fil-profile', filprofiler.__version__)",
            ],
        );
        assert_eq!(run("fil-profile", &["--version"]), version);
        let which = "import sys; kept = bytearray(30 << 20); print(sys.prefix)";
        let prefix = run("python", &["-c", which]);
        for (program, before) in [
            ("fil-profile", &[][..]),
            ("python", &["-m", "filprofiler"]),
            ("python", &["-I", "-m", "filprofiler"]),
        ] {
            let arguments = [before, &["--no-browser", "run", "-c", which]].concat();
            assert_eq!(run(program, &arguments), prefix, "{program} {before:?}");
            let report = Report::load(&folder.path().join("fil-result/latest/report.json"));
            assert_eq!(report.text("/call_sites/0/file"), "<string>", "{report}");
        }
        let program = beside(&python, "fil-profile");
        let job = [program.to_str().expect("UTF-8"), "--no-browser", "run", "-c", RUNS_OUT];
        assert_eq!(sh(&limited(&job)), prefix);
        assert_ran_out(folder.path());
    });
}

#[test]
fn the_package_passes_its_own_tests() {
    each(|base| {
        let python = oom::package_python(base, &["pytest"]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tests = workspace().join("python/tests");
        let tests = tests.to_str().expect("UTF-8");
        let pytest = [
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--ignore-glob=*/jupyter/*",
            tests,
        ];
        for before in [
            &["-m", "filprofiler", "--no-browser", "run"][..],
            &["-m", "filprofiler", "python"],
            &[],
        ] {
            let said = run(&python.path, &[before, &pytest].concat(), folder.path());
            announce(&format!(
                "{base} {before:?}: {}",
                said.lines().last().unwrap_or_default()
            ));
        }
    });
}

#[test]
fn its_types_and_its_tag_are_what_others_find_them_to_be() {
    if std::env::var_os("OOM_TESTS_LONG").is_none() {
        announce("no mypy and no auditwheel are installed for this: OOM_TESTS_LONG=1 does");
        return;
    }
    let python = oom::package_python(Python::any(), &["mypy", "pytest", "ipykernel", "auditwheel"]);
    let run = |arguments: &[&str]| run(&python.path, arguments, workspace());
    announce(&run(&["-m", "mypy", "--cache-dir=/dev/null"]));
    let wheel = oom::wheel();
    let said = run(&["-m", "auditwheel", "show", wheel.to_str().expect("UTF-8")]);
    let name = wheel.file_stem().and_then(|name| name.to_str()).expect("it has a name");
    let (_, tag) = name.rsplit_once('-').expect("it has a tag");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains(&format!("consistent with the following platform tag: \"{tag}\"")),
        "{said}"
    );
}

/// What people see in a browser is looked at with one that is driven.
#[test]
fn a_notebook_shows_graphs_and_says_what_its_kernel_died_of() {
    if std::env::var_os("OOM_TESTS_LONG").is_none() {
        announce("no Jupyter is installed for this: OOM_TESTS_LONG=1 does");
        return;
    }
    let python = oom::package_python(Python::any(), &["jupyterlab", "nbconvert", "ipykernel", "playwright"]);
    for script in ["notebook.py", "limited.py", "lab.py"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = workspace().join("python/tests/jupyter").join(script);
        announce(&run(&python.path, &[script.to_str().expect("UTF-8")], folder.path()));
    }
}

#[test]
fn a_job_that_uv_runs_has_its_environment_and_is_told_what_it_ran_out_of() {
    if std::env::var_os("OOM_TESTS_LONG").is_none() {
        announce("no uv is installed for this: OOM_TESTS_LONG=1 does");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let base = Python::any();
    let program = beside(&oom::package_python(base, &["uv"]), "uv");
    let uv = |arguments: &[&str]| {
        let offline = ["--offline", "--no-config", "--quiet", "--cache-dir", "cache"];
        run(&program, &[&offline, arguments].concat(), folder.path())
    };
    let (wheel, base) = (
        oom::wheel().to_str().expect("UTF-8"),
        base.path.to_str().expect("UTF-8"),
    );
    uv(&["venv", "--python", base, ".venv"]);
    uv(&["pip", "install", "--no-deps", "--python", ".venv", wheel]);
    let job = limited(&["fil-profile", "--no-browser", "run", "-c", RUNS_OUT]);
    let in_venv = &["run", "--no-project", "--python", ".venv"][..];
    let in_its_own = &["run", "--no-project", "--python", base, "--with", wheel];
    for (how, prefix) in [(in_venv, ".venv"), (in_its_own, "cache")] {
        let said = uv(&[how, &["sh"], &job].concat());
        assert!(Path::new(said.trim()).starts_with(folder.path().join(prefix)), "{said}");
        assert_ran_out(folder.path());
    }
}

/// One folder with an interpreter and its libraries, found by `PATH` and `$ORIGIN` alone.
#[test]
fn a_prefix_as_conda_lays_it_out_runs_its_own_python() {
    let base = Python::any();
    let installed = base.path.ancestors().nth(2).expect("it lies in a prefix");
    if std::env::var_os("OOM_TESTS_LONG").is_none() || installed.starts_with("/usr") {
        announce("no Python is moved for this: OOM_TESTS_LONG=1 does, where there is one outside of /usr");
        return;
    }
    let patchelf = beside(&oom::package_python(base, &["patchelf"]), "patchelf");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let prefix = folder.path().join("envs/job");
    let prefix = prefix.to_str().expect("UTF-8");
    let run = |program: &Path, arguments: &[&str]| run(program, arguments, folder.path());
    run(Path::new("mkdir"), &["envs"]);
    run(Path::new("cp"), &["-a", installed.to_str().expect("UTF-8"), prefix]);
    let python = std::fs::canonicalize(Path::new(prefix).join("bin/python3")).expect("it is there");
    let moved = python.to_str().expect("UTF-8");
    run(&patchelf, &["--force-rpath", "--set-rpath", "$ORIGIN/../lib", moved]);
    let wheel = oom::wheel().to_str().expect("UTF-8");
    run(&python, &[&INSTALL, &["--no-index", wheel][..]].concat());
    let path = format!("PATH={prefix}/bin:/usr/bin:/bin");
    let active = [&path, &format!("CONDA_PREFIX={prefix}"), "sh"];
    let job = limited(&["fil-profile", "--no-browser", "run", "-c", RUNS_OUT]);
    assert_eq!(
        run(Path::new("env"), &[&active, &job[..]].concat()),
        format!("{prefix}\n")
    );
    assert_ran_out(folder.path());
}

#[test]
fn a_frozen_program_and_the_workers_of_celery_are_jobs_like_others() {
    if std::env::var_os("OOM_TESTS_LONG").is_none() {
        announce("no virtualenv, PyInstaller and Celery are installed for this: OOM_TESTS_LONG=1 does");
        return;
    }
    let tools = oom::package_python(Python::any(), &["virtualenv"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |program: &Path, arguments: &[&str]| run(program, arguments, folder.path());
    run(&tools.path, &["-m", "virtualenv", "--quiet", "venv"]);
    let programs = folder.path().join("venv/bin");
    let wheel = oom::wheel().to_str().expect("UTF-8");
    let packages = [&INSTALL, &[wheel, "pyinstaller", "celery"][..]].concat();
    run(&programs.join("python"), &packages);
    let ours = programs.join("fil-profile");
    let watched = [ours.to_str().expect("UTF-8"), "--no-browser", "run"];

    std::fs::write(folder.path().join("job.py"), RUNS_OUT).expect("it can be written");
    run(
        &programs.join("pyinstaller"),
        &["--log-level=ERROR", "--onedir", "job.py"],
    );
    for job in ["job.py", "dist/job/job"] {
        let said = run(Path::new("sh"), &limited(&[&watched[..], &[job]].concat()));
        let prefix = if job == "job.py" { "venv" } else { "dist/job" };
        assert!(Path::new(said.trim()).starts_with(folder.path().join(prefix)), "{said}");
        assert_ran_out(folder.path());
    }

    std::fs::write(folder.path().join("tasks.py"), TASKS).expect("it can be written");
    run(&programs.join("python"), &["-c", "import tasks; tasks.load.delay()"]);
    let celery = programs.join("celery");
    let worker = [
        celery.to_str().expect("UTF-8"),
        "-A",
        "tasks",
        "worker",
        "-P",
        "prefork",
        "-c",
        "2",
    ];
    run(Path::new("timeout"), &[&["120"], &watched[..], &worker].concat());
    let report = Report::load(&folder.path().join("fil-result/latest/report.json"));
    assert_eq!(report.text("/call_sites/0/function"), "load", "{report}");
    assert_eq!(report.number("/call_sites/0/bytes"), Some((40 << 20) + 1), "{report}");
    assert!(report.number("/processes/1/pid").is_some(), "{report}");
}

/// What a worker of Celery's does: holds something, and ends the worker that it is a child of.
const TASKS: &str = "import os, celery
app = celery.Celery('tasks', broker='filesystem://')
app.conf.broker_transport_options = {'data_folder_in': '.', 'data_folder_out': '.'}

@app.task
def load():
    global kept
    kept = bytearray(40 << 20)
    os.kill(os.getppid(), 15)
";

#[test]
fn a_phase_has_its_own_peak_and_a_mark_on_the_timeline() {
    Python::each(|python| {
        let outcome = with_package(Job::python(python, "phases.py")).run();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        let report = Report::of(&outcome);
        let phases = report.at("/processes/0/phases").as_array().cloned().unwrap_or_default();
        let names: Vec<&str> = phases.iter().filter_map(|phase| phase["name"].as_str()).collect();
        assert_eq!(names, ["load", "fit it", "save"], "{report}");
        let base = phases[0]["peak_bytes"].as_u64().expect("a number") - (30 << 20);
        for (phase, held) in phases.iter().zip([30 << 20, 80 << 20, 30 << 20]) {
            let peak = phase["peak_bytes"].as_u64().expect("a number");
            assert_close(peak - base, held, 3.0, &report);
        }
        let lines = outcome.our_lines().join(" ");
        assert!(lines.contains("Peak by phase: load "), "{outcome}");
        let timeline = std::fs::read_to_string(outcome.file("timeline.csv")).expect("it can be read");
        assert!(timeline.contains("fit it"), "{timeline}");
    });
}

/// The highest of many estimates is too high, the more so the longer a heap stays the same: what is reported must not be.
#[test]
fn the_peaks_of_phases_and_windows_of_a_heap_that_stays_the_same_are_what_it_holds() {
    // Fixed, so that the error printed of one moment is that of all.
    let job = Job::python(Python::any(), "steady_asked.py").option("--sample-interval=4KiB");
    let outcome = with_package(job).run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let (report, truths) = (Report::of(&outcome), outcome.truths());
    let error = report.number("/moment/error_bytes").expect("a number");
    assert!(error < (truths["HELD"] - truths["BLOCK"]) / 60, "± {error}: {report}");
    let phases = report.at("/processes/0/phases").as_array().cloned().unwrap_or_default();
    let of_phases = phases.iter().filter_map(|phase| phase["peak_bytes"].as_u64());
    let peaks: Vec<u64> = of_phases.chain([truths["SINCE_RESET"]]).collect();
    assert_eq!(peaks.len(), 3, "{report}");
    let off = |peak: &u64| (*peak as f64 - truths["HELD"] as f64) / error as f64;
    let window = Report::load(&outcome.folder().join("window/report.json"));
    let grown = window.number("/moment/bytes").expect("a number");
    announce(&format!(
        "replaced 200 times: printed errors off {:.1?}; grown in a window: {grown} bytes, ± {error}",
        peaks.iter().map(off).collect::<Vec<f64>>()
    ));
    assert!(peaks.iter().all(|peak| off(peak).abs() < 5.0), "{outcome}");
    assert!(grown.abs_diff(truths["BLOCK"]) < 3 * error, "{window}");
}

#[test]
fn the_table_has_the_users_own_lines_and_stdout_is_the_jobs() {
    let job = |words: [&Path; 2]| Job::words(words).env("FIL_PROFILE_PYTHON", &Python::any().path);
    let script = oom::victim("own_lines.py");
    let outcome = job([Path::new("--text"), &script]).run();
    assert_eq!(
        (outcome.status, outcome.truth()),
        (Some(0), (30 << 20) + 2),
        "{outcome}"
    );
    let row = |marker: &str, bytes: &str| {
        let number = place("own_lines.py", marker).line.to_string();
        let lines = outcome.our_lines();
        let row = lines
            .into_iter()
            .find(|line| line.split_whitespace().next() == Some(&number));
        let row = row.unwrap_or_else(|| panic!("no line {number}: {outcome}"));
        assert!(row.contains(bytes) && row.contains(marker), "{row}");
    };
    row("OWN", " 20.0 MiB ");
    row("LIBRARY", " MiB ");
    let plain = Job::python(Python::any(), "own_lines.py").run();
    assert!(!plain.stderr.contains("of your own files"), "{plain}");
}

#[test]
fn one_call_is_recorded_alone_also_where_nothing_else_is() {
    Python::each(|python| {
        let alone = |outcome: &Outcome| {
            assert_eq!((outcome.status, outcome.truth()), (Some(0), 30 << 20), "{outcome}");
            let report = Report::load(&outcome.folder().join("of the call/report.json"));
            let (bytes, _) = report.held_at(&place("one_call.py", "INSIDE"));
            assert_close(bytes, 30 << 20, 1.0, &report);
            let total = report.number("/moment/bytes").expect("a number");
            assert_close(total, 30 << 20, 2.0, &report);
        };
        let run = with_package(Job::python(python, "one_call.py").arg("of the call")).run();
        alone(&run);
        assert!(Report::of(&run).number("/moment/bytes") > Some(130 << 20), "{run}");
        // `fil-profile python`: the harness would write `run`.
        let script = oom::victim("one_call.py");
        let words = ["-c", r#"exec "$0" python "$@""#].map(Path::new);
        let program = oom::fil_profile();
        let job = Job::words([
            Path::new("sh"),
            words[0],
            words[1],
            program,
            &script,
            Path::new("of the call"),
        ]);
        let job = job.unwatched().env("FIL_PROFILE_PYTHON", &python.path);
        let dormant = with_package(job).run();
        alone(&dormant);
        assert!(!dormant.folder().join("fil-result").exists(), "{dormant}");
    });
}
