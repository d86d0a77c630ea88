//! The process that died, and how we know.

use dumper::outcome::{Certainty, Killed, ProcessName};
use nix::libc::SIGKILL;

use super::kernel::{self, KernelKills};
use super::observed::{Ending, Observed, ProcessState};
use super::{failure, kernel::Culprit};

/// The process that died.
pub struct Victim {
    pub process: Option<ProcessName>,
    /// Whether the kernel has told us its signal. Otherwise a status, or what its recording lacks, says so.
    pub is_seen: bool,
}

impl Victim {
    pub fn job(observed: &Observed) -> Self {
        Self {
            process: Some(observed.job.clone()),
            is_seen: true,
        }
    }

    /// The largest process, except the job's first, that ended without its exit handlers.
    pub fn child(observed: &Observed) -> Self {
        let others = observed.latest().filter(|facts| facts.name.pid != observed.job.pid);
        let cut = others.filter(|facts| facts.state == ProcessState::Cut);
        let largest = cut.max_by_key(|facts| (facts.is_largest, facts.live_bytes));
        Self {
            process: largest.map(|facts| ProcessName {
                is_child: true,
                ..facts.name.clone()
            }),
            is_seen: false,
        }
    }
}

/// How many processes of the job the kernel has killed; at least those that are known.
pub fn count(observed: &Observed) -> u64 {
    let known = observed.killed.len() as u64;
    match KernelKills::find(observed) {
        // In a cgroup with others, they may be among them.
        KernelKills::KilledHere(kills) | KernelKills::KilledBelow(kills) if !observed.is_shared => kills.max(known),
        _ => known,
    }
}

/// The first child that the kernel killed while the job ran on, if that is what there is to say of the job's end: not if the kernel killed
/// the job itself, or if it was ended as `--on-oom=exit` says.
pub fn before_the_end(observed: &Observed) -> Option<&Killed> {
    let known = observed.killed.len() as u64;
    let is_killed_too = observed.ending == Ending::Signal(SIGKILL) && count(observed) > known;
    let is_left = observed.ending != Ending::Running && failure::left(observed).is_some();
    observed.killed.first().filter(|_| !is_killed_too && !is_left)
}

/// The killed children, each with its limit and how sure that is. What is known already stays: it was known sooner after the kill.
pub fn judged(observed: &Observed) -> Vec<Killed> {
    let judge = |killed: &Killed| {
        if killed.certainty != Certainty::Unknown {
            return killed.clone();
        }
        let Culprit { limit, is_guess, .. } = kernel::culprit(observed);
        let is_counted = matches!(KernelKills::find(observed), KernelKills::KilledHere(_));
        Killed {
            limit,
            certainty: match is_counted && !is_guess && !observed.is_shared {
                true => Certainty::Certain,
                false => Certainty::Likely,
            },
            ..killed.clone()
        }
    };
    observed.killed.iter().map(judge).collect()
}
