//! Adding to a site and taking away, with the snapshots that the recording's page describes.

use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicU64, fence};

use recording::{Header, Site, Snapshot, VARIANCE_UNIT};

use crate::sampler::Weight;
use crate::{earlier, phases, sys, windows};

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
///
/// The highest of n independent estimates of one and the same heap lies about √(2 ln n) standard errors above it. So that a heap
/// which stays the same has no peak that creeps up, a total is a new peak if it is higher by more than chance explains, or if the
/// heap has been higher on an average that the total at this moment has no part in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doubt {
    /// Variance of what is alive, in units of [`VARIANCE_UNIT`] bytes².
    alive: u64,
    /// Variance of what has come since the peak and is alive.
    come: u64,
    /// Variance of what was alive at the peak and has gone.
    gone: u64,
    /// Variance of what has gone since the heap was last taken to have been replaced.
    turned: u64,
    /// How often the heap has been replaced since the peak.
    replaced: u64,
    /// Sum of the totals at the last of these times, at most [`Doubt::AVERAGED`].
    sum: u64,
    /// Their average was well above the peak.
    is_surpassed: bool,
}

impl Doubt {
    /// Nothing is alive.
    pub const NONE: Self = Self {
        alive: 0,
        come: 0,
        gone: 0,
        turned: 0,
        replaced: 0,
        sum: 0,
        is_surpassed: false,
    };

    /// Standard errors by which a total has to be higher than the peak's to be a new peak, squared; to it comes 4 ln(1 + n)
    /// once the heap has been replaced n times since. That this happens by chance has a probability of about e^(−8) for the first
    /// time that a heap is replaced, which falls with n², so that the sum over all times is small as well.
    const ERRORS_SQUARED: f64 = 16.0;
    /// Independent totals that are averaged. What the heap holds for so long is known three times as well as by one of them.
    const AVERAGED: u64 = 8;
    /// Standard errors of one total by which the average has to be above the peak, squared. So the peak is at most so far behind.
    const AVERAGE_ERRORS_SQUARED: f64 = 1.5 * 1.5;

    /// Something has come or gone, and there are so many bytes now.
    #[inline]
    fn follow(&mut self, weight: Weight, direction: Change, was_in_peak: bool, total: u64, peak: u64) {
        let variance = weight.variance;
        if direction == Change::Add {
            self.alive = self.alive.saturating_add(variance);
            self.come = self.come.saturating_add(variance);
            return;
        }
        self.alive = self.alive.saturating_sub(variance);
        if was_in_peak {
            self.gone = self.gone.saturating_add(variance);
        } else {
            self.come = self.come.saturating_sub(variance);
        }
        self.turned = self.turned.saturating_add(variance);
        if self.turned > self.alive {
            self.is_replaced(total, peak);
        }
    }

    #[cold]
    fn is_replaced(&mut self, total: u64, peak: u64) {
        self.turned = 0;
        self.replaced += 1;
        self.sum = self.sum.saturating_add(total);
        if self.replaced.is_multiple_of(Self::AVERAGED) {
            let above = (self.sum / Self::AVERAGED).saturating_sub(peak);
            self.is_surpassed = errors_squared(above, self.alive) > Self::AVERAGE_ERRORS_SQUARED;
            self.sum = 0;
        }
    }

    /// Is a total that is higher by so many bytes a new peak? It is if nothing has gone.
    #[inline]
    fn allows(self, higher_by: u64) -> bool {
        if self.gone == 0 || self.is_surpassed {
            return true;
        }
        let errors = errors_squared(higher_by, self.come.saturating_add(self.gone));
        errors > Self::ERRORS_SQUARED && errors > Self::ERRORS_SQUARED + 4.0 * libm::log(1.0 + self.replaced as f64)
    }

    /// This is the peak.
    fn settle(&mut self) {
        *self = Self {
            alive: self.alive,
            ..Self::NONE
        };
    }
}

/// A difference in standard errors, squared.
fn errors_squared(difference: u64, variance: u64) -> f64 {
    difference as f64 * difference as f64 / (variance as f64 * VARIANCE_UNIT as f64)
}

/// Changes a site and the totals; the caller holds the lock. `epoch` is the peak's when the block was allocated.
pub fn change(header: &Header, doubt: &mut Doubt, site: &Site, weight: Weight, direction: Change, epoch: u32) {
    let sequence = begin(header);
    shift_all(header, site, weight, direction);
    let was_in_peak = epoch != header.peak_epoch.load(Relaxed);
    let [total, peak] = [&header.live_bytes, &header.peak_bytes].map(|bytes| bytes.load(Relaxed));
    doubt.follow(weight, direction, was_in_peak, total, peak);
    if direction == Change::Add
        && let Some(higher_by @ 1..) = higher_by(header)
        && doubt.allows(higher_by)
    {
        doubt.settle();
        take_peak(header, true);
    }
    end(header, sequence);
}

/// As [`change`], for a small block where every one is recorded, so that there is no doubt.
#[inline]
pub fn change_exactly(header: &Header, site: &Site, bytes: u64, direction: Change) {
    let sequence = begin(header);
    shift_all(header, site, Weight::exact(bytes), direction);
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
fn shift_all(header: &Header, site: &Site, weight: Weight, direction: Change) {
    windows::before(site);
    keep(&site.peak, header.peak_epoch.load(Relaxed), site);
    keep(&site.oom, header.oom_epoch.load(Relaxed), site);
    earlier::keep(site, header.earlier_epoch.load(Relaxed));
    shift(&site.live.bytes, weight.bytes, direction);
    shift(&site.live.blocks, weight.blocks, direction);
    shift(&site.live.variance, weight.variance, direction);
    shift(&header.live_bytes, weight.bytes, direction);
    if direction == Change::Add {
        let total = header.live_bytes.load(Relaxed);
        windows::grew(total);
        phases::grew(total);
    }
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
        let now = sys::now_ns(true);
        header.peak_time_ns.store(now, Relaxed);
        earlier::pass(header, now);
    }
    header.peak_arena_bytes.store(header.arena_bytes.load(Relaxed), Relaxed);
    let epoch = header.peak_epoch.load(Relaxed).wrapping_add(1).max(1);
    header.peak_epoch.store(epoch, Relaxed);
}

#[inline(always)]
fn keep(snapshot: &Snapshot, epoch: u32, site: &Site) {
    if snapshot.epoch.load(Relaxed) != epoch {
        let earlier = site.earlier_epoch.load(Relaxed);
        snapshot.earlier_epoch.store(earlier, Relaxed);
        snapshot.saved.bytes.store(site.live.bytes.load(Relaxed), Relaxed);
        snapshot.saved.blocks.store(site.live.blocks.load(Relaxed), Relaxed);
        snapshot.saved.variance.store(site.live.variance.load(Relaxed), Relaxed);
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
mod tests {
    use super::*;
    use crate::sampler::{Chance, draw, weight};

    /// A heap of equal blocks of 1 KiB, sampled every 16 KiB, in a recording of its own.
    struct Heap {
        header: &'static Header,
        site: Site,
        doubt: Doubt,
        random: u64,
        left: u64,
        sampled: Vec<Option<u32>>,
    }

    const LOG2: u32 = 14;
    const BLOCK: u64 = 1024;

    impl Heap {
        fn new(seed: u64) -> Self {
            let header = crate::file::Recording::new().begin(b"").expect("private memory");
            let mut random = seed;
            let left = draw(&mut random, LOG2);
            Self {
                header,
                site: Site::default(),
                doubt: Doubt::NONE,
                random,
                left,
                sampled: Vec::new(),
            }
        }

        fn change(&mut self, direction: Change, epoch: u32) {
            let weight = weight(BLOCK, Chance::Interval(LOG2));
            change(self.header, &mut self.doubt, &self.site, weight, direction, epoch);
        }

        fn allocate(&mut self) {
            let epoch = self.header.peak_epoch.load(Relaxed);
            let hit = self.left < BLOCK;
            self.sampled.push(hit.then_some(epoch));
            if hit {
                self.left = draw(&mut self.random, LOG2);
                self.change(Change::Add, epoch);
            } else {
                self.left -= BLOCK;
            }
        }

        fn free(&mut self, which: usize) {
            if let Some(epoch) = self.sampled.swap_remove(which) {
                self.change(Change::Remove, epoch);
            }
        }

        /// The peak over what is held, with a printed error of 1.1 % of it.
        fn peak_ratio(&self) -> f64 {
            self.header.peak_bytes.load(Relaxed) as f64 / (self.sampled.len() as u64 * BLOCK) as f64
        }
    }

    const BLOCKS: usize = 128 << 10;

    #[test]
    fn a_heap_that_is_replaced_again_and_again_has_the_peak_that_it_holds() {
        let ratios = (1..=4).map(|seed| {
            let mut heap = Heap::new(seed);
            (0..BLOCKS).for_each(|_| heap.allocate());
            for round in 0..40 * BLOCKS {
                heap.free(round.wrapping_mul(0x9E37_79B9) % BLOCKS);
                heap.allocate();
            }
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
    fn a_heap_that_is_a_little_larger_for_long_has_the_larger_peak() {
        const ERROR: f64 = 0.011;
        let replace = |heap: &mut Heap, rounds: std::ops::Range<usize>| {
            for round in rounds {
                heap.free(round.wrapping_mul(0x9E37_79B9) % heap.sampled.len());
                heap.allocate();
            }
        };
        let ratios = (1..=8).map(|seed| {
            let mut heap = Heap::new(seed);
            (0..BLOCKS).for_each(|_| heap.allocate());
            replace(&mut heap, 0..10 * BLOCKS);
            (0..BLOCKS / 20).for_each(|_| heap.allocate());
            replace(&mut heap, 0..20 * BLOCKS);
            heap.peak_ratio()
        });
        let ratios: Vec<f64> = ratios.collect();
        assert!(
            ratios.iter().all(|ratio| (ratio - 1.0).abs() < 3.0 * ERROR),
            "{ratios:?}"
        );
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        assert!((mean - 1.0).abs() < ERROR, "{ratios:?}");
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
