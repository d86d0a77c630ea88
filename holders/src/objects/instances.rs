//! Instances of Python classes: attributes in a dict, in values beside the object, or in slots.

use crate::fast::Map;

use super::{Expansion, Objects};
use crate::dicts::Table;
use crate::reader::{Object, Reader};
use crate::types::TypeId;
use cpython::{Attributes, flag};

/// Slots of a class.
const MOST_SLOTS: u64 = 500;
/// Classes above it.
const MOST_BASES: usize = 16;
/// Bytes of a description of a slot.
const MEMBER_BYTES: u64 = 40;

/// The names of the slots of each class: from the beginning of an instance to where the name is.
#[derive(Default)]
pub struct Slots {
    by_type: Map<TypeId, Map<u64, u64>>,
}

impl Slots {
    /// Where the name of the slot is, as a C string.
    pub fn name(&mut self, reader: &mut Reader, id: TypeId, offset: u64) -> Option<u64> {
        let names = self
            .by_type
            .entry(id)
            .or_insert_with(|| slots(reader, id).unwrap_or_default());
        names.get(&offset).copied()
    }
}

/// The descriptions stand behind the type, one for each slot that the class itself has.
fn slots(reader: &mut Reader, id: TypeId) -> Option<Map<u64, u64>> {
    let mut names = Map::default();
    let mut id = id;
    for _base in 0..MOST_BASES {
        let about = reader.types.get(id);
        if !about.has(flag::HEAP) {
            break;
        }
        let address = about.address;
        let metatype = reader.object(address)?;
        let first = address + reader.type_of(metatype).basic_size;
        let count = reader.pages.word(address + 16)?;
        for index in 0..count.min(MOST_SLOTS) {
            let member = reader.pages.words(first.checked_add(index * MEMBER_BYTES)?, 3)?;
            names.insert(member[2], member[0]);
        }
        let base = reader.pages.word(address + cpython::TYPE_BASE)?;
        id = reader.types.at(&mut reader.pages, base)?;
    }
    Some(names)
}

impl Objects<'_> {
    /// What an instance has beyond what its kind knows.
    pub(super) fn expand_instance(&mut self, object: Object, most: usize, into: &mut Expansion) -> Option<()> {
        let about = self.reader.types.get(object.type_id);
        let (known, basic, flags) = (about.known_size, about.basic_size, about.flags);
        let dict_word = self.dict_word(object);
        if flags & flag::HEAP != 0 && basic > known {
            match dict_word.filter(|offset| (known..basic).contains(offset)) {
                // Slots before and behind the pointer to the dict.
                Some(offset) => {
                    self.scan_range(object, known, offset, into)?;
                    self.scan_range(object, offset + 8, basic, into)?;
                }
                None => self.scan_range(object, known, basic, into)?,
            }
        }
        if flags & flag::MANAGED_DICT != 0 {
            return self.expand_managed(object, most, into);
        }
        let dict = self.reader.pages.word(object.address.checked_add(dict_word?)?)?;
        match dict {
            0 => Some(()),
            dict => self.expand_attributes(dict, most, into),
        }
    }

    /// Where in the object the pointer to its dict is, if it is there and not before the object.
    fn dict_word(&mut self, object: Object) -> Option<u64> {
        let about = self.reader.types.get(object.type_id);
        let (offset, basic, item) = (about.dict_offset, about.basic_size, about.item_size);
        match offset {
            0 => None,
            1.. => u64::try_from(offset).ok(),
            _ if about.has(flag::MANAGED_DICT) => None,
            // From the end of an object of variable size.
            _ => {
                let items = self.item_count(object.address)?.checked_mul(item)?;
                let end = (basic.checked_add(items)?).checked_next_multiple_of(8)?;
                end.checked_add_signed(offset)
            }
        }
    }

    /// Attributes in values or in a dict that the interpreter has placed.
    fn expand_managed(&mut self, object: Object, most: usize, into: &mut Expansion) -> Option<()> {
        let about = self.reader.types.get(object.type_id);
        let (class, basic, has_inline) = (about.address, about.basic_size, about.has(flag::INLINE_VALUES));
        let dict = self.reader.pages.word(object.address.checked_sub(24)?)?;
        let (dict, values) = match self.reader.layout.objects.attributes {
            Attributes::Dict => return None,
            Attributes::Before => (dict, self.reader.pages.word(object.address.checked_sub(32)?)?),
            Attributes::Tagged if dict & 1 == 1 => (0, dict.checked_add(1)?),
            Attributes::Tagged => (dict, 0),
            Attributes::Inline if has_inline => {
                let values = object.address.checked_add(basic)?;
                let mut head = [0; 4];
                self.reader.pages.read(values, &mut head)?;
                let (capacity, is_valid) = (u64::from(head[0]), head[3] == 1);
                // A word for each attribute, a byte for the order in which they were set.
                into.bytes += 8 + capacity * 9;
                (dict, if is_valid { values } else { 0 })
            }
            Attributes::Inline => (dict, 0),
        };
        if dict != 0 {
            return self.expand_attributes(dict, most, into);
        }
        if values == 0 {
            return Some(());
        }
        let keys = self
            .reader
            .pages
            .word(class + u64::from(self.reader.layout.objects.shared_keys))?;
        let table = Table::of_keys(&mut self.reader, keys, Some(values))?;
        if table.entries > MOST_SLOTS {
            return None;
        }
        into.bytes += table.bytes;
        // Not all keys of the class are set in each instance: every one is looked at, so that none stands for others.
        let entries = (0..table.entries).filter_map(|index| table.entry(&mut self.reader, index));
        let set = entries.count() as u64;
        self.expand_table(&table, set, most, into);
        Some(())
    }
}
