//! "A limit on stacks is the job's alone."

use oom::{Job, Python};

#[test]
fn a_job_with_a_small_stack_runs_and_has_the_same_limit() {
    for kibibytes in [32, 48, 64, 128, 512] {
        let script = format!("ulimit -s {kibibytes} && exec \"$@\"");
        let job = Job::words(["/bin/sh", "-c", "ulimit -s; ulimit -Hs; echo out; exit 3"]);
        let job = job.launched_by(["bash", "-c", &script, "sh"]);
        let alone = job.clone().unwatched().run();
        let watched = job.run();
        assert_eq!(watched.status, alone.status, "{kibibytes}: {watched}");
        assert_eq!(watched.text(), alone.text(), "{kibibytes}: {watched}");
    }
}

#[test]
fn such_a_job_is_reported_on() {
    let job = Job::code(Python::any(), "kept = bytearray(30 << 20); raise SystemExit(3)");
    let outcome = job
        .launched_by(["bash", "-c", "ulimit -s 256 && exec \"$@\"", "sh"])
        .run();
    assert_eq!(outcome.status, Some(3), "{outcome}");
    assert!(outcome.has("index.html"), "{outcome}");
}
