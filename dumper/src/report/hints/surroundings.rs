//! Hints from the limit, the processes, and memory over time.

use super::{Clues, Hint};
use crate::outcome::{Kind, LimitKind};
use crate::timeline::Sample;
use crate::units::{self, Bytes, Share};

/// Less than that is not worth a hint.
const LITTLE: u64 = 64 << 20;

/// Under `ulimit -v`, addresses ran out and not memory.
pub(super) fn limit_is_on_addresses(clues: &Clues) -> Option<Hint> {
    clues.failure?;
    let limit = clues.outcome?.limit.as_ref()?;
    let most = most_resident(clues.timeline)?;
    if limit.kind != LimitKind::AddressSpace || most > limit.bytes / 2 {
        return None;
    }
    Some(Hint {
        seen: format!(
            "The limit of {} is on addresses (ulimit -v); no more than {} were seen in memory.",
            Bytes(limit.bytes),
            Bytes(most)
        ),
        advice:
            "Memory that was asked for counts, touched or not. If the machine has room, a limit on what is resident (a \
                 cgroup, Slurm's --mem) fits this job better."
                .into(),
    })
}

/// Not the program that was started died, but one of its children.
pub(super) fn a_child_died(clues: &Clues) -> Option<Hint> {
    let outcome = clues.outcome.filter(|outcome| is_kill(outcome.kind))?;
    let process = outcome.process.as_ref().filter(|process| process.is_child)?;
    Some(Hint {
        seen: format!(
            "Process {} is a child: the parent's exit status does not say why it ended.",
            process.pid
        ),
        advice:
            "A pool that loses a worker may hang, try again, or go on with less; let the parent check its children."
                .into(),
    })
}

/// Workers that all hold the same.
pub(super) fn many_alike(clues: &Clues) -> Option<Hint> {
    clues.outcome.filter(|outcome| is_kill(outcome.kind))?;
    let all = units::sum(clues.running.iter().copied());
    let largest = *clues.running.iter().max()?;
    let alike: Vec<u64> = clues
        .running
        .iter()
        .copied()
        .filter(|held| *held >= largest / 2)
        .collect();
    let sum = units::sum(alike.iter().copied());
    if alike.len() < 3 || sum < all / 10 * 7 || sum < LITTLE {
        return None;
    }
    Some(Hint {
        seen: format!(
            "{} processes held {} together, none of them less than half of the largest ({}).",
            alike.len(),
            Bytes(sum),
            Bytes(largest)
        ),
        advice: "Fewer workers at a time need less memory in all; data that each of them has a copy of can be shared or mapped."
            .into(),
    })
}

/// Somebody who is not part of the job has most of the control group's memory.
pub(super) fn others_hold_more(clues: &Clues) -> Option<Hint> {
    let outcome = clues.outcome.filter(|outcome| is_kill(outcome.kind))?;
    let largest = outcome.others.iter().max_by_key(|other| other.resident_bytes)?;
    let others = units::sum(outcome.others.iter().map(|other| other.resident_bytes));
    let job = clues.timeline.last()?.resident_bytes;
    if others <= job || others < LITTLE {
        return None;
    }
    Some(Hint {
        seen: format!(
            "Others in the cgroup had {}, the job {}; the largest of them was process {} with {}.",
            Bytes(others),
            Bytes(job),
            largest.pid,
            Bytes(largest.resident_bytes)
        ),
        advice: "The job may not be what to look at.".into(),
    })
}

/// The cgroup was full of the job's own memory.
pub(super) fn page_cache_is_not_it(clues: &Clues) -> Option<Hint> {
    let outcome = clues
        .outcome
        .filter(|outcome| outcome.kind == Kind::OomKilledByCgroup)?;
    let limit = outcome.limit.as_ref()?.bytes;
    let last = clues.timeline.last().filter(|last| last.cgroup_bytes.is_some())?;
    let others = units::sum(outcome.others.iter().map(|other| other.resident_bytes));
    // Pages that processes share are counted in each of them.
    let resident = last.resident_bytes.saturating_add(others);
    // Mapped files are resident too, and page cache; what was allocated is not.
    let allocated = last.tracked_bytes.saturating_add(others);
    if resident < limit / 10 * 9 || resident > (limit / 10).saturating_mul(11) || allocated < limit / 4 * 3 {
        return None;
    }
    let share = match resident > limit {
        true => "pages that they share counted for each".to_owned(),
        false => format!("{} of the limit", Share::of(resident, limit)),
    };
    Some(Hint {
        seen: format!(
            "Shortly before the end, processes had {} in memory, {share}, and {} of it by allocating.",
            Bytes(resident),
            Bytes(allocated.min(resident))
        ),
        advice: "Page cache is not the problem: what counted was the processes' own memory.".into(),
    })
}

/// What the program freed stayed in memory.
pub(super) fn freed_but_kept(clues: &Clues) -> Option<Hint> {
    // A program that fails frees what it holds on its way out, which says nothing.
    clues.outcome.filter(|outcome| is_kill(outcome.kind))?;
    let last = clues.timeline.last()?;
    let highest = clues.timeline.iter().max_by_key(|sample| sample.tracked_bytes)?;
    let freed = highest.tracked_bytes.saturating_sub(last.tracked_bytes);
    let returned = highest.resident_bytes.saturating_sub(last.resident_bytes);
    let kept = freed.saturating_sub(returned);
    // Blocks of it may never have been in memory.
    let spare = last.resident_bytes.saturating_sub(last.tracked_bytes);
    let is_alive = last.resident_bytes > 0 && last.tracked_bytes > 0;
    if !is_alive || kept < LITTLE || kept < last.resident_bytes / 4 || spare < kept {
        return None;
    }
    Some(Hint {
        seen: format!(
            "From {:.1} s to {:.1} s the program freed {}, and {} of that stayed in memory.",
            highest.seconds,
            last.seconds,
            Bytes(freed),
            Bytes(kept)
        ),
        advice:
            "Allocators keep what is freed in pieces between blocks that are still used (fragmentation). Allocate what \
                 lives long first, or try MALLOC_ARENA_MAX=2 or another allocator such as jemalloc."
                .into(),
    })
}

pub(super) fn is_kill(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::OomKilledByCgroup | Kind::OomKilledByMachine | Kind::OomKilledBySupervisor
    )
}

fn most_resident(timeline: &[Sample]) -> Option<u64> {
    timeline.iter().map(|sample| sample.resident_bytes).max()
}

#[cfg(test)]
mod tests;
