//! What one node held itself, at each moment.

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::tally::{Growth, Tally};

/// What one node has allocated itself and not freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Holding {
    pub(crate) node: u32,
    pub(crate) live: Tally,
    pub(crate) peak: Tally,
    pub(crate) oom: Tally,
    /// None where nothing has changed since.
    pub(crate) earlier: Option<Earlier>,
}

/// What it held at the moment that growth is counted from, without the blocks, and whether it had changed by the other moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Earlier {
    pub(crate) held: Tally,
    pub(crate) in_peak: bool,
    pub(crate) in_oom: bool,
}

impl Holding {
    /// One that holds this much now, and of which no more is known.
    pub(super) fn live(node: u32, live: Tally) -> Holding {
        Holding {
            node,
            live,
            ..Holding::default()
        }
    }

    /// Whether it held nothing at any moment.
    pub(super) fn is_empty(&self) -> bool {
        let earlier = self.earlier.unwrap_or_default().held;
        let moments = [self.live, self.peak, self.oom, earlier];
        moments.iter().all(|held| held.bytes == 0)
    }

    /// By how much it has grown from the earlier moment to this one.
    pub(super) fn growth(&self, moment: Moment) -> Growth {
        let changed = self.earlier.filter(|earlier| match moment {
            Moment::Live => true,
            Moment::Peak => earlier.in_peak,
            Moment::OutOfMemory => earlier.in_oom,
        });
        changed.map_or(Growth::default(), |earlier| {
            Growth::between(earlier.held, self.at(moment))
        })
    }

    /// What it held at a moment.
    pub(crate) fn at(&self, moment: Moment) -> Tally {
        match moment {
            Moment::Live => self.live,
            Moment::Peak => self.peak,
            Moment::OutOfMemory => self.oom,
        }
    }
}
