//! Hints from what single lines hold.

use super::requests::for_whom;
use super::surroundings::is_kill;
use super::{Clues, Hint};
use crate::report::page::view::ListedSite;
use crate::units::{Bytes, Seconds, Share};

/// A block that is at most this large is an object rather than data.
const SMALL_BLOCK: u64 = 128;
/// So many of them are worth another layout.
const MANY: u64 = 1_000_000;
/// What a number takes in an array.
const NUMBER: u64 = 8;
/// What has grown by fewer blocks than that has not grown steadily.
const STEPS: u64 = 8;
/// Less than one part in this many of everything is not worth a hint.
const WORTH: u64 = 10;

/// Millions of small blocks from one line.
pub(super) fn many_small(clues: &Clues) -> Option<Hint> {
    let site = clues.sites.iter().filter(|site| !site.is_import).find(|site| {
        let blocks = site.held.requested.whole_blocks();
        blocks >= MANY
            && site.held.requested.bytes / blocks <= SMALL_BLOCK
            && site.held.requested.bytes >= clues.total / WORTH
    })?;
    let blocks = site.held.requested.whole_blocks();
    Some(Hint {
        seen: format!(
            "{} holds {} in {} blocks of {} on average.",
            for_whom(site),
            Bytes(site.held.requested.bytes),
            in_millions(blocks),
            Bytes(site.held.requested.bytes / blocks)
        ),
        advice: format!(
            "Many small objects: as many numbers in an array (numpy, array, a column of a table) take {}.",
            Bytes(blocks.saturating_mul(NUMBER))
        ),
    })
}

/// A line that has kept more and more until the memory was used up.
pub(super) fn grows(clues: &Clues) -> Option<Hint> {
    let (first, last) = clues.since?;
    let is_over = clues.failure.is_some() || clues.outcome.is_some_and(|outcome| is_kill(outcome.kind));
    let grown = |site: &ListedSite| site.growth.unwrap_or_default();
    // A module that is imported late is no growth.
    let sites = clues.sites.iter().filter(|site| !site.is_import);
    let site = sites.max_by_key(|site| grown(site).bytes)?;
    let (held, grown) = (site.held.requested.bytes, grown(site));
    let more = u64::try_from(grown.bytes).ok()?;
    // In steps: one large block says nothing about what is to come.
    let steps = more / (held / site.held.requested.whole_blocks().max(1)).max(1);
    if !is_over || more < clues.total / WORTH || more < 4 * grown.error() || steps < STEPS {
        return None;
    }
    let since = if first == last {
        format!("when it had run for {}", Seconds(first))
    } else {
        "earlier".to_owned()
    };
    Some(Hint {
        seen: format!(
            "{} kept growing: {} {since}, {} at last.",
            for_whom(site),
            Bytes(held.saturating_sub(more)),
            Bytes(held)
        ),
        advice: "What it allocates is kept while the job goes on. If not all of that is needed at once, keep less of each part, \
                 write parts out as they are done, or work in batches."
            .into(),
    })
}

/// A block that was asked for and hardly used.
pub(super) fn hardly_touched(clues: &Clues) -> Option<Hint> {
    let (site, resident) = clues.sites.iter().filter(|site| !site.is_import).find_map(|site| {
        let resident = site.held.resident?;
        let is_hardly = resident < site.held.requested.bytes / 2 && site.held.requested.bytes >= clues.total / WORTH;
        is_hardly.then_some((site, resident))
    })?;
    let share = Share::of(resident, site.held.requested.bytes);
    Some(Hint {
        seen: format!(
            "Of the {} that {} asked for, {} are in memory ({share}).",
            Bytes(site.held.requested.bytes),
            for_whom(site),
            Bytes(resident)
        ),
        advice:
            "Memory that has not been touched costs address space (ulimit -v) and nothing else: under the limit of a \
                 cgroup, look at what is resident."
                .into(),
    })
}

fn in_millions(blocks: u64) -> String {
    match blocks {
        ..10_000_000 => format!("{:.1} million", blocks as f64 / 1e6),
        _ => format!("{:.0} million", blocks as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Kind, Outcome};
    use crate::profile::{Growth, Tally, Weight};
    use recording::{BLOCK_UNIT, VARIANCE_UNIT};

    fn site(bytes: u64, blocks: u64, resident: Option<u64>) -> ListedSite {
        ListedSite {
            place: "a.py:1 (f)".into(),
            held: Weight {
                requested: Tally {
                    bytes,
                    blocks: blocks * BLOCK_UNIT,
                    variance: 0,
                },
                resident,
            },
            ..ListedSite::default()
        }
    }

    fn clues(sites: &[ListedSite], total: u64) -> Clues<'_> {
        Clues {
            sites,
            total,
            ..Clues::default()
        }
    }

    #[test]
    fn millions_of_small_blocks_at_one_line_are_told() {
        let sites = [site(18_000_000 * 56, 18_000_000, None)];
        let hint = many_small(&clues(&sites, 2_000_000_000)).unwrap();
        assert_eq!(
            hint.seen,
            "a.py:1 (f) holds 961.3 MiB in 18 million blocks of 56 B on average."
        );
        assert!(hint.advice.ends_with("take 137.3 MiB."), "{}", hint.advice);
    }

    fn grown(bytes: u64, blocks: u64, more: i64, variance: u64) -> ListedSite {
        ListedSite {
            growth: Some(Growth { bytes: more, variance }),
            ..site(bytes, blocks, None)
        }
    }

    #[test]
    fn a_line_that_has_grown_in_steps_until_the_end_is_told() {
        let killed = Outcome {
            kind: Kind::OomKilledByCgroup,
            ..Outcome::default()
        };
        let told = |site: ListedSite, outcome, since| {
            let sites = [grown(1 << 30, 1, 5, 0), site];
            grows(&Clues {
                outcome,
                since,
                ..clues(&sites, 1 << 30)
            })
        };
        let mib = 1 << 20;
        let steady = || grown(900 * mib, 90, 300 * mib as i64, 0);
        let since = Some((7.2, 7.2));
        assert_eq!(
            told(steady(), Some(&killed), since).unwrap().seen,
            "a.py:1 (f) kept growing: 600.0 MiB when it had run for 7.2 s, 900.0 MiB at last."
        );
        let seen = told(steady(), Some(&killed), Some((1.0, 7.2))).unwrap().seen;
        assert!(seen.contains("600.0 MiB earlier"), "{seen}");
        assert_eq!(told(steady(), None, since), None);
        assert_eq!(told(steady(), Some(&killed), None), None);
        // One block, little, within its error, or less than before.
        assert_eq!(
            told(grown(900 * mib, 3, 300 * mib as i64, 0), Some(&killed), since),
            None
        );
        assert_eq!(
            told(grown(900 * mib, 90, 90 * mib as i64, 0), Some(&killed), since),
            None
        );
        let vague = 100 * mib / VARIANCE_UNIT * (100 * mib);
        assert_eq!(
            told(grown(900 * mib, 90, 300 * mib as i64, vague), Some(&killed), since),
            None
        );
        assert_eq!(
            told(grown(900 * mib, 90, -300 * mib as i64, 0), Some(&killed), since),
            None
        );
    }

    #[test]
    fn few_large_or_unimportant_blocks_are_not() {
        let none = |site: ListedSite, total| assert_eq!(many_small(&clues(&[site], total)), None);
        none(site(900_000 * 56, 900_000, None), 1 << 26);
        none(site(2_000_000 * 500, 2_000_000, None), 1 << 30);
        none(site(2_000_000 * 56, 2_000_000, None), 1 << 40);
        none(site(0, 0, None), 0);
    }

    #[test]
    fn a_block_that_is_hardly_touched_is_told_where_that_was_measured() {
        let gib = 1u64 << 30;
        let told = |resident, total| hardly_touched(&clues(&[site(10 * gib, 1, resident)], total));
        let hint = told(Some(gib), 12 * gib).unwrap();
        assert_eq!(
            hint.seen,
            "Of the 10.0 GiB that a.py:1 (f) asked for, 1.0 GiB are in memory (10.0 %)."
        );
        assert_eq!(told(None, 12 * gib), None);
        assert_eq!(told(Some(9 * gib), 12 * gib), None);
        assert_eq!(told(Some(gib), 1000 * gib), None);
    }
}
