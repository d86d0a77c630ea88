//! Random numbers that are the same for the same seed (xorshift64*), and choices without repetition.

use crate::fast::Set;

/// A source of random numbers.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        // Zero would give nothing but zeros, and seeds that are close would begin alike.
        Self((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `count`; 0 if that is 0.
    pub fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(count)) >> 64) as u64
    }

    /// A number from 0 to below 1.
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Numbers below `count`: all of them if they are no more than `most`, else that many different ones at random, in their order.
    pub fn choose(&mut self, count: u64, most: usize) -> Vec<u64> {
        let most = most as u64;
        if count <= most {
            return (0..count).collect();
        }
        // Robert Floyd's way: each set is as likely as any other.
        let mut chosen = Set::with_capacity_and_hasher(most as usize, Default::default());
        for at in count - most..count {
            let number = self.below(at + 1);
            if !chosen.insert(number) {
                chosen.insert(at);
            }
        }
        let mut numbers: Vec<u64> = chosen.into_iter().collect();
        numbers.sort_unstable();
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_chosen_as_often_as_any_other() {
        let mut chance = Chance::new(1);
        let mut counts = [0u32; 20];
        for _round in 0..20_000 {
            let chosen = chance.choose(20, 5);
            assert_eq!(chosen.len(), 5);
            assert!(chosen.is_sorted_by(|a, b| a < b));
            chosen.iter().for_each(|number| counts[*number as usize] += 1);
        }
        // Each is expected 5,000 times, give or take 61.
        assert!(counts.iter().all(|count| (4700..5300).contains(count)), "{counts:?}");
        assert_eq!(chance.choose(3, 5), [0, 1, 2]);
        assert!(chance.choose(0, 5).is_empty());
    }

    #[test]
    fn the_same_seed_gives_the_same_choice() {
        let choice = |seed| Chance::new(seed).choose(1 << 40, 10);
        assert_eq!(choice(7), choice(7));
        assert_ne!(choice(7), choice(8));
    }
}
