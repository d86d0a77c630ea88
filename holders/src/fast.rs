//! Tables by address. The keys are those of the memory that is read, which has no wish to make a table slow: nothing here waits for it, and
//! every table has a most.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A table by numbers.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;
/// A set of numbers.
pub type Set<K> = HashSet<K, BuildHasherDefault<Quick>>;

/// Hashes numbers by a multiplication, whose upper half has something of each bit.
#[derive(Default)]
pub struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
