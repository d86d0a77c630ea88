//! "Whatever call of the kernel's fails for us, the job runs, and ends as without us."
//!
//! strace lets a call fail: once, or from then on. In the short form a dozen that are likely; with OOM_TESTS_LONG every call that the
//! supervisor makes before, while and after the job runs, and every call of the library's.

use std::collections::BTreeMap;
use std::path::Path;

use oom::{Job, Outcome, Python, announce, is_on_path};

/// The errors that calls fail with, in turn.
const ERRORS: &[&str] = &["ENOMEM", "ENOSPC", "EMFILE", "EACCES", "EIO", "EINTR"];

/// Calls that are not made to fail. In order: what executes us and ends us; what the dynamic linker and malloc need, without which no
/// Rust program starts or goes on; what cannot fail as it is called; and what std's own start takes for impossible.
const SPARED: &[&str] = &[
    "execve",
    "exit_group",
    "exit",
    "rt_sigreturn",
    "restart_syscall", //
    "brk",
    "mmap",
    "munmap",
    "mprotect",
    "arch_prctl",
    "set_tid_address",
    "set_robust_list",
    "rseq", //
    "getpid",
    "gettid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "kill", //
    "rt_sigaction",
    "rt_sigprocmask",
    "poll",
    "sigaltstack",
];

/// The first call that is ours and not the dynamic linker's or std's.
const BEGIN: &str = "rt_sigaction(SIGXFSZ, NULL";

fn is_possible() -> bool {
    let is_there = is_on_path("strace");
    if !is_there {
        announce("left out: calls that fail, for strace is not installed here");
    }
    is_there
}

fn is_long() -> bool {
    let is_long = std::env::var_os("OOM_TESTS_LONG").is_some();
    if !is_long {
        announce("a few calls that fail: OOM_TESTS_LONG=1 lets each fail");
    }
    is_long
}

/// A program that says something, holds 3 MB, and ends with 7.
fn job() -> Job {
    Job::c("holds_three_megabytes.c")
}

/// The job of a supervisor that strace traces, alone or with all that it starts.
fn traced(job: Job, follows: bool, log: &Path, injected: Option<&str>) -> Job {
    let mut words = vec!["strace".to_owned(), "-o".to_owned(), log.display().to_string()];
    words.extend(follows.then(|| "-f".to_owned()));
    if let Some(injected) = injected {
        let call = injected.split(':').next().unwrap_or_default();
        words.extend(["-e".to_owned(), format!("trace={call}")]);
        words.extend(["-e".to_owned(), format!("inject={injected}")]);
    }
    job.launched_by(words)
}

/// How often each call is made in all, and before our own program begins.
fn counted(log: &Path) -> BTreeMap<String, (usize, usize)> {
    let text = std::fs::read_to_string(log).expect("strace has written it");
    let mut counts = BTreeMap::<String, (usize, usize)>::new();
    let mut has_begun = false;
    for line in text.lines() {
        has_begun |= line.contains(BEGIN);
        let Some((call, _)) = line.split_once('(') else {
            continue;
        };
        if call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let (all, early) = counts.entry(call.to_owned()).or_default();
            *all += 1;
            *early += usize::from(!has_begun);
        }
    }
    assert!(has_begun, "no call of ours: {text}");
    counts
}

/// Every way for a call to fail that is made `all` times, of which the first `early` are not ours.
fn failures(call: &str, all: usize, early: usize) -> Vec<String> {
    let error = |number: usize| match ERRORS[(number + call.len()) % ERRORS.len()] {
        // That is the kernel's word that the program cannot be executed.
        "EACCES" if ["access", "newfstatat", "statx"].contains(&call) => "EIO",
        error => error,
    };
    let once = (early + 1..=all).map(|number| format!("{call}:error={}:when={number}", error(number)));
    let middle = early + (all - early) / 2;
    let mut starts = vec![early + 1, early + 2, middle, all];
    starts.retain(|start| (early + 1..=all).contains(start));
    starts.dedup();
    // Waiting fails where there is no such child, or when interrupted: neither is so for ever. And a job that we have become writes too.
    starts.retain(|_| !["wait4", "write"].contains(&call));
    let from_then_on = starts.into_iter().map(|start| {
        format!(
            "{call}:error={}:when={start}+",
            ["EIO", "ENOMEM", "EMFILE", "EACCES"][start % 4]
        )
    });
    once.chain(from_then_on).collect()
}

/// What is wrong with how a job has ended; nothing if nothing is.
fn wrong(injected: &str, outcome: &Outcome) -> Option<String> {
    let lines = ["the job runs all the same", "fil-profile itself has failed"];
    let became_the_job = lines.iter().any(|line| outcome.stderr.contains(line));
    // Then the calls of the job fail too, as they would have without us.
    if became_the_job && injected.ends_with('+') && outcome.signal.is_none() {
        return None;
    }
    let theirs = outcome.job_stderr();
    let is_as_alone = outcome.status == Some(7) && outcome.text() == "out\n" && theirs.is_empty();
    (!is_as_alone).then(|| format!("{injected}: {outcome}"))
}

#[track_caller]
fn none_is_wrong(wrong: &[String], of: usize) {
    announce(&format!(
        "{of} calls have failed, {} of them to the job's harm",
        wrong.len()
    ));
    assert!(of > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn calls_of_the_supervisor() {
    if !is_possible() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let log = folder.path().join("log");
    let outcome = traced(job(), false, &log, None).run();
    if outcome.status != Some(7) {
        return announce(&format!(
            "left out: calls that fail, for nothing can be traced here: {outcome}"
        ));
    }
    let mut injections: Vec<String> = Vec::new();
    for (call, (all, early)) in counted(&log) {
        if !SPARED.contains(&call.as_str()) {
            injections.extend(failures(&call, all, early));
        }
    }
    if !is_long() {
        let likely = [
            "signalfd4",
            "mknodat",
            "flock",
            "clone",
            "eventfd2",
            "ppoll",
            "mkdir",
            "ppoll",
            "clone",
            "prctl",
            "close_range",
            "rename",
            "getrandom",
            "read",
            "close",
        ];
        let is_first = |call: &&str| {
            injections
                .iter()
                .find(|one| one.starts_with(&format!("{call}:")))
                .cloned()
        };
        let is_last = |call: &&str| {
            injections
                .iter()
                .rfind(|one| one.starts_with(&format!("{call}:")))
                .cloned()
        };
        let mut chosen: Vec<_> = likely.iter().filter_map(is_first).collect();
        chosen.extend(likely.iter().filter_map(is_last));
        injections = chosen;
    }
    let quiet = Path::new("/dev/null");
    let failed = |one: &String| wrong(one, &traced(job(), false, quiet, Some(one)).run());
    let wrong: Vec<_> = injections.iter().filter_map(failed).collect();
    none_is_wrong(&wrong, injections.len());
}

/// Those that the job, a C program, makes itself are spared.
#[test]
fn calls_of_reports_and_of_whatever_else_is_started() {
    if !is_possible() {
        return;
    }
    let calls = [
        "rename",
        "symlink",
        "unlink",
        "mkdir",
        "mknodat",
        "statfs",
        "flock",
        "getdents64",
        "getcwd",
        "readlink",
        "lseek",
        "statx",
        "eventfd2",
        "signalfd4",
        "getrandom",
        "fallocate",
        "pwrite64",
        "chdir",
        "fdatasync",
        "ftruncate",
    ];
    let whens: &[&str] = if is_long() {
        &["1", "2", "3", "5", "8", "1+", "3+"]
    } else {
        &["1+"]
    };
    let mut wrong_ones = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        for (index, when) in whens.iter().enumerate() {
            let injected = format!(
                "{call}:error={}:when={when}",
                ERRORS[(number + index) % (ERRORS.len() - 1)]
            );
            let outcome = traced(job(), true, Path::new("/dev/null"), Some(&injected)).run();
            wrong_ones.extend(wrong(&injected, &outcome));
        }
    }
    none_is_wrong(&wrong_ones, calls.len() * whens.len());
}

/// Those that Python makes itself are spared.
#[test]
fn calls_of_the_library_in_a_python_job() {
    if !is_possible() {
        return;
    }
    let python = Python::any().path.to_str().expect("UTF-8");
    let code = "import sys; print('out'); kept = bytearray(3 << 20); sys.exit(7)";
    let calls = [
        "fallocate",
        "pwrite64",
        "process_vm_readv",
        "getppid",
        "rt_sigpending",
        "nanosleep",
    ];
    let whens: &[&str] = if is_long() {
        &["1", "2", "3", "7", "1+", "2+", "9+"]
    } else {
        &["1+"]
    };
    let mut wrong_ones = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        for (index, when) in whens.iter().enumerate() {
            let injected = format!("{call}:error={}:when={when}", ERRORS[(number + index) % ERRORS.len()]);
            let (trace, inject) = (format!("trace={call}"), format!("inject={injected}"));
            let strace = ["strace", "-D", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let job = Job::words(strace.iter().chain(&[python, "-c", code]));
            wrong_ones.extend(wrong(&injected, &job.run()));
        }
    }
    none_is_wrong(&wrong_ones, calls.len() * whens.len());
}

/// strace stands between us and the job, and traces the job as its child: only what the library does in it fails.
#[test]
fn calls_of_the_library() {
    if !is_possible() {
        return;
    }
    let program = oom::c_program("holds_three_megabytes.c");
    let program = program.to_str().expect("UTF-8");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let log = folder.path().join("log");
    // With -D the traced program is the direct child.
    let run = |log: &Path, injected: Option<&str>| {
        let log = log.to_str().expect("UTF-8");
        let call = injected.and_then(|one| one.split(':').next());
        let mut words = vec!["strace".to_owned(), "-D".to_owned(), "-o".to_owned(), log.to_owned()];
        words.extend(
            call.into_iter()
                .flat_map(|call| ["-e".to_owned(), format!("trace={call}")]),
        );
        words.extend(
            injected
                .into_iter()
                .flat_map(|one| ["-e".to_owned(), format!("inject={one}")]),
        );
        words.push(program.to_owned());
        Job::words(words).run()
    };
    let outcome = run(&log, None);
    if outcome.status != Some(7) {
        return announce(&format!(
            "left out: calls of the library that fail, for nothing can be traced here: {outcome}"
        ));
    }
    let text = std::fs::read_to_string(&log).expect("strace has written it");
    // The library's first that neither the linker nor the C library makes: it asks who its parent is.
    let begin = text.lines().position(|line| line.starts_with("getppid("));
    let begin = begin.unwrap_or_else(|| panic!("the library is not there: {text}"));
    let mut counts = BTreeMap::<&str, (usize, usize)>::new();
    for (number, line) in text.lines().enumerate() {
        let Some((call, _)) = line.split_once('(') else {
            continue;
        };
        let (all, early) = counts.entry(call).or_default();
        *all += 1;
        *early += usize::from(number < begin);
    }
    // What the job itself and malloc for it need is spared.
    let theirs = [
        "write",
        "execve",
        "exit_group",
        "brk",
        "mmap",
        "munmap",
        "mprotect",
        "newfstatat",
        "getrandom",
    ];
    let mut injections = Vec::new();
    for (call, (all, early)) in counts {
        if !theirs.contains(&call) && early < all {
            injections.extend(failures(call, all, early));
        }
    }
    if !is_long() {
        injections.retain(|one| one.ends_with('+'));
        injections.truncate(16);
    }
    let failed = |one: &String| wrong(one, &run(Path::new("/dev/null"), Some(one)));
    let wrong: Vec<_> = injections.iter().filter_map(failed).collect();
    none_is_wrong(&wrong, injections.len());
}
