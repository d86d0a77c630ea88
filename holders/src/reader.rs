//! Objects of another process: is there one at this address, how many references has it, what text is it.

use crate::memory::Pages;
use crate::types::{Kind, Type, TypeId, Types};
use cpython::Layout;

/// More references than this has no object; the number stands in memory that is no object, or is torn.
const MOST_REFERENCES: u64 = 1 << 40;
/// Characters of a name.
const LONGEST_TEXT: usize = 300;

/// An object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Where it is.
    pub address: u64,
    /// Its type.
    pub type_id: TypeId,
    /// How many references it has; `None` if it lives for ever.
    pub references: Option<u64>,
}

/// Reads objects.
pub struct Reader<'a> {
    /// The memory.
    pub pages: Pages<'a>,
    /// Where everything is.
    pub layout: &'static Layout,
    /// The types that were met.
    pub types: Types,
}

impl<'a> Reader<'a> {
    /// Of this memory.
    pub fn new(pages: Pages<'a>, layout: &'static Layout) -> Self {
        Self {
            pages,
            layout,
            types: Types::default(),
        }
    }

    /// The object at an address. Memory that is no object has no type there that is ready and is a type itself.
    pub fn object(&mut self, address: u64) -> Option<Object> {
        if address == 0 || !address.is_multiple_of(8) {
            return None;
        }
        let mut head = [0; 16];
        self.pages.read(address, &mut head)?;
        let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
        let references = self.references(word(0))?;
        let type_id = self.types.at(&mut self.pages, word(cpython::OBJECT_TYPE as usize))?;
        Some(Object {
            address,
            type_id,
            references,
        })
    }

    /// How many references a count means; `None` if no object has it.
    fn references(&self, word: u64) -> Option<Option<u64>> {
        if self.layout.objects.has_immortals {
            let count = word as u32;
            return match count as i32 {
                0 => None,
                1.. => Some(Some(u64::from(count))),
                _ => Some(None),
            };
        }
        (1..MOST_REFERENCES).contains(&word).then_some(Some(word))
    }

    /// The type of an object.
    pub fn type_of(&self, object: Object) -> &Type {
        self.types.get(object.type_id)
    }

    /// The kind of the object at an address.
    pub fn kind_at(&mut self, address: u64) -> Option<Kind> {
        let object = self.object(address)?;
        Some(self.type_of(object).kind)
    }

    /// Whether there is an object of a type with this name.
    pub fn is_a(&mut self, address: u64, type_name: &str) -> bool {
        let object = self.object(address);
        object.is_some_and(|object| self.type_of(object).name == type_name)
    }

    /// The text of a `str`, cut if it is long.
    pub fn text(&mut self, address: u64) -> Option<String> {
        if self.kind_at(address)? != Kind::Str {
            return None;
        }
        let length = self.pages.word(address + 16)?;
        let state = self.pages.half(address + 32)?;
        let (kind, is_compact, is_ascii) = (state >> 2 & 7, state & 0x20 != 0, state & 0x40 != 0);
        if !is_compact {
            return None;
        }
        let header = match is_ascii {
            true => self.layout.objects.ascii_header,
            false => self.layout.objects.unicode_header,
        };
        let width = match kind {
            1 | 2 | 4 => kind as usize,
            _ => return None,
        };
        let count = usize::try_from(length).ok()?.min(LONGEST_TEXT);
        let mut bytes = vec![0; count * width];
        self.pages.read(address + u64::from(header), &mut bytes)?;
        let characters = bytes.chunks_exact(width).map(|bytes| {
            let mut word = [0; 4];
            word[..width].copy_from_slice(bytes);
            char::from_u32(u32::from_le_bytes(word)).unwrap_or(char::REPLACEMENT_CHARACTER)
        });
        Some(characters.collect())
    }

    /// The items of a tuple, at most `most` of them.
    pub fn tuple(&mut self, address: u64, most: usize) -> Option<Vec<u64>> {
        if self.kind_at(address)? != Kind::Tuple {
            return None;
        }
        let count = self.pages.word(address + cpython::OBJECT_SIZE)?;
        let count = usize::try_from(count).ok()?.min(most);
        self.pages
            .words(address + u64::from(self.layout.objects.tuple_items), count)
    }
}
