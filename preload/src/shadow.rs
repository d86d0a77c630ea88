//! The small blocks if every block is recorded: a word for each 16 bytes of the program's heap, so that a block is found by its
//! address alone, and the words of neighbours are neighbours.

use crate::array::Array;

/// log2 of the bytes of a region; its words are contiguous.
const REGION_LOG2: u32 = 21;
/// log2 of the bytes that a word stands for: what malloc and pymalloc align to.
const STEP_LOG2: u32 = 4;
const WORDS: usize = 1 << (REGION_LOG2 - STEP_LOG2);
/// Regions at first, and how many more are reserved at once at least.
const FIRST_REGIONS: usize = 8;
const FIRST_PLACES: usize = 256;
/// Regions that are found without a search.
const RECENT: usize = 64;

/// log2 of the size from which on a block is not kept here.
const MOST_LOG2: u32 = 24;

/// What is known of the block that begins at an address, in one word; 0 for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word(u64);

impl Word {
    /// A block of so many bytes at a site, with 8 bits of flags, not all 0. The bytes must be below 2^24.
    #[inline]
    pub fn new(site: u32, bytes: u64, flags: u8) -> Self {
        Self(site as u64 | bytes << 32 | (flags as u64) << (32 + MOST_LOG2))
    }

    /// With these flags too.
    #[inline]
    pub fn with(self, flags: u8) -> Self {
        Self(self.0 | (flags as u64) << (32 + MOST_LOG2))
    }

    /// The site.
    #[inline]
    pub fn site(self) -> u32 {
        self.0 as u32
    }

    /// The bytes.
    #[inline]
    pub fn bytes(self) -> u64 {
        self.0 >> 32 & ((1 << MOST_LOG2) - 1)
    }

    /// The flags.
    #[inline]
    pub fn flags(self) -> u8 {
        (self.0 >> (32 + MOST_LOG2)) as u8
    }
}

#[expect(unsafe_code, reason = "a marker")]
// SAFETY: `Plain` wants that zeros are a value and that nothing is dropped: it is an integer.
unsafe impl crate::array::Plain for Word {}

/// A bucket: a region, and the number of its first word divided by [`WORDS`]; region 0, which has no blocks, if it is free.
#[derive(Clone, Copy, Default)]
struct Bucket {
    region: u64,
    number: usize,
}

#[expect(unsafe_code, reason = "a marker")]
// SAFETY: `Plain` wants that zeros are a value and that nothing is dropped: it consists of integers.
unsafe impl crate::array::Plain for Bucket {}

/// See the module's page.
pub struct Shadow {
    words: Array<Word>,
    regions: usize,
    /// Open addressing, never more than half full.
    places: Array<Bucket>,
    recent: [Bucket; RECENT],
}

/// Whether a block can be kept here.
#[inline]
pub fn has_place_for(address: u64, bytes: u64) -> bool {
    address.is_multiple_of(1 << STEP_LOG2) && bytes >> MOST_LOG2 == 0 && address >> REGION_LOG2 > 0
}

#[inline]
fn word_of(address: u64) -> usize {
    (address >> STEP_LOG2) as usize & (WORDS - 1)
}

impl Shadow {
    /// Without memory.
    pub const fn new() -> Self {
        Self {
            words: Array::empty(),
            regions: 0,
            places: Array::empty(),
            recent: [Bucket { region: 0, number: 0 }; RECENT],
        }
    }

    /// Forgets every block.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// The word of an address, where any of its region has been used.
    #[inline]
    pub fn word(&mut self, address: u64) -> Option<&mut Word> {
        let region = address >> REGION_LOG2;
        let recent = *self.recent.get(region as usize % RECENT)?;
        let number = if recent.region == region {
            recent.number
        } else {
            self.search(region)?
        };
        self.words.get_mut(number * WORDS + word_of(address))
    }

    /// As [`Shadow::word`], but makes a place for the region; `None` if there is no memory for it.
    #[inline]
    pub fn word_or_new(&mut self, address: u64) -> Option<&mut Word> {
        let region = address >> REGION_LOG2;
        let recent = *self.recent.get(region as usize % RECENT)?;
        let number = if recent.region == region {
            recent.number
        } else {
            self.search(region).or_else(|| self.add(region))?
        };
        self.words.get_mut(number * WORDS + word_of(address))
    }

    fn home(&self, region: u64) -> usize {
        (region.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & (self.places.len().wrapping_sub(1))
    }

    #[cold]
    #[inline(never)]
    fn search(&mut self, region: u64) -> Option<usize> {
        let mut at = self.home(region);
        loop {
            let place = *self.places.get(at)?;
            if place.region == region {
                *self.recent.get_mut(region as usize % RECENT)? = place;
                return Some(place.number);
            }
            if place.region == 0 {
                return None;
            }
            at = (at + 1) & (self.places.len() - 1);
        }
    }

    #[cold]
    #[inline(never)]
    fn add(&mut self, region: u64) -> Option<usize> {
        if region == 0 {
            return None;
        }
        if self.regions * 2 >= self.places.len() {
            let larger = Array::zeroed((self.places.len() * 2).max(FIRST_PLACES))?;
            let smaller = core::mem::replace(&mut self.places, larger);
            for place in smaller.iter().filter(|place| place.region > 0) {
                self.put(*place)?;
            }
        }
        let number = self.regions;
        let length = self.words.len();
        if (number + 1) * WORDS > length && !self.words.grow(length + (length / 4).max(FIRST_REGIONS * WORDS)) {
            return None;
        }
        self.regions += 1;
        self.put(Bucket { region, number })?;
        Some(number)
    }

    fn put(&mut self, place: Bucket) -> Option<()> {
        let mut at = self.home(place.region);
        loop {
            let free = self.places.get_mut(at)?;
            if free.region == 0 {
                *free = place;
                return Some(());
            }
            at = (at + 1) & (self.places.len() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn a_shadow_is_a_map(steps in proptest::collection::vec((1u64..600, 0u64..WORDS as u64, any::<u32>(), 1u64..1 << MOST_LOG2), 1..400)) {
            let mut shadow = Shadow::new();
            let mut model = BTreeMap::new();
            for (region, word, site, bytes) in steps {
                let address = region << REGION_LOG2 | word << STEP_LOG2;
                prop_assert!(has_place_for(address, bytes));
                let found = shadow.word(address).map(|word| *word).unwrap_or_default();
                prop_assert_eq!(found, model.get(&address).copied().unwrap_or_default());
                let new = Word::new(site, bytes, 3);
                prop_assert_eq!((new.site(), new.bytes(), new.flags()), (site, bytes, 3));
                *shadow.word_or_new(address).expect("memory") = new;
                model.insert(address, new);
            }
            for (address, word) in model {
                prop_assert_eq!(shadow.word(address).map(|word| *word), Some(word));
            }
        }
    }

    #[test]
    fn what_is_not_aligned_or_too_large_has_no_place() {
        assert!(!has_place_for(0x7000_0000_0008, 8));
        assert!(!has_place_for(0x7000_0000_0000, 1 << MOST_LOG2));
        assert!(!has_place_for(0x1000, 8));
    }
}
