//! What /proc tells of processes and of the machine. `root` is `/`, or a folder that has the same files.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use dumper::outcome::{LimitKind, Other, ProcessName};
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::headroom::Bound;
use crate::kernel_file::{kibibytes, text, value};

/// A name is for a line of a report.
const COMMAND_BYTES: usize = 200;
/// More than status, limits and meminfo have.
const PAGE_OF_TEXT: usize = 8 << 10;
/// vmstat has a line for each of some two hundred counters.
const VMSTAT_BYTES: usize = 32 << 10;
/// How many others in a cgroup are named.
const MOST_OTHERS: usize = 10;

/// The machine's memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// `MemTotal`.
    pub total: u64,
    /// `MemAvailable`: what can be had without swapping, the page cache counted as far as the kernel can take it back.
    pub available: u64,
    /// `SwapTotal`.
    pub swap_total: u64,
    /// `SwapFree`.
    pub swap_free: u64,
}

impl Machine {
    /// Reads /proc/meminfo; `None` where it is not as expected.
    pub fn read(root: &Path) -> Option<Self> {
        let text = text(&root.join("proc/meminfo"), PAGE_OF_TEXT)?;
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
pub fn machine_kills(root: &Path) -> Option<u64> {
    value(&text(&root.join("proc/vmstat"), VMSTAT_BYTES)?, "oom_kill")
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
}

impl Usage {
    /// Of a process; `None` if it has ended.
    pub fn of(root: &Path, pid: Pid) -> Option<Self> {
        let text = text(&root.join(format!("proc/{pid}/status")), PAGE_OF_TEXT)?;
        Some(Self {
            address_space: kibibytes(&text, "VmSize:")?,
            data: kibibytes(&text, "VmData:")?,
            resident: kibibytes(&text, "VmRSS:")?,
        })
    }
}

/// The resource limits of a process that count memory, as far as there are any.
pub fn bounds(root: &Path, pid: Pid) -> Vec<Bound> {
    let limits = text(&root.join(format!("proc/{pid}/limits")), PAGE_OF_TEXT).unwrap_or_default();
    // `Max address space       unlimited            unlimited            bytes`
    let soft = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    let (address_space, data) = (soft("Max address space"), soft("Max data size"));
    if address_space.is_none() && data.is_none() {
        return Vec::new();
    }
    let usage = Usage::of(root, pid).unwrap_or_default();
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

/// A process and all that descend from it, parents before their children.
pub fn tree(root: &Path, pid: Pid) -> Vec<Pid> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        for child in children(root, parent) {
            // A process that changes its parent while we look would be met twice.
            if !found.contains(&child) {
                found.push(child);
            }
        }
        next += 1;
    }
    found
}

/// Each thread has its own children.
fn children(root: &Path, pid: Pid) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(root.join(format!("proc/{pid}/task"))) else {
        return Vec::new();
    };
    let lists = threads
        .flatten()
        .map(|thread| fs::read_to_string(thread.path().join("children")));
    let lists: Vec<_> = lists.map_while(Result::ok).collect();
    lists
        .iter()
        .flat_map(|list| list.split_ascii_whitespace())
        .filter_map(pid_of)
        .collect()
}

fn pid_of(text: &str) -> Option<Pid> {
    text.parse().ok().filter(|pid| *pid > 0).map(Pid::from_raw)
}

/// What to call a process: its command line, else its short name in brackets as ps has it; `None` if it has ended.
pub fn command(root: &Path, pid: Pid) -> Option<String> {
    let read = |file: &str| text(&root.join(format!("proc/{pid}/{file}")), COMMAND_BYTES);
    let line = read("cmdline").unwrap_or_default();
    let line = line.trim_end_matches('\0').replace('\0', " ");
    let command = if line.is_empty() {
        format!("[{}]", read("comm")?.trim_end())
    } else {
        line
    };
    Some(command)
}

/// A process by its number and name. That of a process that has ended, or is outside of our container, is empty.
pub fn name(root: &Path, pid: Pid, is_child: bool) -> ProcessName {
    ProcessName {
        pid: pid.as_raw().unsigned_abs(),
        command: command(root, pid).unwrap_or_default(),
        is_child,
    }
}

/// The largest processes in a cgroup, those of `except` apart. `procs` is its `cgroup.procs`.
pub fn others(root: &Path, procs: &Path, except: &[Pid]) -> Vec<Other> {
    let Ok(list) = File::open(procs) else {
        return Vec::new();
    };
    let page_bytes = sysconf(SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .unwrap_or(4096)
        .unsigned_abs();
    // One that is outside of our container is listed as 0.
    let pids = BufReader::new(list).lines().map_while(Result::ok);
    let pids = pids
        .filter_map(|line| pid_of(&line))
        .filter(|pid| !except.contains(pid));
    let resident = |pid: Pid| {
        let sizes = text(&root.join(format!("proc/{pid}/statm")), PAGE_OF_TEXT)?;
        let pages: u64 = sizes.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some((pages.saturating_mul(page_bytes), pid))
    };
    let mut sizes: Vec<_> = pids.filter_map(resident).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.truncate(MOST_OTHERS);
    let other = |(resident_bytes, pid): (u64, Pid)| Other {
        pid: pid.as_raw().unsigned_abs(),
        command: command(root, pid).unwrap_or_default(),
        resident_bytes,
    };
    sizes.into_iter().map(other).collect()
}

/// Programs whose work it is to end jobs, with what one should know of each.
const KILLERS: [(&str, &str); 7] = [
    ("earlyoom", "ends the largest process when the machine's memory is low"),
    ("nohang", "ends the largest process when the machine's memory is low"),
    ("systemd-oomd", "ends whole cgroups that wait for memory too much"),
    ("oomd", "ends whole cgroups that wait for memory too much"),
    ("kubelet", "evicts pods when the node's memory is low"),
    ("slurmstepd", "ends steps at their time or memory limit, or for scancel"),
    ("slurmd", "ends steps at their time or memory limit, or for scancel"),
];

/// What a program does that is known to end jobs, by its command line or short name.
pub fn killer(command: &str) -> Option<&'static str> {
    let program = command.split(' ').next().unwrap_or_default();
    let program = program.trim_start_matches('[').trim_end_matches([']', ':']);
    let name = Path::new(program).file_name()?.to_str()?;
    KILLERS
        .iter()
        .find(|(killer, _)| *killer == name)
        .map(|(_, does)| *does)
}

/// Those that run on this machine now, as far as we can see them.
pub fn killers(root: &Path) -> Vec<ProcessName> {
    let Ok(entries) = fs::read_dir(root.join("proc")) else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| pid_of(entry.file_name().to_str()?));
    let is_killer = |path: PathBuf| text(&path, COMMAND_BYTES).is_some_and(|name| killer(name.trim_end()).is_some());
    pids.filter(|pid| is_killer(root.join(format!("proc/{pid}/comm"))))
        .map(|pid| name(root, pid, false))
        .collect()
}
