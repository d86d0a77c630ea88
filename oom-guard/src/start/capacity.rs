//! Checks whether the limits leave room for us beside the job. A job that may have only few processes or open files, or little memory,
//! needs them itself; then it runs alone.

use std::fs::{self, File};
use std::path::PathBuf;

use nix::unistd::{Pid, getuid};

use crate::kernel::cgroup::Cgroup;
use crate::kernel::host::Host;
use crate::kernel::kernel_file::{number, text, value};
use crate::start::limits::ResourceLimits;
#[cfg(test)]
use crate::start::limits::STANDING_PROCESSES;

/// The most processes that we have at a time: the job's parent, the supervisor, the probe, and one each for a measurement, a report while
/// the job runs and the last report, with one to spare.
const MOST_PROCESSES: u64 = 7;
/// This many more must be left for the job, whose need nobody knows. Otherwise it runs alone.
const LEFT_FOR_THE_JOB: u64 = 64;
/// The most files that we have open at a time: the lock, the message pipe, signals, notifications of the kernel, and files that are being read or
/// written.
const MOST_FILES: usize = 16;

/// More than /proc/PID/status has.
const STATUS_BYTES: usize = 8 << 10;
/// `CAP_SYS_ADMIN` and `CAP_SYS_RESOURCE` of capabilities(7): whoever has one of them may have any number of processes.
const UNBOUND: u64 = 1 << 21 | 1 << 24;

/// The limits for the job, raised by the processes that we add if the user's limit leaves little room; `Err` says why the job must run
/// alone.
pub fn beside_the_job(host: &Host, limits: ResourceLimits) -> Result<ResourceLimits, String> {
    if free_files(MOST_FILES) < MOST_FILES {
        return Err("the limit on open files (ulimit -n) leaves no room for it".to_owned());
    }
    if let Some(limit) = limits.without_room() {
        return Err(format!("the limit on {limit} leaves no room for it"));
    }
    let needed = MOST_PROCESSES + LEFT_FOR_THE_JOB;
    if free_in_cgroup(host).is_some_and(|free| free < needed) {
        return Err("the limit on processes (pids.max of the cgroup) leaves no room for it".to_owned());
    }
    let is_tight = free_of_the_user(host, limits).is_some_and(|free| free < needed);
    match (is_tight, limits.with_our_processes()) {
        (false, _) => Ok(limits),
        (true, Some(more)) => Ok(more),
        (true, None) => Err("the limit on processes (ulimit -u) leaves no room for it".to_owned()),
    }
}

/// How many more files this process may open, counted up to `most`.
fn free_files(most: usize) -> usize {
    let opened: Vec<_> = (0..most).map_while(|_| File::open("/").ok()).collect();
    opened.len()
}

/// How many more processes the cgroup and its ancestors allow.
fn free_in_cgroup(host: &Host) -> Option<u64> {
    let folders = Cgroup::folders(host, Pid::this(), "pids");
    let free = |folder: &PathBuf| {
        let most = number(&folder.join("pids.max"))?;
        Some(most.saturating_sub(number(&folder.join("pids.current"))?))
    };
    folders.iter().filter_map(free).min()
}

/// How many more processes and threads the user may have; `None` for any number, as far as that matters.
fn free_of_the_user(host: &Host, limits: ResourceLimits) -> Option<u64> {
    let most = limits.processes.bytes()?;
    // The default limit of the kernel is half of that (fork(2)), so nobody has set such a limit.
    let usual = number(&host.file("/proc/sys/kernel/threads-max")).map_or(u64::MAX, |threads| threads / 2);
    if most >= usual || is_unbound(host) {
        return None;
    }
    Some(most.saturating_sub(threads_of_the_user(host)))
}

/// Whether RLIMIT_NPROC does not apply to this process: it runs as root, not only root of a user namespace, or has one of the
/// capabilities.
fn is_unbound(host: &Host) -> bool {
    let map = text(&host.file("/proc/self/uid_map"), STATUS_BYTES).unwrap_or_default();
    let is_everybody = map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    let status = text(&host.file("/proc/self/status"), STATUS_BYTES).unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    is_everybody && (getuid().is_root() || effective.unwrap_or(0) & UNBOUND != 0)
}

/// The threads of this user that can be seen; in a container not those outside.
fn threads_of_the_user(host: &Host) -> u64 {
    let user = getuid().as_raw();
    let entries = fs::read_dir(host.file("/proc")).into_iter().flatten().flatten();
    let threads = entries.filter_map(|entry| {
        let is_process = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        let status = is_process.then(|| text(&entry.path().join("status"), STATUS_BYTES))??;
        // The first is the real one, which counts.
        (value(&status, "Uid:")? == u64::from(user)).then(|| value(&status, "Threads:"))?
    });
    threads.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITED: u64 = 100;

    /// A folder that has the files of a machine on which this user has `threads`, in a cgroup that allows `left` more.
    fn machine(threads: u64, left: u64) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let user = getuid().as_raw();
        write("proc/sys/kernel/threads-max", "100000\n");
        write(
            "proc/7/status",
            &format!("Name:\tx\nUid:\t{user}\t0\t0\t0\nThreads:\t{threads}\n"),
        );
        write(
            "proc/8/status",
            &format!("Uid:\t{}\t0\t0\t0\nThreads:\t900\n", user + 1),
        );
        write(&format!("proc/{}/cgroup", Pid::this()), "3:pids:/a/b\n");
        let mount = "1 2 0:3 / /sys/pids rw - cgroup cgroup rw,pids\n";
        write("proc/self/mountinfo", mount);
        // Of a user namespace, where root is bound too.
        write("proc/self/uid_map", "0 1000 1\n");
        write("sys/pids/a/b/pids.max", "max\n");
        write("sys/pids/a/pids.max", "1000\n");
        write("sys/pids/a/pids.current", &format!("{}\n", 1000 - left));
        root
    }

    fn limits(soft: u64, hard: u64) -> ResourceLimits {
        ResourceLimits::read().with_processes(soft, hard)
    }

    #[test]
    fn where_there_is_room_nothing_changes() {
        let root = machine(1, 500);
        for limits in [
            limits(u64::MAX, u64::MAX),
            limits(60_000, 60_000),
            limits(LIMITED, LIMITED),
        ] {
            assert_eq!(beside_the_job(&Host::at(root.path()), limits), Ok(limits));
        }
    }

    #[test]
    fn where_the_users_limit_is_near_it_is_raised_or_the_job_runs_alone() {
        let root = machine(50, 500);
        let raised = limits(LIMITED + STANDING_PROCESSES, 1000);
        assert_eq!(
            beside_the_job(&Host::at(root.path()), limits(LIMITED, 1000)),
            Ok(raised)
        );
        let why = beside_the_job(&Host::at(root.path()), limits(LIMITED, LIMITED)).unwrap_err();
        assert!(why.contains("ulimit -u"), "{why}");
    }

    #[test]
    fn where_a_hard_limit_on_memory_is_small_the_job_runs_alone() {
        const NONE: (u64, u64) = (u64::MAX, u64::MAX);
        let root = machine(1, 500);
        let all = limits(u64::MAX, u64::MAX);
        let mib = |soft: u64, hard: u64| (soft << 20, hard << 20);
        for (address_space, data, name) in [
            (mib(12, 12), NONE, "ulimit -v"),
            (mib(45, 47), NONE, "ulimit -v"),
            (NONE, mib(1, 1), "ulimit -d"),
            (mib(4000, 4000), mib(11, 11), "ulimit -d"),
        ] {
            let why = beside_the_job(&Host::at(root.path()), all.with_memory(address_space, data)).unwrap_err();
            assert!(why.contains(name), "{why}");
        }
        for (address_space, data) in [
            (NONE, NONE),
            (mib(48, 48), mib(12, 12)),
            (mib(12, 16), mib(1, 5)),
            ((12 << 20, u64::MAX), (1 << 20, u64::MAX)),
        ] {
            let limits = all.with_memory(address_space, data);
            assert_eq!(beside_the_job(&Host::at(root.path()), limits), Ok(limits));
        }
    }

    #[test]
    fn where_an_ancestor_s_limit_is_near_the_job_runs_alone() {
        let root = machine(1, 70);
        let why = beside_the_job(&Host::at(root.path()), limits(u64::MAX, u64::MAX)).unwrap_err();
        assert!(why.contains("pids.max"), "{why}");
        assert!(beside_the_job(&Host::at(machine(1, 71).path()), limits(u64::MAX, u64::MAX)).is_ok());
    }
}
