//! When a total is a new peak. The run, each phase and each window have a peak of their own, found by the same rule.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use recording::VARIANCE_UNIT;

use crate::sampler::Weight;

/// Logical clock: +1 at each peak of the run, a phase or a window.
static MOMENT: AtomicU32 = AtomicU32::new(0);

/// The time by this clock.
#[inline]
fn moment() -> u32 {
    MOMENT.load(Relaxed)
}

#[inline]
fn next_moment() -> u32 {
    MOMENT.fetch_add(1, Relaxed).wrapping_add(1)
}

/// The direction of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Memory was allocated.
    Add,
    /// Memory was freed.
    Remove,
}

/// What is alive, as estimated by sampling.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    /// Bytes.
    pub bytes: u64,
    /// Variance, in units of [`VARIANCE_UNIT`] bytes².
    pub variance: u64,
    /// So many of the bytes are not in memory.
    pub absent: u64,
}

/// Two totals of which as much is in memory, but for one part in this many, are compared by what was asked for.
const ABOUT_THE_SAME: u64 = 64;

impl Total {
    /// So many of the bytes are in memory.
    #[inline]
    pub fn present(&self) -> u64 {
        self.bytes.saturating_sub(self.absent)
    }

    /// A total with more than this in memory is higher.
    #[inline]
    fn clearly_above(&self) -> u64 {
        let present = self.present();
        present.saturating_add(present / ABOUT_THE_SAME)
    }

    /// By how much it is higher than another: by what is in memory, or if that is about the same, by what was asked for.
    #[inline]
    pub fn above(&self, other: &Total) -> u64 {
        let (now, then) = (self.present(), other.present());
        let slack = then / ABOUT_THE_SAME;
        if now > then.saturating_add(slack) {
            now - then
        } else if now.saturating_add(slack) >= then {
            self.bytes.saturating_sub(other.bytes)
        } else {
            0
        }
    }
}

/// The highest total so far, and what has come and gone since.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// So many bytes.
    pub bytes: u64,
    /// So many of them were not in memory.
    absent: u64,
    /// With more in memory than this, a total is higher whatever was asked for.
    clearly_above: u64,
    /// Their variance.
    variance: u64,
    moment: u32,
    /// Since that moment, without its having been given another.
    has_risen: bool,
    doubt: Doubt,
}

impl Peak {
    /// Before there was anything.
    pub const NONE: Self = Self {
        bytes: 0,
        absent: 0,
        clearly_above: 0,
        variance: 0,
        moment: 0,
        has_risen: false,
        doubt: Doubt::NONE,
    };

    /// A peak of this total: what is alive now is in it, and what is allocated from now on is not.
    #[inline]
    pub fn now(total: Total) -> Self {
        let Total {
            bytes,
            variance,
            absent,
        } = total;
        Self {
            bytes,
            absent,
            clearly_above: total.clearly_above(),
            variance,
            moment: next_moment(),
            has_risen: false,
            doubt: Doubt::NONE,
        }
    }

    /// A block that was `born` at this moment has been allocated or freed; `total` is the total now. Returns whether the block is part of
    /// the peak.
    #[inline]
    pub fn follow(&mut self, weight: Weight, direction: Direction, born: u32, total: Total) -> bool {
        let was_in_it = (born.wrapping_sub(self.moment) as i32) < 0;
        if self.doubt.follow(weight.variance, direction, was_in_it, total.variance) {
            self.doubt.is_replaced(total, self.total());
        }
        was_in_it
    }

    fn total(&self) -> Total {
        Total {
            bytes: self.bytes,
            variance: self.variance,
            absent: self.absent,
        }
    }

    /// The total has been taken for a peak without doubt.
    #[inline]
    pub fn rises_without_doubt(&mut self, total: &Total) {
        (self.bytes, self.absent) = (total.bytes, total.absent);
        self.has_risen = true;
        self.clearly_above = total.clearly_above();
    }

    /// When a block that is recorded now was born: it is not part of this peak.
    #[inline]
    pub fn birth(&mut self) -> u32 {
        if self.has_risen {
            self.has_risen = false;
            self.moment = next_moment();
        }
        moment()
    }

    /// So many more of its bytes were in memory.
    pub fn has_come(&mut self, bytes: u64) {
        self.absent = self.absent.saturating_sub(bytes);
        self.clearly_above = self.total().clearly_above();
    }

    /// Whether this total is higher.
    #[inline]
    pub fn is_below(&self, total: &Total) -> bool {
        self.may_be_below(total) && total.above(&self.total()) > 0
    }

    /// Whether it is worth to find out if this total is higher: most are neither more in memory nor more that was asked for.
    #[inline(always)]
    fn may_be_below(&self, total: &Total) -> bool {
        total.bytes > self.bytes || total.present() > self.clearly_above
    }

    /// Whether this total is a new peak; if so, takes it over.
    #[inline(always)]
    pub fn rises(&mut self, total: Total) -> bool {
        if !self.may_be_below(&total) {
            return false;
        }
        let higher_by = total.above(&self.total());
        let rises = higher_by > 0 && self.doubt.allows(total, higher_by);
        if rises {
            *self = Self::now(total);
        }
        rises
    }
}

/// How far the total can be from what it was at the peak by the chance of sampling alone. What was sampled before the peak and is
/// still alive is in both totals; so a heap that only grows has no doubt, and one that is replaced while it stays the same has the
/// more of it.
///
/// The highest of n independent estimates of one and the same heap lies about √(2 ln n) standard errors above it. So that a heap
/// which stays the same has no peak that creeps up, a total is a new peak if it is higher by more than chance explains, or if the
/// heap has been higher on an average that the total at this moment has no part in.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// Variance of what was allocated since the peak and is alive, in units of [`VARIANCE_UNIT`] bytes².
    come: u64,
    /// Variance of what was alive at the peak and has been freed.
    gone: u64,
    /// Variance of what was freed since the heap was last considered replaced.
    turned: u64,
    /// How often the heap has been replaced since the peak.
    replaced: u64,
    /// Sum of the totals at the last of these times, at most [`Doubt::AVERAGED`].
    sum: u64,
    /// Their average, if it was well above the peak; else 0.
    surpassed_by: u64,
}

impl Doubt {
    const NONE: Self = Self {
        come: 0,
        gone: 0,
        turned: 0,
        replaced: 0,
        sum: 0,
        surpassed_by: 0,
    };

    /// Standard errors by which a total has to be higher than the peak's to be a new peak, squared; to it comes 4 ln(1 + n)
    /// once the heap has been replaced n times since. That this happens by chance has a probability of about e^(−8) for the first
    /// time that a heap is replaced, which falls with n², so that the sum over all times is small as well.
    const ERRORS_SQUARED: f64 = 16.0;
    /// Independent totals that are averaged. What the heap holds for so long is known three times as well as by one of them.
    const AVERAGED: u64 = 8;
    /// Standard errors of the peak by which the average has to be above it, beside those of the average itself: so often a peak
    /// that was taken too low by chance is worth another one, which may be too high.
    const PEAK_ERRORS: f64 = 1.5;
    /// Standard errors of the average by which it has to be higher, squared; to it comes 4 ln(n) after n averages.
    const AVERAGE_ERRORS_SQUARED: f64 = 16.0;
    /// The new peak is a total that is within so many of its standard errors of that average: the next total that is above the old
    /// peak is more often one that chance has made too high.
    const NEAR_AVERAGE: f64 = 0.5;

    /// A block was allocated, or one was freed that was alive at the peak or not. Whether all that is `alive` has been replaced
    /// again.
    #[inline]
    fn follow(&mut self, variance: u64, direction: Direction, was_in_peak: bool, alive: u64) -> bool {
        match (direction, was_in_peak) {
            (Direction::Add, _) => self.come = self.come.saturating_add(variance),
            (Direction::Remove, true) => self.gone = self.gone.saturating_add(variance),
            (Direction::Remove, false) => self.come = self.come.saturating_sub(variance),
        }
        if direction == Direction::Remove {
            self.turned = self.turned.saturating_add(variance);
        }
        // If all that is alive is known for certain, there is nothing to average.
        alive > 0 && self.turned > alive
    }

    #[cold]
    fn is_replaced(&mut self, total: Total, peak: Total) {
        self.turned = 0;
        self.replaced += 1;
        self.sum = self.sum.saturating_add(total.bytes);
        if self.replaced.is_multiple_of(Self::AVERAGED) {
            let average = self.sum / Self::AVERAGED;
            let is_higher = average > peak.bytes && self.is_well_above(average - peak.bytes, total, peak);
            self.surpassed_by = if is_higher { average } else { 0 };
            self.sum = 0;
        }
    }

    /// Whether an average that is higher by so many bytes is higher than chance explains.
    fn is_well_above(&self, above: u64, total: Total, peak: Total) -> bool {
        let averages = (self.replaced / Self::AVERAGED) as f64;
        let squared = Self::AVERAGE_ERRORS_SQUARED + 4.0 * libm::log(averages);
        let of_average = libm::sqrt(squared / Self::AVERAGED as f64) * deviation(total.variance);
        above as f64 > Self::PEAK_ERRORS * deviation(peak.variance) + of_average
    }

    /// Whether the heap is higher on average, and this total is what it usually has.
    #[inline]
    fn is_near_average(&self, total: Total) -> bool {
        let off = total.bytes.abs_diff(self.surpassed_by) as f64;
        self.surpassed_by > 0 && off <= Self::NEAR_AVERAGE * deviation(total.variance)
    }

    /// Whether this total, which is higher by so many bytes, is a new peak. It always is if nothing was freed.
    #[inline]
    fn allows(self, total: Total, higher_by: u64) -> bool {
        if self.gone == 0 || self.is_near_average(total) {
            return true;
        }
        let variance = self.come.saturating_add(self.gone) as f64 * VARIANCE_UNIT as f64;
        let squared = higher_by as f64 * higher_by as f64 / variance;
        squared > Self::ERRORS_SQUARED && squared > Self::ERRORS_SQUARED + 4.0 * libm::log(1.0 + self.replaced as f64)
    }
}

/// The standard deviation, in bytes, by the variance in units of [`VARIANCE_UNIT`] bytes².
fn deviation(variance: u64) -> f64 {
    libm::sqrt(variance as f64 * VARIANCE_UNIT as f64)
}
