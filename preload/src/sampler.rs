//! Which allocations are sampled, and how much a sample stands for. Pure.
//!
//! Small allocations are hit by a Poisson process over the allocated bytes with a mean distance of `T` bytes, so an allocation
//! of `n` bytes is sampled with probability p = 1 − e^(−n/T) and stands for n/p bytes. The distance that is left is
//! exponential again after any number of misses, so it may be cut into pieces and `T` may change between two draws.

use recording::{BLOCK_UNIT, VARIANCE_UNIT};

/// Smallest sampling interval, log2 of bytes: a small program is nearly exact.
pub const FINEST_LOG2: u32 = 12;
/// Coarsest sampling interval, log2 of bytes.
pub const COARSEST_LOG2: u32 = 34;
/// How many intervals the heap at its peak is divided into, at least half as many: the error of the total is between 1/√32768 = 0.55 %
/// and 0.8 % if all of it is small blocks.
const INTERVALS_PER_HEAP_LOG2: u32 = 15;
/// Coarsest interval of a small heap, log2 of bytes, in a program that allocates so fast that sampling would slow it down; four
/// times as much for a heap of a 16th of [`SMALL_HEAP_LOG2`].
const CHEAP_LOG2: u32 = 15;
const CHEAPEST_LOG2: u32 = CHEAP_LOG2 + 2;
/// How often the interval is doubled once more in a program that does almost nothing but allocate.
const MORE_LOG2: u32 = 3;
/// A heap that was larger than this at any time, log2 of bytes, is not small: the report is about its size.
const SMALL_HEAP_LOG2: u32 = 26;
/// The interval is adapted after so many samples.
pub const SAMPLES_PER_LOOK: u64 = 64;
/// What so many samples take from the [`Budget`], in nanoseconds: 16,384 samples in a second. One costs 0.5 to 1 µs, freeing and
/// what it displaces from the caches included, so this keeps sampling near 1 % of one processor.
const LOOK_NS: u64 = SAMPLES_PER_LOOK * 1_000_000_000 / 16_384;
/// The same for the second limit, 131,072 samples in a second, which only a program exceeds that allocates 4 GiB per second.
const UTMOST_LOOK_NS: u64 = LOOK_NS / 8;
/// So many links of a chain of frames cost as much as the rest of a sample: 2.4 µs for a thousand, 26 µs for two thousand, which
/// do not fit into the near caches.
const LINKS_PER_SAMPLE: u64 = 100;
/// The most that the budget can save up: 8,192 samples, so that a program that fills its memory at once is sampled as finely as
/// any other; for the second limit eight times as many.
const MOST_NS: u64 = 128 * LOOK_NS;

/// What a link of a chain of frames takes from the budget for walks, in nanoseconds. In a chain of two thousand it costs 10 to 25
/// ns, so this limits walks to about a twentieth of the time.
const LINK_NS: u64 = 400;
/// The most that the budget for walks can save up: a hundred thousand links.
const MOST_WALK_NS: u64 = 100_000 * LINK_NS;
/// How often the interval for a heap of its size is doubled at most, in a program that allocates below thousands of frames.
const DEEP_LOG2: u32 = 5;

/// What a recorded block adds to a site, and takes away when it is freed. See the recording's "Counting".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Bytes.
    pub bytes: u64,
    /// Blocks in units of 1/[`BLOCK_UNIT`].
    pub blocks: u64,
    /// Variance in units of [`VARIANCE_UNIT`] bytes².
    pub variance: u64,
}

impl Weight {
    /// Of a block that was recorded for certain.
    #[inline]
    pub const fn exact(bytes: u64) -> Self {
        Self {
            bytes,
            blocks: BLOCK_UNIT,
            variance: 0,
        }
    }
}

/// The probability with which an allocation was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chance {
    /// Recorded for certain.
    Certain,
    /// Sampled at a mean distance of 2^this bytes.
    Interval(u32),
}

/// The weight of a recorded allocation. The same arguments give the same weight, so a free takes back what was added.
pub fn weight(bytes: u64, chance: Chance) -> Weight {
    let certain = Weight::exact(bytes);
    let Chance::Interval(log2) = chance else { return certain };
    let size = bytes as f64;
    let probability = -libm::expm1(-size / (1u64 << log2) as f64);
    if probability <= 0.0 {
        return certain;
    }
    let estimate = size / probability;
    Weight {
        bytes: libm::rint(estimate) as u64,
        blocks: libm::rint(BLOCK_UNIT as f64 / probability) as u64,
        variance: libm::rint((1.0 - probability) * estimate * estimate / VARIANCE_UNIT as f64) as u64,
    }
}

/// A cache of weights, since most samples are of a few sizes.
pub struct Weights([(u64, Weight); WEIGHTS]);

/// Places of the cache.
const WEIGHTS: usize = 256;

impl Weights {
    /// Empty. The key of an empty place is that of no block.
    pub const fn new() -> Self {
        let none = Weight {
            bytes: 0,
            blocks: 0,
            variance: 0,
        };
        Self([(u64::MAX, none); WEIGHTS])
    }

    /// As [`weight`].
    #[inline]
    pub fn of(&mut self, bytes: u64, chance: Chance) -> Weight {
        let Chance::Interval(log2) = chance else {
            return weight(bytes, chance);
        };
        let key = bytes << 6 | log2 as u64;
        let place = (bytes >> 3 ^ (log2 as u64) << 5) as usize % WEIGHTS;
        match self.0.get_mut(place) {
            Some((known, weight)) if *known == key => *weight,
            Some(slot) => {
                *slot = (key, weight(bytes, chance));
                slot.1
            }
            None => weight(bytes, chance),
        }
    }
}

/// The bytes that are allocated before the next sample: exponential with mean 2^`interval_log2`, rounded down. So an allocation
/// of more bytes than are left is sampled with exactly the probability above.
pub fn draw(random: &mut u64, interval_log2: u32) -> u64 {
    // SplitMix64 (Steele, Lea, Flood 2014): 64 random bits from a counter.
    *random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut bits = *random;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^= bits >> 31;
    let uniform = ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let distance = -libm::log(uniform) * (1u64 << interval_log2) as f64;
    distance as u64
}

/// The time that samples may still take, in nanoseconds; it fills as time passes, and every [`SAMPLES_PER_LOOK`] samples take
/// [`LOOK_NS`].
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    left: u64,
    /// The second limit, of which they take [`UTMOST_LOOK_NS`].
    utmost_left: u64,
    /// The limit for walks along chains of frames, for a heap of any size.
    walk_left: u64,
}

impl Budget {
    /// Full, as at the beginning.
    pub const FULL: Self = Self {
        left: MOST_NS,
        utmost_left: MOST_NS,
        walk_left: MOST_WALK_NS,
    };

    /// Takes off another [`SAMPLES_PER_LOOK`] samples, for which `links` links of chains of frames were read; they took
    /// `took_ns`.
    pub fn spend(&mut self, took_ns: u64, links: u64) {
        let after = |left: u64, look: u64| {
            let cost = look + links * (look / SAMPLES_PER_LOOK) / LINKS_PER_SAMPLE;
            left.saturating_add(took_ns).saturating_sub(cost).min(MOST_NS)
        };
        self.left = after(self.left, LOOK_NS);
        self.utmost_left = after(self.utmost_left, UTMOST_LOOK_NS);
        let walked = links.saturating_mul(LINK_NS);
        let walk_left = self.walk_left.saturating_add(took_ns).saturating_sub(walked);
        self.walk_left = walk_left.min(MOST_WALK_NS);
    }
}

/// One step coarser if nothing is left, finer if more than half is.
fn paced(now: u32, left: u64, most: u64) -> u32 {
    match left {
        0 => now + 1,
        left if left > most / 2 => now.saturating_sub(1),
        _ => now,
    }
}

/// log2 of the interval to use from now on. It grows with the heap, which keeps the relative error constant and the table of
/// samples bounded. For a small heap it also grows while the budget is used up, which bounds the cost of samples.
pub fn interval_log2(now: u32, peak_bytes: u64, budget: Budget) -> u32 {
    let heap_log2 = u64::BITS - peak_bytes.leading_zeros();
    let finest = heap_log2
        .saturating_sub(INTERVALS_PER_HEAP_LOG2)
        .clamp(FINEST_LOG2, COARSEST_LOG2);
    if heap_log2 > SMALL_HEAP_LOG2 {
        return paced(now, budget.walk_left, MOST_WALK_NS).clamp(finest, finest + DEEP_LOG2);
    }
    let coarsest = finest.max((CHEAP_LOG2 + (SMALL_HEAP_LOG2 - heap_log2) / 2).min(CHEAPEST_LOG2));
    if now > coarsest || budget.utmost_left == 0 || budget.walk_left == 0 {
        let left = budget
            .utmost_left
            .min(budget.walk_left.saturating_mul(MOST_NS / MOST_WALK_NS));
        return paced(now, left, MOST_NS).clamp(coarsest, coarsest + MORE_LOG2);
    }
    paced(now, budget.left, MOST_NS).clamp(finest, coarsest)
}

/// Blocks of at least this many bytes are recorded for certain: sixteen intervals, within 64 KiB and 1 MiB.
pub fn large_bytes(interval_log2: u32) -> u64 {
    1 << (interval_log2 + 4).clamp(16, 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_unbiased_and_their_error_is_the_one_they_state() {
        let (mut random, log2, size, blocks) = (1, 12, 512u64, 4000);
        let truth = (size * blocks) as f64;
        let mut z_sum = 0.0;
        let mut z_squares = 0.0;
        let rounds = 400;
        for _ in 0..rounds {
            let (mut sum, mut variance, mut left) = (0u64, 0u64, draw(&mut random, log2));
            for _ in 0..blocks {
                if left >= size {
                    left -= size;
                    continue;
                }
                left = draw(&mut random, log2);
                let weight = weight(size, Chance::Interval(log2));
                sum += weight.bytes;
                variance += weight.variance;
            }
            let z = (sum as f64 - truth) / ((variance * VARIANCE_UNIT) as f64).sqrt();
            z_sum += z;
            z_squares += z * z;
        }
        let (mean, square) = (z_sum / rounds as f64, z_squares / rounds as f64);
        assert!(mean.abs() < 0.2, "mean of z is {mean}");
        assert!((0.75..1.3).contains(&square), "variance of z is {square}");
    }

    #[test]
    fn the_interval_follows_the_heap_and_the_hurry() {
        let at_leisure = |now, heap| interval_log2(now, heap, Budget::FULL);
        assert_eq!(at_leisure(FINEST_LOG2, 0), FINEST_LOG2);
        assert_eq!(at_leisure(FINEST_LOG2, 1 << 30), 16);
        // A hurry goes step by step to 32 KiB while the heap is small, to 128 KiB while it is tiny, and back.
        let hurry = Budget {
            left: 0,
            ..Budget::FULL
        };
        let hurried = |steps: u32, heap| (0..steps).fold(FINEST_LOG2, |now, _| interval_log2(now, heap, hurry));
        assert_eq!(hurried(2, 1 << 20), FINEST_LOG2 + 2);
        assert_eq!(hurried(99, 1 << 20), 17);
        assert_eq!(hurried(99, 1 << 25), 15);
        assert_eq!(hurried(99, (1 << 26) - 1), 15);
        assert_eq!(hurried(99, 1 << 32), 18);
        assert_eq!(at_leisure(CHEAP_LOG2, 1 << 20), CHEAP_LOG2 - 1);
        let half = Budget {
            left: MOST_NS / 2,
            ..hurry
        };
        assert_eq!(interval_log2(14, 1 << 20, half), 14);
    }

    #[test]
    fn a_program_in_a_hurry_has_8192_samples_before_it_is_sampled_more_coarsely() {
        let mut budget = Budget::FULL;
        let mut samples = 0;
        while interval_log2(FINEST_LOG2, 1 << 20, budget) == FINEST_LOG2 {
            budget.spend(0, 0);
            samples += SAMPLES_PER_LOOK;
        }
        assert_eq!(samples, 8192);
        (0..128).for_each(|_| budget.spend(2 * LOOK_NS, 0));
        assert_eq!(interval_log2(CHEAP_LOG2, 1 << 20, budget), CHEAP_LOG2 - 1);
        // Below a thousand frames it has fewer.
        let looks = (0..128).take_while(|_| {
            budget.spend(0, 1000 * SAMPLES_PER_LOOK);
            budget.left > 0
        });
        assert_eq!(looks.count(), 128 / 11);
    }

    /// Of a heap of 32 MiB, after ten seconds of allocating so many bytes in each.
    fn interval_at(bytes_per_second: u64) -> (u32, u64) {
        let (mut budget, mut now, mut ns, mut samples) = (Budget::FULL, FINEST_LOG2, 0, 0);
        let second = 1_000_000_000;
        while ns < 10 * second {
            let took = ((SAMPLES_PER_LOOK * second) << now) / bytes_per_second;
            budget.spend(took, 0);
            now = interval_log2(now, 1 << 25, budget);
            (ns, samples) = (ns + took, samples + SAMPLES_PER_LOOK);
        }
        (now, samples / 10)
    }

    #[test]
    fn what_samples_cost_is_bounded_where_a_program_does_nothing_but_allocate() {
        assert_eq!(interval_at(32 << 20).0, FINEST_LOG2);
        let (at, samples) = interval_at(1 << 30);
        assert!(at == CHEAP_LOG2 && samples < 34_000, "2^{at}, {samples}");
        let (at, samples) = interval_at(4 << 30);
        assert!(at == CHEAP_LOG2 && samples < 134_000, "2^{at}, {samples}");
        let (at, samples) = interval_at(16 << 30);
        assert!(at > CHEAP_LOG2 && samples < 140_000, "2^{at}, {samples}");
    }

    #[test]
    fn walks_below_thousands_of_frames_take_a_small_part_of_the_time() {
        // 430 MB in a second, a heap of up to 300 MB, and walks along 2048 links of 20 ns.
        let (mut budget, mut now, mut at_work, mut walking, mut held) = (Budget::FULL, FINEST_LOG2, 0u64, 0u64, 0u64);
        while held < 300_000_000 {
            let bytes = SAMPLES_PER_LOOK << now;
            let (work, walks) = (bytes * 1_000 / 430, SAMPLES_PER_LOOK * 2048 * 20);
            (held, at_work, walking) = (held + bytes, at_work + work, walking + walks);
            budget.spend(work + walks, SAMPLES_PER_LOOK * 2048);
            now = interval_log2(now, held, budget);
        }
        assert!(walking * 8 < at_work, "{walking} ns beside {at_work}");
        // And it is forgotten when the program has come up again.
        for _ in 0..32 {
            budget.spend(1_000_000, SAMPLES_PER_LOOK * 20);
            now = interval_log2(now, held, budget);
        }
        assert_eq!(now, 14);
    }

    #[test]
    fn a_block_far_larger_than_the_interval_stands_for_itself() {
        assert_eq!(weight(1 << 20, Chance::Interval(12)).bytes, 1 << 20);
        assert_eq!(
            weight(48, Chance::Certain),
            Weight {
                bytes: 48,
                blocks: BLOCK_UNIT,
                variance: 0
            }
        );
    }

    proptest::proptest! {
        #[test]
        fn a_weight_that_is_known_is_the_one_computed(sizes in proptest::collection::vec((1u64..3000, 12u32..16), 1..300)) {
            let mut weights = Weights::new();
            for (bytes, log2) in sizes {
                let chance = Chance::Interval(log2);
                proptest::prop_assert_eq!(weights.of(bytes, chance), weight(bytes, chance));
            }
        }

        #[test]
        fn a_weight_is_never_less_than_the_block(bytes in 1u64..1 << 40, log2 in FINEST_LOG2..COARSEST_LOG2) {
            proptest::prop_assert!(weight(bytes, Chance::Interval(log2)).bytes >= bytes);
        }
    }
}
