//! "The kernel kills the job, not the process that waits for it", however little memory the job's processes have themselves.

use std::fs;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use oom::{Cgroup, Job, MIB, Report, announce, c_program, children};

/// CAP_SYS_RESOURCE, among the capabilities of a process.
const MAY_LOWER: u64 = 1 << 24;

fn may_lower_scores() -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("every process has it");
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    capabilities.expect("every process has it") & MAY_LOWER != 0
}

const ROUNDS: usize = 5;

fn score(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("it runs")
}

fn kibibytes(pid: Pid, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    number
        .and_then(|number| number.parse().ok())
        .expect("every process has it")
}

#[test]
fn a_job_whose_memory_is_a_file_in_memory_is_killed_and_reported() {
    for round in 0..ROUNDS {
        let Some(cgroup) = Cgroup::limited(40 * MIB) else {
            return;
        };
        let outcome = Job::c("fills_a_file_in_memory.c").within(&cgroup).run();
        assert_eq!(outcome.signal, Some(Signal::SIGKILL as i32), "round {round}: {outcome}");
        let report = Report::of(&outcome);
        assert_eq!(
            report.kind(),
            "oom_killed_by_cgroup",
            "round {round}: {outcome}{report}"
        );
    }
}

#[test]
fn a_job_that_goes_on_after_such_a_kill_ends_as_without_us() {
    let victim = c_program("fills_a_file_in_memory.c");
    let script = format!("{} large; echo status $?", victim.display());
    for round in 0..ROUNDS {
        let Some(cgroup) = Cgroup::limited(40 * MIB) else {
            return;
        };
        let outcome = Job::words(["/bin/sh", "-c", &script]).within(&cgroup).run();
        assert_eq!(outcome.status, Some(0), "round {round}: {outcome}");
        assert_eq!(outcome.text(), "status 137\n", "round {round}: {outcome}");
    }
}

#[test]
fn a_job_with_a_limit_of_a_few_megabytes_is_killed_and_its_parent_is_not() {
    for round in 0..ROUNDS {
        let Some(cgroup) = Cgroup::limited((2 + round as u64) * MIB) else {
            return;
        };
        let outcome = Job::c("grows_until_killed.c").arg("1").arg("1").within(&cgroup).run();
        assert_eq!(outcome.signal, Some(Signal::SIGKILL as i32), "round {round}: {outcome}");
        // Its own line, or the report's: there was somebody to write one.
        assert!(!outcome.our_lines().is_empty(), "round {round}: {outcome}");
    }
}

#[test]
fn the_parent_is_smaller_than_any_job_and_the_job_has_the_score_that_it_would_have() {
    let Some(cgroup) = Cgroup::limited(60 * MIB) else {
        return;
    };
    let mut running = Job::words(["sleep", "1000"]).within(&cgroup).start();
    let (parent, job, supervisor) = (running.pid(), running.job(), running.supervisor());
    running.wait_for("probe", |_| (children(parent).len() >= 3).then_some(()));
    if may_lower_scores() {
        running.wait_for("score of the parent", |_| (score(parent) == "-999\n").then_some(()));
    } else {
        announce("left out: the score of the parent, for this machine gives no CAP_SYS_RESOURCE");
    }
    assert_eq!(score(job), score(Pid::this()), "{running}");
    running.signal(supervisor, Signal::SIGKILL);
    let next = running.wait_for("next supervisor", |_| {
        let name = |pid: &Pid| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let mut children = children(parent).into_iter();
        children.find(|pid| *pid != supervisor && name(pid) == "fil-profile\n")
    });
    running.wait_for("score of the next supervisor", |_| {
        (score(next) == "134\n").then_some(())
    });
    let size = |pid| kibibytes(pid, "VmRSS:") + kibibytes(pid, "VmPTE:");
    let (of_parent, of_job) = (size(parent), size(job));
    assert!(
        of_parent < 1000 && of_parent < of_job,
        "{of_parent} KiB with page tables, and {of_job} KiB of the smallest job: {running}"
    );
    for child in children(parent) {
        let is_probe = fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name == "signal-probe\n");
        assert!(!is_probe || kibibytes(child, "VmRSS:") < 1000, "{running}");
        assert!(!is_probe || score(child) == score(job), "{running}");
    }
    running.signal(job, Signal::SIGTERM);
    assert_eq!(running.finish().signal, Some(Signal::SIGTERM as i32));
}
