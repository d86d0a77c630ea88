//! The list of evidence, and which of it bears on the verdict.

use dumper::outcome::{Evidence, Kind, Outcome};
use dumper::units::Bytes;
use nix::libc::SIGKILL;

use super::kernel::KernelKills;
use super::observed::{Ending, Observed, ProcessState};
use super::words;
use crate::kernel::cgroup::{Counters, Version};
use crate::kernel::procfs::VMSTAT;
use crate::verdict::evidence::{Change, Moved};

/// What a piece of evidence is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// How the job ended, and who asked it to.
    End,
    /// Kills in the job's cgroup and around it.
    Kills,
    /// Kills on the whole machine.
    MachineKills,
    /// How full the limits are by which the kernel kills.
    Shortage,
    /// Whether the job was made to wait.
    Throttling,
    /// A failed allocation.
    Failure,
    /// This process was cut off.
    Cut(u32),
    /// A thread or a process was refused.
    Refusal,
}

impl About {
    /// Whether it says something about how a job ended that ended so. Everything else is true too, but it is about something else.
    fn bears_on(self, outcome: &Outcome, observed: &Observed) -> bool {
        let is_by_kernel = matches!(
            outcome.kind,
            Kind::OomKilledByCgroup | Kind::OomKilledByMachine | Kind::EverythingKilled
        ) || !observed.killed.is_empty();
        // Who has sent a SIGKILL cannot be known, so that the kernel has not is worth saying.
        let is_by_someone =
            outcome.kind == Kind::Terminated && outcome.signal == Some(SIGKILL) && outcome.sender.is_none();
        let is_by_signal = matches!(
            outcome.kind,
            Kind::Terminated | Kind::Crashed | Kind::OomKilledBySupervisor
        );
        let is_short = observed.near.is_some();
        match self {
            Self::End => true,
            Self::Kills => is_by_kernel || is_by_someone,
            // It proves something only where no counter of a cgroup does.
            Self::MachineKills => match KernelKills::find(observed) {
                KernelKills::KilledHere(_) | KernelKills::KilledBelow(_) => outcome.kind == Kind::OomKilledByMachine,
                _ => is_by_kernel || is_by_someone,
            },
            Self::Shortage => {
                let is_near = matches!(outcome.kind, Kind::Terminated | Kind::Running) && is_short;
                let is_left = outcome
                    .limit
                    .as_ref()
                    .is_some_and(|limit| limit.usage.is_some() && !limit.path.is_empty());
                is_by_kernel || is_near || outcome.kind == Kind::AllocationFailedFatal && is_left
            }
            Self::Throttling => outcome.kind == Kind::Terminated,
            Self::Failure => matches!(
                outcome.kind,
                Kind::AllocationFailedFatal | Kind::AllocationFailedRecovered | Kind::ExitedNonZero | Kind::Crashed
            ),
            Self::Cut(pid) => {
                let is_it = outcome.process.as_ref().is_none_or(|process| process.pid == pid);
                is_by_kernel || is_it && is_by_signal
            }
            Self::Refusal => outcome.kind == Kind::ResourceRefused,
        }
    }
}

/// All that was observed, with what bears on the verdict first.
pub fn list(observed: &Observed, outcome: &Outcome) -> Vec<Evidence> {
    let mut list = collect(observed);
    list.sort_by_key(|(about, _)| !about.bears_on(outcome, observed));
    let mark = |(about, evidence): (About, Evidence)| Evidence {
        is_beside: !about.bears_on(outcome, observed),
        ..evidence
    };
    list.into_iter().map(mark).collect()
}

fn collect(observed: &Observed) -> Vec<(About, Evidence)> {
    let mut list = Vec::new();
    list.extend(ending(observed).map(|end| (About::End, end)));
    for sent in &observed.signals {
        let (name, sender) = (words::signal(sent.signal), &sent.sender);
        let who = match sender.pid {
            0 => "a process outside of this container".to_owned(),
            pid => format!("process {pid} {}", sender.command).trim_end().to_owned(),
        };
        list.push((About::End, said("siginfo", format!("{name} from {who}"))));
    }
    for (above, level) in observed.counted.levels.iter().enumerate() {
        list.extend(counters(level, above == 0, observed.own_kills));
    }
    list.extend(machine(observed).map(|kills| (About::MachineKills, kills)));
    if observed.own_kills > 0 {
        let says = match observed.own_kills {
            1 => "one of these kills was of a process of fil-profile's own".to_owned(),
            kills => format!("{kills} of these kills were of processes of fil-profile's own"),
        };
        list.push((About::Kills, said("fil-profile", says)));
    }
    if let Some(near) = &observed.near {
        let (left, bytes) = (Bytes(near.left()), Bytes(near.bytes));
        let whose = if near.path.is_empty() { "limits" } else { &near.path };
        let says = format!("when last looked at, {left} of {bytes} were left");
        list.push((About::Shortage, said(whose, says)));
    }
    for notified in &observed.notified {
        let times = match notified.times {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        let says = format!("the kernel notified fil-profile {times}: {}", notified.says);
        list.push((About::Shortage, said(&notified.file.display().to_string(), says)));
    }
    for facts in &observed.processes {
        if let Some(failure) = &facts.last_failure {
            let times = match facts.failures {
                0 | 1 => String::new(),
                times => format!(", the last of {times}"),
            };
            let says = format!("an allocation failed: {}{times}", failure.request);
            list.push((About::Failure, recording(facts.name.pid, says)));
        }
        if facts.name.pid != observed.job.pid && facts.state == ProcessState::Cut {
            let says = format!(
                "it ended without its exit handlers, with {} live",
                Bytes(facts.live_bytes)
            );
            list.push((About::Cut(facts.name.pid), recording(facts.name.pid, says)));
        }
    }
    if let Some((_, file, [before, after])) = &observed.processes_refused {
        let change = Change {
            before: Some(*before),
            after: Some(*after),
        };
        let says = "max: a process or a thread was refused";
        list.push((About::Refusal, moved(&file.display().to_string(), says, change)));
    }
    list
}

fn said(source: &str, says: String) -> Evidence {
    Evidence {
        source: source.to_owned(),
        says,
        before: None,
        after: None,
        is_beside: false,
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

/// A counter, what it is about, the file that it is in for either version, what it says when it moves, and when it does not.
type Row = (
    fn(&Counters) -> Option<u64>,
    About,
    &'static str,
    &'static str,
    &'static str,
);

const ROWS: [Row; 7] = [
    (
        |of| of.kills,
        About::Kills,
        "memory.oom_control",
        "memory.events.local",
        "oom_kill: the OOM killer killed in this cgroup",
    ),
    (
        |of| of.kills_below,
        About::Kills,
        "",
        "memory.events",
        "oom_kill: the OOM killer killed in this cgroup or below it",
    ),
    (
        |of| of.group_kills,
        About::Kills,
        "",
        "memory.events",
        "oom_group_kill: a cgroup was killed as a whole",
    ),
    (
        |of| of.ooms,
        About::Kills,
        "",
        "memory.events.local",
        "oom: the limit could not be kept",
    ),
    (
        |of| of.met,
        About::Shortage,
        "memory.failcnt",
        "memory.events.local",
        "the limit was met, if only by page cache",
    ),
    (
        |of| of.swap_met,
        About::Shortage,
        "memory.memsw.failcnt",
        "",
        "the limit of memory and swap was met",
    ),
    (
        |of| of.throttled,
        About::Throttling,
        "",
        "memory.events.local",
        "high: the job was made to wait by memory.high, which kills nobody",
    ),
];

/// As the kernel's files have them: `own` kills are counted there which were of our own processes.
fn counters(level: &Moved, is_leaf: bool, own: u64) -> Vec<(About, Evidence)> {
    if level.after.is_none() {
        let folder = level.level.folder.display().to_string();
        return vec![(About::Kills, said(&folder, "the cgroup is gone".to_owned()))];
    }
    let row = |(index, (counter, about, v1, v2, says)): (usize, &Row)| {
        let change = level.change(counter);
        let file = match level.level.version {
            Version::V1 => v1,
            Version::V2 => v2,
        };
        // It is evidence too that the job's own cgroup has counted no kill.
        let is_proof = is_leaf && index == 0 && change.grown() == Some(0);
        let says = match is_proof {
            true if own == 0 => "oom_kill: the OOM killer killed nobody in the job's cgroup",
            true => "oom_kill: the OOM killer killed nobody of the job in its cgroup",
            false => says,
        };
        // The sum with the cgroups below is listed only if it is larger than this cgroup's own count.
        let is_sum = index == 1 && change.grown() == level.change(|of| of.kills).grown();
        let has_ours = index == 0 && is_leaf || index == 1;
        let change = change.with(if has_ours { own } else { 0 });
        (change.has_grown() && !is_sum || is_proof).then(|| {
            (
                *about,
                moved(&level.level.file(file).display().to_string(), says, change),
            )
        })
    };
    ROWS.iter().enumerate().filter_map(row).collect()
}

fn machine(observed: &Observed) -> Option<Evidence> {
    let change = observed.counted.machine_kills;
    let says = match (change.grown()?, observed.own_kills) {
        (0, 0) => "oom_kill: the OOM killer killed nobody on this machine",
        (0, _) => "oom_kill: the OOM killer killed nobody else on this machine",
        _ => "oom_kill: the OOM killer killed on this machine",
    };
    Some(moved(VMSTAT, says, change.with(observed.own_kills)))
}

fn moved(source: &str, says: &str, change: Change) -> Evidence {
    Evidence {
        source: source.to_owned(),
        says: says.to_owned(),
        before: change.before,
        after: change.after,
        is_beside: false,
    }
}
