//! What the program mapped itself and what it reserved, in order of address, so that parts of it can be unmapped, moved and made
//! usable.

use crate::array::{Array, Plain};

/// A range of mapped memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// The site that it counts for.
    pub site: u32,
    /// Forks away from the first process, as for a live block.
    pub generation: u32,
    /// Its `Kind`, as a number.
    pub kind: u32,
    /// Its slot in the recording's table of blocks, plus one; 0 for none.
    pub slot: u32,
    /// Which file in memory it shows; 0 for none.
    pub file: u64,
    /// When it was mapped, by [`crate::tally::Estimate::birth`].
    pub born: u32,
    /// Zero.
    pub reserved: u32,
}

#[expect(unsafe_code, reason = "a marker")]
// SAFETY: `Plain` wants that zeros are a value and that nothing is dropped: it consists of integers.
unsafe impl Plain for Mapping {}

/// More mappings than the kernel's usual limit for a process (vm.max_map_count, 65530).
const MOST: usize = 1 << 16;

/// The mappings, sorted, never overlapping.
pub struct Mappings {
    sorted: Array<Mapping>,
    used: usize,
}

impl Mappings {
    /// None, and no memory for them.
    pub const fn new() -> Self {
        Self {
            sorted: Array::empty(),
            used: 0,
        }
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The first that lies in `start..end`, at least in part, of which `wanted` holds; only that part.
    pub fn first(&self, start: u64, end: u64, wanted: impl Fn(&Mapping) -> bool) -> Option<Mapping> {
        let from = self.sorted.get(self.first_ending_after(start)..self.used)?;
        let found = from
            .iter()
            .take_while(|mapping| mapping.start < end)
            .find(|mapping| wanted(mapping))?;
        Some(Mapping {
            start: found.start.max(start),
            end: found.end.min(end),
            ..*found
        })
    }

    /// The one that has this first byte.
    pub fn at(&mut self, start: u64) -> Option<&mut Mapping> {
        let at = self.first_ending_after(start);
        let used = self.sorted.get_mut(..self.used)?;
        used.get_mut(at).filter(|mapping| mapping.start == start)
    }

    /// The one that ends with this byte.
    pub fn ending_at(&mut self, end: u64) -> Option<&mut Mapping> {
        let at = self.first_ending_after(end.saturating_sub(1));
        let used = self.sorted.get_mut(..self.used)?;
        used.get_mut(at).filter(|mapping| mapping.end == end)
    }

    /// Whether this file is mapped already.
    pub fn shows(&self, file: u64) -> bool {
        let used = self.sorted.get(..self.used).unwrap_or_default();
        file != 0 && used.iter().any(|mapping| mapping.file == file)
    }

    /// Adds a range that overlaps no other; `false` if there is no room.
    pub fn insert(&mut self, mapping: Mapping) -> bool {
        if self.used == self.sorted.len() && !self.grow() {
            return false;
        }
        let at = self.first_ending_after(mapping.start);
        self.sorted.copy_within(at..self.used, at + 1);
        if let Some(place) = self.sorted.get_mut(at) {
            *place = mapping;
            self.used += 1;
        }
        true
    }

    fn grow(&mut self) -> bool {
        let more = (self.sorted.len() * 2).max(256);
        more <= MOST && self.sorted.grow(more)
    }

    fn first_ending_after(&self, address: u64) -> usize {
        let used = self.sorted.get(..self.used).unwrap_or_default();
        used.partition_point(|mapping| mapping.end <= address)
    }

    /// Takes `start..end` out, wherever mappings lie in it, and shows each piece taken: the piece, and whether its mapping is gone
    /// altogether. `false` if a mapping that was cut in two found no room for its second half.
    pub fn remove(&mut self, start: u64, end: u64, mut taken: impl FnMut(Mapping, bool)) -> bool {
        let at = self.first_ending_after(start);
        let mut all_kept = true;
        while let Some(found) = self.sorted.get(..self.used).and_then(|used| used.get(at)).copied() {
            if found.start >= end {
                break;
            }
            let piece = Mapping {
                start: found.start.max(start),
                end: found.end.min(end),
                ..found
            };
            let (before, after) = (found.start < piece.start, piece.end < found.end);
            taken(piece, !before && !after);
            let Some(place) = self.sorted.get_mut(at) else { break };
            match (before, after) {
                (false, false) => {
                    self.sorted.copy_within(at + 1..self.used, at);
                    self.used -= 1;
                }
                (true, false) => {
                    place.end = piece.start;
                    return self.remove(piece.end, end, taken) && all_kept;
                }
                (false, true) => place.start = piece.end,
                (true, true) => {
                    place.end = piece.start;
                    let rest = Mapping {
                        start: piece.end,
                        slot: 0,
                        ..found
                    };
                    if !self.insert(rest) {
                        all_kept = false;
                        taken(rest, false);
                    }
                    break;
                }
            }
            if after {
                break;
            }
        }
        all_kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn mappings_behave_like_a_set_of_pages(steps in proptest::collection::vec((0u64..60, 1u64..20, any::<bool>()), 1..200)) {
            let mut mappings = Mappings::new();
            let mut pages = [None; 100];
            for (number, (start, length, insert)) in steps.into_iter().enumerate() {
                let mut removed = 0;
                prop_assert!(mappings.remove(start, start + length, |piece, _| removed += piece.end - piece.start));
                let range = start as usize..(start + length) as usize;
                let expected = pages[range.clone()].iter().flatten().count() as u64;
                prop_assert_eq!(removed, expected);
                pages[range.clone()].fill(None);
                if insert {
                    let site = number as u32;
                    let mapping = Mapping { start, end: start + length, site, ..Mapping::default() };
                    prop_assert!(mappings.insert(mapping));
                    pages[range].fill(Some(site));
                }
                let mut total = 0;
                let mut last = 0;
                for mapping in &mappings.sorted[..mappings.used] {
                    prop_assert!(last <= mapping.start && mapping.start < mapping.end);
                    last = mapping.end;
                    total += mapping.end - mapping.start;
                    prop_assert!((mapping.start..mapping.end).all(|page| pages[page as usize] == Some(mapping.site)));
                }
                prop_assert_eq!(total, pages.iter().flatten().count() as u64);
                prop_assert_eq!(mappings.is_empty(), total == 0);
            }
        }
    }
}
