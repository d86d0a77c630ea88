//! The verdict in one plain sentence.

use dumper::outcome::{Certainty, Kind, Limit, LimitKind, ProcessName};
use dumper::units::Bytes;
use nix::libc::{SIGKILL, SIGPIPE, SIGTERM, SIGXCPU, SIGXFSZ};
use nix::sys::signal::Signal;

use super::failure;
use super::kernel::{Culprit, KernelKills};
use super::observed::{Ending, FailedAllocation, Observed, Sent};
use crate::kernel::headroom::Bound;
use crate::kernel::procfs;
use crate::verdict::evidence::Moved;

/// At most this much of a command line is shown.
const COMMAND_CHARS: usize = 60;

/// The name of a signal.
pub fn signal(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}

fn who(process: Option<&ProcessName>) -> String {
    let Some(process) = process else {
        return "a child of the job".to_owned();
    };
    let what = if process.is_child {
        "a child of the job"
    } else {
        "the job"
    };
    if process.command.is_empty() {
        return format!("{what} (process {})", process.pid);
    }
    format!("{what} ({}, process {})", command(process), process.pid)
}

fn command(process: &ProcessName) -> String {
    let mut characters = process.command.chars();
    let mut text: String = characters.by_ref().take(COMMAND_CHARS).collect();
    if characters.next().is_some() {
        text.push('…');
    }
    text
}

fn capital(text: String) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

fn of_limit(limit: &Limit) -> String {
    let bytes = Bytes(limit.bytes);
    match limit.kind {
        LimitKind::CgroupV1 | LimitKind::CgroupV2 if limit.path.ends_with("/..") => {
            format!("the limit of {bytes} of a cgroup around this container")
        }
        LimitKind::CgroupV1 | LimitKind::CgroupV2 => format!("the limit of {bytes} of the cgroup {}", limit.path),
        LimitKind::AddressSpace => format!("the limit of {bytes} of address space (ulimit -v)"),
        LimitKind::Data => format!("the limit of {bytes} of data (ulimit -d)"),
        LimitKind::Machine => format!("the machine's memory of {bytes}"),
        LimitKind::Other => format!("a limit of {bytes}"),
    }
}

/// How the whole job ended, if another of its processes died.
fn and_the_job(observed: &Observed, process: Option<&ProcessName>) -> String {
    match observed.ending {
        Ending::Status(status) if process.is_none_or(|process| process.is_child) => {
            format!("; the job itself ended with status {status}")
        }
        _ => String::new(),
    }
}

fn shortage(observed: &Observed) -> String {
    let short = |near: &Bound| {
        let left = Bytes(near.left());
        format!(
            "; memory was short then, with {left} left of {}",
            of_limit(&near.limit())
        )
    };
    observed.near.as_ref().map(short).unwrap_or_default()
}

pub fn running(observed: &Observed) -> String {
    let short = |near: &Bound| format!(", with {} left of {}", Bytes(near.left()), of_limit(&near.limit()));
    let short = observed.near.as_ref().map(short);
    capital(format!(
        "{} is running{}.",
        who(Some(&observed.job)),
        short.unwrap_or_default()
    ))
}

pub fn finished(observed: &Observed) -> String {
    capital(format!("{} finished.", who(Some(&observed.job))))
}

pub fn exited(observed: &Observed, status: i32) -> String {
    let asked = observed.asked().map(after);
    let memory = match failure::last(observed) {
        Some((_, failure)) => format!("; {} had been refused well before", failure.request),
        None if observed.near.is_some() => String::new(),
        None => ", and nothing says that memory had to do with it".to_owned(),
    };
    capital(format!(
        "{} ended with status {status}{}{memory}{}.",
        who(Some(&observed.job)),
        asked.unwrap_or_default(),
        shortage(observed)
    ))
}

pub fn ended_alone(observed: &Observed) -> String {
    capital(format!(
        "{} ended by itself after its supervisor was gone, so that its status is not known.",
        who(Some(&observed.job))
    ))
}

pub fn recovered(observed: &Observed, process: &ProcessName, failure: &FailedAllocation) -> String {
    capital(format!(
        "{} was refused {}, went on, and the job ended with status 0{}.",
        who(Some(process)),
        failure.request,
        times(observed)
    ))
}

fn times(observed: &Observed) -> String {
    match observed
        .processes
        .iter()
        .map(|facts| facts.failures)
        .fold(0, u64::saturating_add)
    {
        0 | 1 => String::new(),
        failures => format!(" ({failures} allocations failed in all)"),
    }
}

pub fn failed(observed: &Observed, process: &ProcessName, failure: &FailedAllocation, limit: Option<&Limit>) -> String {
    let end = match observed.ending {
        Ending::Signal(number) => format!("was killed by {}", signal(number)),
        Ending::Status(status) => format!("ended with status {status}"),
        Ending::Running | Ending::Unseen => "ended".to_owned(),
    };
    let whose = if process.is_child { "then the job" } else { "and then" };
    let limit = limit.map(|limit| format!(" at {}", of_limit(limit)));
    capital(format!(
        "{} was refused {}{}, {whose} {end}, most likely because of that.",
        who(Some(process)),
        failure.request,
        limit.unwrap_or_default()
    ))
}

pub fn left(
    observed: &Observed,
    process: &ProcessName,
    failure: Option<&FailedAllocation>,
    limit: Option<&Limit>,
) -> String {
    let limit = limit.map(of_limit);
    let why = match (failure, limit) {
        (Some(failure), Some(limit)) => format!("was refused {} at {limit}", failure.request),
        (Some(failure), None) => format!("was refused {}", failure.request),
        (None, Some(limit)) => format!("had all but reached {limit}"),
        (None, None) => "had run out of memory".to_owned(),
    };
    capital(format!(
        "{} {why}, and was ended for it, as --on-oom=exit says{}.",
        who(Some(process)),
        and_the_job(observed, Some(process))
    ))
}

pub fn crashed(observed: &Observed, number: i32, process: Option<&ProcessName>) -> String {
    capital(format!(
        "{} crashed by {}; no allocation had failed just before{}{}.",
        who(process),
        signal(number),
        shortage(observed),
        and_the_job(observed, process)
    ))
}

pub fn killed(observed: &Observed, process: Option<&ProcessName>, culprit: &Culprit, certainty: Certainty) -> String {
    let (surely, perhaps) = match (certainty, culprit.is_guess) {
        (Certainty::Certain, false) => ("", ""),
        (Certainty::Certain, true) => ("", "most likely "),
        _ => (" most likely", ""),
    };
    let limit = match (&culprit.limit, culprit.kind) {
        (Some(limit), _) => of_limit(limit),
        (None, Kind::OomKilledByMachine) => "the machine's memory".to_owned(),
        (None, _) => "a limit that cannot be seen from here".to_owned(),
    };
    let count = observed.counted.levels.first().and_then(count);
    let job = and_the_job(observed, process);
    format!(
        "The kernel{surely} killed {}: {perhaps}{limit} was used up{}{job}.",
        who(process),
        count.unwrap_or_default()
    )
}

fn count(leaf: &Moved) -> Option<String> {
    let change = leaf.change(|counters| counters.kills);
    let (before, after) = (change.before?, change.after?);
    (after > before).then(|| format!("; oom_kill of {} went from {before} to {after}", leaf.level.name))
}

pub fn everything_killed(observed: &Observed, kernel: KernelKills, limit: Option<&Limit>) -> String {
    let why = match (kernel, limit) {
        (KernelKills::KilledHere(_), Some(limit)) => format!("by the kernel: {} was used up", of_limit(limit)),
        (KernelKills::KilledHere(_), None) => "by the kernel, for memory".to_owned(),
        (KernelKills::KilledBelow(_) | KernelKills::KilledSomewhere(_), Some(limit)) => {
            format!("most likely by the kernel: {} was used up", of_limit(limit))
        }
        (_, Some(_)) => format!("by whom is not known{}", shortage(observed)),
        _ => "and by whom is not known".to_owned(),
    };
    let group = if observed.is_killed_as_group {
        "; memory.oom.group is set here, by which the kernel kills all of a cgroup"
    } else {
        ""
    };
    capital(format!(
        "{} and its supervisor were both killed{}, {why}{group}.",
        who(Some(&observed.job)),
        observed.asked().map(after).unwrap_or_default()
    ))
}

fn sender(sent: &Sent) -> String {
    match (&sent.sender, procfs::killer(&sent.sender.command)) {
        (process, _) if process.pid == 0 => "outside of this container".to_owned(),
        (process, _) if process.command.is_empty() => format!("process {}", process.pid),
        (process, None) => format!("{} (process {})", command(process), process.pid),
        (process, Some(does)) => format!("{} (process {}), which {does}", command(process), process.pid),
    }
}

/// What was asked of the job before.
fn after(sent: &Sent) -> String {
    format!(", after {} from {}", signal(sent.signal), sender(sent))
}

pub fn terminated(observed: &Observed, number: i32, process: Option<&ProcessName>) -> String {
    let by = signal(number);
    let said = match observed.sent(number) {
        Some(sent) => Some(format!(" from {}", sender(sent))),
        None => observed.asked().map(after),
    };
    let kernel = match (number, KernelKills::find(observed)) {
        (SIGKILL, KernelKills::Idle) => "; no OOM counter moved: by someone, not by the kernel for memory",
        (SIGKILL, KernelKills::KilledOthers) => {
            "; the OOM killer was at work on this machine but not in the job's cgroup: by someone, most likely not for memory"
        }
        (SIGKILL, _) => "; by whom is not known, since the kernel's OOM counters cannot be read here",
        (SIGPIPE, _) => "; the kernel sends it to who writes where nobody reads any more",
        (SIGXCPU, _) => "; the kernel sends it when the limit on processor time is reached",
        (SIGXFSZ, _) => "; the kernel sends it when the limit on file size is reached",
        _ => "",
    };
    // They are named only if memory was short.
    let killers = observed
        .killers
        .iter()
        .filter(|_| observed.near.is_some() && [SIGKILL, SIGTERM].contains(&number));
    let killers = killers.filter_map(|killer| Some((command(killer), procfs::killer(&killer.command)?)));
    let killers: String = killers
        .map(|(name, does)| format!("; {name} runs here, which {does}"))
        .collect();
    capital(format!(
        "{} was killed by {by}{}{kernel}{}{killers}{}.",
        who(process),
        said.unwrap_or_default(),
        shortage(observed),
        and_the_job(observed, process)
    ))
}
