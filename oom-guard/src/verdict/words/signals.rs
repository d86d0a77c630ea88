//! Sentences about processes that a signal has ended.

use dumper::outcome::ProcessName;
use nix::libc::{SIGKILL, SIGPIPE, SIGSEGV, SIGTERM, SIGXCPU, SIGXFSZ};

use super::{after, and_the_job, capital, command, sender, shortage, signal, who};
use crate::kernel::procfs;
use crate::verdict::kernel::KernelKills;
use crate::verdict::observed::Observed;
use crate::verdict::scheduler;

/// The job ended with a status that stands for a signal, and nothing else says that this signal has ended anything.
pub fn as_if_killed(observed: &Observed, status: i32, number: i32) -> String {
    let memory = match observed.near {
        Some(_) => shortage(observed),
        None => ", and nothing says that memory had to do with it".to_owned(),
    };
    capital(format!(
        "{} ended with status {status}{}, as a shell does when {} has ended its command; no such process was recorded{memory}.",
        who(Some(&observed.job)),
        observed.asked().map(after).unwrap_or_default(),
        signal(number)
    ))
}

/// Whether the kernel has most likely sent SIGKILL because the hard limit on processor time was used up.
pub fn is_out_of_time(observed: &Observed, number: i32) -> bool {
    let is_used_up = |[used, most]: [u64; 2]| used >= most;
    number == SIGKILL && observed.processor_time.is_some_and(is_used_up)
}

pub fn crashed(observed: &Observed, number: i32, process: Option<&ProcessName>) -> String {
    if number == SIGSEGV && observed.stack_overflowed && process.is_some_and(|process| process.pid == observed.job.pid)
    {
        return capital(format!(
            "{} crashed by SIGSEGV at the end of its stack (ulimit -s), as a recursion does that is too deep; no allocation had failed.",
            who(process)
        ));
    }
    let so = match observed.near {
        Some(_) => shortage(observed),
        None => ", so memory is most likely not the reason".to_owned(),
    };
    capital(format!(
        "{} crashed by {}; no allocation had failed just before{so}{}.",
        who(process),
        signal(number),
        and_the_job(observed, process)
    ))
}

pub fn terminated(observed: &Observed, number: i32, process: Option<&ProcessName>) -> String {
    let by = signal(number);
    let said = match observed.sent(number) {
        Some(sent) => Some(format!(" from {}", sender(sent))),
        None => observed.asked().map(after),
    };
    let kernel = match (number, KernelKills::find(observed)) {
        (SIGKILL, _) if is_out_of_time(observed, number) => {
            "; the kernel sends it when the hard limit on processor time (ulimit -t) is used up, as it was"
        }
        (SIGKILL, KernelKills::Idle) => {
            "; no OOM counter moved, so it was a person or a program and not the kernel for memory"
        }
        (SIGKILL, KernelKills::KilledOthers) => {
            "; the OOM killer was at work on this machine but not in the job's cgroup, so it was most likely a person or a program"
        }
        (SIGKILL, _) => "; by whom is not known, since the kernel's OOM counters cannot be read here",
        (SIGPIPE, _) => "; the kernel sends it to who writes where nobody reads any more",
        (SIGXCPU, _) => "; the kernel sends it when the limit on processor time (ulimit -t) is reached",
        (SIGXFSZ, _) => "; the kernel sends it when the limit on file size (ulimit -f) is reached",
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
        "{} was killed by {by}{}{kernel}{}{killers}{}{}.",
        who(process),
        said.unwrap_or_default(),
        shortage(observed),
        scheduler::explains(observed, number),
        and_the_job(observed, process)
    ))
}
