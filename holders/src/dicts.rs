//! The table of a dict: where its keys and values are, and how large it is.

use crate::blocks;
use crate::reader::Reader;

/// The largest table that is taken for one.
const LARGEST_LOG: u32 = 40;

/// A dict's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Where its keys begin.
    pub address: u64,
    /// How many entries were made, including those that were removed.
    pub entries: u64,
    /// Where the first is.
    first: u64,
    /// Bytes from one to the next.
    stride: u64,
    /// Entry to its key.
    key: u64,
    /// Where the values are, if they stand apart.
    values: Option<u64>,
    /// Bytes of the keys and of the values that are the dict's own.
    pub bytes: u64,
}

impl Table {
    /// Of the dict at this address.
    pub fn of_dict(reader: &mut Reader, dict: u64) -> Option<Self> {
        let words = reader.pages.words(dict.checked_add(32)?, 2)?;
        Self::of_keys(reader, words[0], (words[1] != 0).then_some(words[1]))
    }

    /// Of these keys, with values apart from them.
    pub fn of_keys(reader: &mut Reader, keys: u64, values: Option<u64>) -> Option<Self> {
        let layout = &reader.layout.objects;
        let header = u64::from(layout.keys_header);
        let values_header = u64::from(layout.values_header);
        let (size, index_bytes, stride, key, entries);
        if layout.keys_are_compact {
            let mut head = [0; 32];
            reader.pages.read(keys, &mut head)?;
            let (log_size, log_index_bytes) = (u32::from(head[8]), u32::from(head[9]));
            if log_size > LARGEST_LOG || log_index_bytes > LARGEST_LOG + 3 {
                return None;
            }
            size = 1 << log_size;
            index_bytes = 1 << log_index_bytes;
            (stride, key) = match head[10] {
                0 => (24, 8),
                1 | 2 => (16, 0),
                _ => return None,
            };
            entries = u64::from_le_bytes(head[24..32].try_into().ok()?);
        } else {
            let words = reader.pages.words(keys, 5)?;
            size = words[1];
            entries = words[4];
            if !size.is_power_of_two() || size > 1 << LARGEST_LOG {
                return None;
            }
            index_bytes = size
                * match size {
                    0..=0xff => 1,
                    0x100..=0xffff => 2,
                    0x1_0000..=0xffff_ffff => 4,
                    _ => 8,
                };
            (stride, key) = (24, 8);
        }
        if entries > size {
            return None;
        }
        let usable = size * 2 / 3;
        if !reader.pages.has(keys, header + index_bytes + entries * stride) {
            return None;
        }
        let keys_bytes = header + index_bytes + usable * stride;
        // Values that lie in an instance say so, and are counted with it.
        let is_embedded = |reader: &mut Reader, values: u64| {
            values_header > 0 && reader.pages.byte(values.wrapping_add(2)).is_none_or(|byte| byte == 1)
        };
        let bytes = match values {
            Some(values) if is_embedded(reader, values) => 0,
            // Keys that instances share belong to their type. How many values there are depends on when they were made.
            Some(values) => match blocks::small(reader, values) {
                Some((_, bytes)) => bytes,
                None => values_header + usable * 8,
            },
            // The keys of all empty dicts are the same.
            None if size == 1 => 0,
            None => keys_bytes,
        };
        Some(Self {
            address: keys,
            entries,
            first: keys.checked_add(header + index_bytes)?,
            stride,
            key,
            values: match values {
                Some(values) => Some(values.checked_add(values_header)?),
                None => None,
            },
            bytes,
        })
    }

    /// Reads what these entries need, together.
    pub fn prefetch(&self, reader: &mut Reader, entries: impl Iterator<Item = u64> + Clone) {
        let key = entries
            .clone()
            .map(|index| self.first.wrapping_add(index.wrapping_mul(self.stride)));
        match self.values {
            Some(values) => {
                let value = entries.map(|index| values.wrapping_add(index.wrapping_mul(8)));
                reader.pages.prefetch(key.chain(value));
            }
            None => reader.pages.prefetch(key),
        }
    }

    /// Key and value of the entry; `None` where it was removed.
    pub fn entry(&self, reader: &mut Reader, index: u64) -> Option<(u64, u64)> {
        let entry = self.first.checked_add(index.checked_mul(self.stride)?)?;
        let words = reader.pages.words(entry + self.key, 2)?;
        let value = match self.values {
            Some(values) => reader.pages.word(values.checked_add(index * 8)?)?,
            None => words[1],
        };
        (words[0] != 0 && value != 0).then_some((words[0], value))
    }

    /// Whether the keys are those of the dict alone.
    pub fn owns_keys(&self) -> bool {
        self.values.is_none()
    }

    /// The value whose key is this text, among the first entries.
    pub fn find(&self, reader: &mut Reader, name: &str) -> Option<u64> {
        (0..self.entries.min(10_000)).find_map(|index| {
            let (key, value) = self.entry(reader, index)?;
            (reader.text(key)? == name).then_some(value)
        })
    }
}
