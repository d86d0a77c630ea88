//! How finely this process is sampled from now on, and the weights of its samples.

use core::sync::atomic::Ordering::Relaxed;

use recording::Header;

use crate::sampler::{self, Budget, Weights};
use crate::switches::{INTERVAL_LOG2, LARGE_BYTES};
use crate::sys;

/// See the module's page.
pub struct Tuning {
    /// Those that have been computed.
    pub weights: Weights,
    budget: Budget,
    /// When the interval was last adapted, by the monotonic clock.
    adapted_ns: u64,
}

impl Tuning {
    /// As at the beginning.
    pub const fn new() -> Self {
        Self {
            weights: Weights::new(),
            budget: Budget::FULL,
            adapted_ns: 0,
        }
    }

    /// Adapts the interval after another [`sampler::SAMPLES_PER_LOOK`] samples, for which `links` links of callstacks were read.
    pub fn adapt(&mut self, header: &Header, links: u64) {
        let now = sys::monotonic_ns();
        let took = now.saturating_sub(core::mem::replace(&mut self.adapted_ns, now));
        self.budget.spend(took, links);
        let log2 = sampler::interval_log2(
            INTERVAL_LOG2.load(Relaxed),
            header.peak_bytes.load(Relaxed),
            self.budget,
        );
        set_interval(log2);
        header.sample_interval.store(1 << log2, Relaxed);
        header.large_bytes.store(LARGE_BYTES.load(Relaxed), Relaxed);
    }
}

/// Sets the sampling interval for the draws to come.
pub fn set_interval(log2: u32) {
    INTERVAL_LOG2.store(log2, Relaxed);
    LARGE_BYTES.store(sampler::large_bytes(log2), Relaxed);
}
