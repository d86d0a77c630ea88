//! The recorded blocks that are alive, and the filter that tells a free in a few instructions that its block is not one of them.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use recording::Kind;

use crate::sampler::Chance;
use crate::shadow::{self, Shadow, Word};

use table::Table;

mod table;

/// log2 of the filter's bytes. Blocks are 16-byte aligned, so the filter covers 8 MiB of neighbouring heap before it repeats.
const FILTER_LOG2: u32 = 19;
const FILTER_BYTES: usize = 1 << FILTER_LOG2;
/// A filter byte that stands for more than one block.
const SEVERAL: u8 = 255;
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

/// Might there be a recorded block at this address? The address reaches the freeing thread only after the filter store, so
/// Relaxed cannot miss it.
#[inline(always)]
pub fn may_be_recorded(address: u64) -> bool {
    FILTER[place(address)].load(Relaxed) != 0 && has_tag(address)
}

/// Whether the filter has the tag of this address, or stands for several blocks.
#[cold]
#[inline(never)]
fn has_tag(address: u64) -> bool {
    let found = FILTER[place(address)].load(Relaxed);
    found == SEVERAL || found == tag(address)
}

/// A recorded block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its address.
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
    /// Forks between the first process and the one that allocated it, modulo 2^16. A block of another generation is inherited.
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

/// There is no memory for another block.
#[derive(Debug, PartialEq, Eq)]
pub struct NoMemory;

/// What is alive of what is recorded. If every block is recorded, the small ones are in the shadow and the others in the table.
pub struct Live {
    table: Table,
    every_block: bool,
    shadow: Shadow,
    generation: u16,
}

impl Live {
    /// Nothing, and no memory for anything.
    pub const fn new() -> Self {
        Self {
            table: Table::new(),
            every_block: false,
            shadow: Shadow::new(),
            generation: 0,
        }
    }

    /// Every block will be recorded, so the filter excludes none. To be called before the first insertion.
    pub fn expect_every_block(&mut self) {
        self.every_block = true;
        FILTER.iter().for_each(|byte| byte.store(SEVERAL, Relaxed));
    }

    /// In a forked child: all that is here was allocated by the parent.
    pub fn after_fork(&mut self, generation: u16) {
        self.generation = generation;
        self.shadow.clear();
    }

    /// A block at this address will be inserted soon: prefetches its place, since the table of a large heap is in no cache.
    #[inline]
    pub fn expect(&self, address: u64) {
        self.table.expect(address);
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

    #[inline]
    fn insert_sampled(&mut self, entry: Entry) -> Result<Option<Entry>, NoMemory> {
        let known = self.table.insert(&entry)?;
        if known.is_none() && !self.every_block {
            let byte = &FILTER[place(entry.address)];
            let alone = byte.load(Relaxed) == 0;
            byte.store(if alone { tag(entry.address) } else { SEVERAL }, Relaxed);
        }
        Ok(known)
    }

    /// Makes sure that the free of a code object at this address is noticed; `false` if there is no memory to remember it.
    pub fn watch(&mut self, address: u64) -> bool {
        if self.has_shadow(address, 0)
            && let Some(word) = self.shadow.word_or_new(address)
        {
            *word = word.with(WATCHED);
            return true;
        }
        let unknown = Entry {
            address,
            generation: self.generation,
            ..Entry::default()
        };
        let mut watched = self.table.get(address).unwrap_or(unknown);
        watched.flags |= WATCHED;
        self.insert_sampled(watched).is_ok()
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
        let removed = self.table.remove(address)?;
        if !self.every_block {
            self.refresh_filter(address);
        }
        Some(removed)
    }

    fn refresh_filter(&self, removed: u64) {
        let byte = &FILTER[place(removed)];
        if byte.load(Relaxed) != SEVERAL {
            byte.store(0, Relaxed);
            return;
        }
        let mut sharing = self.table.sharing(removed);
        let now = match (sharing.next(), sharing.next()) {
            (None, _) => 0,
            (Some(only), None) => tag(only),
            (Some(_), Some(_)) => SEVERAL,
        };
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
                prop_assert!(every_block || live.table.len() == model.len());
            }
            for number in 0..400 {
                let address = address_of(number);
                prop_assert_eq!(live.remove(address), model.remove(&address));
                prop_assert!(every_block || !may_be_recorded(address) || live.table.len() > 0);
            }
            prop_assert_eq!(live.table.len(), 0);
            FILTER.iter().for_each(|byte| byte.store(0, Relaxed));
        }
    }
}
