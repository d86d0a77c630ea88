//! What the kernel's OOM killer did, and for which limit.

use dumper::outcome::{Certainty, Kind, Limit, LimitKind};
use nix::libc::SIGKILL;

use super::observed::Observed;
use crate::kernel::cgroup::{Counters, Version};
use crate::kernel::headroom::{Bound, tightest};
use crate::verdict::evidence::Moved;

/// What the counters say about kills, without those of our own processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelKills {
    /// So many processes in the job's own cgroup.
    KilledHere(u64),
    /// So many in cgroups below the job's own.
    KilledBelow(u64),
    /// So many on this machine; whether of the job's cgroup cannot be known.
    KilledSomewhere(u64),
    /// Some process, but none in the job's cgroup.
    KilledOthers,
    /// No process.
    Idle,
    /// There are no counters, as before Linux 4.13.
    Silent,
}

impl KernelKills {
    pub fn find(observed: &Observed) -> Self {
        let counted = &observed.counted;
        let grown = |counter: fn(&Counters) -> Option<u64>| counted.levels.first()?.change(counter).grown();
        let here = grown(|counters| counters.kills);
        let below = grown(|counters| counters.kills_below);
        let machine = counted.machine_kills.grown();
        match (here, below, machine) {
            (Some(here), ..) if here > 0 => Self::KilledHere(here),
            (_, Some(below), _) if below > 0 => Self::KilledBelow(below),
            (Some(_), _, Some(machine)) if machine > 0 => Self::KilledOthers,
            (Some(_), ..) => Self::Idle,
            (None, _, Some(machine)) if machine > 0 => Self::KilledSomewhere(machine),
            (None, _, Some(_)) => Self::Idle,
            (None, _, None) => Self::Silent,
        }
    }
}

/// Without counters: whether the job's memory was short and a limit of a cgroup was met.
pub fn is_full(observed: &Observed) -> bool {
    let was_met = observed.counted.levels.iter().any(Moved::ran_out);
    observed.near.is_some() && (was_met || observed.is_limit_reported)
}

/// Whether the kernel has killed a child of a job that then exited with `status`, by which a shell may report the signal `told`. The
/// child `is_known` if one ended without its exit handlers.
pub fn killed_a_child(observed: &Observed, is_known: bool, status: i32, told: Option<i32>) -> bool {
    let is_told = told == Some(SIGKILL);
    let can_be_ours = is_told || is_known || !observed.is_shared;
    match KernelKills::find(observed) {
        KernelKills::KilledHere(_) => can_be_ours,
        KernelKills::KilledBelow(_) => can_be_ours && status != 0,
        KernelKills::KilledSomewhere(_) => is_told || is_known && status != 0 && observed.near.is_some(),
        KernelKills::KilledOthers | KernelKills::Idle | KernelKills::Silent => false,
    }
}

/// How sure that is.
pub fn certainty_for_child(observed: &Observed, is_known: bool, told: Option<i32>) -> Certainty {
    let is_ours = told == Some(SIGKILL) || !observed.is_shared;
    match KernelKills::find(observed) {
        KernelKills::KilledHere(_) if is_ours && is_known => Certainty::Certain,
        _ => Certainty::Likely,
    }
}

/// What was full.
#[derive(Clone, Debug)]
pub struct Culprit {
    pub kind: Kind,
    /// None if it is an ancestor that cannot be seen.
    pub limit: Option<Limit>,
    /// Another limit may have been full instead.
    pub is_guess: bool,
}

/// The limit for which the OOM killer has killed.
pub fn culprit(observed: &Observed) -> Culprit {
    let cgroup = |limit, is_guess| Culprit {
        kind: Kind::OomKilledByCgroup,
        limit,
        is_guess,
    };
    let of_machine = observed.bounds.iter().find(|bound| bound.kind == LimitKind::Machine);
    let machine = |is_guess| Culprit {
        kind: Kind::OomKilledByMachine,
        limit: of_machine.map(Bound::limit),
        is_guess,
    };
    let counted = &observed.counted;
    let near = observed.near.as_ref();
    let is_machine_short = near.is_some_and(|near| near.kind == LimitKind::Machine);
    let full: Vec<_> = counted.levels.iter().filter(|level| level.ran_out()).collect();
    // Version 1 also counts a limit that page cache has met. So of several, the one that was nearest at the last poll.
    let is_near = |level: &&Moved| near.is_some_and(|near| near.path == level.level.name);
    let level = full.iter().copied().find(is_near).or(full.first().copied());
    match level {
        // Page cache may have met the limit while another limit was full; but then the usage was below the limit.
        Some(level) if level.level.version == Version::V1 && is_machine_short && !level.has_peaked() => machine(true),
        Some(level) => cgroup(limit_of(observed, level), false),
        None if is_machine_short => machine(!counted.is_whole),
        // A limit that cannot be seen, or one that page cache had met long before the job began.
        None if near.is_some() => cgroup(near.map(Bound::limit), !observed.is_limit_reported),
        None => match uncounted(observed) {
            Some(limit) => cgroup(Some(limit), !observed.is_limit_reported),
            // No visible limit was met. If all are visible, it was none of a cgroup.
            None if counted.is_whole => machine(false),
            None => cgroup(None, true),
        },
    }
}

/// In version 1 a limit may be met without being counted: then the tightest one, if the machine had room.
fn uncounted(observed: &Observed) -> Option<Limit> {
    let first = observed.counted.levels.first();
    first.filter(|level| level.level.version == Version::V1)?;
    let bounds = observed.bounds.iter();
    let of_cgroups = bounds.filter(|bound| bound.kind == LimitKind::CgroupV1);
    // At the last poll the usage was not too high yet.
    tightest(of_cgroups.cloned()).map(|bound| Limit {
        usage: None,
        ..bound.limit()
    })
}

fn limit_of(observed: &Observed, level: &Moved) -> Option<Limit> {
    let bytes = level
        .limit
        .filter(|_| !level.swap_ran_out() || level.swap_limit.is_none())
        .or(level.swap_limit)?;
    let seen = observed
        .bounds
        .iter()
        .find(|bound| bound.path == level.level.name && bound.bytes == bytes);
    // At the kill the limit was full; otherwise the kernel would have reclaimed memory.
    let usage = level
        .peak()
        .map(|peak| peak.min(bytes))
        .or(seen.map(|bound| bound.used));
    Some(Limit {
        kind: level.level.version.limit_kind(),
        path: level.level.name.clone(),
        bytes,
        usage,
    })
}
