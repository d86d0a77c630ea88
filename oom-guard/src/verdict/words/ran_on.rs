//! Sentences about what happened while the job ran on, and what became of the job.

use dumper::outcome::{Certainty, Killed, Limit, ProcessName};
use dumper::units::Bytes;
use nix::libc::SIGKILL;

use super::{after, capital, clock, command, end, of_limit, of_limit_if_seen, sender, signal, who};
use crate::kernel::headroom::Bound;
use crate::verdict::failure;
use crate::verdict::observed::{Died, Ending, FailedAllocation, Observed};
use crate::verdict::victim;

/// That an allocation has just failed.
pub fn refused_now(process: &ProcessName, failure: &FailedAllocation, limit: Option<&Limit>) -> String {
    format!(
        "{} was refused {}{}",
        who(Some(process)),
        failure.request,
        at_limit(limit)
    )
}

/// That processes wait at a limit at which the kernel may not kill.
pub fn waits(job: &ProcessName, limit: &Bound) -> String {
    format!(
        "{} waits at {}: the kernel may not kill there (memory.oom_control: oom_kill_disable), so it goes on only if the limit is raised \
         or a process ends",
        who(Some(job)),
        of_limit(&limit.limit())
    )
}

fn at_limit(limit: Option<&Limit>) -> String {
    limit.map_or(String::new(), |limit| format!(" at {}", of_limit(limit)))
}

/// That an allocation failed, and that the job ran on until a signal ended it.
pub fn refused_and_ran_on(
    observed: &Observed,
    process: &ProcessName,
    failure: &FailedAllocation,
    limit: Option<&Limit>,
    number: i32,
) -> String {
    let refused = refused_now(process, failure, limit);
    let at = clock(&failure.time, &observed.ended);
    let refused = match failure::exit_of(observed, process) {
        Some(status) => format!("{refused}{at}, and then ended with status {status}, most likely because of that"),
        None => format!("{refused}{at}"),
    };
    capital(format!("{refused}. {}.", ran_on(observed, number, &failure.time)))
}

/// `The job ran on until SIGTERM from timeout (process 99) ended it at 14:00:00`
fn ran_on(observed: &Observed, number: i32, since: &str) -> String {
    let by = observed
        .sent(number)
        .map_or(String::new(), |sent| format!(" from {}", sender(sent)));
    let at = clock(&observed.ended, since);
    format!("The job ran on until {}{by} ended it{at}", signal(number))
}

/// That a signal, and not the kernel for memory, has just killed a child of the job.
pub fn died_now(died: &Died) -> String {
    let held = match died.resident_bytes {
        0 => String::new(),
        bytes => format!(", when it had {} in memory", Bytes(bytes)),
    };
    let (who, by, at) = (
        who(Some(&died.process)),
        signal(died.signal),
        clock(&died.time, &died.time),
    );
    format!(
        "{who} was killed by {by}{at}{held}; no OOM counter moved, so it was a person or a program and not the kernel for memory"
    )
}

/// The same, or that it crashed, and what became of the job.
pub fn died_before_the_end(observed: &Observed, died: &Died) -> String {
    let what = match died.signal {
        SIGKILL => died_now(died),
        number => {
            let at = clock(&died.time, &observed.ended);
            format!("{} crashed by {}{at}", who(Some(&died.process)), signal(number))
        }
    };
    let end = match observed.ending {
        Ending::Signal(number) => ran_on(observed, number, &died.time),
        _ => {
            let at = clock(&observed.ended, &died.time);
            let end = end(observed);
            format!("The job itself {end}{at}")
        }
    };
    capital(format!("{what}. {end}."))
}

/// That the kernel has just killed a child of the job.
pub fn killed_now(killed: &Killed) -> String {
    let who = who(Some(&killed.process));
    format!("the kernel {} {who}{}", surely(killed), why(killed, &killed.time))
}

/// That the kernel killed children of the job, of which this was the `first`, and what became of the job.
pub fn killed_before_the_end(observed: &Observed, first: &Killed) -> String {
    let who = match victim::count(observed) {
        0 | 1 => who(Some(&first.process)),
        kills => {
            let process = &first.process;
            format!(
                "{kills} children of the job, first process {} ({})",
                process.pid,
                command(process)
            )
        }
    };
    let end = match observed.ending {
        Ending::Running => "The job is still running".to_owned(),
        Ending::Status(status) => format!(
            "The job itself ended with status {status}{}",
            clock(&observed.ended, &first.time)
        ),
        Ending::Signal(number) => ran_on(observed, number, &first.time),
        Ending::Unseen => {
            let asked = observed.asked().map(after).unwrap_or_default();
            format!("The job ran on, and how it ended is not known{asked}")
        }
    };
    format!(
        "The kernel {} {who}{}. {end}.",
        surely(first),
        why(first, &observed.ended)
    )
}

fn surely(killed: &Killed) -> &'static str {
    match killed.certainty {
        Certainty::Certain => "killed",
        Certainty::Likely | Certainty::Unknown => "most likely killed",
    }
}

/// ` at 12:03:15: the limit of 300.0 MiB of the cgroup /job was used up`
fn why(killed: &Killed, ended: &str) -> String {
    let at = clock(&killed.time, ended);
    format!("{at}: {} was used up", of_limit_if_seen(killed.limit.as_ref()))
}
