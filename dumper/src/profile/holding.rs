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
    /// What of it was not in memory, as the process itself has seen, at each moment by its number.
    pub(crate) absent: [u64; Moment::ALL.len()],
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

    /// What it held at this moment is what it held at the peak.
    pub(crate) fn raise_peak(&mut self, moment: Moment) {
        self.peak = self.at(moment);
        self.absent[Moment::Peak as usize] = self.absent[moment as usize];
        if let Some(earlier) = &mut self.earlier {
            earlier.in_peak = moment == Moment::Live || earlier.in_oom;
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

    /// How much of what it held was not in memory.
    pub(super) fn absent(&self, moment: Moment) -> u64 {
        self.absent[moment as usize].min(self.at(moment).bytes)
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
