//! When is a total a new peak? Of the run, of a phase, of a window: each looks for its own, and all by the same rule.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use crate::sampler::Weight;
use crate::tally::{Change, Doubt};

/// Goes up at each peak of anybody's.
static MOMENT: AtomicU32 = AtomicU32::new(0);

/// The moment at which a block comes that is recorded now.
#[inline]
pub fn moment() -> u32 {
    MOMENT.load(Relaxed)
}

/// A peak, and what has come and gone since.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    moment: u32,
    doubt: Doubt,
}

impl Peak {
    /// Before there was anything.
    pub const NONE: Self = Self {
        moment: 0,
        doubt: Doubt::NONE,
    };

    /// What is alive now is in it, and what comes from now on is not.
    #[inline]
    pub fn now() -> Self {
        Self {
            moment: MOMENT.fetch_add(1, Relaxed).wrapping_add(1),
            doubt: Doubt::NONE,
        }
    }

    /// A block has come or gone that was `born` at this moment.
    #[inline]
    pub fn follow(&mut self, weight: Weight, direction: Change, born: u32) {
        let was_in_it = (born.wrapping_sub(self.moment) as i32) < 0;
        self.doubt.follow(weight, direction, was_in_it);
    }

    /// Is a total that is higher by so many bytes the new peak, then?
    #[inline]
    pub fn rises(&mut self, higher_by: u64) -> bool {
        let rises = higher_by > 0 && self.doubt.allows(higher_by);
        if rises {
            *self = Self::now();
        }
        rises
    }
}

/// The highest total since a moment of the job's own choice.
#[derive(Clone, Copy, Debug)]
pub struct Highest {
    /// So many bytes.
    pub bytes: u64,
    peak: Peak,
}

impl Highest {
    /// Of nothing.
    pub const NONE: Self = Self {
        bytes: 0,
        peak: Peak::NONE,
    };

    /// Beginning with this total.
    pub fn from(total: u64) -> Self {
        Self {
            bytes: total,
            peak: Peak::now(),
        }
    }

    /// As [`Peak::follow`].
    pub fn follow(&mut self, weight: Weight, direction: Change, born: u32) {
        self.peak.follow(weight, direction, born);
    }

    /// Is this total the highest? Then it is kept.
    pub fn rises(&mut self, total: u64) -> bool {
        let rises = self.peak.rises(total.saturating_sub(self.bytes));
        if rises {
            self.bytes = total;
        }
        rises
    }
}
