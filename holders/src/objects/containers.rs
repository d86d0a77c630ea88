//! Objects of built-in types and of numpy, whose structure is known.

use super::{ATTRIBUTES, Expansion, Objects, Reference, Step};
use crate::dicts::Table;
use crate::frames::{self, Frame};
use crate::memory::AT_A_TIME;
use crate::types::Kind;

/// Items of a block of a deque, and the bytes of the block.
const DEQUE_ITEMS: u64 = 64;
const DEQUE_BYTES: u64 = (DEQUE_ITEMS + 2) * 8;
/// Blocks of a deque that are followed from either end.
const MOST_DEQUE_BLOCKS: usize = 128;
/// numpy: the array has its data for itself.
const OWNS_DATA: u32 = 4;
/// numpy: the array's items are references.
const OF_OBJECTS: u32 = 17;
/// numpy: the most dimensions.
const MOST_DIMENSIONS: u32 = 64;

/// How many items are looked at: of a small container all, since it may be a record, whose items are not alike.
fn at_least_a_record(count: u64, most: usize) -> usize {
    const RECORD: usize = 12;
    match count <= RECORD as u64 {
        true => RECORD,
        false => most,
    }
}

impl Objects<'_> {
    pub(super) fn expand_sequence(
        &mut self,
        kind: Kind,
        address: u64,
        most: usize,
        into: &mut Expansion,
    ) -> Option<()> {
        let count = self.item_count(address)?;
        match kind {
            Kind::List => {
                let words = self.reader.pages.words(address + 24, 2)?;
                into.bytes += self.block_bytes(words[0], words[1].checked_mul(8)?);
                into.length = Some(count);
                self.items(words[0], count, most, into)
            }
            Kind::Tuple => {
                into.length = Some(count);
                let first = address + u64::from(self.reader.layout.objects.tuple_items);
                self.items(first, count, most, into)
            }
            Kind::Set => self.expand_set(address, most, into),
            _ => self.expand_deque(address, count, most, into),
        }
    }

    /// References in an array of pointers.
    fn items(&mut self, first: u64, count: u64, most: usize, into: &mut Expansion) -> Option<()> {
        if !self.reader.pages.has(first, count.checked_mul(8)?) {
            return None;
        }
        let chosen = self.chance.choose(count, at_least_a_record(count, most));
        let weight = count as f64 / chosen.len().max(1) as f64;
        for some in chosen.chunks(AT_A_TIME) {
            let addresses = some.iter().map(|index| first.wrapping_add(index * 8));
            self.reader.pages.prefetch(addresses);
            for index in some {
                let item = self.reader.pages.word(first.checked_add(index * 8)?)?;
                into.references.push(Reference::sampled(item, Step::Item, weight));
            }
        }
        Some(())
    }

    fn expand_set(&mut self, address: u64, most: usize, into: &mut Expansion) -> Option<()> {
        let words = self.reader.pages.words(address + 24, 3)?;
        let (used, slots, table) = (words[0], words[1].checked_add(1)?, words[2]);
        if used > slots || slots > 1 << 40 || !self.reader.pages.has(table, slots * 16) {
            return None;
        }
        if table != address + 64 {
            into.bytes += self.block_bytes(table, slots * 16);
        }
        into.length = Some(used);
        let chosen = self.chance.choose(slots, most.saturating_mul(2));
        let mut found = Vec::new();
        for some in chosen.chunks(AT_A_TIME) {
            let addresses = some.iter().map(|slot| table.wrapping_add(slot * 16));
            self.reader.pages.prefetch(addresses);
            for slot in some {
                // The hash of what was removed is -1; that of an object never is.
                let entry = self.reader.pages.words(table.checked_add(slot * 16)?, 2)?;
                if entry[0] != 0 && entry[1] != u64::MAX {
                    found.push(entry[0]);
                }
            }
        }
        let weight = used as f64 / found.len().max(1) as f64;
        let references = found.iter().map(|key| Reference::sampled(*key, Step::Item, weight));
        into.references.extend(references);
        Some(())
    }

    fn expand_deque(&mut self, address: u64, count: u64, most: usize, into: &mut Expansion) -> Option<()> {
        let words = self.reader.pages.words(address + 24, 3)?;
        let (left, right, first) = (words[0], words[1], words[2]);
        if first >= DEQUE_ITEMS {
            return None;
        }
        let blocks = (first + count).div_ceil(DEQUE_ITEMS).max(1);
        // Any number may stand where no deque is; memory for that many is not there.
        if blocks * DEQUE_BYTES > self.reader.pages.writable_bytes() {
            return None;
        }
        into.bytes += blocks * DEQUE_BYTES;
        into.length = Some(count);
        // Blocks can only be followed one by one: of a long deque, both ends stand for all.
        let reached = (blocks as usize).min(2 * MOST_DEQUE_BLOCKS);
        let from_left = reached.div_ceil(2);
        let mut found = self.deque_blocks(left, from_left, 65 * 8);
        let from_right = self.deque_blocks(right, reached - from_left, 0);
        let skipped = blocks - reached as u64;
        let in_front = found.len() as u64;
        found.extend(from_right.iter().rev());
        let position = |at: u64| match at / DEQUE_ITEMS < in_front {
            true => at,
            false => at + skipped * DEQUE_ITEMS,
        };
        let all = found.len() as u64 * DEQUE_ITEMS;
        let slots = self.chance.choose(all.min(first + count), most);
        let mut references = Vec::new();
        for slot in slots {
            let at = position(slot);
            if at < first || at >= first + count {
                continue;
            }
            let block = found[(slot / DEQUE_ITEMS) as usize];
            references.push(self.reader.pages.word(block + 8 + slot % DEQUE_ITEMS * 8)?);
        }
        let weight = count as f64 / references.len().max(1) as f64;
        let references = references
            .iter()
            .map(|item| Reference::sampled(*item, Step::Item, weight));
        into.references.extend(references);
        Some(())
    }

    /// Up to `most` blocks, from one by the link at `link`.
    fn deque_blocks(&mut self, from: u64, most: usize, link: u64) -> Vec<u64> {
        let mut blocks = Vec::new();
        let mut at = from;
        while blocks.len() < most && at != 0 {
            let Some(next) = at.checked_add(link).and_then(|at| self.reader.pages.word(at)) else {
                break;
            };
            blocks.push(at);
            at = next;
        }
        blocks
    }

    pub(super) fn expand_dict(&mut self, kind: Kind, address: u64, most: usize, into: &mut Expansion) -> Option<()> {
        /// A node of an ordered dict; each has a reference to its key.
        const NODE_BYTES: u64 = 32;
        let used = self.reader.pages.word(address + 16)?;
        let table = Table::of_dict(&mut self.reader, address)?;
        into.bytes += table.bytes;
        self.note_site(table.address, table.bytes);
        into.length = Some(used);
        let is_ordered = kind == Kind::OrderedDict;
        if is_ordered {
            let words = self.reader.pages.words(address + 64, 2)?;
            into.bytes += self.block_bytes(words[0], words[1].checked_mul(8)?) + used.min(table.entries) * NODE_BYTES;
        }
        let entries = self.entries(&table, used, most);
        for (key, value, weight) in entries {
            let mut of_key = Reference::sampled(key, Step::Key, weight);
            of_key.count += u8::from(is_ordered);
            into.references.push(of_key);
            into.references.push(Reference::sampled(value, Step::Value, weight));
        }
        Some(())
    }

    /// Keys, values and what each stands for, of `used` entries of a table.
    fn entries(&mut self, table: &Table, used: u64, most: usize) -> Vec<(u64, u64, f64)> {
        if used > table.entries {
            return Vec::new();
        }
        let mut entries = Vec::new();
        let most = at_least_a_record(table.entries, most);
        for some in self.chance.choose(table.entries, most).chunks(AT_A_TIME) {
            table.prefetch(&mut self.reader, some.iter().copied());
            entries.extend(some.iter().filter_map(|index| table.entry(&mut self.reader, *index)));
        }
        let weight = used as f64 / entries.len().max(1) as f64;
        let entries = entries.into_iter().map(|(key, value)| (key, value, weight));
        entries.collect()
    }

    /// The attributes that a dict has, with their names.
    pub(super) fn expand_attributes(&mut self, dict: u64, most: usize, into: &mut Expansion) -> Option<()> {
        let object = self.reader.object(dict)?;
        if self.kind(object.type_id) != Kind::Dict || object.references != Some(1) {
            // Somebody else has the dict, too.
            into.references.push(Reference::one(dict, Step::Named("__dict__")));
            return Some(());
        }
        let used = self.reader.pages.word(dict + 16)?;
        let table = Table::of_dict(&mut self.reader, dict)?;
        into.bytes += self.fixed_bytes(object) + table.bytes;
        self.expand_table(&table, used, most, into);
        Some(())
    }

    /// The attributes in a table, with their names.
    pub(super) fn expand_table(&mut self, table: &Table, used: u64, most: usize, into: &mut Expansion) {
        for (name, value, weight) in self.entries(table, used, most) {
            if table.owns_keys() {
                into.references.push(Reference::sampled(name, Step::Key, weight));
            }
            into.references
                .push(Reference::sampled(value, Step::Attribute(name), weight));
        }
    }

    pub(super) fn expand_array(&mut self, address: u64, most: usize, into: &mut Expansion) -> Option<()> {
        let words = self.reader.pages.words(address + 16, 7)?;
        let (data, dimensions, shape, strides) = (words[0], words[1] as u32, words[2], words[3]);
        let (base, about, flags) = (words[4], words[5], words[6] as u32);
        if base != 0 {
            into.references.push(Reference::one(base, Step::Named("base")));
        }
        if flags & OWNS_DATA == 0 || dimensions > MOST_DIMENSIONS {
            return Some(());
        }
        let shape = self.reader.pages.words(shape, dimensions as usize)?;
        let strides = self.reader.pages.words(strides, dimensions as usize)?;
        let extents = shape.iter().zip(&strides);
        let extents = extents.map(|(count, stride)| count.checked_mul((*stride as i64).unsigned_abs()));
        let bytes = match shape.contains(&0) {
            true => 0,
            false => extents.collect::<Option<Vec<_>>>()?.into_iter().max().unwrap_or(8),
        };
        let bytes = self.block_bytes(data, bytes);
        into.bytes += bytes + 16 * u64::from(dimensions);
        into.length = shape.iter().try_fold(1u64, |count, more| count.checked_mul(*more));
        if self.reader.pages.half(about.checked_add(28)?)? == OF_OBJECTS {
            self.items(data, bytes / 8, most, into)?;
        }
        Some(())
    }

    pub(super) fn expand_function(&mut self, address: u64, into: &mut Expansion) -> Option<()> {
        let layout = &self.reader.layout.objects;
        let (closure, defaults, dict) = (layout.function_closure, layout.function_defaults, layout.function_dict);
        let word = |this: &mut Self, offset: u16| this.reader.pages.word(address + u64::from(offset));
        for (offset, name) in [(closure, "closure"), (defaults, "defaults"), (defaults + 8, "defaults")] {
            let value = word(self, offset)?;
            if value != 0 {
                into.references.push(Reference::one(value, Step::Named(name)));
            }
        }
        match word(self, dict)? {
            0 => Some(()),
            dict => self.expand_attributes(dict, ATTRIBUTES, into),
        }
    }

    pub(super) fn expand_generator(&mut self, address: u64, into: &mut Expansion) -> Option<()> {
        if self.reader.layout.frames.frame_object.is_none() {
            let frame = self
                .reader
                .pages
                .word(address + u64::from(self.reader.layout.frames.generator))?;
            into.references.push(Reference::one(frame, Step::Named("frame")));
            return Some(());
        }
        let frame = frames::of_generator(&mut self.reader, address)?;
        self.expand_frame(frame, into)
    }

    pub(super) fn expand_frame_object(&mut self, address: u64, into: &mut Expansion) -> Option<()> {
        let offsets = &self.reader.layout.frames;
        let back = match offsets.frame_object {
            // The caller's frame object.
            Some(_) => 16,
            None => offsets.back,
        };
        if self.running.contains(&address) {
            return Some(());
        }
        let back = self.reader.pages.word(address + u64::from(back))?;
        if back != 0 {
            into.references.push(Reference::one(back, Step::Named("caller")));
        }
        let frame = frames::of_frame_object(&mut self.reader, address)?;
        self.expand_frame(frame, into)
    }

    fn expand_frame(&mut self, frame: Frame, into: &mut Expansion) -> Option<()> {
        if self.running.contains(&frame.address) {
            return Some(());
        }
        let variables = frames::variables(&mut self.reader, frame, &mut self.names)?;
        let locals = variables.locals.into_iter();
        let locals = locals.map(|(name, value)| Reference::one(value, Step::Variable(name)));
        let temporaries = variables.temporaries.into_iter().filter(|value| *value != 0);
        let temporaries = temporaries.map(|value| Reference::one(value, Step::Named("temporary value")));
        into.references.extend(locals.chain(temporaries));
        Some(())
    }
}
