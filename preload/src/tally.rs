//! Adding to a site and taking away, with the snapshots that the recording's page describes.

use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicU64, fence};

use recording::{Header, Site, Snapshot, Tally};

use crate::sampler::Weight;
use crate::sys;

/// The direction of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Memory was allocated.
    Add,
    /// Memory was freed.
    Remove,
}

/// Changes a site and the totals; the caller holds the lock.
pub fn change(header: &Header, site: &Site, weight: Weight, direction: Change) {
    let sequence = header.sequence.load(Relaxed);
    header.sequence.store(sequence.wrapping_add(1), Relaxed);
    fence(Release);
    keep(&site.peak, header.peak_epoch.load(Relaxed), &site.live);
    keep(&site.oom, header.oom_epoch.load(Relaxed), &site.live);
    shift(&site.live.bytes, weight.bytes, direction);
    shift(&site.live.blocks, weight.blocks, direction);
    shift(&site.live.variance, weight.variance, direction);
    let total = shift(&header.live_bytes, weight.bytes, direction);
    if direction == Change::Add && total > header.peak_bytes.load(Relaxed) {
        header.peak_bytes.store(total, Relaxed);
        header.peak_time_ns.store(sys::now_ns(true), Relaxed);
        header
            .peak_epoch
            .store(header.peak_epoch.load(Relaxed).wrapping_add(1).max(1), Relaxed);
    }
    header.sequence.store(sequence.wrapping_add(2), Release);
}

fn keep(snapshot: &Snapshot, epoch: u32, live: &Tally) {
    if snapshot.epoch.load(Relaxed) != epoch {
        snapshot.saved.bytes.store(live.bytes.load(Relaxed), Relaxed);
        snapshot.saved.blocks.store(live.blocks.load(Relaxed), Relaxed);
        snapshot.saved.variance.store(live.variance.load(Relaxed), Relaxed);
        snapshot.epoch.store(epoch, Release);
    }
}

/// One writer at a time, so a load and a store will do where an atomic addition would lock the bus.
fn shift(counter: &AtomicU64, by: u64, direction: Change) -> u64 {
    let old = counter.load(Relaxed);
    let new = if direction == Change::Add {
        old.wrapping_add(by)
    } else {
        old.saturating_sub(by)
    };
    counter.store(new, Relaxed);
    new
}
