//! How much room is left before a limit kills, over all limits that are in force, and when that is too little.

use std::time::Duration;

use dumper::outcome::{Limit, LimitKind};

/// The smallest margin, unless the limit is small.
const LEAST_MARGIN: u64 = 4 << 20;
/// The largest margin: enough to write a report in time.
const MOST_MARGIN: u64 = 256 << 20;

/// Bytes per second: faster than any measured growth. On the virtual machine of the measurement it was 2 GiB/s with pages of 4 KiB and 6
/// GiB/s with huge pages. More threads were not faster, because they wait for the same locks.
const FASTEST_GROWTH: u64 = 8 << 30;
/// The shortest time between two polls while a limit may come near.
pub const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// The longest time between two polls.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The time between two polls when the limit is near already.
const PAUSE_WHEN_NEAR: Duration = Duration::from_millis(50);

/// One limit and what is used of it, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// What counts it.
    pub kind: LimitKind,
    /// The cgroup as the kernel names it, with `/..` for an ancestor that cannot be seen; empty for other kinds.
    pub path: String,
    /// The limit.
    pub bytes: u64,
    /// The usage that cannot be reclaimed: without page cache.
    pub used: u64,
    /// The part of `used` that could be swapped out.
    pub swappable: u64,
}

impl Bound {
    /// What can still be used before the limit kills or fails an allocation.
    pub fn left(&self) -> u64 {
        let kept = self.used.saturating_sub(self.swappable);
        self.bytes.saturating_sub(kept)
    }

    /// With less than this left we are near the limit: 5 % of it, but between 4 MiB (a quarter of the limit, if that is
    /// less) and 256 MiB.
    pub fn margin(&self) -> u64 {
        let least = LEAST_MARGIN.min(self.bytes / 4);
        (self.bytes / 20).clamp(least, MOST_MARGIN)
    }

    /// Whether less than the margin is left, or would be less than nothing after a request of `request` bytes.
    pub fn is_near(&self, request: u64) -> bool {
        self.left() < self.margin() || self.left() < request
    }

    /// The least time until the margin is reached, which is the time until the next poll.
    pub fn pause(&self) -> Duration {
        match self.left().checked_sub(self.margin()) {
            Some(room) => time_to_fill(room),
            None => PAUSE_WHEN_NEAR,
        }
    }

    /// The limit as reports list it.
    pub fn limit(&self) -> Limit {
        Limit {
            kind: self.kind,
            path: self.path.clone(),
            bytes: self.bytes,
            usage: Some(self.used),
        }
    }
}

/// The least time in which so many bytes can be used, at most [`LONGEST_PAUSE`].
pub fn time_to_fill(bytes: u64) -> Duration {
    let seconds = bytes as f64 / FASTEST_GROWTH as f64;
    Duration::from_secs_f64(seconds).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// The limit that will be met first: the one with the least room above its margin.
pub fn tightest(bounds: impl IntoIterator<Item = Bound>) -> Option<Bound> {
    let room = |bound: &Bound| i128::from(bound.left()) - i128::from(bound.margin());
    bounds.into_iter().min_by_key(room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn bound(bytes: u64, used: u64) -> Bound {
        Bound {
            kind: LimitKind::CgroupV2,
            path: "/job".to_owned(),
            bytes,
            used,
            swappable: 0,
        }
    }

    #[test]
    fn the_margin_is_relative_to_the_limit() {
        for (limit, margin) in [
            (8 * MIB, 2 * MIB),
            (64 * MIB, 4 * MIB),
            (1000 * MIB, 50 * MIB),
            (25_000 * MIB, 256 * MIB),
            (0, 0),
        ] {
            assert_eq!(bound(limit, 0).margin(), margin, "{limit}");
        }
    }

    #[test]
    fn a_request_larger_than_what_is_left_is_near_and_so_is_a_full_cgroup() {
        assert!(!bound(100 * MIB, 90 * MIB).is_near(10 * MIB));
        assert!(bound(100 * MIB, 90 * MIB).is_near(11 * MIB));
        assert!(bound(100 * MIB, 96 * MIB).is_near(0));
        assert!(bound(100 * MIB, 200 * MIB).is_near(0));
    }

    #[test]
    fn what_can_be_swapped_out_is_no_reason_to_worry() {
        let full = bound(100 * MIB, 99 * MIB);
        let with_swap = Bound {
            swappable: 50 * MIB,
            ..full.clone()
        };
        assert!(full.is_near(0));
        assert_eq!((with_swap.left(), with_swap.is_near(0)), (51 * MIB, false));
    }

    #[test]
    fn the_tightest_limit_is_the_one_nearest_to_its_margin() {
        let host = bound(25_000 * MIB, 10_000 * MIB);
        let container = bound(64 * MIB, 20 * MIB);
        assert_eq!(tightest([host.clone(), container.clone()]), Some(container.clone()));
        let full_host = bound(25_000 * MIB, 24_900 * MIB);
        assert_eq!(tightest([full_host.clone(), container]), Some(full_host));
        assert_eq!(tightest([]), None);
    }

    #[test]
    fn the_nearer_the_limit_the_more_often_we_look() {
        assert_eq!(bound(u64::MAX, 0).pause(), LONGEST_PAUSE);
        assert_eq!(bound(100 * MIB, 94 * MIB).pause(), SHORTEST_PAUSE);
        let between = bound(4096 * MIB, 1024 * MIB).pause();
        assert!(SHORTEST_PAUSE < between && between < LONGEST_PAUSE, "{between:?}");
        assert_eq!(bound(100 * MIB, 99 * MIB).pause(), PAUSE_WHEN_NEAR);
    }

    proptest! {
        #[test]
        fn no_numbers_are_too_strange(bytes: u64, used: u64, swappable: u64, request: u64) {
            let bound = Bound { swappable, ..bound(bytes, used) };
            prop_assert!(bound.margin() <= bytes.max(1));
            prop_assert!((SHORTEST_PAUSE..=LONGEST_PAUSE).contains(&bound.pause()));
            // What is near stays near when more is used or more is asked for.
            let fuller = Bound { used: used.saturating_add(request), ..bound.clone() };
            prop_assert!(!bound.is_near(0) || fuller.is_near(0) && bound.is_near(request));
        }
    }
}
