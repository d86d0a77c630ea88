//! Why the job ended: a pure function from what was observed to a verdict and the evidence for it.
//!
//! The OOM killer increments a counter of the victim's cgroup before it sends SIGKILL, whichever limit was full. So if the counter of the
//! job's own cgroup has changed, that proves a kill; if it has not, that proves there was none. The counter of an ancestor or of the
//! machine says only that some process was killed somewhere.

pub mod consequences;
pub mod evidence;
pub mod facts;

mod failure;
mod kernel;
pub mod observed;
mod reasons;
mod victim;
mod words;

#[cfg(test)]
mod tests;

use dumper::outcome::{Certainty, Kind, Outcome, ProcessName};
use nix::libc::{
    SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSEGV, SIGSYS, SIGTERM, SIGTRAP, SIGXCPU,
    SIGXFSZ,
};

use recording::protocol::OOM_STATUS;

use crate::kernel::headroom::Bound;
use kernel::KernelKills;

use observed::{Ending, Observed, ProcessState};
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
    let mut outcome = match observed.ending {
        Ending::Running => running(observed),
        Ending::Unseen => unseen(observed),
        Ending::Status(status) => of_status(observed, status),
        Ending::Signal(signal) => {
            let mut outcome = of_signal(observed, signal, &Victim::job(observed));
            outcome.signal = Some(signal);
            outcome
        }
    };
    if let Ending::Status(status) = observed.ending {
        outcome.status = Some(status);
    }
    outcome.failed_request = failure::last(observed).map(|(_, failure)| failure.request.clone());
    outcome.evidence = reasons::list(observed);
    outcome.others = observed.others.clone();
    outcome
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
    let told = TOLD.into_iter().find(|signal| SHELL_SIGNAL + signal == status);
    if kernel::killed_a_child(observed, &child, status, told) {
        return killed(observed, &child, kernel::certainty_for_child(observed, &child, told));
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
        return outcome;
    }
    if status == 0 {
        return match failure::last(observed) {
            Some((process, failure)) => Outcome {
                certainty: if process.is_child {
                    Certainty::Likely
                } else {
                    Certainty::Certain
                },
                limit: failure::limit(observed),
                process: Some(process.clone()),
                ..simple(
                    observed,
                    Kind::AllocationFailedRecovered,
                    words::recovered(observed, process, failure),
                )
            },
            None => simple(observed, Kind::Finished, words::finished(observed)),
        };
    }
    failed(observed).unwrap_or_else(|| simple(observed, Kind::ExitedNonZero, words::exited(observed, status)))
}

/// The verdict on a failed allocation just before the end.
fn failed(observed: &Observed) -> Option<Outcome> {
    let (process, failure) = failure::fatal(observed)?;
    let limit = failure::limit(observed);
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
    let limit = failure.and_then(|_| failure::limit(observed));
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
        return failed(observed).unwrap_or_else(|| {
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

/// Somebody killed the victim.
fn terminated(observed: &Observed, signal: i32, victim: &Victim, certainty: Certainty) -> Outcome {
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
