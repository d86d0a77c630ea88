//! The recorded blocks that are alive, and the filter by which a free knows in a few instructions that its block is not among them.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use recording::Kind;

use crate::array::{Array, Plain};
use crate::sampler::Chance;
use crate::shadow::{self, Shadow, Word};

/// log2 of the filter's bytes. Blocks are 16-byte aligned, so the filter covers 8 MiB of neighbouring heap before it repeats.
const FILTER_LOG2: u32 = 19;
const FILTER_BYTES: usize = 1 << FILTER_LOG2;
/// A filter byte that stands for more than one block.
const SEVERAL: u8 = 255;
const FIRST_ENTRIES: usize = 4096;
/// For each place that addresses map to: 0 for no recorded block, an 8-bit tag of the only one's address, or [`SEVERAL`].
static FILTER: [AtomicU8; FILTER_BYTES] = [const { AtomicU8::new(0) }; FILTER_BYTES];

#[inline(always)]
fn place(address: u64) -> usize {
    (address >> 4) as usize & (FILTER_BYTES - 1)
}

/// Of the address bits above the place's, and never 0 or [`SEVERAL`].
#[inline(always)]
fn tag(address: u64) -> u8 {
    let above = address >> (4 + FILTER_LOG2);
    ((above ^ (above >> 8)) as u8).clamp(1, SEVERAL - 1)
}

/// Might there be a recorded block at this address? A stale answer is impossible: who frees a block has learnt its address from
/// who was given it, after the filter was set.
#[inline(always)]
pub fn may_be_recorded(address: u64) -> bool {
    FILTER[place(address)].load(Relaxed) != 0 && has_tag(address)
}

/// Is its place taken by a block with its tag, or by several?
#[cold]
#[inline(never)]
fn has_tag(address: u64) -> bool {
    let found = FILTER[place(address)].load(Relaxed);
    found == SEVERAL || found == tag(address)
}

/// A recorded block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its address; 0 in a free place.
    pub address: u64,
    /// Bytes asked for.
    pub bytes: u64,
    /// The site that its weight was added to.
    pub site: u32,
    /// Its slot in the recording's table of large blocks, plus one; 0 for none.
    pub slot: u32,
    /// The moment at which it was allocated: at a later peak it was alive.
    pub born: u32,
    /// log2 of the sampling interval; 0 if recorded for certain.
    pub interval_log2: u8,
    /// [`COUNTED`], [`WATCHED`] and, above them, its [`Kind`].
    pub flags: u8,
    /// Forks that this process is away from the one where it all began, modulo 2^16: older blocks are inherited.
    pub generation: u16,
}

/// [`Entry::flags`]: its weight is in its site.
pub const COUNTED: u8 = 1;
/// [`Entry::flags`]: a code object at this address is in the cache of lines.
pub const WATCHED: u8 = 2;
/// Where its kind begins in the flags.
const KIND_SHIFT: u32 = 2;

/// [`Entry::flags`] for a kind.
#[inline]
pub fn of_kind(kind: Kind) -> u8 {
    (kind as u8) << KIND_SHIFT
}

/// What kind of memory a block with these flags is.
#[inline]
pub fn kind(flags: u8) -> Kind {
    Kind::from_code((flags >> KIND_SHIFT) as u32)
}

impl Entry {
    /// How it came to be recorded.
    pub fn chance(&self) -> Chance {
        match self.interval_log2 {
            0 => Chance::Certain,
            log2 => Chance::Interval(log2 as u32),
        }
    }
}

#[expect(unsafe_code, reason = "a marker")]
// SAFETY: integers.
unsafe impl Plain for Entry {}

/// There is no memory for another block.
#[derive(Debug, PartialEq, Eq)]
pub struct NoMemory;

/// The table of recorded blocks: open addressing with linear probing and deletion by shifting back. Blocks that share a byte of
/// the filter share their home place here, so that the filter can be kept exact. Where every block is recorded, the small ones are
/// in the shadow instead.
pub struct Live {
    entries: Array<Entry>,
    used: usize,
    every_block: bool,
    shadow: Shadow,
    generation: u16,
}

impl Live {
    /// A table without memory.
    pub const fn new() -> Self {
        Self {
            entries: Array::empty(),
            used: 0,
            every_block: false,
            shadow: Shadow::new(),
            generation: 0,
        }
    }

    /// Before the first insertion: every block will be recorded, so the filter has nothing to deny.
    pub fn expect_every_block(&mut self) {
        self.every_block = true;
        FILTER.iter().for_each(|byte| byte.store(SEVERAL, Relaxed));
    }

    /// In a forked child: nothing that is here is its own.
    pub fn after_fork(&mut self, generation: u16) {
        self.generation = generation;
        self.shadow.clear();
    }

    /// Blocks in the table.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.used
    }

    #[inline]
    fn home(&self, address: u64, mask: usize) -> usize {
        ((place(address) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24) as usize & mask
    }

    /// A block at this address will be inserted soon. The table of a large heap is in no cache.
    #[inline]
    pub fn expect(&self, address: u64) {
        let mask = self.entries.len().wrapping_sub(1);
        self.entries.expect(self.home(address, mask));
    }

    fn position(&self, address: u64) -> Option<usize> {
        self.find(address).ok()
    }

    /// Where the block at this address is, or would be.
    #[inline]
    fn find(&self, address: u64) -> Result<usize, usize> {
        let mask = self.entries.len().wrapping_sub(1);
        let mut at = self.home(address, mask);
        loop {
            match self.entries.get(at).map(|entry| entry.address) {
                None | Some(0) => return Err(at),
                Some(found) if found == address => return Ok(at),
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    /// Is a block of so many bytes at this address kept in the shadow?
    #[inline]
    pub fn has_shadow(&self, address: u64, bytes: u64) -> bool {
        self.every_block && shadow::has_place_for(address, bytes)
    }

    /// Adds a block that [`Live::has_shadow`], and gives what was known of its address. A watch stays.
    #[inline]
    pub fn insert_small(&mut self, address: u64, block: Word) -> Result<Word, NoMemory> {
        let word = self.shadow.word_or_new(address).ok_or(NoMemory)?;
        let watched = word.flags() & WATCHED;
        Ok(core::mem::replace(word, block.with(watched)))
    }

    /// Takes out what the shadow has at this address.
    #[inline]
    pub fn remove_small(&mut self, address: u64) -> Option<Word> {
        if !self.has_shadow(address, 0) {
            return None;
        }
        Some(core::mem::take(self.shadow.word(address)?)).filter(|word| *word != Word::default())
    }

    fn of_shadow(&self, address: u64, word: Word) -> Entry {
        Entry {
            address,
            bytes: word.bytes(),
            site: word.site(),
            flags: word.flags(),
            generation: self.generation,
            ..Entry::default()
        }
    }

    /// Adds a block, and gives what was known of its address if anything was; `Err` if there is no memory. A watch stays.
    #[inline]
    pub fn insert(&mut self, entry: Entry) -> Result<Option<Entry>, NoMemory> {
        if entry.slot == 0 && self.has_shadow(entry.address, entry.bytes) {
            let block = Word::new(entry.site, entry.bytes, entry.flags);
            let old = self.insert_small(entry.address, block)?;
            return Ok((old != Word::default()).then(|| self.of_shadow(entry.address, old)));
        }
        self.insert_sampled(entry)
    }

    fn insert_sampled(&mut self, mut entry: Entry) -> Result<Option<Entry>, NoMemory> {
        let mut at = match self.find(entry.address) {
            Ok(at) => {
                let Some(known) = self.entries.get_mut(at) else {
                    return Err(NoMemory);
                };
                entry.flags |= known.flags & WATCHED;
                return Ok(Some(core::mem::replace(known, entry)));
            }
            Err(free) => free,
        };
        if self.used * 2 >= self.entries.len() {
            if !self.grow() {
                return Err(NoMemory);
            }
            at = self.find(entry.address).unwrap_or_else(|free| free);
        }
        let Some(free) = self.entries.get_mut(at) else {
            return Err(NoMemory);
        };
        *free = entry;
        self.used += 1;
        if !self.every_block {
            let byte = &FILTER[place(entry.address)];
            let alone = byte.load(Relaxed) == 0;
            byte.store(if alone { tag(entry.address) } else { SEVERAL }, Relaxed);
        }
        Ok(None)
    }

    /// Makes sure that the free of a code object at this address is noticed; `false` if there is no memory to remember it.
    pub fn watch(&mut self, address: u64) -> bool {
        if self.has_shadow(address, 0)
            && let Some(word) = self.shadow.word_or_new(address)
        {
            *word = word.with(WATCHED);
            return true;
        }
        if let Some(at) = self.position(address)
            && let Some(known) = self.entries.get_mut(at)
        {
            known.flags |= WATCHED;
            return true;
        }
        let watched = Entry {
            address,
            flags: WATCHED,
            generation: self.generation,
            ..Entry::default()
        };
        self.insert_sampled(watched).is_ok()
    }

    fn grow(&mut self) -> bool {
        let Some(larger) = Array::zeroed((self.entries.len() * 2).max(FIRST_ENTRIES)) else {
            // Nine tenths full is slow, but right.
            return self.used * 10 < self.entries.len() * 9;
        };
        let smaller = core::mem::replace(&mut self.entries, larger);
        for entry in smaller.iter().filter(|entry| entry.address != 0) {
            self.put(*entry);
        }
        true
    }

    fn put(&mut self, entry: Entry) {
        let Some(mask) = self.entries.len().checked_sub(1) else {
            return;
        };
        let mut at = self.home(entry.address, mask);
        while let Some(found) = self.entries.get_mut(at) {
            if found.address == 0 {
                *found = entry;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// Takes the block at this address out.
    #[inline]
    pub fn remove(&mut self, address: u64) -> Option<Entry> {
        if let Some(word) = self.remove_small(address) {
            return Some(self.of_shadow(address, word));
        }
        self.remove_sampled(address)
    }

    fn remove_sampled(&mut self, address: u64) -> Option<Entry> {
        let mut hole = self.position(address)?;
        let mask = self.entries.len() - 1;
        let removed = *self.entries.get(hole)?;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let entry = *self.entries.get(at)?;
            if entry.address == 0 {
                break;
            }
            // An entry may move back into the hole unless its home lies cyclically in (hole, at].
            let from_home = at.wrapping_sub(self.home(entry.address, mask)) & mask;
            if from_home >= (at.wrapping_sub(hole) & mask) {
                *self.entries.get_mut(hole)? = entry;
                hole = at;
            }
        }
        *self.entries.get_mut(hole)? = Entry::default();
        self.used -= 1;
        self.refresh_filter(address);
        Some(removed)
    }

    fn refresh_filter(&self, removed: u64) {
        if self.every_block {
            return;
        }
        let byte = &FILTER[place(removed)];
        if byte.load(Relaxed) != SEVERAL {
            byte.store(0, Relaxed);
            return;
        }
        let Some(mask) = self.entries.len().checked_sub(1) else {
            return;
        };
        let mut at = self.home(removed, mask);
        let mut now = 0;
        while let Some(entry) = self.entries.get(at).filter(|entry| entry.address != 0) {
            if place(entry.address) == place(removed) {
                now = if now == 0 { tag(entry.address) } else { SEVERAL };
            }
            at = (at + 1) & mask;
        }
        byte.store(now, Relaxed);
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    /// The filter is one for the whole process.
    pub static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    proptest! {
        #[test]
        fn the_table_is_a_map_and_the_filter_never_denies_a_block(
            every_block: bool,
            steps in proptest::collection::vec((0u64..400, any::<bool>()), 1..2000),
        ) {
            let _one = ONE_AT_A_TIME.lock();
            let mut live = Live::new();
            if every_block {
                live.expect_every_block();
            }
            let mut model = BTreeMap::new();
            let address_of = |number: u64| 0x7000_0000_0000 + (number % 20) * 16 + ((number / 20) << (4 + FILTER_LOG2));
            for (number, insert) in steps {
                // Few places, so that many share a byte of the filter.
                let address = address_of(number);
                if insert && !model.contains_key(&address) {
                    let entry = Entry { address, bytes: number, flags: COUNTED, ..Entry::default() };
                    prop_assert_eq!(live.insert(entry), Ok(None));
                    model.insert(address, entry);
                } else if !insert {
                    prop_assert_eq!(live.remove(address), model.remove(&address));
                }
                prop_assert!(model.keys().all(|address| may_be_recorded(*address)));
                prop_assert!(every_block || live.len() == model.len());
            }
            for number in 0..400 {
                let address = address_of(number);
                prop_assert_eq!(live.remove(address), model.remove(&address));
                prop_assert!(every_block || !may_be_recorded(address) || live.len() > 0);
            }
            prop_assert_eq!(live.len(), 0);
            FILTER.iter().for_each(|byte| byte.store(0, Relaxed));
        }
    }
}
