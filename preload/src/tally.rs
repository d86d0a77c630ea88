//! Adding to a site and taking away, with the snapshots that the recording's page describes.

use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicU64, fence};

use recording::{Header, Site, Snapshot, Tally, VARIANCE_UNIT};

use crate::peak::Peak;
use crate::sampler::Weight;
use crate::{phases, sys, windows};

/// The direction of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Memory was allocated.
    Add,
    /// Memory was freed.
    Remove,
}

/// How far the total can be from what it was at the peak by the chance of sampling alone. What was sampled before the peak and is
/// still alive is in both totals; so a heap that only grows has no doubt, and one that is replaced while it stays the same has the
/// more of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doubt {
    /// Variance of what has come since the peak and is alive, in units of [`VARIANCE_UNIT`] bytes².
    come: u64,
    /// Variance of what was alive at the peak and has gone.
    gone: u64,
    /// Variance of all that has gone since the peak.
    turned: u64,
}

impl Doubt {
    /// At a peak.
    pub const NONE: Self = Self {
        come: 0,
        gone: 0,
        turned: 0,
    };

    /// Standard errors by which a total has to be higher than the peak's to be a new peak, squared; to it comes 4 ln(1 + n)
    /// once the heap has been replaced n times since. The highest of n independent estimates of one and the same heap lies about
    /// √(2 ln n) standard errors above it: without this, a heap that stays the same would have a peak that creeps up. The chance
    /// of that is about e^(−8) for the first time that it is replaced, and falls with n², so that the sum over all times is
    /// small as well. The peak of a heap that is replaced while it grows is at most so many errors behind.
    const ERRORS_SQUARED: f64 = 16.0;

    /// A block has come, or one has gone that was alive at the peak or was not.
    pub fn follow(&mut self, weight: Weight, direction: Change, was_in_peak: bool) {
        let variance = weight.variance;
        match (direction, was_in_peak) {
            (Change::Add, _) => self.come = self.come.saturating_add(variance),
            (Change::Remove, true) => self.gone = self.gone.saturating_add(variance),
            (Change::Remove, false) => self.come = self.come.saturating_sub(variance),
        }
        if direction == Change::Remove {
            self.turned = self.turned.saturating_add(variance);
        }
    }

    /// Is a total that is higher by so many bytes a new peak? It is if nothing has gone.
    #[inline]
    pub fn allows(self, higher_by: u64) -> bool {
        if self.gone == 0 {
            return true;
        }
        let units = self.come.saturating_add(self.gone) as f64;
        let errors_squared = higher_by as f64 * higher_by as f64 / (units * VARIANCE_UNIT as f64);
        // What came and what went make the variance, so it is that of two heaps.
        errors_squared > Self::ERRORS_SQUARED
            && errors_squared > Self::ERRORS_SQUARED + 4.0 * libm::log(1.0 + 2.0 * self.turned as f64 / units)
    }
}

/// Changes a site and the totals by a block that was `born` at this moment; the caller holds the lock.
pub fn change(header: &Header, peak: &mut Peak, site: &Site, weight: Weight, direction: Change, born: u32) {
    let sequence = begin(header);
    shift_all(header, site, weight, direction, born);
    peak.follow(weight, direction, born);
    if direction == Change::Add && higher_by(header).is_some_and(|bytes| peak.rises(bytes)) {
        take_peak(header, true);
    }
    end(header, sequence);
}

/// As [`change`], for a small block where every one is recorded, so that there is no doubt.
#[inline]
pub fn change_exactly(header: &Header, site: &Site, bytes: u64, direction: Change) {
    let sequence = begin(header);
    shift_all(header, site, Weight::exact(bytes), direction, 0);
    if direction == Change::Add && higher_by(header).is_some_and(|bytes| bytes > 0) {
        // A heap that grows has a peak at each block: the clock is read for every sixteenth.
        take_peak(header, header.peak_epoch.load(Relaxed).is_multiple_of(16));
    }
    end(header, sequence);
}

#[inline(always)]
fn begin(header: &Header) -> u64 {
    let sequence = header.sequence.load(Relaxed);
    header.sequence.store(sequence.wrapping_add(1), Relaxed);
    fence(Release);
    sequence
}

#[inline(always)]
fn end(header: &Header, sequence: u64) {
    header.sequence.store(sequence.wrapping_add(2), Release);
}

#[inline(always)]
fn shift_all(header: &Header, site: &Site, weight: Weight, direction: Change, born: u32) {
    windows::before(site);
    keep(&site.peak, header.peak_epoch.load(Relaxed), &site.live);
    keep(&site.oom, header.oom_epoch.load(Relaxed), &site.live);
    shift(&site.live.bytes, weight.bytes, direction);
    shift(&site.live.blocks, weight.blocks, direction);
    shift(&site.live.variance, weight.variance, direction);
    shift(&header.live_bytes, weight.bytes, direction);
    if windows::are_any() || phases::are_any() {
        tell_others(header, &weight, direction, born);
    }
}

/// Out of the way of a process that asks for nothing.
#[cold]
#[inline(never)]
fn tell_others(header: &Header, weight: &Weight, direction: Change, born: u32) {
    let total = header.live_bytes.load(Relaxed);
    windows::changed(total, *weight, direction, born);
    phases::changed(total, *weight, direction, born);
}

/// By how much the total is above the peak's, unless it is below.
#[inline(always)]
fn higher_by(header: &Header) -> Option<u64> {
    let total = header.live_bytes.load(Relaxed);
    total.checked_sub(header.peak_bytes.load(Relaxed))
}

#[inline(always)]
fn take_peak(header: &Header, read_clock: bool) {
    header.peak_bytes.store(header.live_bytes.load(Relaxed), Relaxed);
    if read_clock {
        header.peak_time_ns.store(sys::now_ns(true), Relaxed);
    }
    header.peak_arena_bytes.store(header.arena_bytes.load(Relaxed), Relaxed);
    let epoch = header.peak_epoch.load(Relaxed).wrapping_add(1).max(1);
    header.peak_epoch.store(epoch, Relaxed);
}

#[inline(always)]
fn keep(snapshot: &Snapshot, epoch: u32, live: &Tally) {
    if snapshot.epoch.load(Relaxed) != epoch {
        snapshot.saved.bytes.store(live.bytes.load(Relaxed), Relaxed);
        snapshot.saved.blocks.store(live.blocks.load(Relaxed), Relaxed);
        snapshot.saved.variance.store(live.variance.load(Relaxed), Relaxed);
        snapshot.epoch.store(epoch, Release);
    }
}

/// One writer at a time, so a load and a store will do where an atomic addition would lock the bus.
#[inline(always)]
pub fn shift(counter: &AtomicU64, by: u64, direction: Change) {
    let old = counter.load(Relaxed);
    let new = if direction == Change::Add {
        old.wrapping_add(by)
    } else {
        old.saturating_sub(by)
    };
    counter.store(new, Relaxed);
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::sync::{MutexGuard, PoisonError};

    use crate::live::tests::ONE_AT_A_TIME;
    use crate::peak;
    use crate::sampler::{Chance, draw, weight};

    /// A heap of equal blocks of 1 KiB, sampled every 16 KiB, in a recording of its own.
    pub struct Heap {
        pub header: &'static Header,
        pub site: Site,
        peak: Peak,
        random: u64,
        left: u64,
        sampled: Vec<Option<u32>>,
        /// What windows and phases see is of the one process.
        _one: MutexGuard<'static, ()>,
    }

    const LOG2: u32 = 14;
    const BLOCK: u64 = 1024;

    impl Heap {
        fn new(seed: u64) -> Self {
            let one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
            let header = crate::file::Recording::new().begin(b"").expect("private memory");
            let mut random = seed;
            let left = draw(&mut random, LOG2);
            Self {
                header,
                site: Site::default(),
                peak: Peak::NONE,
                random,
                left,
                sampled: Vec::new(),
                _one: one,
            }
        }

        /// With all its blocks.
        pub fn full(seed: u64) -> Self {
            let mut heap = Self::new(seed);
            (0..BLOCKS).for_each(|_| heap.allocate());
            heap
        }

        /// Replaces all of its blocks so many times, one by one.
        pub fn replace(&mut self, times: usize) {
            for round in 0..times * BLOCKS {
                self.free(round.wrapping_mul(0x9E37_79B9) % BLOCKS);
                self.allocate();
            }
        }

        /// Bytes that it has.
        pub fn held(&self) -> u64 {
            self.sampled.len() as u64 * BLOCK
        }

        fn change(&mut self, direction: Change, born: u32) {
            let weight = weight(BLOCK, Chance::Interval(LOG2));
            change(self.header, &mut self.peak, &self.site, weight, direction, born);
        }

        fn allocate(&mut self) {
            let born = peak::moment();
            let hit = self.left < BLOCK;
            self.sampled.push(hit.then_some(born));
            if hit {
                self.left = draw(&mut self.random, LOG2);
                self.change(Change::Add, born);
            } else {
                self.left -= BLOCK;
            }
        }

        fn free(&mut self, which: usize) {
            if let Some(born) = self.sampled.swap_remove(which) {
                self.change(Change::Remove, born);
            }
        }

        /// The peak over what is held, with a printed error of 1.1 % of it.
        fn peak_ratio(&self) -> f64 {
            self.header.peak_bytes.load(Relaxed) as f64 / self.held() as f64
        }
    }

    const BLOCKS: usize = 128 << 10;

    #[test]
    fn a_heap_that_is_replaced_again_and_again_has_the_peak_that_it_holds() {
        let ratios = (1..=4).map(|seed| {
            let mut heap = Heap::full(seed);
            heap.replace(40);
            heap.peak_ratio()
        });
        let ratios: Vec<f64> = ratios.collect();
        assert!(ratios.iter().all(|ratio| (0.965..1.035).contains(ratio)), "{ratios:?}");
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        assert!((0.985..1.015).contains(&mean), "{ratios:?}");
    }

    #[test]
    fn a_heap_that_grows_while_it_is_replaced_has_a_peak_that_is_hardly_behind() {
        let mut heap = Heap::new(7);
        for round in 0..4 * BLOCKS {
            heap.allocate();
            if round % 4 != 0 {
                heap.free(round.wrapping_mul(0x9E37_79B9) % heap.sampled.len());
            }
        }
        let ratio = heap.peak_ratio();
        assert!((0.96..1.05).contains(&ratio), "{ratio}");
    }

    #[test]
    fn the_first_sample_is_a_peak() {
        let mut heap = Heap::new(3);
        while heap.header.live_bytes.load(Relaxed) == 0 {
            heap.allocate();
        }
        assert_eq!(
            heap.header.peak_bytes.load(Relaxed),
            heap.header.live_bytes.load(Relaxed)
        );
    }
}
