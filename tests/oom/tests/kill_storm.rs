//! "A job killed by the kernel in a memory cgroup leaves the same report as one whose malloc failed": each kill of many.

use oom::storm;

/// So many kills of each kind, and the line that the script ends with.
#[track_caller]
fn loses_nothing(kills: usize, kinds: &str, more: &[&str]) {
    let kills = kills.to_string();
    let options = ["--kills", &kills, "--kinds", kinds];
    let Some(text) = storm(&[&options, more].concat()) else {
        return;
    };
    let last = text.lines().last().unwrap_or_default();
    assert!(last.starts_with(&format!("{kills} kills, 0 with a loss")), "{text}");
}

#[test]
fn every_kill_of_small_jobs_with_threads_and_processes_is_reported() {
    loses_nothing(24, "c,fast,threads,processes", &[]);
}

#[test]
fn every_kill_of_a_python_job_with_many_threads_is_reported() {
    loses_nothing(12, "python,python-threads", &["--parallel", "2"]);
}

#[test]
fn every_kill_of_a_job_that_has_two_gigabytes_is_reported() {
    loses_nothing(2, "heap", &[]);
}
