//! Which rank a run's call sites have: by what was asked for, or by what of it is in memory.

use recording::Kind;

use crate::ledger::Counts;
use crate::outcome::{Limit, LimitKind};
use crate::profile::measured::Measured;
use crate::profile::{At, CallTree, Moment, Profile, Rank};
use crate::run::Run;
use crate::units;

/// The rank for a moment of a run: what the user asked for, else what the limit counts that was hit or is the nearest. What was
/// measured long before the limit was met is no ground to rank by.
pub fn choose(run: &Run, at: &At) -> Rank {
    choose_by(run, at.moment(), at.measured(), at.untouched())
}

/// `untouched`: how much of what was asked for was never touched, and of how much, where the process has seen that itself.
fn choose_by(run: &Run, moment: Moment, measured: Option<&Measured>, untouched: Option<[u64; 2]>) -> Rank {
    if measured.is_none() && untouched.is_none() {
        return Rank::Requested;
    }
    if let Some(rank) = run.rank {
        return rank;
    }
    if counts(run) == Counts::AddressSpace {
        return Rank::Requested;
    }
    if untouched.is_some_and(|[untouched, all]| moment != Moment::OutOfMemory && is_worth_another_order(untouched, all))
    {
        return Rank::Resident;
    }
    let Some(measured) = measured else {
        return Rank::Requested;
    };
    let Some(limit) = limit(run).filter(|limit| is_of_cgroup(limit)) else {
        // The machine counts pages, and for most memory both are the same; but an allocation is refused for what it asks for.
        return match moment != Moment::OutOfMemory && is_mostly_untouched(measured) {
            true => Rank::Resident,
            false => Rank::Requested,
        };
    };
    let was_full = || {
        let usage = measured.cgroup.as_ref().map_or(0, |cgroup| cgroup.usage);
        usage.max(measured.resident()) >= limit.bytes - limit.bytes / 5
    };
    match moment == Moment::Peak || was_full() {
        true => Rank::Resident,
        false => Rank::Requested,
    }
}

/// The call tree of a moment, by the rank that the run's call sites have then.
pub(crate) fn tree<'a>(run: &Run, profile: &'a Profile, moment: Moment) -> CallTree<'a> {
    let at = profile.at(moment);
    at.by(choose(run, &at))
}

/// If the process has seen itself that so much was never touched, no line may be named for it.
const SOME_UNTOUCHED: u64 = 4 << 20;
/// If less than this is in memory, there is none to name instead.
const SOME_TOUCHED: u64 = 8 << 20;
/// So many bytes that are not there are worth another order; with fewer, a block that is being filled would do.
const MANY_UNTOUCHED: u64 = 64 << 20;

/// Whether a line could be named for what was never touched, though there is another one to name.
fn is_worth_another_order(untouched: u64, all: u64) -> bool {
    let is_any = untouched >= SOME_UNTOUCHED && untouched > all / 16;
    is_any && (untouched >= MANY_UNTOUCHED || all.saturating_sub(untouched) >= SOME_TOUCHED)
}

/// Whether what was asked for says little of what is there: an allocator's arena that is reserved as a whole, for instance.
fn is_mostly_untouched(measured: &Measured) -> bool {
    let counted = Kind::ALL.into_iter().filter(|kind| kind.is_counted());
    // What is in swap has been touched.
    let untouched = counted.map(|kind| measured.untouched(kind).saturating_sub(measured.blocks(kind).swapped));
    let untouched = units::sum(untouched);
    untouched >= MANY_UNTOUCHED && untouched > measured.live_bytes / 2
}

/// What the limit counts that was hit, or is the smallest.
pub fn counts(run: &Run) -> Counts {
    match limit(run).is_some_and(|limit| limit.kind.counts_addresses()) {
        true => Counts::AddressSpace,
        false => Counts::Resident,
    }
}

fn limit(run: &Run) -> Option<&Limit> {
    let hit = run.outcome.as_ref().and_then(|outcome| outcome.limit.as_ref());
    hit.or(run.limits.first())
}

fn is_of_cgroup(limit: &Limit) -> bool {
    matches!(limit.kind, LimitKind::CgroupV1 | LimitKind::CgroupV2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::measured::{Charged, Pages};

    const MIB: u64 = 1 << 20;

    fn run(kind: LimitKind, rank: &str) -> Run {
        let limit = Limit {
            kind,
            bytes: 100,
            ..Limit::default()
        };
        Run {
            limits: vec![limit],
            rank: Rank::from_name(rank),
            ..Run::default()
        }
    }

    #[test]
    fn the_rank_follows_what_the_limit_counts_unless_somebody_says_otherwise() {
        let with = |usage| Measured {
            cgroup: Some(Charged {
                usage,
                ..Charged::default()
            }),
            ..Measured::default()
        };
        let (full, early) = (with(95), with(20));
        let of = |kind, said: &str, measured| choose_by(&run(kind, said), Moment::Live, measured, None);
        assert_eq!(of(LimitKind::CgroupV2, "", Some(&full)), Rank::Resident);
        assert_eq!(of(LimitKind::CgroupV2, "", Some(&early)), Rank::Requested);
        assert_eq!(of(LimitKind::CgroupV2, "", None), Rank::Requested);
        assert_eq!(of(LimitKind::CgroupV2, "requested", Some(&full)), Rank::Requested);
        assert_eq!(of(LimitKind::AddressSpace, "", Some(&full)), Rank::Requested);
        assert_eq!(of(LimitKind::AddressSpace, "resident", Some(&full)), Rank::Resident);
        let mut untouched = early.clone();
        untouched.live_bytes = 100 * MIB;
        let pages = Pages {
            bytes: 103 * MIB,
            resident: 39 * MIB,
            ..Pages::default()
        };
        untouched.blocks.insert(Kind::Mapping as u32, pages);
        assert_eq!(of(LimitKind::Machine, "", Some(&untouched)), Rank::Resident);
        assert_eq!(of(LimitKind::AddressSpace, "", Some(&untouched)), Rank::Requested);
        let refused = choose_by(
            &run(LimitKind::Machine, ""),
            Moment::OutOfMemory,
            Some(&untouched),
            None,
        );
        assert_eq!(refused, Rank::Requested);
        let seen = |untouched, all| {
            choose_by(
                &run(LimitKind::Machine, ""),
                Moment::Peak,
                None,
                Some([untouched * MIB, all * MIB]),
            )
        };
        let resident = [(305, 485), (20, 40), (100, 101)].map(|(untouched, all)| seen(untouched, all));
        assert_eq!(resident, [Rank::Resident; 3]);
        let requested = [(3, 20), (20, 400), (20, 26)].map(|(untouched, all)| seen(untouched, all));
        assert_eq!(requested, [Rank::Requested; 3]);
        let pages = Pages { swapped: MIB, ..pages };
        let mut swapped = untouched.clone();
        swapped.blocks.insert(Kind::Mapping as u32, pages);
        assert_eq!(of(LimitKind::Machine, "", Some(&swapped)), Rank::Requested);
        let less = Measured {
            live_bytes: 128 * MIB,
            ..untouched.clone()
        };
        assert_eq!(of(LimitKind::Machine, "", Some(&less)), Rank::Requested);
        assert_eq!(counts(&run(LimitKind::AddressSpace, "")), Counts::AddressSpace);
        assert_eq!(counts(&run(LimitKind::Machine, "")), Counts::Resident);
    }
}
