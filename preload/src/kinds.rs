//! How much is held of each kind of memory, with the same snapshots as of the sites.

use core::sync::atomic::Ordering::Relaxed;

use recording::{BLOCK_UNIT, Header, Kind};

use crate::counter::shift;
use crate::peak::Direction;
use crate::sampler::Weight;
use crate::snapshot::at_first_change;

/// Counts a block of `bytes` for its kind; the caller holds the lock. To be called before the block is counted for its site,
/// which may begin a new peak: the peak's kinds include the block.
pub fn change(header: &Header, kind: Kind, bytes: u64, weight: Weight, direction: Direction) {
    // The same block gives the same number again, so that its free takes away what was added.
    let occupied = kind.occupied(bytes).saturating_mul(weight.blocks) / BLOCK_UNIT;
    count(header, kind, weight.bytes, occupied, direction);
}

/// As [`change`], for a block that stands for itself alone.
#[inline]
pub fn change_exactly(header: &Header, kind: Kind, bytes: u64, direction: Direction) {
    count(header, kind, bytes, kind.occupied(bytes), direction);
}

#[inline(always)]
fn count(header: &Header, kind: Kind, bytes: u64, occupied: u64, direction: Direction) {
    let Some(sum) = header.kinds.get(kind as usize) else {
        return;
    };
    at_first_change(&sum.peak_epoch, header.peak_epoch.load(Relaxed), || {
        sum.peak_bytes.store(sum.bytes.load(Relaxed), Relaxed);
        sum.peak_occupied.store(sum.occupied.load(Relaxed), Relaxed);
    });
    at_first_change(&sum.oom_epoch, header.oom_epoch.load(Relaxed), || {
        sum.oom_bytes.store(sum.bytes.load(Relaxed), Relaxed);
        sum.oom_occupied.store(sum.occupied.load(Relaxed), Relaxed);
    });
    shift(&sum.bytes, bytes, direction);
    shift(&sum.occupied, occupied, direction);
}
