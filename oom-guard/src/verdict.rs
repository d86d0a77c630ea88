//! Why the job ended: a pure function from what was observed to a verdict and the evidence for it.
//!
//! The OOM killer increments a counter of the victim's cgroup before it sends SIGKILL, whichever limit was full. So if the counter of the
//! job's own cgroup has changed, that proves a kill; if it has not, that proves there was none. The counter of an ancestor or of the
//! machine says only that some process was killed somewhere.

pub mod consequences;
pub mod evidence;
pub mod facts;

mod died;
mod failure;
pub mod granted;
mod kernel;
pub mod observed;
mod reasons;
mod refusal;
pub mod role;
mod scheduler;
mod victim;
mod within;
pub mod words;

#[cfg(test)]
mod tests;

use dumper::outcome::{Certainty, Killed, Kind, Limit, LimitKind, Outcome, ProcessName};
use nix::libc::{
    SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSEGV, SIGSYS, SIGTERM, SIGTRAP, SIGXCPU,
    SIGXFSZ,
};

use recording::protocol::OOM_STATUS;

use crate::kernel::headroom::Bound;
use kernel::KernelKills;

use observed::{Ending, FailedAllocation, Observed, ProcessState};
use victim::Victim;

/// A shell reports a command that a signal has killed by this status plus the signal's number.
const SHELL_SIGNAL: i32 = 128;

/// The signals for which such a status counts. SIGHUP does not: some programs exit with 129 for wrong arguments.
const TOLD: [i32; 12] = [
    SIGINT, SIGQUIT, SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGPIPE, SIGTERM, SIGXCPU, SIGXFSZ,
];

/// Why the job ended.
pub fn judge(observed: &Observed) -> Outcome {
    // Without the kills of our own processes.
    let observed = &observed.without_own_kills();
    let observed = &Observed {
        killed: victim::judged(observed),
        ..observed.clone()
    };
    let mut outcome = match (observed.ending, victim::before_the_end(observed)) {
        (_, Some(first)) => killed_before_the_end(observed, first),
        (Ending::Running, None) => running(observed),
        (Ending::Unseen, None) => unseen(observed),
        (Ending::Status(status), None) => of_status(observed, status),
        (Ending::Signal(signal), None) => {
            let outcome = of_signal(observed, signal, &Victim::job(observed));
            // That of a child has its own.
            Outcome {
                signal: outcome.signal.or(Some(signal)),
                ..outcome
            }
        }
    };
    if let Ending::Status(status) = observed.ending {
        outcome.status = Some(status);
    }
    let named = outcome
        .process
        .as_ref()
        .and_then(|process| failure::last_of(observed, process));
    let failed = named.or_else(|| Some(failure::last(observed)?.1));
    outcome.failed_request = failed.map(|failure| failure.request.clone());
    outcome.evidence = reasons::list(observed, &outcome);
    outcome.killed.clone_from(&observed.killed);
    outcome.others = observed.others.clone();
    outcome
}

/// The last failed allocation of a process, or of any if that has none, and the limit that refused it.
pub fn failed_in(observed: &Observed, pid: u32) -> Option<(&ProcessName, &FailedAllocation, Option<Limit>)> {
    let of_process = observed.processes.iter().rfind(|facts| facts.name.pid == pid);
    let of_process = of_process.and_then(|facts| Some((&facts.name, facts.last_failure.as_ref()?)));
    let (process, failure) = of_process.or_else(|| failure::last(observed))?;
    Some((process, failure, failure::limit(observed, process, failure)))
}

fn running(observed: &Observed) -> Outcome {
    Outcome {
        limit: observed.near.as_ref().map(Bound::limit),
        ..simple(observed, Kind::Running, words::running(observed))
    }
}

fn simple(observed: &Observed, kind: Kind, sentence: String) -> Outcome {
    Outcome {
        kind,
        certainty: Certainty::Certain,
        sentence,
        process: Some(observed.job.clone()),
        ..Outcome::default()
    }
}

fn unseen(observed: &Observed) -> Outcome {
    let job = observed.latest().find(|facts| facts.name.pid == observed.job.pid);
    match job.map(|facts| facts.state) {
        Some(ProcessState::Alive) => running(observed),
        Some(ProcessState::Ended) => Outcome {
            certainty: Certainty::Unknown,
            ..simple(observed, Kind::Unknown, words::ended_alone(observed))
        },
        Some(ProcessState::Left) => left(observed, &observed.job, Certainty::Certain),
        Some(ProcessState::Cut) | None => {
            let kernel = KernelKills::find(observed);
            let certainty = match kernel {
                KernelKills::KilledHere(_) => Certainty::Certain,
                KernelKills::KilledBelow(_) | KernelKills::KilledSomewhere(_) => Certainty::Likely,
                KernelKills::Silent if observed.near.is_some() => Certainty::Likely,
                KernelKills::KilledOthers | KernelKills::Idle | KernelKills::Silent => Certainty::Unknown,
            };
            let limit = match kernel {
                KernelKills::KilledHere(_) | KernelKills::KilledBelow(_) | KernelKills::KilledSomewhere(_) => {
                    kernel::culprit(observed).limit
                }
                _ => observed.near.as_ref().map(Bound::limit),
            };
            Outcome {
                kind: Kind::EverythingKilled,
                certainty,
                sentence: words::everything_killed(observed, kernel, limit.as_ref()),
                process: Some(observed.job.clone()),
                limit,
                ..Outcome::default()
            }
        }
    }
}

fn of_status(observed: &Observed, status: i32) -> Outcome {
    if let Some(process) = failure::left(observed) {
        let is_seen = observed.was_ended || !process.is_child && status == OOM_STATUS;
        return left(
            observed,
            process,
            if is_seen { Certainty::Certain } else { Certainty::Likely },
        );
    }
    let child = Victim::child(observed);
    let is_known = child.process.is_some();
    let told = TOLD.into_iter().find(|signal| SHELL_SIGNAL + signal == status);
    if kernel::killed_a_child(observed, is_known, status, told) {
        return killed(observed, &child, kernel::certainty_for_child(observed, is_known, told));
    }
    if let Some(signal) = told {
        // If this signal was passed on to the job, most likely the job itself died of it.
        let was_sent = observed.sent(signal).is_some();
        let job = Victim {
            is_seen: false,
            ..Victim::job(observed)
        };
        let mut outcome = of_signal(observed, signal, if was_sent { &job } else { &child });
        outcome.signal = Some(signal);
        let is_known = was_sent || child.process.is_some();
        if !is_known && matches!(outcome.kind, Kind::Crashed | Kind::Terminated) {
            outcome.sentence = words::as_if_killed(observed, status, signal);
            outcome.process = Some(observed.job.clone());
        }
        return outcome;
    }
    if status == 0 {
        return failed(observed)
            .or_else(|| recovered(observed))
            .unwrap_or_else(|| simple(observed, Kind::Finished, words::finished(observed)));
    }
    let other = || refusal::verdict(observed).or_else(|| within::verdict(observed));
    failed(observed)
        .or_else(other)
        .or_else(|| died::verdict(observed))
        .unwrap_or_else(|| simple(observed, Kind::ExitedNonZero, words::exited(observed, status)))
}

/// The verdict on a failed allocation after which the job ran on.
fn recovered(observed: &Observed) -> Option<Outcome> {
    let (process, failure) = failure::last(observed)?;
    let limit = failure::limit(observed, process, failure);
    let sentence = match observed.ending {
        Ending::Signal(signal) => words::refused_and_ran_on(observed, process, failure, limit.as_ref(), signal),
        _ => words::recovered(observed, process, failure),
    };
    Some(Outcome {
        certainty: if process.is_child {
            Certainty::Likely
        } else {
            Certainty::Certain
        },
        limit,
        process: Some(process.clone()),
        ..simple(observed, Kind::AllocationFailedRecovered, sentence)
    })
}

/// The verdict on a failed allocation just before the end.
fn failed(observed: &Observed) -> Option<Outcome> {
    let (process, failure) = failure::fatal(observed)?;
    let limit = failure::limit(observed, process, failure);
    Some(Outcome {
        kind: Kind::AllocationFailedFatal,
        certainty: Certainty::Likely,
        sentence: words::failed(observed, process, failure, limit.as_ref()),
        process: Some(process.clone()),
        limit,
        ..Outcome::default()
    })
}

/// A process that `--on-oom=exit` has ended.
fn left(observed: &Observed, process: &ProcessName, certainty: Certainty) -> Outcome {
    let failure = failure::last_of(observed, process);
    let limit = failure.and_then(|failure| failure::limit(observed, process, failure));
    let limit = limit.or_else(|| observed.near.as_ref().map(Bound::limit));
    Outcome {
        kind: Kind::AllocationFailedFatal,
        certainty,
        sentence: words::left(observed, process, failure, limit.as_ref()),
        process: Some(process.clone()),
        limit,
        ..Outcome::default()
    }
}

/// `signal` killed the victim.
fn of_signal(observed: &Observed, signal: i32, victim: &Victim) -> Outcome {
    if [SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGTRAP].contains(&signal) {
        return failed(observed)
            .or_else(|| refusal::verdict(observed))
            .unwrap_or_else(|| {
                let certainty = if victim.is_seen {
                    Certainty::Certain
                } else {
                    Certainty::Likely
                };
                Outcome {
                    kind: Kind::Crashed,
                    certainty,
                    sentence: words::crashed(observed, signal, victim.process.as_ref()),
                    process: victim.process.clone(),
                    ..Outcome::default()
                }
            });
    }
    if signal != SIGKILL {
        let certainty = if victim.is_seen {
            Certainty::Certain
        } else {
            Certainty::Likely
        };
        return terminated(observed, signal, victim, certainty);
    }
    match KernelKills::find(observed) {
        KernelKills::KilledHere(_) => killed(observed, victim, Certainty::Certain),
        KernelKills::KilledBelow(_) | KernelKills::KilledSomewhere(_) => killed(observed, victim, Certainty::Likely),
        KernelKills::Silent if kernel::is_full(observed) => killed(observed, victim, Certainty::Likely),
        KernelKills::Idle if victim.is_seen => terminated(observed, signal, victim, Certainty::Certain),
        KernelKills::Idle | KernelKills::KilledOthers => terminated(observed, signal, victim, Certainty::Likely),
        KernelKills::Silent => terminated(observed, signal, victim, Certainty::Unknown),
    }
}

/// The kernel killed the victim for memory, and that is `certainty`.
fn killed(observed: &Observed, victim: &Victim, certainty: Certainty) -> Outcome {
    let culprit = kernel::culprit(observed);
    Outcome {
        kind: culprit.kind,
        certainty: if culprit.is_guess { Certainty::Likely } else { certainty },
        sentence: words::killed(observed, victim.process.as_ref(), &culprit, certainty),
        process: victim.process.clone(),
        signal: Some(SIGKILL),
        limit: culprit.limit,
        ..Outcome::default()
    }
}

/// The kernel killed children of the job, of which this was the `first`, and the job ran on.
fn killed_before_the_end(observed: &Observed, first: &Killed) -> Outcome {
    let is_machine = |limit: &Limit| limit.kind == LimitKind::Machine;
    Outcome {
        kind: match &first.limit {
            _ if observed.ending == Ending::Running => Kind::Running,
            Some(limit) if is_machine(limit) => Kind::OomKilledByMachine,
            _ => Kind::OomKilledByCgroup,
        },
        certainty: first.certainty,
        sentence: words::killed_before_the_end(observed, first),
        process: Some(first.process.clone()),
        signal: Some(SIGKILL),
        limit: first.limit.clone(),
        ..Outcome::default()
    }
}

/// Somebody killed the victim. Where the job itself had been refused memory, or had lost a process, it may have waited for ever.
fn terminated(observed: &Observed, signal: i32, victim: &Victim, certainty: Certainty) -> Outcome {
    let is_job = matches!(observed.ending, Ending::Signal(_));
    if is_job && observed.near.is_none() && !words::is_out_of_time(observed, signal) {
        let ran_on = died::verdict(observed).or_else(|| recovered(observed));
        if let Some(outcome) = ran_on {
            let sender = observed.sent(signal).map(|sent| sent.sender.clone());
            return Outcome { sender, ..outcome };
        }
    }
    Outcome {
        kind: Kind::Terminated,
        certainty,
        sentence: words::terminated(observed, signal, victim.process.as_ref()),
        process: victim.process.clone(),
        sender: observed.sent(signal).map(|sent| sent.sender.clone()),
        limit: observed.near.as_ref().map(Bound::limit),
        ..Outcome::default()
    }
}
