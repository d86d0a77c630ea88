//! "Whatever an interpreter does, memory is at its line": interpreters beside the main one, threads of C that keep a thread state, the
//! end of the interpreter, and what the newest versions have.

use std::path::Path;
use std::process::Command;

use oom::{Folded, Job, MIB, Outcome, Place, Python, announce, assert_close, c_library, place, victim};

/// The Pythons from this minor version on; a line on the terminal if there is none.
fn from(minor: u32) -> Vec<&'static Python> {
    let found: Vec<_> = Python::all()
        .iter()
        .filter(|python| python.version.1 >= minor)
        .collect();
    if found.is_empty() {
        announce(&format!(
            "No CPython 3.{minor} or later: what is new in it is not tested. scripts/new-pythons prepares it."
        ));
    }
    found
}

fn line(file: &str, line: u32) -> Place {
    Place {
        file: file.to_owned(),
        line,
    }
}

fn run(job: Job) -> Outcome {
    let outcome = job.run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    outcome
}

#[test]
fn in_interpreters_and_threads_made_by_c() {
    let library = c_library("interpreters.c");
    Python::each_of(Python::with_gil(oom::NOBODY_WAITS), |python| {
        let outcome = run(Job::python(python, "interpreters.py").arg(&library));
        let peak = outcome.peak();
        let waits = place("interpreters.py", "WAITS");
        assert_close(peak.at(&waits), 40 * MIB, 2.0, &outcome);
        assert_close(peak.at(&place("interpreters.py", "CALLBACK")), 20 * MIB, 2.0, &outcome);
        assert_close(peak.at(&line("<string>", 5)), 61 * MIB, 2.0, &outcome);
        // Objects of the second; those of the first are gone.
        let objects = (7..=9).map(|number| peak.at(&line("<string>", number))).sum();
        assert_close(objects, 50_000 * (133 + 8), 25.0, &outcome);
    });
}

#[test]
fn while_the_interpreter_shuts_down() {
    Python::each(|python| {
        for occasion in ["FINALIZER", "CYCLE", "WEAK_REFERENCE", "AT_EXIT", "COLLECTOR"] {
            let outcome = run(Job::python(python, "shuts_down.py").arg(occasion));
            let place = place("shuts_down.py", occasion);
            assert_close(outcome.peak().at(&place), outcome.truth(), 2.0, &outcome);
        }
    });
}

#[test]
fn in_a_pool_of_interpreters() {
    for python in from(14) {
        let outcome = run(Job::python(python, "interpreter_pool.py"));
        let peak = outcome.peak();
        assert_close(peak.at(&place("interpreter_pool.py", "POOL")), 80 * MIB, 2.0, &outcome);
        assert_close(peak.at(&line("<script>", 3)), 70 * MIB, 2.0, &outcome);
    }
}

/// The branches of a hot loop, in code that the JIT compiles and in code that it does not.
#[test]
fn in_code_that_a_jit_compiles() {
    for python in from(14) {
        for jit in ["0", "1"] {
            let outcome = run(Job::python(python, "hot_loop.py").env("PYTHON_JIT", jit).exact());
            if jit == "1" && !outcome.text().contains("compiles: True") {
                announce(&format!("{python} has no JIT: that is not tested."));
            }
            let peak = outcome.peak();
            for marker in ["EVEN", "ODD", "CALLEE", "GENERATOR"] {
                let place = place("hot_loop.py", marker);
                // The compiler's own memory is at the line that made it begin.
                assert_close(peak.at(&place), outcome.truth(), 3.0, &format!("{place}: {outcome}"));
            }
        }
    }
}

#[test]
fn of_a_script_that_another_process_sends() {
    for python in from(14) {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let script = folder.path().join("sent.py");
        std::fs::write(&script, "import builtins\n\nbuiltins.sent = bytearray(40 << 20)\n").expect("it is writable");
        let outcome = run(Job::python(python, "is_sent_a_script.py").arg(&script));
        // Python runs it under one of these names.
        let held = ["<string>", "sent.py"].map(|file| outcome.peak().at(&line(file, 3)));
        assert_close(held.iter().sum(), 40 * MIB, 2.0, &outcome);
    }
}

#[test]
fn beside_the_profiler_of_python_itself() {
    for python in from(15) {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let samples = folder.path().join("samples.txt");
        let job = Job::module(python, "profiling.sampling")
            .arg("run")
            .arg("--collapsed")
            .arg("-o")
            .arg(&samples);
        let outcome = run(job.arg(victim("hot_loop.py")).exact());
        let text = std::fs::read_to_string(&samples).unwrap_or_default();
        assert!(text.contains("hot_loop.py"), "it has sampled nothing: {outcome}");
        let tree = Folded::load(&outcome.file("process-tree.prof"));
        assert_close(
            tree.at(&place("hot_loop.py", "GENERATOR")),
            outcome.truth(),
            2.0,
            &outcome,
        );
    }
}

/// A copy of the newest Python that says that it is the next one, in all places that tell it.
#[test]
fn of_a_python_that_is_newer_than_this_program() {
    for python in from(15).into_iter().filter(|python| !python.is_free_threaded) {
        let program = python.path.with_file_name("python3.15-as-3.16");
        let mut bytes = std::fs::read(&python.path).expect("the interpreter is readable");
        let (_, minor, micro) = python.version;
        let text = |minor: u32| format!("3.{minor}.{micro}").into_bytes();
        let number = |minor: u32| [b"xdebugpy".as_slice(), &[0xF0, micro as u8, minor as u8, 3]].concat();
        assert!(replace(&mut bytes, &text(minor), &text(16)) > 0);
        assert_eq!(
            replace(&mut bytes, &number(minor), &number(16)),
            1,
            "where _PyRuntime begins"
        );
        install(&program, &bytes);
        let newer = Python {
            path: program,
            version: python.version,
            is_free_threaded: python.is_free_threaded,
        };
        let outcome = run(Job::python(&newer, "hot_loop.py").exact());
        assert!(outcome.stderr.contains("Python 3.16 is newer"), "{outcome}");
        for marker in ["EVEN", "ODD", "CALLEE", "GENERATOR"] {
            let place = place("hot_loop.py", marker);
            assert_close(outcome.peak().at(&place), outcome.truth(), 2.0, &outcome);
        }
    }
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) -> usize {
    let at: Vec<_> = bytes
        .windows(old.len())
        .enumerate()
        .filter(|(_, part)| *part == old)
        .map(|(at, _)| at)
        .collect();
    for at in &at {
        bytes[*at..*at + new.len()].copy_from_slice(new);
    }
    at.len()
}

fn install(program: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(program, bytes).expect("it is writable");
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// A program with a static Python, of whose names the dynamic linker knows none.
#[test]
fn of_a_program_with_a_python_in_it() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut tried = 0;
    for python in Python::all() {
        let home = python
            .path
            .ancestors()
            .nth(2)
            .expect("an interpreter is in a folder of a folder");
        for (what, flag) in [("named", "-g"), ("stripped", "-s")] {
            let program = folder.path().join(format!("{what}-3.{}", python.version.1));
            if let Err(why) = link(python, flag, &program) {
                announce(&format!("{python}: a program with it inside is not tested: {why}"));
                break;
            }
            tried += 1;
            let outcome = run(Job::words([program, victim("embedded.py")]).env("PYTHONHOME", home));
            let peak = outcome.peak();
            if what == "named" {
                assert_close(peak.at(&place("embedded.py", "LARGE")), 40 * MIB, 2.0, &outcome);
                let small = peak.at(&place("embedded.py", "SMALL"));
                assert_close(small, outcome.truth(), 25.0, &outcome);
            } else {
                let told = outcome.stderr.replace("=fil-profile=", "");
                let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(
                    told.contains("stripped of its symbols"),
                    "not a word about it: {outcome}"
                );
                assert!(peak.in_function("[No Python stack]") > 40 * MIB, "{outcome}");
            }
        }
    }
    assert!(tried > 0, "no Python has a library to link");
}

/// Links `embeds.c` with the static library of a Python.
fn link(python: &Python, flag: &str, program: &Path) -> Result<(), String> {
    let code = "import sysconfig as s; print(s.get_config_var('LIBPL') + '/' + s.get_config_var('LIBRARY'))";
    let asked = Command::new(&python.path).args(["-c", code]).output();
    let asked = asked.map_err(|error| error.to_string())?;
    let archive = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    // Half of the programs are at another address each time.
    let pie = ["-pie", "-no-pie"][python.version.1 as usize % 2];
    let mut cc = Command::new("cc");
    cc.args([flag, "-o"])
        .arg(program)
        .arg(victim("embeds.c"))
        .args([&archive, pie]);
    let libraries = ["-lpthread", "-ldl", "-lutil", "-lm", "-lrt", "-lz"];
    let linked = cc.args(libraries).output().map_err(|error| error.to_string())?;
    let errors = String::from_utf8_lossy(&linked.stderr).into_owned();
    match linked.status.success() {
        true => Ok(()),
        false => Err(errors.lines().last().unwrap_or("no reason").to_owned()),
    }
}
