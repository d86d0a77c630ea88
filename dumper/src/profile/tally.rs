//! Sums over samples: what is held, and by how much that has grown.

use std::ops::AddAssign;

use recording::{BLOCK_UNIT, VARIANCE_UNIT};
use serde::{Deserialize, Serialize};

use super::rank::Rank;

/// A sum over samples. Sums saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Estimated bytes.
    pub bytes: u64,
    /// Estimated blocks, in units of 1/[`BLOCK_UNIT`].
    pub blocks: u64,
    /// Variance of `bytes`, in units of [`VARIANCE_UNIT`] bytes².
    pub variance: u64,
}

impl Tally {
    /// So many bytes, of which nothing else is known.
    pub(crate) fn of_bytes(bytes: u64) -> Tally {
        Tally {
            bytes,
            ..Tally::default()
        }
    }

    /// One standard deviation of `bytes`, in bytes; 0 where everything was recorded exactly.
    pub fn error(&self) -> u64 {
        deviation(self.variance)
    }

    /// Blocks, rounded.
    pub fn whole_blocks(&self) -> u64 {
        self.blocks.saturating_add(BLOCK_UNIT / 2) / BLOCK_UNIT
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.blocks = self.blocks.saturating_add(other.blocks);
        self.variance = self.variance.saturating_add(other.variance);
    }
}

/// What is held at one moment: as it was asked for, and what of that was in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// As it was asked for.
    pub requested: Tally,
    /// How many of these bytes were in memory; none if that was not measured.
    pub resident: Option<u64>,
}

impl Weight {
    /// What counts by this rank: the bytes that are compared, with the blocks and the variance of what was asked for. What was not
    /// measured is taken to be in memory.
    pub fn by(&self, rank: Rank) -> Tally {
        match rank {
            Rank::Requested => self.requested,
            Rank::Resident => Tally {
                bytes: self.resident.unwrap_or(self.requested.bytes),
                ..self.requested
            },
        }
    }
}

impl AddAssign for Weight {
    /// Where only one of the two was measured, all of the other is taken to be in memory.
    fn add_assign(&mut self, other: Weight) {
        if self.resident.is_some() || other.resident.is_some() {
            let [one, more] = [*self, other].map(|weight| weight.by(Rank::Resident).bytes);
            self.resident = Some(one.saturating_add(more));
        }
        self.requested += other.requested;
    }
}

/// What is held more than at an earlier moment, or less. Sums saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Estimated bytes.
    pub bytes: i64,
    /// An upper bound of the variance of `bytes`, in units of [`VARIANCE_UNIT`] bytes²: samples that were live at both moments
    /// cancel out, but how many these are is not recorded.
    pub variance: u64,
}

impl Growth {
    /// From one sum to another. A bundle may give any numbers.
    pub(crate) fn between(then: Tally, now: Tally) -> Growth {
        let difference = i128::from(now.bytes) - i128::from(then.bytes);
        let most = i128::from(i64::MAX);
        Growth {
            bytes: i64::try_from(difference.clamp(-most, most)).unwrap_or(0),
            variance: now.variance.saturating_add(then.variance),
        }
    }

    /// One standard deviation of `bytes`, in bytes, or less; 0 where nothing has changed, or everything was recorded exactly.
    pub fn error(&self) -> u64 {
        deviation(self.variance)
    }
}

impl AddAssign for Growth {
    fn add_assign(&mut self, other: Growth) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.variance = self.variance.saturating_add(other.variance);
    }
}

fn deviation(variance: u64) -> u64 {
    (variance as f64 * VARIANCE_UNIT as f64).sqrt() as u64
}
