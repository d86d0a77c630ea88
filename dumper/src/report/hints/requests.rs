//! Hints from the request that failed.

use recording::AllocFunction;

use super::{Clues, Hint};
use crate::outcome::Limit;
use crate::report::page::view::ListedSite;
use crate::units::Bytes;

/// A copy is as large as what it is made from, but for a header or the last page: within one part in this many.
const ALIKE: u64 = 50;
/// Less than one part in this many of everything is not worth a hint.
const WORTH: u64 = 20;

/// The request alone does not fit, whatever is freed.
pub(super) fn is_larger_than_the_limit(clues: &Clues) -> Option<Hint> {
    let request = clues.failure?.request_bytes;
    let is_exceeded = |limit: &&Limit| !limit.kind.is_number() && request > limit.bytes;
    let limit = clues.outcome?.limit.as_ref().filter(is_exceeded)?;
    Some(Hint {
        seen: format!(
            "The request for {} is larger than the whole limit of {}.",
            Bytes(request),
            Bytes(limit.bytes)
        ),
        advice: "Freeing memory elsewhere cannot make it fit. Is the size that was asked for the one that was meant?"
            .into(),
    })
}

/// It asks for as much as a line already holds in one block, or in all of its blocks.
pub(super) fn is_a_copy(clues: &Clues) -> Option<Hint> {
    let request = clues.failure?.request_bytes;
    if request < clues.total / WORTH || request < 1 << 20 {
        return None;
    }
    let is_alike = |bytes: u64| bytes.abs_diff(request) <= request / ALIKE;
    let block = |site: &&ListedSite| match site.held.requested.whole_blocks() {
        0 => false,
        blocks => is_alike(site.held.requested.bytes / blocks),
    };
    let (site, what) = match clues.sites.iter().find(block) {
        Some(site) => (site, "one block that"),
        None => (
            clues.sites.iter().find(|site| is_alike(site.held.requested.bytes))?,
            "everything that",
        ),
    };
    Some(Hint {
        seen: format!(
            "The request for {} is as large as {what} {} already holds.",
            Bytes(request),
            for_whom(site)
        ),
        advice: "That is what a copy looks like: a conversion, a concatenation, or an array that grows by doubling needs the \
                 old and the new at the same time. Work in place, in parts, or allocate the final size at once."
            .into(),
    })
}

/// A thread did not get its stack.
pub(super) fn is_for_a_thread(clues: &Clues) -> Option<Hint> {
    let failure = clues.failure?;
    if failure.function != Some(AllocFunction::PthreadCreate) {
        return None;
    }
    let limit = clues
        .outcome?
        .limit
        .as_ref()
        .filter(|limit| limit.kind.counts_addresses())?;
    Some(Hint {
        seen: format!(
            "It was a new thread that found no room for its stack under the limit of {}.",
            Bytes(limit.bytes)
        ),
        advice: "Each thread takes the size of ulimit -s, touched or not: start fewer threads (OMP_NUM_THREADS, \
                 OPENBLAS_NUM_THREADS), or lower ulimit -s."
            .into(),
    })
}

/// The line that a reader can change.
pub(super) fn for_whom(site: &ListedSite) -> String {
    match &site.callers[..] {
        [caller] if !site.is_import => caller.place.clone(),
        [] | [_] => site.place.clone(),
        callers => format!("{} (for {} lines of yours)", site.place, callers.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{LimitKind, Outcome};
    use crate::profile::{FailedAllocation, Tally, Weight};
    use crate::report::page::view::ListedCaller;
    use recording::BLOCK_UNIT;

    const MIB: u64 = 1 << 20;

    fn failure(function: AllocFunction, request_bytes: u64) -> FailedAllocation {
        FailedAllocation {
            request_bytes,
            live_bytes: 0,
            time_ns: 0,
            function: Some(function),
            node: 0,
        }
    }

    fn under(kind: LimitKind, bytes: u64) -> Outcome {
        Outcome {
            limit: Some(Limit {
                kind,
                bytes,
                ..Limit::default()
            }),
            ..Outcome::default()
        }
    }

    fn site(place: &str, bytes: u64, blocks: u64) -> ListedSite {
        ListedSite {
            place: place.into(),
            held: Weight {
                requested: Tally {
                    bytes,
                    blocks: blocks * BLOCK_UNIT,
                    variance: 0,
                },
                resident: None,
            },
            ..ListedSite::default()
        }
    }

    #[test]
    fn a_request_above_the_limit_is_told_and_one_below_is_not() {
        let outcome = under(LimitKind::AddressSpace, 1000 * MIB);
        let hint = |request| {
            let failure = failure(AllocFunction::Malloc, request);
            is_larger_than_the_limit(&Clues {
                outcome: Some(&outcome),
                failure: Some(&failure),
                ..Clues::default()
            })
        };
        assert!(hint(1001 * MIB).unwrap().seen.contains("1001.0 MiB is larger"));
        assert_eq!(hint(1000 * MIB), None);
        assert_eq!(is_larger_than_the_limit(&Clues::default()), None);
    }

    #[test]
    fn a_copy_of_one_block_or_of_all_blocks_is_told_and_another_size_is_not() {
        let sites = [site("a.py:1 (f)", 300 * MIB, 3), site("b.py:2 (g)", 500 * MIB, 1000)];
        let hint = |request| {
            let failure = failure(AllocFunction::Malloc, request);
            is_a_copy(&Clues {
                failure: Some(&failure),
                sites: &sites,
                total: 800 * MIB,
                ..Clues::default()
            })
        };
        assert!(hint(100 * MIB + 64).unwrap().seen.contains("one block that a.py:1 (f)"));
        assert!(hint(500 * MIB).unwrap().seen.contains("everything that b.py:2 (g)"));
        assert_eq!(hint(200 * MIB), None);
        // Half a megabyte is a block of b.py, and too little to matter.
        assert_eq!(hint(MIB / 2), None);
    }

    #[test]
    fn a_copy_is_told_of_the_line_that_a_reader_can_change() {
        let sites = [ListedSite {
            callers: vec![ListedCaller {
                place: "mine.py:7 (load)".into(),
                ..ListedCaller::default()
            }],
            ..site("numpy/core.py:1 (ones)", 100 * MIB, 1)
        }];
        let failure = failure(AllocFunction::Malloc, 100 * MIB);
        let hint = is_a_copy(&Clues {
            failure: Some(&failure),
            sites: &sites,
            total: 100 * MIB,
            ..Clues::default()
        });
        assert!(hint.unwrap().seen.contains("mine.py:7 (load)"));
    }

    #[test]
    fn a_thread_without_a_stack_is_told_under_a_limit_on_addresses_alone() {
        let thread = failure(AllocFunction::PthreadCreate, 8 * MIB);
        let hint = |kind, failure: &FailedAllocation| {
            is_for_a_thread(&Clues {
                outcome: Some(&under(kind, 100 * MIB)),
                failure: Some(failure),
                ..Clues::default()
            })
        };
        assert!(hint(LimitKind::AddressSpace, &thread).is_some());
        assert_eq!(hint(LimitKind::CgroupV2, &thread), None);
        assert_eq!(
            hint(LimitKind::AddressSpace, &failure(AllocFunction::Mmap, 8 * MIB)),
            None
        );
    }
}
