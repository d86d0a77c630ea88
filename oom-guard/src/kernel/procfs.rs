//! Reads /proc: processes, and the machine as a whole.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dumper::outcome::{LimitKind, Other, ProcessName};
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::kernel::headroom::Bound;
use crate::kernel::host::Host;
use crate::kernel::kernel_file::{kibibytes, text, value};
use crate::kernel::page_bytes;

/// How much of a command line is read: it is shown in one line of a report.
const COMMAND_BYTES: usize = 200;
/// More than status, limits and meminfo have.
const PAGE_OF_TEXT: usize = 8 << 10;
/// Where the machine counts.
pub const VMSTAT: &str = "/proc/vmstat";
/// It has a line for each of some two hundred counters.
const VMSTAT_BYTES: usize = 32 << 10;
/// More children than a machine has processes for.
const CHILDREN_BYTES: usize = 16 << 20;
/// More levels than anybody nests shells. It ends the search if /proc changes meanwhile.
const MOST_ANCESTORS: usize = 100;
/// How many others in a cgroup are named.
const MOST_OTHERS: usize = 10;

/// The machine's memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// `MemTotal`.
    pub total: u64,
    /// `MemAvailable`: what is available without swapping, including page cache that the kernel can reclaim.
    pub available: u64,
    /// `SwapTotal`.
    pub swap_total: u64,
    /// `SwapFree`.
    pub swap_free: u64,
}

impl Machine {
    /// Reads /proc/meminfo; `None` where it is not as expected.
    pub fn read(host: &Host) -> Option<Self> {
        let text = text(&host.file("/proc/meminfo"), PAGE_OF_TEXT)?;
        Some(Self {
            total: kibibytes(&text, "MemTotal:")?,
            available: kibibytes(&text, "MemAvailable:")?,
            swap_total: kibibytes(&text, "SwapTotal:").unwrap_or(0),
            swap_free: kibibytes(&text, "SwapFree:").unwrap_or(0),
        })
    }

    /// Memory and swap as one limit.
    pub fn bound(&self) -> Bound {
        let bytes = self.total + self.swap_total;
        Bound {
            kind: LimitKind::Machine,
            path: String::new(),
            bytes,
            used: bytes.saturating_sub(self.available + self.swap_free),
            swappable: 0,
        }
    }
}

/// Processes that the OOM killer has killed on this machine since it was started, for whichever limit. From Linux 4.13 on.
pub fn machine_kills(host: &Host) -> Option<u64> {
    value(&text(&host.file(VMSTAT), VMSTAT_BYTES)?, "oom_kill")
}

/// What a process uses, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// `VmSize`: what `RLIMIT_AS` counts.
    pub address_space: u64,
    /// `VmData`: what `RLIMIT_DATA` counts.
    pub data: u64,
    /// `VmRSS`.
    pub resident: u64,
    /// `VmHWM`: the most that it ever was.
    pub most_resident: u64,
    /// `RssFile`: pages of files, which other processes may have paid for.
    pub of_files: u64,
}

impl Usage {
    /// Of a process; `None` if it has ended.
    pub fn read(host: &Host, pid: Pid) -> Option<Self> {
        let text = text(&host.of_process(pid, "status"), PAGE_OF_TEXT)?;
        Some(Self {
            address_space: kibibytes(&text, "VmSize:")?,
            data: kibibytes(&text, "VmData:")?,
            resident: kibibytes(&text, "VmRSS:")?,
            most_resident: kibibytes(&text, "VmHWM:").unwrap_or(0),
            of_files: kibibytes(&text, "RssFile:").unwrap_or(0),
        })
    }
}

/// The resource limits of a process that count memory, if there are any.
pub fn bounds(host: &Host, pid: Pid) -> Vec<Bound> {
    let limits = text(&host.of_process(pid, "limits"), PAGE_OF_TEXT).unwrap_or_default();
    let (address_space, data) = (
        soft_limit(&limits, "Max address space"),
        soft_limit(&limits, "Max data size"),
    );
    if address_space.is_none() && data.is_none() {
        return Vec::new();
    }
    let usage = Usage::read(host, pid).unwrap_or_default();
    let bound = |kind, bytes, used| Bound {
        kind,
        path: String::new(),
        bytes,
        used,
        swappable: 0,
    };
    let address_space = address_space.map(|bytes| bound(LimitKind::AddressSpace, bytes, usage.address_space));
    let data = data.map(|bytes| bound(LimitKind::Data, bytes, usage.data));
    address_space.into_iter().chain(data).collect()
}

/// `Max address space       unlimited            unlimited            bytes` in /proc/PID/limits.
pub fn soft_limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// A process and all its descendants, parents before their children.
pub fn tree(host: &Host, pid: Pid) -> Vec<Pid> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        for child in children(host, parent) {
            // A process that changes its parent meanwhile would be found twice.
            if !found.contains(&child) {
                found.push(child);
            }
        }
        next += 1;
    }
    found
}

/// Each thread has its own children.
fn children(host: &Host, pid: Pid) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(host.of_process(pid, "task")) else {
        return Vec::new();
    };
    let lists = threads
        .flatten()
        .map(|thread| text(&thread.path().join("children"), CHILDREN_BYTES));
    let lists: Vec<_> = lists.map_while(|list| list).collect();
    lists
        .iter()
        .flat_map(|list| list.split_ascii_whitespace())
        .filter_map(pid_of)
        .collect()
}

/// The children of a process that have executed no program since they were forked: their stacks begin where its own does.
pub fn forks(host: &Host, pid: Pid) -> Vec<Pid> {
    let stack = |pid: Pid| Some(stat(host, pid.as_raw())?.swap_remove(STACK)).filter(|stack| stack != "0");
    let own = stack(pid);
    let children = children(host, pid).into_iter();
    children.filter(|child| own.is_some() && stack(*child) == own).collect()
}

fn pid_of(text: &str) -> Option<Pid> {
    text.parse().ok().filter(|pid| *pid > 0).map(Pid::from_raw)
}

/// Whether a process runs. One that has ended does not, even if nobody has waited for it yet.
pub fn is_running(host: &Host, pid: i32) -> bool {
    match stat(host, pid) {
        // If only the first thread has ended, the others still run.
        Some(fields) => !(fields[0].starts_with(['Z', 'X']) && matches!(&*fields[THREADS], "0" | "1")),
        // A process that we may not read may run.
        None => host.of_process(pid, "").exists(),
    }
}

/// The signal that has ended a process nobody has waited for yet; none of another process, or if we may not know it.
pub fn ended_by(host: &Host, pid: i32) -> Option<i32> {
    let fields = stat(host, pid)?;
    let status: i32 = fields.get(EXIT).filter(|_| fields[0] == "Z")?.parse().ok()?;
    Some(status & 0x7f).filter(|signal| *signal > 0)
}

/// When a process was started, in clock ticks since the machine was; `None` if there is no such process.
pub fn started(host: &Host, pid: i32) -> Option<u64> {
    stat(host, pid)?[STARTED].parse().ok()
}

/// Whether a process had been started before `time`. If not, it has reused the id of an earlier process. If that is not known, it is true.
pub fn is_older(host: &Host, pid: i32, time: SystemTime) -> bool {
    let started = || {
        let ticks = started(host, pid)?;
        let per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
        let machine = text(&host.file("/proc/stat"), MACHINE_BYTES)?;
        let booted: u64 = machine
            .lines()
            .find_map(|line| line.strip_prefix("btime "))?
            .trim()
            .parse()
            .ok()?;
        Some(UNIX_EPOCH + Duration::from_secs(booted) + Duration::from_millis(ticks * 1000 / per_second.max(1)))
    };
    started().is_none_or(|started| started <= time + CLOCK_ERROR)
}

/// The processor time of a process, without its children's.
pub fn processor_time(host: &Host, pid: Pid) -> Option<Duration> {
    let fields = stat(host, pid.as_raw())?;
    let per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    let ticks = fields[USER_TIME]
        .parse::<u64>()
        .ok()?
        .checked_add(fields[SYSTEM_TIME].parse().ok()?)?;
    Some(Duration::from_millis(ticks.checked_mul(1000)? / per_second.max(1)))
}

/// The index of a field in /proc/PID/stat after the program's name: in proc_pid_stat(5), it is higher by 3.
const USER_TIME: usize = 11;
/// See [`USER_TIME`].
const SYSTEM_TIME: usize = 12;
/// See [`USER_TIME`].
const THREADS: usize = 17;
/// See [`USER_TIME`].
const STARTED: usize = 19;
/// See [`USER_TIME`].
const STACK: usize = 25;
/// See [`USER_TIME`]. It is the status that waitpid(2) gives.
const EXIT: usize = 49;
/// More than is in /proc/PID/stat.
const STAT_BYTES: usize = 4096;
/// More than is in /proc/stat before `btime`, on a machine with many interrupts.
const MACHINE_BYTES: usize = 4 << 20;
/// The boot time of the machine is known to the second.
const CLOCK_ERROR: Duration = Duration::from_secs(2);

/// The fields of /proc/PID/stat after the program's name, which may contain anything.
fn stat(host: &Host, pid: i32) -> Option<Vec<String>> {
    let text = text(&host.of_process(pid, "stat"), STAT_BYTES)?;
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<String> = fields.split_ascii_whitespace().map(str::to_owned).collect();
    (fields.len() > STACK).then_some(fields)
}

/// A process's command line, or its short name in brackets as ps shows it; `None` if it has ended.
pub fn command(host: &Host, pid: Pid) -> Option<String> {
    let read = |file: &str| text(&host.of_process(pid, file), COMMAND_BYTES);
    let line = read("cmdline").unwrap_or_default();
    let line = line.trim_end_matches('\0').replace('\0', " ");
    let command = if line.is_empty() {
        format!("[{}]", read("comm")?.trim_end())
    } else {
        line
    };
    Some(command)
}

/// The program file of a process; `None` if we may not know it.
pub fn program(host: &Host, pid: Pid) -> Option<PathBuf> {
    fs::read_link(host.of_process(pid, "exe")).ok()
}

/// A process's id and command line. The latter is empty if the process has ended or is outside of our container.
pub fn name(host: &Host, pid: Pid, is_child: bool) -> ProcessName {
    ProcessName {
        pid: pid.as_raw().unsigned_abs(),
        command: command(host, pid).unwrap_or_default(),
        is_child,
    }
}

/// The parent of a process, its parent, and so on, as far as they can be seen.
pub fn ancestors(host: &Host, pid: Pid) -> Vec<Pid> {
    let parent = |pid: &Pid| {
        let text = text(&host.of_process(pid, "status"), PAGE_OF_TEXT)?;
        pid_of(&value(&text, "PPid:")?.to_string())
    };
    std::iter::successors(parent(&pid), parent)
        .take(MOST_ANCESTORS)
        .collect()
}

/// The processes that a `cgroup.procs` lists; `None` for one that is outside of our container.
pub fn members(procs: &Path) -> Vec<Option<Pid>> {
    let list = File::open(procs).map(BufReader::new);
    let lines = list.into_iter().flat_map(|list| list.lines().map_while(Result::ok));
    lines.map(|line| pid_of(&line)).collect()
}

/// The largest processes in a cgroup, without those of `except`. `procs` is its `cgroup.procs`.
pub fn others(host: &Host, procs: &Path, except: &[Pid]) -> Vec<Other> {
    let pids = members(procs).into_iter().flatten().filter(|pid| !except.contains(pid));
    let resident = |pid: Pid| {
        let sizes = text(&host.of_process(pid, "statm"), PAGE_OF_TEXT)?;
        let pages: u64 = sizes.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some((pages.saturating_mul(page_bytes()), pid))
    };
    let mut sizes: Vec<_> = pids.filter_map(resident).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.truncate(MOST_OTHERS);
    let other = |(resident_bytes, pid): (u64, Pid)| Other {
        pid: pid.as_raw().unsigned_abs(),
        command: command(host, pid).unwrap_or_default(),
        resident_bytes,
    };
    sizes.into_iter().map(other).collect()
}

/// Programs that end jobs, and when they do.
const KILLERS: [(&str, &str); 7] = [
    ("earlyoom", "ends the largest process when the machine's memory is low"),
    ("nohang", "ends the largest process when the machine's memory is low"),
    ("systemd-oomd", "ends whole cgroups that wait for memory too much"),
    ("oomd", "ends whole cgroups that wait for memory too much"),
    ("kubelet", "evicts pods when the node's memory is low"),
    ("slurmstepd", "ends steps at their time or memory limit, or for scancel"),
    ("slurmd", "ends steps at their time or memory limit, or for scancel"),
];

/// When a program ends jobs, by its command line or short name; none for any other program.
pub fn killer(command: &str) -> Option<&'static str> {
    let program = command.split(' ').next().unwrap_or_default();
    let program = program.trim_start_matches('[').trim_end_matches([']', ':']);
    let name = Path::new(program).file_name()?.to_str()?;
    KILLERS
        .iter()
        .find(|(killer, _)| *killer == name)
        .map(|(_, does)| *does)
}

/// The programs that end jobs and run on this machine now, as far as we can see them.
pub fn killers(host: &Host) -> Vec<ProcessName> {
    let Ok(entries) = fs::read_dir(host.file("/proc")) else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| pid_of(entry.file_name().to_str()?));
    let is_killer = |path: PathBuf| text(&path, COMMAND_BYTES).is_some_and(|name| killer(name.trim_end()).is_some());
    pids.filter(|pid| is_killer(host.of_process(pid, "comm")))
        .map(|pid| name(host, pid, false))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Child, Command, Stdio};

    /// A shell with limits of its own, and a child of it that sleeps.
    struct Job(Child);

    impl Job {
        fn start(script: &str) -> Self {
            let mut shell = Command::new("sh");
            let shell = shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = shell.spawn().unwrap();
            let mut ready = String::new();
            BufReader::new(child.stdout.as_mut().unwrap())
                .read_line(&mut ready)
                .unwrap();
            assert_eq!(ready, "ready\n");
            Self(child)
        }

        fn pid(&self) -> Pid {
            Pid::from_raw(self.0.id() as i32)
        }
    }

    impl Drop for Job {
        fn drop(&mut self) {
            // The shells read until their input ends.
            drop(self.0.stdin.take());
            let _ = self.0.wait();
        }
    }

    #[test]
    fn the_machine_and_this_process_have_memory() {
        let host = &Host::this();
        let machine = Machine::read(host).unwrap();
        assert!(
            0 < machine.available && machine.available <= machine.total,
            "{machine:?}"
        );
        let bound = machine.bound();
        assert_eq!(bound.left(), machine.available + machine.swap_free);
        let usage = Usage::read(host, Pid::this()).unwrap();
        assert!(
            usage.address_space >= usage.resident && usage.resident > 1 << 20,
            "{usage:?}"
        );
        assert_eq!(Usage::read(host, Pid::from_raw(i32::MAX)), None);
    }

    #[test]
    fn the_limits_of_another_process_are_read_with_what_it_uses_of_them() {
        let job = Job::start("ulimit -v 4000000; ulimit -d 3000000; echo ready; read line");
        let bounds = bounds(&Host::this(), job.pid());
        let [address_space, data] = &bounds[..] else {
            panic!("{bounds:?}")
        };
        assert_eq!(
            (address_space.kind, address_space.bytes),
            (LimitKind::AddressSpace, 4_096_000_000)
        );
        assert_eq!((data.kind, data.bytes), (LimitKind::Data, 3_072_000_000));
        assert!(
            0 < data.used && data.used < address_space.used && address_space.used < 1 << 30,
            "{bounds:?}"
        );
    }

    #[test]
    fn a_tree_begins_with_its_root_and_has_grandchildren() {
        let job = Job::start("sh -c 'echo ready; read line; :'; :");
        let host = &Host::this();
        let tree = tree(host, job.pid());
        assert_eq!((tree.len(), tree[0]), (2, job.pid()));
        assert_eq!(ancestors(host, tree[1])[..2], [job.pid(), Pid::this()]);
        assert_eq!(name(host, tree[1], true).command, "sh -c echo ready; read line; :");
        let around = Pid::parent();
        assert!(ancestors(host, job.pid()).contains(&around));
    }

    #[test]
    fn the_largest_others_come_first_and_the_job_is_not_among_them() {
        let job = Job::start("echo ready; read line");
        let mut procs = tempfile::NamedTempFile::new().unwrap();
        writeln!(
            procs,
            "0\n{}\n{}\n{}\n{}",
            job.pid(),
            Pid::this(),
            Pid::parent(),
            i32::MAX
        )
        .unwrap();
        let others = others(&Host::this(), procs.path(), &[Pid::parent()]);
        let pids: Vec<_> = others.iter().map(|other| other.pid).collect();
        assert_eq!(pids, [std::process::id(), job.0.id()], "{others:?}");
        assert!(others[0].resident_bytes > others[1].resident_bytes);
    }

    #[test]
    fn programs_that_end_jobs_are_known_by_name() {
        for (command, is_known) in [
            ("/usr/bin/earlyoom -r 3600", true),
            ("slurmstepd: [123.batch]", true),
            ("[systemd-oomd]", true),
            ("/usr/local/bin/kubelet", true),
            ("python3 earlyoom.py", false),
            ("grep earlyoom", false),
            ("", false),
        ] {
            assert_eq!(killer(command).is_some(), is_known, "{command}");
        }
    }
}
