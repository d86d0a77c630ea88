//! A hash index: from the contents of a record, which is stored elsewhere, to its number.

use crate::array::{Array, Plain};

/// A bucket: the upper half of the hash and the number of the record plus one; 0 if it is free.
#[derive(Clone, Copy)]
struct Bucket {
    hash: u32,
    record: u32,
}

#[expect(unsafe_code, reason = "a marker")]
// SAFETY: `Plain` wants that zeros are a value and that nothing is dropped: it consists of integers.
unsafe impl Plain for Bucket {}

const FIRST_BUCKETS: usize = 1024;

/// An open-addressing index; nothing is removed.
pub struct Index {
    buckets: Array<Bucket>,
    used: usize,
}

impl Index {
    /// An index without memory.
    pub const fn new() -> Self {
        Self {
            buckets: Array::empty(),
            used: 0,
        }
    }

    /// The record with this hash for which `is_it` holds.
    #[inline]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mask = self.buckets.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let bucket = self.buckets.get(at)?;
            let record = bucket.record.checked_sub(1)?;
            if bucket.hash == (hash >> 32) as u32 && is_it(record) {
                return Some(record);
            }
            at = (at + 1) & mask;
        }
    }

    /// Makes room for one more; `false` if there is no memory for it.
    pub fn reserve(&mut self, mut hash_of: impl FnMut(u32) -> u64) -> bool {
        if self.used * 2 < self.buckets.len() {
            return true;
        }
        let Some(mut larger) = Array::<Bucket>::zeroed((self.buckets.len() * 2).max(FIRST_BUCKETS)) else {
            return self.used + 1 < self.buckets.len();
        };
        for bucket in self.buckets.iter().filter(|bucket| bucket.record > 0) {
            put(&mut larger, hash_of(bucket.record - 1), bucket.record);
        }
        self.buckets = larger;
        true
    }

    /// Adds a record that [`Index::find`] did not find, after [`Index::reserve`].
    pub fn add(&mut self, hash: u64, record: u32) {
        put(&mut self.buckets, hash, record + 1);
        self.used += 1;
    }
}

fn put(buckets: &mut [Bucket], hash: u64, record: u32) {
    let Some(mask) = buckets.len().checked_sub(1) else {
        return;
    };
    let mut at = hash as usize & mask;
    while let Some(bucket) = buckets.get_mut(at) {
        if bucket.record == 0 {
            *bucket = Bucket {
                hash: (hash >> 32) as u32,
                record,
            };
            return;
        }
        at = (at + 1) & mask;
    }
}

/// A hash of three numbers, good in all its bits: two rounds of multiply and fold (wyhash's mixing step, public domain).
#[inline]
pub fn hash3(a: u32, b: u32, c: u32) -> u64 {
    fold(
        fold((a as u64) << 32 | b as u64, 0x9E37_79B9_7F4A_7C15) ^ c as u64,
        0xD6E8_FEB8_6659_FD93,
    )
}

/// A hash of a string: FNV-1a, folded.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ *byte as u64).wrapping_mul(0x0100_0000_01B3)
    });
    fold(fnv, 0x9E37_79B9_7F4A_7C15)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = (a ^ 0x5851_F42D_4C95_7F2D) as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_and_nothing_else() {
        let mut index = Index::new();
        let hash = |record: u32| hash3(record, 7, record / 3);
        for record in 0..5000 {
            assert_eq!(index.find(hash(record), |other| other == record), None);
            assert!(index.reserve(hash));
            index.add(hash(record), record);
        }
        for record in 0..5000 {
            assert_eq!(index.find(hash(record), |other| other == record), Some(record));
        }
    }
}
