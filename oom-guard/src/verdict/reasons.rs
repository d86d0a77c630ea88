//! The list of evidence for a verdict.

use dumper::outcome::Evidence;
use dumper::units::Bytes;

use super::observed::{Ending, Observed, ProcessState};
use super::words;
use crate::kernel::cgroup::{Counters, Version};
use crate::verdict::evidence::{Change, Moved};

pub fn list(observed: &Observed) -> Vec<Evidence> {
    let mut list = Vec::new();
    list.extend(ending(observed));
    for sent in &observed.signals {
        let (name, sender) = (words::signal(sent.signal), &sent.sender);
        let who = match sender.pid {
            0 => "a process outside of this container".to_owned(),
            pid => format!("process {pid} {}", sender.command).trim_end().to_owned(),
        };
        list.push(said("siginfo", format!("{name} from {who}")));
    }
    for (above, level) in observed.counted.levels.iter().enumerate() {
        list.extend(counters(level, above == 0));
    }
    list.extend(machine(observed));
    if observed.own_kills > 0 {
        let says = match observed.own_kills {
            1 => "the OOM killer also killed a process of fil-profile's own, which is not counted here".to_owned(),
            kills => {
                format!("the OOM killer also killed {kills} processes of fil-profile's own, which are not counted here")
            }
        };
        list.push(said("fil-profile", says));
    }
    if let Some(near) = &observed.near {
        let (left, bytes) = (Bytes(near.left()), Bytes(near.bytes));
        let whose = if near.path.is_empty() { "limits" } else { &near.path };
        list.push(said(whose, format!("when last looked at, {left} of {bytes} were left")));
    }
    for rings in &observed.rings {
        let times = match rings.times {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        let says = format!("the kernel's alarm rang {times}: {}", rings.says);
        list.push(said(&rings.file.display().to_string(), says));
    }
    for facts in &observed.processes {
        if let Some(failure) = &facts.last_failure {
            let times = match facts.failures {
                0 | 1 => String::new(),
                times => format!(", the last of {times}"),
            };
            list.push(recording(
                facts.name.pid,
                format!("an allocation failed: {}{times}", failure.request),
            ));
        }
        if facts.name.pid != observed.job.pid && facts.state == ProcessState::Cut {
            let live = Bytes(facts.live_bytes);
            list.push(recording(
                facts.name.pid,
                format!("it ended without its exit handlers, with {live} live"),
            ));
        }
    }
    list
}

fn said(source: &str, says: String) -> Evidence {
    Evidence {
        source: source.to_owned(),
        says,
        before: None,
        after: None,
    }
}

fn recording(pid: u32, says: String) -> Evidence {
    said(&format!("recording of process {pid}"), says)
}

fn ending(observed: &Observed) -> Option<Evidence> {
    let says = match observed.ending {
        Ending::Running => return None,
        Ending::Unseen => return Some(said("run.json", "the supervisor did not see the end".to_owned())),
        Ending::Status(status) => format!("the job exited with status {status}"),
        Ending::Signal(signal) => format!("the job was killed by {}", words::signal(signal)),
    };
    Some(said("wait4", says))
}

/// A counter, the file that it is in for either version, what it says when it moves, and when it does not.
type Row = (fn(&Counters) -> Option<u64>, &'static str, &'static str, &'static str);

const ROWS: [Row; 7] = [
    (
        |of| of.kills,
        "memory.oom_control",
        "memory.events.local",
        "oom_kill: the OOM killer killed in this cgroup",
    ),
    (
        |of| of.kills_below,
        "",
        "memory.events",
        "oom_kill: the OOM killer killed in this cgroup or below it",
    ),
    (
        |of| of.group_kills,
        "",
        "memory.events",
        "oom_group_kill: a cgroup was killed as a whole",
    ),
    (
        |of| of.ooms,
        "",
        "memory.events.local",
        "oom: the limit could not be kept",
    ),
    (
        |of| of.met,
        "memory.failcnt",
        "memory.events.local",
        "the limit was met, if only by page cache",
    ),
    (
        |of| of.swap_met,
        "memory.memsw.failcnt",
        "",
        "the limit of memory and swap was met",
    ),
    (
        |of| of.throttled,
        "",
        "memory.events.local",
        "high: the job was made to wait by memory.high, which kills nobody",
    ),
];

fn counters(level: &Moved, is_leaf: bool) -> Vec<Evidence> {
    if level.after.is_none() {
        let folder = level.level.folder.display().to_string();
        return vec![said(&folder, "the cgroup is gone".to_owned())];
    }
    let row = |(index, (counter, v1, v2, says)): (usize, &Row)| {
        let change = level.change(counter);
        let file = match level.level.version {
            Version::V1 => v1,
            Version::V2 => v2,
        };
        // It is evidence too that the job's own cgroup has counted no kill.
        let is_proof = is_leaf && index == 0 && change.grown() == Some(0);
        let says = if is_proof {
            "oom_kill: the OOM killer killed nobody in the job's cgroup"
        } else {
            says
        };
        // The sum with the cgroups below is listed only if it is larger than this cgroup's own count.
        let is_sum = index == 1 && change.grown() == level.change(|of| of.kills).grown();
        (change.has_grown() && !is_sum || is_proof)
            .then(|| moved(&level.level.file(file).display().to_string(), says, change))
    };
    ROWS.iter().enumerate().filter_map(row).collect()
}

fn machine(observed: &Observed) -> Option<Evidence> {
    let change = observed.counted.machine_kills;
    let says = match change.grown()? {
        0 => "oom_kill: the OOM killer killed nobody on this machine",
        _ => "oom_kill: the OOM killer killed on this machine",
    };
    Some(moved("/proc/vmstat", says, change))
}

fn moved(source: &str, says: &str, change: Change) -> Evidence {
    Evidence {
        source: source.to_owned(),
        says: says.to_owned(),
        before: change.before,
        after: change.after,
    }
}
