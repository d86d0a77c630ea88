//! Adding to a site and taking away, with the snapshots that the recording's page describes.

use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::fence;

use recording::{Header, Site, Snapshot};

use crate::counter::shift;
use crate::peak::{Direction, Peak, Total};
use crate::sampler::Weight;
use crate::{earlier, phases, snapshot, stash, sys, windows};

/// See [`is_near_peak`].
const NEAR: u64 = 8;
/// A part of the peak, as its reciprocal: if no more than that was allocated since, nothing large is new.
const LITTLE_NEW: u64 = 64;

/// Estimates about the recording as a whole that are not in its header.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// Variance of what is alive, in units of [`recording::VARIANCE_UNIT`] bytes².
    variance: u64,
    peak: Peak,
}

impl Estimate {
    /// Of nothing.
    pub const NONE: Self = Self {
        variance: 0,
        peak: Peak::NONE,
    };

    /// When a block that is recorded now was born.
    #[inline]
    pub fn birth(&mut self) -> u32 {
        self.peak.birth()
    }

    /// All that is alive in this recording, by what was asked for.
    pub fn total(&self, header: &Header) -> Total {
        Total {
            bytes: header.live_bytes.load(Relaxed),
            variance: self.variance,
            absent: 0,
        }
    }
}

/// So many of the live bytes are not in memory. Where the address space is limited, all that was asked for counts.
#[inline(always)]
fn absent(header: &Header) -> u64 {
    let absent = header.absent_bytes.load(Relaxed);
    if absent > 0 && stash::is_address_space_limited() {
        0
    } else {
        absent
    }
}

/// Changes a site and the totals by a block that was `born` at this moment; the caller holds the lock.
pub fn change(header: &Header, estimate: &mut Estimate, site: &Site, weight: Weight, direction: Direction, born: u32) {
    let sequence = begin(header);
    let Estimate { variance, peak } = estimate;
    *variance = match direction {
        Direction::Add => variance.saturating_add(weight.variance),
        Direction::Remove => variance.saturating_sub(weight.variance),
    };
    let total = shift_all(header, site, weight, direction, born, *variance);
    let was_in_peak = peak.follow(weight, direction, born, total);
    if was_in_peak && direction == Direction::Remove {
        shift(&header.gone_bytes, weight.bytes, Direction::Add);
    }
    if direction == Direction::Add && peak.rises(total) {
        take_peak(header, true);
    }
    end(header, sequence);
}

/// As [`change`], for a small block where every one is recorded, so that there is no doubt.
#[inline]
pub fn change_exactly(header: &Header, estimate: &mut Estimate, site: &Site, bytes: u64, direction: Direction) {
    let sequence = begin(header);
    let total = shift_all(header, site, Weight::exact(bytes), direction, 0, 0);
    if direction == Direction::Add && estimate.peak.is_below(&total) {
        estimate.peak.rises_without_doubt(&total);
        // A heap that grows has a peak at each block: the clock is read for every sixteenth.
        take_peak(header, header.peak_epoch.load(Relaxed).is_multiple_of(16));
    }
    end(header, sequence);
}

/// Of a site's blocks, `before` bytes were not in memory, and `now` are not; `site` is the record of that. If it `was_so` at the peak, too, then
/// the peak is changed as well.
pub fn change_absent(header: &Header, estimate: &mut Estimate, site: &Site, before: u64, now: u64, was_so: bool) {
    let sequence = begin(header);
    if was_so {
        keep(&site.oom, header.oom_epoch.load(Relaxed), site);
        let came = before.saturating_sub(now);
        let at_peak = match site.peak.epoch.load(Relaxed) == header.peak_epoch.load(Relaxed) {
            // It has changed since the peak.
            true => {
                let then = site.peak.saved.bytes.load(Relaxed);
                site.peak.saved.bytes.store(then.saturating_sub(came), Relaxed);
                came.min(then)
            }
            false => came,
        };
        shift(&header.peak_absent_bytes, at_peak, Direction::Remove);
        estimate.peak.has_come(at_peak);
    } else {
        keep_snapshots(header, site);
    }
    for sum in [&site.live.bytes, &header.absent_bytes] {
        let others = sum.load(Relaxed).saturating_sub(before);
        sum.store(others.saturating_add(now), Relaxed);
    }
    end(header, sequence);
}

/// More may be in memory than was known: the total may be the highest now.
pub fn consider(header: &Header, estimate: &mut Estimate) {
    let sequence = begin(header);
    let total = Total {
        absent: absent(header),
        ..estimate.total(header)
    };
    if estimate.peak.rises(total) {
        take_peak(header, true);
    }
    end(header, sequence);
}

/// Whether most of what was held at the peak still is, and little else: then what is in memory now is taken to have been so then.
pub fn is_near_peak(header: &Header) -> bool {
    let (peak, live) = (header.peak_bytes.load(Relaxed), header.live_bytes.load(Relaxed));
    let new = live
        .saturating_add(header.gone_bytes.load(Relaxed))
        .saturating_sub(peak);
    live >= peak - peak / NEAR && new <= peak / LITTLE_NEW
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
fn shift_all(header: &Header, site: &Site, weight: Weight, direction: Direction, born: u32, variance: u64) -> Total {
    windows::before(site);
    keep_snapshots(header, site);
    earlier::keep(site, header.earlier_epoch.load(Relaxed));
    shift(&site.live.bytes, weight.bytes, direction);
    shift(&site.live.blocks, weight.blocks, direction);
    shift(&site.live.variance, weight.variance, direction);
    shift(&header.live_bytes, weight.bytes, direction);
    let bytes = header.live_bytes.load(Relaxed);
    // What is freed makes no peak.
    let absent = if direction == Direction::Add { absent(header) } else { 0 };
    let total = Total {
        bytes,
        variance,
        absent,
    };
    if windows::are_any() || phases::are_any() {
        tell_others(&total, &weight, direction, born);
    }
    total
}

/// Not inlined, since most processes have no windows and no phases. These compare by what was asked for.
#[cold]
#[inline(never)]
fn tell_others(total: &Total, weight: &Weight, direction: Direction, born: u32) {
    let total = Total { absent: 0, ..*total };
    windows::changed(total, *weight, direction, born);
    phases::changed(total, *weight, direction, born);
}

#[inline(always)]
fn take_peak(header: &Header, read_clock: bool) {
    header.peak_bytes.store(header.live_bytes.load(Relaxed), Relaxed);
    header
        .peak_absent_bytes
        .store(header.absent_bytes.load(Relaxed), Relaxed);
    if read_clock {
        let now = sys::now_ns(true);
        header.peak_time_ns.store(now, Relaxed);
        earlier::pass(header, now);
    }
    header.peak_arena_bytes.store(header.arena_bytes.load(Relaxed), Relaxed);
    header.gone_bytes.store(0, Relaxed);
    let epoch = header.peak_epoch.load(Relaxed).wrapping_add(1).max(1);
    header.peak_epoch.store(epoch, Relaxed);
}

#[inline(always)]
fn keep_snapshots(header: &Header, site: &Site) {
    keep(&site.peak, header.peak_epoch.load(Relaxed), site);
    keep(&site.oom, header.oom_epoch.load(Relaxed), site);
}

#[inline(always)]
fn keep(snapshot: &Snapshot, epoch: u32, site: &Site) {
    snapshot::at_first_change(&snapshot.epoch, epoch, || {
        let earlier = site.earlier_epoch.load(Relaxed);
        snapshot.earlier_epoch.store(earlier, Relaxed);
        snapshot::set(&snapshot.saved, snapshot::held(&site.live));
    });
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::sync::{MutexGuard, PoisonError};

    use crate::live::tests::ONE_AT_A_TIME;
    use crate::sampler::{Chance, draw, weight};

    /// A heap of equal blocks of 1 KiB, sampled every 16 KiB, in a recording of its own.
    pub struct Heap {
        pub header: &'static Header,
        pub site: Site,
        absent: Site,
        estimate: Estimate,
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
                absent: Site::default(),
                estimate: Estimate::NONE,
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

        /// As it is estimated.
        pub fn total(&self) -> Total {
            self.estimate.total(self.header)
        }

        /// Bytes that it has.
        pub fn held(&self) -> u64 {
            self.sampled.len() as u64 * BLOCK
        }

        fn change(&mut self, direction: Direction, born: u32) {
            let weight = weight(BLOCK, Chance::Interval(LOG2));
            change(self.header, &mut self.estimate, &self.site, weight, direction, born);
        }

        fn allocate(&mut self) {
            let born = self.estimate.birth();
            let hit = self.left < BLOCK;
            self.sampled.push(hit.then_some(born));
            if hit {
                self.left = draw(&mut self.random, LOG2);
                self.change(Direction::Add, born);
            } else {
                self.left -= BLOCK;
            }
        }

        fn free(&mut self, which: usize) {
            if let Some(born) = self.sampled.swap_remove(which) {
                self.change(Direction::Remove, born);
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
    fn a_heap_that_is_a_little_larger_for_long_has_the_larger_peak() {
        const ERROR: f64 = 0.011;
        let ratios = (1..=8).map(|seed| {
            let mut heap = Heap::full(seed);
            heap.replace(10);
            (0..BLOCKS / 20).for_each(|_| heap.allocate());
            heap.replace(20);
            heap.peak_ratio()
        });
        let ratios: Vec<f64> = ratios.collect();
        assert!(
            ratios.iter().all(|ratio| (ratio - 1.0).abs() < 3.0 * ERROR),
            "{ratios:?}"
        );
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        // What is higher by chance as well is a new peak sooner.
        assert!((mean - 1.0).abs() < 1.5 * ERROR, "{ratios:?}");
    }

    /// A large block: `touched` MiB of so many.
    struct Large {
        mib: u64,
        touched: u64,
        born: u32,
    }

    impl Heap {
        /// Allocates a large block of which nothing is there yet.
        fn large(&mut self, mib: u64) -> Large {
            let born = self.estimate.birth();
            change_absent(self.header, &mut self.estimate, &self.absent, 0, mib << 20, false);
            let weight = Weight::exact(mib << 20);
            change(
                self.header,
                &mut self.estimate,
                &self.site,
                weight,
                Direction::Add,
                born,
            );
            Large { mib, touched: 0, born }
        }

        /// The program has touched so much of it, which is looked at.
        fn touch(&mut self, block: &mut Large, touched: u64) {
            let absent = |touched: u64| (block.mib - touched) << 20;
            self.seen(absent(block.touched), absent(touched), false);
            consider(self.header, &mut self.estimate);
            block.touched = touched;
        }

        fn seen(&mut self, before: u64, now: u64, was_so: bool) {
            change_absent(self.header, &mut self.estimate, &self.absent, before, now, was_so);
        }

        fn free_large(&mut self, block: Large) {
            let weight = Weight::exact(block.mib << 20);
            let direction = Direction::Remove;
            change(
                self.header,
                &mut self.estimate,
                &self.site,
                weight,
                direction,
                block.born,
            );
            self.seen((block.mib - block.touched) << 20, 0, false);
        }

        /// MiB at the peak, and how many of them were not there.
        fn peak(&self) -> [u64; 2] {
            let Header {
                peak_bytes,
                peak_absent_bytes,
                ..
            } = self.header;
            [peak_bytes, peak_absent_bytes].map(|bytes| bytes.load(Relaxed) >> 20)
        }
    }

    #[test]
    fn what_is_never_touched_is_no_peak_where_more_was_there_before_or_after() {
        let mut heap = Heap::new(1);
        let untouched = heap.large(1000);
        assert_eq!(heap.peak(), [1000, 1000]);
        heap.free_large(untouched);
        let mut filled = heap.large(300);
        heap.touch(&mut filled, 300);
        assert_eq!(heap.peak(), [300, 0]);
        let beside = heap.large(700);
        assert_eq!(heap.peak(), [1000, 700]);
        heap.free_large(filled);
        let later = heap.large(900);
        assert_eq!(heap.peak(), [1000, 700]);
        heap.free_large(beside);
        heap.free_large(later);
        let mut most = heap.large(400);
        heap.touch(&mut most, 310);
        assert_eq!(heap.peak(), [400, 90]);
        assert_eq!(heap.absent.live.bytes.load(Relaxed) >> 20, 90);
        heap.free_large(most);
        assert_eq!(heap.absent.peak.saved.bytes.load(Relaxed) >> 20, 90);
        assert_eq!(heap.header.absent_bytes.load(Relaxed), 0);
    }

    #[test]
    fn what_was_filled_after_the_peak_and_seen_before_much_had_gone_was_there_at_the_peak() {
        let mut heap = Heap::new(3);
        let others = [300, 5].map(|mib| {
            let mut block = heap.large(mib);
            heap.touch(&mut block, mib);
            block
        });
        let block = heap.large(100);
        assert_eq!(heap.peak(), [405, 100]);
        let [most, little] = others;
        heap.free_large(little);
        assert!(is_near_peak(heap.header));
        heap.seen(100 << 20, 10 << 20, true);
        consider(heap.header, &mut heap.estimate);
        assert_eq!(heap.peak(), [405, 10]);
        assert_eq!(heap.absent.peak.saved.bytes.load(Relaxed) >> 20, 10);
        heap.free_large(most);
        assert!(!is_near_peak(heap.header));
        heap.seen(10 << 20, 0, false);
        heap.free_large(Large { touched: 100, ..block });
        assert_eq!(heap.peak(), [405, 10]);
    }

    #[test]
    fn where_every_block_is_recorded_a_block_is_part_of_the_peaks_after_it() {
        let mut heap = Heap::new(3);
        let large = heap.large(5);
        change_exactly(heap.header, &mut heap.estimate, &heap.site, BLOCK, Direction::Add);
        let gone = |heap: &Heap| heap.header.gone_bytes.load(Relaxed) >> 20;
        heap.free_large(large);
        assert_eq!(gone(&heap), 5);
        let after = heap.large(3);
        heap.free_large(after);
        assert_eq!(gone(&heap), 5);
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
