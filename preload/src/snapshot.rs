//! Snapshots without copying, as the recording's page describes them: what was held at a moment is saved at the first change after it.

use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicU32, fence};

use recording::Tally;

/// Bytes, blocks and variance, as a [`Tally`] has them.
pub type Held = [u64; 3];

/// What a tally has now.
#[inline(always)]
pub fn held(tally: &Tally) -> Held {
    [&tally.bytes, &tally.blocks, &tally.variance].map(|counter| counter.load(Relaxed))
}

/// Sets a tally.
#[inline(always)]
pub fn set(tally: &Tally, [bytes, blocks, variance]: Held) {
    tally.bytes.store(bytes, Relaxed);
    tally.blocks.store(blocks, Relaxed);
    tally.variance.store(variance, Relaxed);
}

/// Before a change: saves what is held, unless that was done since the moment `epoch`. `saved_for` is the epoch for which it was saved
/// last. The caller holds the state's lock.
#[inline(always)]
pub fn at_first_change(saved_for: &AtomicU32, epoch: u32, save: impl FnOnce()) {
    if saved_for.load(Relaxed) != epoch {
        save();
        saved_for.store(epoch, Release);
        // The reader in another process sees the change that follows no sooner. It costs nothing on x86-64.
        fence(Release);
    }
}
