//! What each node itself holds, at each moment.

use std::mem::offset_of;
use std::ops::AddAssign;

use recording::{BLOCK_UNIT, Header, Table, VARIANCE_UNIT};
use serde::{Deserialize, Serialize};

use super::bytes::{Bytes, u32_at, u64_at};
use super::tables::Tables;
use crate::call_tree::Moment;
use crate::damage::Findings;

/// More than any address space holds, so that a number above it is damage (or a difference that fell below zero).
const ABSURD: u64 = 1 << 52;

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
    /// One standard deviation of `bytes`, in bytes; 0 where everything was recorded exactly.
    pub fn error(&self) -> u64 {
        (self.variance as f64 * VARIANCE_UNIT as f64).sqrt() as u64
    }

    /// Blocks, rounded.
    pub fn whole_blocks(&self) -> u64 {
        self.blocks.saturating_add(BLOCK_UNIT / 2) / BLOCK_UNIT
    }

    fn read(record: &[u8], offset: usize, found: &mut Findings) -> Tally {
        let mut field = |field, limit| match u64_at(record, offset + field) {
            number if number < limit => number,
            _ => {
                found.absurd_numbers += 1;
                0
            }
        };
        Tally {
            bytes: field(offset_of!(recording::Tally, bytes), ABSURD),
            blocks: field(offset_of!(recording::Tally, blocks), ABSURD),
            variance: field(offset_of!(recording::Tally, variance), 1 << 63),
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.blocks = self.blocks.saturating_add(other.blocks);
        self.variance = self.variance.saturating_add(other.variance);
    }
}

/// What one node has allocated itself and not freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Site {
    pub(crate) node: u32,
    live: Tally,
    peak: Tally,
    oom: Tally,
}

impl Site {
    /// One that holds this much now, and of which no more is known.
    pub(super) fn live(node: u32, live: Tally) -> Site {
        Site {
            node,
            live,
            ..Site::default()
        }
    }

    /// Whether it held nothing at any moment.
    pub(super) fn is_empty(&self) -> bool {
        [self.live, self.peak, self.oom].iter().all(|held| held.bytes == 0)
    }

    /// What it held at a moment.
    pub fn at(&self, moment: Moment) -> Tally {
        match moment {
            Moment::Live => self.live,
            Moment::Peak => self.peak,
            Moment::OutOfMemory => self.oom,
        }
    }
}

/// All sites. A snapshot is what was saved for it, or what is live if nothing has changed since.
pub(super) fn read<B: Bytes + ?Sized>(header: &[u8], tables: &Tables<B>, found: &mut Findings) -> Vec<Site> {
    let peak_epoch = u32_at(header, offset_of!(Header, peak_epoch));
    let oom_epoch = u32_at(header, offset_of!(Header, oom_epoch));
    let mut sites = Vec::with_capacity(tables.present(Table::Sites));
    tables.each(Table::Sites, |_, record| {
        let mut tally = |offset| Tally::read(record, offset, found);
        let live = tally(offset_of!(recording::Site, live));
        let mut snapshot = |epoch, stamp, saved| match u32_at(record, stamp) == epoch {
            true => tally(saved),
            false => live,
        };
        let peak = snapshot(
            peak_epoch,
            offset_of!(recording::Site, peak.epoch),
            offset_of!(recording::Site, peak.saved),
        );
        let oom = snapshot(
            oom_epoch,
            offset_of!(recording::Site, oom.epoch),
            offset_of!(recording::Site, oom.saved),
        );
        sites.push(Site {
            node: u32_at(record, offset_of!(recording::Site, node)),
            live,
            peak,
            oom,
        });
    });
    sites
}
