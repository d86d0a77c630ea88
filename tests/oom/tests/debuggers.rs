//! "A job under valgrind, or with an allocator of its own, is as without us: nothing before its blocks is read."

use oom::{Job, Python, announce, c_program, c_program_by, is_on_path};

const VICTIM: &str = "resizes_an_array.c";

/// Status and output are those of the same job alone, and no error is found.
#[track_caller]
fn is_as_alone(job: Job, what: &str) {
    let (alone, watched) = (job.clone().unwatched().run(), job.run());
    assert_eq!(watched.status, alone.status, "{what}: {watched}\n{alone}");
    assert_eq!(watched.text(), alone.text(), "{what}: {watched}");
    assert_eq!(watched.job_stderr(), alone.job_stderr(), "{what}: {watched}");
    assert_ne!(watched.status, Some(FOUND), "{what}: {watched}");
}

/// The status of a job in which valgrind has found an error.
const FOUND: i32 = 99;

#[test]
fn valgrind_finds_no_error_that_it_does_not_find_without_us() {
    if !is_on_path("valgrind") {
        return announce("left out: jobs under valgrind, which is not installed");
    }
    let program = c_program(VICTIM);
    let program = program.to_str().expect("UTF-8");
    let exit = format!("--error-exitcode={FOUND}");
    for tool in [
        &["--tool=memcheck", "--leak-check=full", &exit][..],
        &["--tool=drd", &exit],
        &["--tool=helgrind", &exit],
        &["--tool=massif", "--massif-out-file=/dev/null"],
        &["--tool=dhat", "--dhat-out-file=/dev/null"],
        &["--tool=none"],
    ] {
        for victim in [&[program][..], &["/bin/ls", "/"]] {
            let job = Job::words([&["valgrind", "-q"], tool, victim].concat());
            is_as_alone(job, &format!("{tool:?} {victim:?}"));
        }
    }
}

/// An interpreter reads what it has not written, so that valgrind finds errors of its own.
#[test]
fn python_under_valgrind_ends_as_without_us() {
    if !is_on_path("valgrind") {
        return announce("left out: Python under valgrind, which is not installed");
    }
    let python = Python::any().path.to_str().expect("UTF-8");
    let code = "kept = [bytearray(300000) for _ in range(9)]; print(len(kept)); raise SystemExit(7)";
    for tool in ["memcheck", "massif"] {
        let tool = format!("--tool={tool}");
        let words = [
            "valgrind",
            "-q",
            &tool,
            "--log-file=/dev/null",
            "--massif-out-file=/dev/null",
        ];
        let words = &words[..if tool.ends_with("massif") { 5 } else { 4 }];
        is_as_alone(Job::words([words, &[python, "-c", code]].concat()), &tool);
    }
}

#[test]
fn a_program_whose_own_malloc_lacks_reallocarray_runs_as_without_us() {
    let program = c_program_by(VICTIM, "cc", "own-malloc", &["-DOWN_MALLOC", "-rdynamic"]);
    for job in [Job::words([&program]), Job::words([&program]).exact()] {
        let outcome = job.clone().run();
        assert_eq!(outcome.status, Some(7), "{outcome}");
        is_as_alone(job, "own malloc");
    }
}
