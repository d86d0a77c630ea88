//! An object's own memory, and what it refers to.
//!
//! Sizes are those that were asked for: that of the object itself with what stands before it for the garbage collector, and that of
//! the blocks that it alone has: a list's items, a dict's table, an array's data.

mod claims;
mod containers;
mod instances;
mod native;

use crate::fast::Set;

pub use claims::{Claim, Owners};

use crate::blocks::{self, Blocks};
use crate::chance::Chance;
use crate::frames::Names;
use crate::reader::{Object, Reader};
use crate::types::{Kind, TypeId};
use cpython::flag;

/// The most of an object that is searched.
const MOST_BYTES: u64 = 1 << 13;
/// A smaller block is never recorded one by one.
const SMALLEST_RECORDED: u64 = 1 << 10;
/// So many attributes are always looked at: a few of them are not like the others.
const ATTRIBUTES: usize = 64;

/// How an object refers to another: what a path is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// An item of a sequence or a set.
    Item,
    /// A value of a dict.
    Value,
    /// A key of a dict.
    Key,
    /// An attribute; where the `str` with its name is.
    Attribute(u64),
    /// An attribute in a slot; where the C string with its name is.
    Slot(u64),
    /// A variable of a suspended function or of a frame; where the `str` with its name is.
    Variable(u64),
    /// A reference with a name that we give it.
    Named(&'static str),
    /// A reference that was found by search.
    Found,
}

/// A reference from an object to another.
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    /// The other.
    pub address: u64,
    /// How it is reached.
    pub step: Step,
    /// How many like it this one stands for: 1 if all are here.
    pub weight: f64,
    /// How many references of the other's count it is: 2 for the key of an ordered dict.
    pub count: u8,
}

impl Reference {
    /// The only one of its kind.
    pub fn one(address: u64, step: Step) -> Self {
        Self::sampled(address, step, 1.0)
    }

    /// One that stands for so many.
    pub fn sampled(address: u64, step: Step, weight: f64) -> Self {
        Self {
            address,
            step,
            weight,
            count: 1,
        }
    }
}

/// What was found in an object.
#[derive(Clone, Debug, Default)]
pub struct Expansion {
    /// Bytes of its own.
    pub bytes: u64,
    /// What it refers to.
    pub references: Vec<Reference>,
    /// How many items a container has.
    pub length: Option<u64>,
    /// Blocks behind pointers of an unknown type.
    pub claims: Vec<Claim>,
    /// Who allocated the largest of its recorded blocks, and how large that is.
    pub site: Option<(u32, u64)>,
}

/// Reads objects' memory and references.
pub struct Objects<'a> {
    /// Reads single objects.
    pub reader: Reader<'a>,
    /// Names of local variables.
    pub names: Names,
    /// Frames of functions that run: their variables belong to no object.
    pub running: Set<u64>,
    /// The dicts of modules: what is in them is looked at from there, whoever else refers to them.
    pub modules: Set<u64>,
    /// Which items of a container are looked at.
    pub chance: Chance,
    /// Blocks that somebody has recorded.
    pub blocks: Option<&'a dyn Blocks>,
    /// Of the object that is read: the place that allocated the largest of its recorded blocks, and its bytes.
    site: Option<(u32, u64)>,
    slots: instances::Slots,
    /// Who has which block.
    pub owners: Owners,
    /// How many blocks of native code were read.
    native_blocks: usize,
}

impl<'a> Objects<'a> {
    /// With this seed, for the same choice of items each time.
    pub fn new(reader: Reader<'a>, seed: u64, blocks: Option<&'a dyn Blocks>) -> Self {
        Self {
            reader,
            names: Names::default(),
            running: Set::default(),
            modules: Set::default(),
            chance: Chance::new(seed),
            blocks,
            site: None,
            slots: instances::Slots::default(),
            owners: Owners::default(),
            native_blocks: 0,
        }
    }

    /// The object at an address.
    pub fn object(&mut self, address: u64) -> Option<Object> {
        self.reader.object(address)
    }

    /// How objects of this type are read.
    pub fn kind(&self, id: TypeId) -> Kind {
        self.reader.types.get(id).kind
    }

    /// How many items a list, tuple or dict says it has, from the memory that its type is in too.
    pub fn likely_length(&mut self, object: Object) -> u64 {
        match self.kind(object.type_id) {
            Kind::List | Kind::Tuple | Kind::Dict | Kind::OrderedDict => {
                self.reader.pages.word(object.address + 16).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Reads what these objects have beside themselves, together: the items of a list, the table of a dict.
    pub fn prefetch(&mut self, objects: impl Iterator<Item = Object>) {
        let layout = &self.reader.layout.objects;
        let (closure, dict) = (layout.function_closure, layout.function_dict);
        let attributes = if self.reader.layout.version < (3, 12) { 32 } else { 24 };
        let mut blocks = Vec::new();
        for object in objects {
            let after = |offset: u16| object.address.wrapping_add(u64::from(offset));
            let at = match self.kind(object.type_id) {
                Kind::List | Kind::MemoryView => [after(24), 0],
                Kind::Dict | Kind::OrderedDict => [after(32), 0],
                Kind::Set => [after(40), 0],
                Kind::Function => [after(closure), after(dict)],
                Kind::Instance => [object.address.wrapping_sub(attributes), 0],
                _ => continue,
            };
            blocks.extend(
                at.iter()
                    .filter(|at| **at != 0)
                    .filter_map(|at| self.reader.pages.word(*at)),
            );
        }
        self.reader.pages.prefetch(blocks.into_iter());
    }

    /// Its memory and what it refers to. Of a container with more than `most` items, that many are chosen at random.
    pub fn expand(&mut self, object: Object, most: usize) -> Expansion {
        self.site = None;
        let mut expansion = Expansion {
            bytes: self.fixed_bytes(object),
            ..Expansion::default()
        };
        // What cannot be read has no references.
        let _ = self.expand_kind(object, most.max(1), &mut expansion);
        let most_bytes = self.reader.pages.writable_bytes();
        if expansion.bytes > most_bytes {
            // There is not so much memory: what was read has changed meanwhile.
            return Expansion::default();
        }
        expansion.site = self.site.take();
        expansion
    }

    fn expand_kind(&mut self, object: Object, most: usize, into: &mut Expansion) -> Option<()> {
        let address = object.address;
        let kind = self.kind(object.type_id);
        match kind {
            Kind::Leaf => {}
            Kind::Int => {
                if self.reader.layout.objects.has_tagged_ints {
                    let digits = self.reader.pages.word(address + 16)? >> 3;
                    into.bytes += self.block_bytes(address, digits.checked_mul(4)?);
                }
            }
            Kind::Str => {
                // The type's size is that of a text which stands apart.
                let basic = u64::from(self.reader.layout.objects.unicode_header) + 8;
                let bytes = self.text_bytes(address, basic)?;
                if bytes > self.reader.pages.writable_bytes() {
                    return None;
                }
                into.bytes = into.bytes.saturating_add(bytes).saturating_sub(basic);
                self.note_site(address, bytes);
            }
            Kind::ByteArray => {
                let words = self.reader.pages.words(address + 24, 2)?;
                into.bytes += self.block_bytes(words[1], words[0]);
            }
            Kind::Mmap => {
                let words = self.reader.pages.words(address + 16, 2)?;
                into.bytes += self.block_bytes(words[0], words[1]);
            }
            Kind::Array => {
                let words = self.reader.pages.words(address + 24, 3)?;
                let item = self.reader.pages.half(words[2].checked_add(4)?)?;
                into.bytes += self.block_bytes(words[0], words[1].checked_mul(u64::from(item))?);
            }
            Kind::List | Kind::Tuple | Kind::Set | Kind::Deque => self.expand_sequence(kind, address, most, into)?,
            Kind::Dict | Kind::OrderedDict => self.expand_dict(kind, address, most, into)?,
            Kind::NdArray => self.expand_array(address, most, into)?,
            Kind::MemoryView => {
                let buffer = self.reader.pages.word(address + 24)?;
                into.references.push(Reference::one(buffer, Step::Named("buffer")));
            }
            Kind::ManagedBuffer => {
                let owner = self.reader.pages.word(address + 40)?;
                into.references.push(Reference::one(owner, Step::Named("base")));
            }
            Kind::Function => self.expand_function(address, into)?,
            Kind::Generator => self.expand_generator(address, into)?,
            Kind::Frame => self.expand_frame_object(address, into)?,
            Kind::Scan => self.scan(object, 16, into)?,
            Kind::Instance => {}
        }
        if !matches!(kind, Kind::Scan | Kind::Leaf | Kind::Function) || self.is_subclass(object) {
            self.expand_instance(object, most.max(ATTRIBUTES), into)?;
        }
        Some(())
    }

    /// The size of a block that an object has, or 0 if there is not so much memory at that address.
    fn block_bytes(&mut self, address: u64, bytes: u64) -> u64 {
        if !self.reader.pages.has(address, bytes) {
            return 0;
        }
        self.note_site(address, bytes);
        self.owners.own(address, bytes);
        bytes
    }

    /// Notes who allocated the block that these bytes are in.
    fn note_site(&mut self, address: u64, bytes: u64) {
        if bytes < SMALLEST_RECORDED || self.site.is_some_and(|(_, largest)| largest >= bytes) {
            return;
        }
        let site = self.blocks.and_then(|blocks| blocks.site(address));
        self.site = site.map(|site| (site, bytes)).or(self.site);
    }

    /// Whether the object's type has more than its kind knows.
    fn is_subclass(&self, object: Object) -> bool {
        let about = self.reader.type_of(object);
        about.has(flag::HEAP) && (about.basic_size > about.known_size || about.has(flag::MANAGED_DICT))
    }

    /// Bytes of the object by its type, with what stands before it.
    fn fixed_bytes(&mut self, object: Object) -> u64 {
        let about = self.reader.types.get(object.type_id);
        let (basic, item, flags, kind) = (about.basic_size, about.item_size, about.flags, about.kind);
        // Where frames are no objects of their own, the number of items of these means something else.
        let holds_frame = matches!(kind, Kind::Generator | Kind::Frame);
        let has_items = item > 0 && !(holds_frame && self.reader.layout.frames.frame_object.is_some());
        let is_tagged = kind == Kind::Int && self.reader.layout.objects.has_tagged_ints;
        let items = match has_items && !is_tagged {
            true => self.item_count(object.address).unwrap_or(0),
            false => 0,
        };
        let mut before = 0;
        if flags & flag::COLLECTED != 0 {
            before += u64::from(self.reader.layout.objects.collector_header);
        }
        let has_word_before = flags & (flag::MANAGED_DICT | flag::MANAGED_WEAKREF) != 0;
        if has_word_before && self.reader.layout.version >= (3, 11) {
            before += 16;
        }
        let bytes = items.saturating_mul(item).saturating_add(basic);
        before + self.block_bytes(object.address, bytes)
    }

    /// The number of items that an object of variable size has; the sign is not part of it.
    fn item_count(&mut self, address: u64) -> Option<u64> {
        let count = self.reader.pages.word(address + 16)? as i64;
        Some(count.unsigned_abs()).filter(|count| *count <= self.reader.pages.writable_bytes())
    }

    /// Bytes of a `str`, whose object has `basic` bytes if its characters stand apart.
    fn text_bytes(&mut self, address: u64, basic: u64) -> Option<u64> {
        let layout = &self.reader.layout.objects;
        let (ascii, unicode) = (u64::from(layout.ascii_header), u64::from(layout.unicode_header));
        let length = self.reader.pages.word(address + 16)?;
        let state = self.reader.pages.half(address + 32)?;
        let (width, is_compact, is_ascii) = (u64::from(state >> 2 & 7), state & 0x20 != 0, state & 0x40 != 0);
        let text = length.checked_add(1)?.checked_mul(width.max(1))?;
        if is_compact && is_ascii {
            return Some(ascii.saturating_add(text));
        }
        let utf8 = self.reader.pages.words(address + ascii, 2)?;
        let utf8 = if utf8[1] != 0 && !is_ascii {
            utf8[0].saturating_add(1)
        } else {
            0
        };
        let header = if is_compact { unicode } else { basic };
        Some(header.saturating_add(text).saturating_add(utf8))
    }

    /// Searches the object's own memory for references, from `from` on.
    fn scan(&mut self, object: Object, from: u64, into: &mut Expansion) -> Option<()> {
        let about = self.reader.types.get(object.type_id);
        let (basic, item) = (about.basic_size, about.item_size);
        let mut end = basic;
        if item > 0 {
            end += self.item_count(object.address)?.saturating_mul(item);
        }
        // A type in C may lie about its items: its block does not.
        if let Some((block, size)) = blocks::small(&mut self.reader, object.address) {
            end = end.min((block + size).saturating_sub(object.address));
        }
        self.scan_range(object, from, end, into)
    }

    /// Searches the words of an object from `from` to `end` for references.
    fn scan_range(&mut self, object: Object, from: u64, end: u64, into: &mut Expansion) -> Option<()> {
        let count = usize::try_from(end.saturating_sub(from).min(MOST_BYTES) / 8).ok()?;
        let words = self.reader.pages.words(object.address.checked_add(from)?, count)?;
        let mut seen = Set::default();
        let mut pointers: Vec<(usize, u64)> = Vec::new();
        for (index, word) in words.iter().copied().enumerate() {
            let mapping = self.reader.pages.mapping(word);
            let is_new = word != object.address && mapping.is_some_and(|mapping| mapping.is_writable);
            if is_new && seen.insert(word) {
                pointers.push((index, word));
            }
        }
        self.reader.pages.prefetch(pointers.iter().map(|(_, word)| *word));
        for (index, word) in pointers {
            if self.reader.object(word).is_some() {
                // Types in C describe some of their fields too, by other names than a program uses.
                let name = match self.kind(object.type_id) {
                    Kind::Scan => None,
                    _ => self
                        .slots
                        .name(&mut self.reader, object.type_id, from + index as u64 * 8),
                };
                let step = name.map_or(Step::Found, Step::Slot);
                into.references.push(Reference::one(word, step));
                continue;
            }
            self.claim(object, word, claims::SMALLEST, into);
        }
        if self.reader.types.get(object.type_id).is_foreign {
            self.follow_native(object, &words, into);
        }
        Some(())
    }
}
