//! The table of recorded blocks: few bytes for each, few free places, and one or two cache lines to find one.

use crate::array::{Array, Plain};
use crate::live::{Entry, NoMemory, WATCHED, place};

/// An [`Entry`] in three words; all zero in a free place.
#[derive(Clone, Copy, Default)]
struct Packed {
    /// The address, and below it [`Entry::generation`].
    place: u64,
    /// [`Entry::bytes`], and below them [`HAS_SLOT`], [`Entry::interval_log2`] and [`Entry::flags`].
    size: u64,
    site: u32,
    /// [`Entry::born`]; with [`HAS_SLOT`], [`Entry::slot`].
    born_or_slot: u32,
}

#[expect(unsafe_code, reason = "a marker")]
// SAFETY: `Plain` wants that zeros are a value and that nothing is dropped: it consists of integers.
unsafe impl Plain for Packed {}

/// Bits of an address, and of a block's size: user space has 47, unless a program asks for addresses above by name, which `malloc` doesn't.
const ADDRESS_BITS: u32 = 48;
const BELOW_BITS: u32 = u64::BITS - ADDRESS_BITS;
/// In [`Packed::size`], where the interval begins; it is less than 64.
const INTERVAL_SHIFT: u32 = 8;
/// In [`Packed::size`]: the block has a slot, and when it was born is in [`Table::births`].
const HAS_SLOT: u64 = 1 << 15;

impl Packed {
    #[inline]
    fn new(entry: &Entry) -> Self {
        let has_slot = entry.slot != 0;
        let below =
            if has_slot { HAS_SLOT } else { 0 } | (entry.interval_log2 as u64) << INTERVAL_SHIFT | entry.flags as u64;
        Self {
            place: (entry.address << BELOW_BITS) | entry.generation as u64,
            size: (entry.bytes << BELOW_BITS) | below,
            site: entry.site,
            born_or_slot: if has_slot { entry.slot } else { entry.born },
        }
    }

    #[inline]
    fn slot(&self) -> u32 {
        if self.size & HAS_SLOT != 0 {
            self.born_or_slot
        } else {
            0
        }
    }

    #[inline]
    fn address(&self) -> u64 {
        self.place >> BELOW_BITS
    }

    #[inline]
    fn is_free(&self) -> bool {
        self.address() == 0
    }
}

/// Blocks by address: open addressing in the order of their hashes (after P. Celis, "Robin Hood Hashing", 1986). So a search ends
/// where its block would be, however full the table is, and the table grows in place. Blocks that share a byte of the filter have
/// the same hash.
pub struct Table {
    places: Array<Packed>,
    /// [`Entry::born`] of the blocks that have a slot, by slot.
    births: Array<u32>,
    /// Home buckets; the rest is an overflow tail without wraparound.
    homes: usize,
    used: usize,
}

/// A Python program takes two thousand samples while it starts.
const FIRST_HOMES: usize = 4096;
/// Slots there is room for at first.
const FIRST_BIRTHS: usize = 1024;
/// Places in the overflow tail, and how many are added when it is full.
const MORE_PLACES: usize = 64;

#[inline]
fn hash(address: u64) -> u64 {
    (place(address) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

/// The home bucket of a hash, of so many.
#[inline]
fn home(hash: u64, homes: usize) -> usize {
    ((hash * homes as u64) >> 32) as usize
}

impl Table {
    /// A table without memory.
    pub const fn new() -> Self {
        Self {
            places: Array::empty(),
            births: Array::empty(),
            homes: 0,
            used: 0,
        }
    }

    /// Blocks in it.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.used
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        home(hash, self.homes)
    }

    /// Prefetches the place of this address.
    #[inline]
    pub fn expect(&self, address: u64) {
        self.places.expect(self.home(hash(address)));
    }

    /// Where the block at this address is, or would be put.
    #[inline]
    fn find(&self, address: u64) -> Result<usize, usize> {
        let hash_here = hash(address);
        let mut at = self.home(hash_here);
        while let Some(found) = self.places.get(at) {
            if found.is_free() {
                break;
            }
            if found.address() == address {
                return Ok(at);
            }
            if hash(found.address()) > hash_here {
                break;
            }
            at += 1;
        }
        Err(at)
    }

    #[inline]
    fn entry(&self, packed: &Packed) -> Entry {
        let slot = packed.slot();
        let born = match slot {
            0 => packed.born_or_slot,
            slot => self.births.get(slot as usize).copied().unwrap_or(0),
        };
        Entry {
            address: packed.address(),
            bytes: packed.size >> BELOW_BITS,
            site: packed.site,
            slot,
            born,
            interval_log2: ((packed.size & (HAS_SLOT - 1)) >> INTERVAL_SHIFT) as u8,
            flags: packed.size as u8,
            generation: packed.place as u16,
        }
    }

    #[inline]
    fn remember(&mut self, entry: &Entry) {
        if entry.slot != 0 {
            self.remember_birth(entry.slot, entry.born);
        }
    }

    /// Remembers when the block of a slot was born. If there is no memory for that, it counts as born before all others.
    fn remember_birth(&mut self, slot: u32, born: u32) {
        let slot = slot as usize;
        if slot < self.births.len() || self.births.grow((slot + 1).next_power_of_two().max(FIRST_BIRTHS)) {
            self.births[slot] = born;
        }
    }

    /// What is known of this address.
    #[inline]
    pub fn get(&self, address: u64) -> Option<Entry> {
        let at = self.find(address).ok()?;
        self.places.get(at).map(|packed| self.entry(packed))
    }

    /// Adds a block, and gives what was known of its address; `Err` if there is no memory. A watch stays.
    #[inline]
    pub fn insert(&mut self, entry: &Entry) -> Result<Option<Entry>, NoMemory> {
        if (entry.address | entry.bytes) >> ADDRESS_BITS != 0 {
            return Err(NoMemory);
        }
        let mut packed = Packed::new(entry);
        let mut at = match self.find(entry.address) {
            Ok(at) => {
                let known = self.places.get_mut(at).ok_or(NoMemory)?;
                packed.size |= known.size & WATCHED as u64;
                let known = core::mem::replace(known, packed);
                let known = self.entry(&known);
                self.remember(entry);
                return Ok(Some(known));
            }
            Err(at) => at,
        };
        self.remember(entry);
        // At most three of four. If there is no memory to grow, a fuller table is slow, but correct.
        if self.used >= self.homes - self.homes / 4 && self.grow() {
            at = self.find(entry.address).unwrap_or_else(|at| at);
        }
        self.put(at, packed)?;
        self.used += 1;
        Ok(None)
    }

    /// Puts a block into a place; the blocks from there to the next free place move by one.
    #[inline]
    fn put(&mut self, at: usize, packed: Packed) -> Result<(), NoMemory> {
        match self.places.get_mut(at) {
            Some(place) if place.is_free() => {
                *place = packed;
                Ok(())
            }
            _ => self.put_between(at, packed),
        }
    }

    #[inline(never)]
    fn put_between(&mut self, at: usize, packed: Packed) -> Result<(), NoMemory> {
        let behind = self.places.get(at..).unwrap_or_default();
        let run = behind.iter().take_while(|found| !found.is_free()).count();
        let free = at + run;
        if free == self.places.len() && !self.places.grow(free + MORE_PLACES) {
            return Err(NoMemory);
        }
        self.places.copy_within(at..free, at + 1);
        *self.places.get_mut(at).ok_or(NoMemory)? = packed;
        Ok(())
    }

    /// Grows by a third, in place; `false` if there is no memory for it.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) -> bool {
        let (before, homes) = (self.places.len(), (self.homes + self.homes / 3).max(FIRST_HOMES));
        let places = homes + MORE_PLACES.max(before - self.homes);
        if !self.places.grow(places) {
            return false;
        }
        self.homes = homes;
        // Moves all blocks to the end first. A home moves by less than the number of new places, so no block is put where another
        // one has not been moved yet.
        let table = &mut *self.places;
        table.copy_within(..before, places - before);
        table[..places - before].fill(Packed::default());
        let mut next = 0;
        for from in places - before..table.len() {
            let moved = table[from];
            if !moved.is_free() {
                table[from] = Packed::default();
                next = next.max(home(hash(moved.address()), homes));
                table[next] = moved;
                next += 1;
            }
        }
        true
    }

    /// Takes out what is known of this address.
    #[inline]
    pub fn remove(&mut self, address: u64) -> Option<Entry> {
        let at = self.find(address).ok()?;
        let removed = self.entry(self.places.get(at)?);
        let hole = if self.is_displaced(at + 1) {
            self.close_gap(at)
        } else {
            at
        };
        *self.places.get_mut(hole)? = Packed::default();
        self.used -= 1;
        Some(removed)
    }

    /// Whether this place has a block that is not in its home bucket.
    #[inline]
    fn is_displaced(&self, at: usize) -> bool {
        let found = self.places.get(at).filter(|found| !found.is_free());
        found.is_some_and(|found| self.home(hash(found.address())) < at)
    }

    /// Moves the blocks behind a removed one that are not at home by one; returns the place that becomes free.
    #[inline(never)]
    fn close_gap(&mut self, at: usize) -> usize {
        let run = (at + 1..).take_while(|at| self.is_displaced(*at)).count();
        self.places.copy_within(at + 1..at + 1 + run, at);
        at + run
    }

    /// The addresses of the blocks that share this one's byte of the filter.
    pub fn sharing(&self, address: u64) -> impl Iterator<Item = u64> {
        let hash_here = hash(address);
        let places = self.places.get(self.home(hash_here)..).unwrap_or_default();
        let addresses = places.iter().map(Packed::address);
        let in_order = addresses.take_while(move |other| *other != 0 && hash(*other) <= hash_here);
        in_order.filter(move |other| hash(*other) == hash_here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn sample(number: u64) -> Entry {
        Entry {
            // Some share their home, by chance or since their byte of the filter is the same.
            address: 0x7000_0000_0000 + number % 4096 * 80 + number / 4096 * (1 << 40),
            bytes: number,
            site: number as u32,
            born: !number as u32,
            interval_log2: 14,
            flags: number as u8,
            generation: number as u16,
            ..Entry::default()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn it_is_a_map_however_it_grows_and_shrinks(
            steps in proptest::collection::vec((0u64..12_000, 1u64..300, any::<bool>()), 1..200),
        ) {
            let (mut table, mut model) = (Table::new(), BTreeMap::new());
            for (first, count, insert) in steps {
                for number in first..first + count {
                    let entry = sample(number);
                    if insert {
                        let watched = model.get(&entry.address).map_or(0, |known: &Entry| known.flags & WATCHED);
                        let known = model.insert(entry.address, Entry { flags: entry.flags | watched, ..entry });
                        prop_assert_eq!(table.insert(&entry), Ok(known));
                    } else {
                        prop_assert_eq!(table.remove(entry.address), model.remove(&entry.address));
                    }
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert!(table.used <= table.homes - table.homes / 4);
            }
            let mut alike = BTreeMap::<usize, Vec<u64>>::new();
            for address in model.keys() {
                alike.entry(place(*address)).or_default().push(*address);
            }
            for number in 0..12_300 {
                let Entry { address, .. } = sample(number);
                prop_assert_eq!(table.get(address), model.get(&address).copied());
                let mut sharing: Vec<u64> = table.sharing(address).collect();
                sharing.sort_unstable();
                prop_assert_eq!(Some(&sharing).filter(|found| !found.is_empty()), alike.get(&place(address)));
            }
        }
    }

    #[test]
    fn a_large_block_keeps_its_slot_and_birth_and_what_is_no_block_is_neither_found_nor_taken() {
        let mut table = Table::new();
        let large = Entry {
            address: 0x7000_0000_0010,
            bytes: (1 << 47) - 1,
            site: u32::MAX,
            slot: 1 << 20,
            born: u32::MAX,
            generation: u16::MAX,
            ..Entry::default()
        };
        assert_eq!(table.insert(&large), Ok(None));
        assert_eq!(table.get(large.address), Some(large));
        let without_slot = Entry {
            slot: 0,
            born: 7,
            ..large
        };
        assert_eq!(table.insert(&without_slot), Ok(Some(large)));
        assert_eq!(table.insert(&large), Ok(Some(without_slot)));
        let above = Entry {
            address: 1 << 48,
            ..large
        };
        assert_eq!(table.insert(&above), Err(NoMemory));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn it_is_at_least_half_full_once_it_has_grown() {
        let mut table = Table::new();
        for number in 0..60_000 {
            table.insert(&sample(number)).unwrap();
            assert!(number < 3_000 || table.used * 2 >= table.places.len(), "{number}");
        }
    }
}
