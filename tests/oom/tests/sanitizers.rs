//! "A program with the runtime of a sanitizer runs as without us: as the job, as a child, and where it is preloaded."

use std::path::PathBuf;
use std::process::Command;

use oom::{Job, Outcome, announce, c_program, c_program_by, is_on_path};

/// A program for each compiler and way to link it that there is here, with its name.
fn programs() -> Vec<(String, PathBuf)> {
    let ways = [
        ("gcc", "address", None),
        ("gcc", "address", Some("-static-libasan")),
        ("gcc", "thread", None),
        ("gcc", "thread", Some("-static-libtsan")),
        ("gcc", "leak", None),
        ("clang", "address", None),
        ("clang", "address", Some("-shared-libasan")),
        ("clang", "thread", None),
        ("clang", "memory", None),
        ("clang", "leak", None),
    ];
    let mut programs = Vec::new();
    for (compiler, sanitizer, link) in ways {
        if !is_on_path(compiler) {
            announce(&format!(
                "{compiler} -fsanitize={sanitizer} is not tried: there is no {compiler}"
            ));
            continue;
        }
        let flag = format!("-fsanitize={sanitizer}");
        let mut flags = vec![flag.as_str()];
        flags.extend(link);
        // Where the shared runtime of clang lies, it alone knows.
        let folder = output(Command::new(compiler).arg("-print-file-name=libclang_rt.asan-x86_64.so"));
        let path = format!(
            "-Wl,-rpath,{}",
            folder.rsplit_once('/').map_or(".", |(folder, _)| folder)
        );
        if link == Some("-shared-libasan") {
            flags.push(&path);
        }
        let name = format!("{compiler}-{sanitizer}{}", link.unwrap_or_default());
        programs.push((name.clone(), c_program_by("sanitized.c", compiler, &name, &flags)));
    }
    programs
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("the compiler can be run");
    String::from_utf8(output.stdout)
        .expect("paths here are ASCII")
        .trim()
        .to_owned()
}

#[track_caller]
fn is_alike(what: &str, job: &Job) -> Outcome {
    let alone = job.clone().unwatched().run();
    let watched = job.clone().run();
    assert_eq!(watched.status, alone.status, "{what}: {watched}\n{alone}");
    assert_eq!(watched.text(), alone.text(), "{what}: {watched}");
    watched
}

#[track_caller]
fn says_so(what: &str, outcome: &Outcome) {
    let said = outcome
        .stderr
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace("=fil-profile= ", "");
    let told = said.matches("it has the runtime of a sanitizer").count();
    assert_eq!(told, 1, "{what}: {outcome}");
}

#[test]
fn the_job_itself_a_child_of_a_script_and_a_child_of_python_run_as_without_us() {
    for (name, program) in programs() {
        let path = program.to_str().expect("ASCII");
        let outcome = is_alike(&name, &Job::words([&program]));
        assert_eq!(outcome.status, Some(7), "{name}: {outcome}");
        says_so(&name, &outcome);
        let script = format!("{path}; a=$?; (exec -a 'another name' {path}); echo $?; exit $a");
        let job = Job::words(["bash", "-c", &script]);
        for _ in 0..5 {
            let outcome = job.clone().run();
            assert_eq!(outcome.status, Some(7), "{name}: {outcome}");
            let expected = format!("{path} ran, {0}\nanother name ran, {0}\n7\n", preloaded(&outcome));
            assert_eq!(outcome.text(), expected, "{name}");
        }
        let code = format!("import subprocess; print(subprocess.call(['{path}'], stdout=subprocess.DEVNULL))");
        let outcome = is_alike(&name, &Job::code(oom::Python::any(), &code));
        assert_eq!(outcome.text(), "7\n", "{name}: {outcome}");
    }
}

/// A runtime that is linked into its program bears us; where it is a library, the program starts anew without us.
fn preloaded(outcome: &Outcome) -> &'static str {
    if outcome.text().contains("preloaded") {
        "preloaded"
    } else {
        "alone"
    }
}

#[test]
fn a_child_that_is_not_watched_is_named() {
    let program = c_program_by("sanitized.c", "gcc", "gcc-address", &["-fsanitize=address"]);
    let script = format!("{}; exit $?", program.display());
    for shell in ["sh", "bash"] {
        let outcome = Job::words([shell, "-c", &script]).run();
        assert_eq!(outcome.status, Some(7), "{outcome}");
        says_so(shell, &outcome);
    }
}

/// What it reports is what it reports without us, but for numbers of processes and addresses.
#[test]
fn a_report_of_a_sanitizer_has_no_frame_of_ours() {
    let program = c_program_by("sanitized.c", "gcc", "gcc-address", &["-fsanitize=address"]);
    for script in [
        format!("exec {} 3", program.display()),
        format!("{} 3; exit $?", program.display()),
    ] {
        let outcome = is_alike(&script, &Job::words(["sh", "-c", &script]));
        assert!(outcome.stderr.contains("heap-buffer-overflow"), "{outcome}");
        assert!(!outcome.job_stderr().contains("libpreload"), "{outcome}");
    }
}

#[test]
fn a_job_under_a_preloaded_runtime_runs_as_without_us() {
    let runtime = output(Command::new("gcc").arg("-print-file-name=libasan.so"));
    let program = c_program("sanitized.c");
    let outcome = is_alike("libasan", &Job::words([&program]).env("LD_PRELOAD", &runtime));
    assert_eq!(outcome.status, Some(7), "{outcome}");
    says_so("libasan", &outcome);
    // Set by the job itself, behind ours.
    let script = format!("LD_PRELOAD=$LD_PRELOAD:{runtime} {}", program.display());
    let outcome = is_alike("libasan, by the job", &Job::words(["sh", "-c", &script]));
    assert_eq!(outcome.status, Some(7), "{outcome}");
}

/// Its `sigaction` calls a null pointer before the first allocation, which a shell makes before it calls that.
#[test]
fn we_start_under_a_preloaded_leak_sanitizer() {
    let library = output(Command::new("gcc").arg("-print-file-name=liblsan.so"));
    if !library.starts_with('/') {
        return announce("left out: LeakSanitizer preloaded, of which gcc has no library here");
    }
    let preload = format!("LD_PRELOAD={library}");
    let job = Job::words(["/bin/sh", "-c", "exit 7"]).launched_by(["env", "LSAN_OPTIONS=detect_leaks=0", &preload]);
    let outcome = is_alike("liblsan", &job);
    assert_eq!(outcome.status, Some(7), "{outcome}");
}
