//! A counter of the recording.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::peak::Direction;

/// There is one writer at a time, so a load and a store are enough; an atomic addition would lock the bus.
#[inline(always)]
pub fn shift(counter: &AtomicU64, by: u64, direction: Direction) {
    let old = counter.load(Relaxed);
    let new = if direction == Direction::Add {
        old.wrapping_add(by)
    } else {
        old.saturating_sub(by)
    };
    counter.store(new, Relaxed);
}
