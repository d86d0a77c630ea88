//! "A kill in a cgroup that the job has entered after its start is the kernel's, and the limit there is named."

use nix::sys::signal::Signal;
use oom::{Cgroup, Job, MIB, Outcome, Report, c_program};

const LIMIT: u64 = 50 * MIB;

/// A shell script as the job, in a cgroup without a limit. `$inner` is a cgroup with one below it, which `make` may have to make.
fn run(is_made_before: bool, script: &str) -> Option<(Cgroup, Outcome)> {
    let cgroup = Cgroup::unlimited()?;
    let inner = cgroup.folder().join("inner");
    let made = is_made_before.then(|| cgroup.child("inner"));
    let start = format!(
        "inner='{}'; hog='{} 1 1'; [ -d $inner ] || mkdir $inner; echo {LIMIT} > $inner/memory.limit_in_bytes; {script}",
        inner.display(),
        c_program("grows_until_killed.c").display(),
    );
    let outcome = Job::words(["/bin/sh", "-c", &start]).within(&cgroup).run();
    drop(made);
    let _ = std::fs::remove_dir(inner);
    Some((cgroup, outcome))
}

#[track_caller]
fn blames(cgroup: &Cgroup, outcome: &Outcome, kind: &str) {
    let report = Report::of(outcome);
    assert_eq!(report.kind(), kind, "{outcome}{report}");
    let limit = format!("{}/inner", cgroup.name());
    assert_eq!(report.text("/outcome/limit/path"), limit, "{outcome}{report}");
    assert_eq!(report.number("/outcome/limit/bytes"), Some(LIMIT), "{report}");
    assert!(outcome.has("out-of-memory.svg"), "{outcome}");
}

#[test]
fn a_job_that_moves_itself() {
    for (is_made_before, pause) in [(true, "sleep 0.5; "), (false, "")] {
        let script = format!("echo $$ > $inner/cgroup.procs; {pause}exec $hog");
        let Some((cgroup, outcome)) = run(is_made_before, &script) else {
            return;
        };
        assert_eq!(outcome.signal, Some(Signal::SIGKILL as i32), "{outcome}");
        blames(&cgroup, &outcome, "oom_killed_by_cgroup");
    }
}

#[test]
fn a_child_that_moves_itself() {
    let script = "(echo $(exec sh -c 'echo $PPID') > $inner/cgroup.procs; exec $hog); exit $?";
    let Some((cgroup, outcome)) = run(false, script) else {
        return;
    };
    assert_eq!(outcome.status, Some(137), "{outcome}");
    blames(&cgroup, &outcome, "oom_killed_by_cgroup");
}
