//! The verdict in one plain sentence.

mod ran_on;
mod signals;

use dumper::outcome::{Certainty, Kind, Limit, LimitKind, ProcessName};
use dumper::units::Bytes;
use nix::sys::signal::Signal;

use recording::protocol::message::Refusal;

use super::failure::{self, TooMuch};
use super::kernel::{Culprit, KernelKills};
use super::observed::{Ending, FailedAllocation, KillWithin, Observed, Raised, Refused, Sent};
use crate::kernel::headroom::Bound;
use crate::kernel::procfs;
use crate::verdict::evidence::Moved;

pub use ran_on::{
    died_before_the_end, died_now, killed_before_the_end, killed_now, refused_and_ran_on, refused_now, waits,
};
pub use signals::{as_if_killed, crashed, is_out_of_time, terminated};

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

/// The command line without the folders of its program.
fn command(process: &ProcessName) -> String {
    let program = process.command.split(' ').next().unwrap_or_default();
    let folders = program.rfind('/').map_or(0, |last| last + 1);
    let mut characters = process.command[folders..].chars();
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
        LimitKind::Commit => format!("the {bytes} that the machine promises in all (vm.overcommit_memory is 2)"),
        LimitKind::Mappings => format!("the limit of {} mappings (/proc/sys/vm/max_map_count)", limit.bytes),
        LimitKind::LockedMemory => format!("the limit of {bytes} of locked memory (ulimit -l)"),
        LimitKind::HugePages => format!("the limit of {bytes} of huge pages (/proc/sys/vm/nr_hugepages)"),
        LimitKind::UserProcesses => {
            format!(
                "the limit of {} processes and threads of the user (ulimit -u)",
                limit.bytes
            )
        }
        LimitKind::CgroupProcesses => {
            format!(
                "the limit of {} processes and threads in {} (pids.max)",
                limit.bytes, limit.path
            )
        }
        LimitKind::FileSystem => format!("{} of {bytes}", file_system(limit)),
        LimitKind::Other => format!("a limit of {bytes}"),
    }
}

fn of_limit_if_seen(limit: Option<&Limit>) -> String {
    limit.map_or_else(|| "a limit that cannot be seen from here".to_owned(), of_limit)
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
        let (limit, waits) = (of_limit(&near.limit()), instead_of_a_kill(observed, near));
        format!("; memory was short then, with {left} left of {limit}{waits}")
    };
    observed.near.as_ref().map(short).unwrap_or_default()
}

/// What happens at a limit at which the kernel may not kill.
fn instead_of_a_kill(observed: &Observed, near: &Bound) -> &'static str {
    let is_it = |moved: &&Moved| moved.level.has(near);
    let counters = observed.counted.levels.iter().find(is_it).and_then(|moved| moved.after);
    match counters.is_some_and(|counters| counters.is_without_kills) {
        true => {
            ", where a process that asks for more waits for ever and is not killed (memory.oom_control: oom_kill_disable)"
        }
        false => "",
    }
}

pub fn running(observed: &Observed) -> String {
    let short = |near: &Bound| {
        let waits = instead_of_a_kill(observed, near);
        format!(
            ", with {} left of {}{waits}",
            Bytes(near.left()),
            of_limit(&near.limit())
        )
    };
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
        None if raised_without_request(observed).is_some() => raised(observed),
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

/// The MemoryError that ended the job, if no allocation had failed.
fn raised_without_request(observed: &Observed) -> Option<&Raised> {
    let of_job = observed.raised.iter().rfind(|raised| raised.pid == observed.job.pid)?;
    let is_last = failure::is_last_word(observed, of_job.time_ns);
    Some(of_job).filter(|raised| is_last && raised.name.ends_with("MemoryError"))
}

fn raised(observed: &Observed) -> String {
    let raised = raised_without_request(observed);
    let at = raised
        .and_then(|raised| raised.place.as_ref())
        .map(|place| format!(" at {place}"));
    format!(
        " by a MemoryError{} that no failed allocation is behind: Python itself refuses a size that nothing can have, or the code \
         raises it",
        at.unwrap_or_default()
    )
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

/// `ended with status 1`.
fn end(observed: &Observed) -> String {
    match observed.ending {
        Ending::Signal(number) => format!("was killed by {}", signal(number)),
        Ending::Status(status) => format!("ended with status {status}"),
        Ending::Running | Ending::Unseen => "ended".to_owned(),
    }
}

/// `, and then ended with status 1, most likely because of that`.
fn consequence(observed: &Observed, process: &ProcessName) -> String {
    if let Some(status) = failure::exit_of(observed, process) {
        let job = and_the_job(observed, Some(process));
        return format!(", and then ended with status {status}, most likely because of that{job}");
    }
    let whose = if process.is_child {
        "and then the job"
    } else {
        "and then"
    };
    format!(", {whose} {}, most likely because of that", end(observed))
}

pub fn failed(observed: &Observed, process: &ProcessName, failure: &FailedAllocation, limit: Option<&Limit>) -> String {
    let why = match failure::is_impossible(observed, failure, limit) {
        Some(too_much) => {
            let (who, end) = (who(Some(process)), consequence(observed, process));
            let sentence = format!("{who} was refused {}{end}", failure.request);
            return capital(format!(
                "{sentence}. The request itself is the problem: {}.",
                is_too_much(&too_much)
            ));
        }
        None => limit.map(|limit| format!(" at {}", of_limit(limit))),
    };
    capital(format!(
        "{} was refused {}{}{}.",
        who(Some(process)),
        failure.request,
        why.unwrap_or_default(),
        consequence(observed, process)
    ))
}

fn is_too_much(too_much: &TooMuch) -> String {
    match too_much {
        TooMuch::Negative(size) => format!("as a signed number it is -{size}, a negative size"),
        TooMuch::Addresses => "it is more than a process can address (128 TiB)".to_owned(),
        TooMuch::Limit(limit) => format!("it is more than {} in all", of_limit(limit)),
        TooMuch::Machine(bytes) => format!("it is more than the {} that this machine has in all", Bytes(*bytes)),
    }
}

pub fn refused(observed: &Observed, refused: &Refused, limit: Option<&Limit>) -> String {
    let what = match refused.what {
        Refusal::Thread => "could not start a thread".to_owned(),
        Refusal::Process => "could not start a process".to_owned(),
        Refusal::LockedMemory => "could not lock memory".to_owned(),
        Refusal::HugePages => "got no huge page".to_owned(),
        Refusal::FileSystem => match limit {
            Some(limit) => {
                let usage = limit.usage.unwrap_or(limit.bytes);
                let [usage, bytes] = [usage, limit.bytes].map(Bytes);
                format!("found no room in {} ({usage} of {bytes} in use)", file_system(limit))
            }
            None => "found no room in a file system".to_owned(),
        },
    };
    let at = refused.place.as_ref().map(|place| format!(" at {place}"));
    let why = match limit {
        Some(limit) if limit.kind == LimitKind::FileSystem => String::new(),
        Some(limit) => format!(", because {} was used up", of_limit(limit)),
        None => ", because the machine allows no more".to_owned(),
    };
    capital(format!(
        "{} {what}{}{why}{}.",
        who(Some(&refused.process)),
        at.unwrap_or_default(),
        consequence(observed, &refused.process)
    ))
}

fn file_system(limit: &Limit) -> String {
    match limit.path.as_str() {
        path @ "/dev/shm" => format!("the shared-memory file system {path}"),
        path => format!("the file system {path}"),
    }
}

/// Who was refused a process is not known.
pub fn processes_refused(observed: &Observed, limit: &Limit) -> String {
    capital(format!(
        "{} {}, most likely because {} was used up.",
        who(Some(&observed.job)),
        end(observed),
        of_limit(limit)
    ))
}

pub fn full(observed: &Observed, limit: &Limit) -> String {
    capital(format!(
        "{} {}, and {} was full then ({} in use).",
        who(Some(&observed.job)),
        end(observed),
        file_system(limit),
        Bytes(limit.usage.unwrap_or(limit.bytes))
    ))
}

pub fn ended_within(observed: &Observed, kill: &KillWithin) -> String {
    let is_job = kill.sender.pid == observed.job.pid;
    let by = match (is_job, kill.is_parent) {
        (true, true) => "the job itself, its parent".to_owned(),
        (true, false) => "the job itself".to_owned(),
        (false, true) => format!("its parent, {} (process {})", command(&kill.sender), kill.sender.pid),
        (false, false) => format!("{} (process {})", command(&kill.sender), kill.sender.pid),
    };
    let victim = who(Some(&kill.victim));
    let held = kill
        .resident_bytes
        .map(|bytes| format!(" when it had {} in memory", Bytes(bytes)));
    let (held, signal) = (held.unwrap_or_default(), signal(kill.signal));
    let what = match (kill.role.who_and_when(), &kill.place) {
        (Some((supervisor, when)), _) => {
            format!("{victim} was ended by {supervisor} ({signal} from {by}){held}: {when}")
        }
        (None, Some(place)) => format!("{victim} was ended by {signal} from {by}, at {place},{held}"),
        (None, None) => format!("{victim} was ended by {signal} from {by}{held}"),
    };
    let what = what.trim_end_matches(',');
    capital(format!("{what}{}.", and_the_job(observed, Some(&kill.victim))))
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

pub fn killed(observed: &Observed, process: Option<&ProcessName>, culprit: &Culprit, certainty: Certainty) -> String {
    let (surely, perhaps) = match (certainty, culprit.is_guess) {
        (Certainty::Certain, false) => ("", ""),
        (Certainty::Certain, true) => ("", "most likely "),
        _ => (" most likely", ""),
    };
    let limit = match (&culprit.limit, culprit.kind) {
        (None, Kind::OomKilledByMachine) => "the machine's memory".to_owned(),
        (limit, _) => of_limit_if_seen(limit.as_ref()),
    };
    // Where the kernel's file counts kills of our own processes too, the evidence has its figures.
    let leaf = observed.counted.levels.first().filter(|_| observed.own_kills == 0);
    let count = leaf.and_then(count);
    let job = and_the_job(observed, process);
    format!(
        "The kernel{surely} killed {}: {perhaps}{limit} was used up{}{job}.",
        who(process),
        count.unwrap_or_default()
    )
}

/// ` at 12:03:15`, or with the date, if `other` is of another day. Both are as RFC 3339 has them, or empty.
fn clock(time: &str, other: &str) -> String {
    match (time.get(..10), time.get(11..19), other.get(..10)) {
        (Some(date), Some(clock), Some(day)) if date != day => format!(" at {clock} on {date}"),
        (_, Some(clock), _) => format!(" at {clock}"),
        _ => String::new(),
    }
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
