//! Memory that only native code knows: from an object of a type in C++, pointers lead through small blocks to large ones. A tensor has its
//! data three pointers away, a table of Arrow nine.
//!
//! A pointer may be a remain in memory that was never filled. So only what shows that it is alive is followed: an object with a table of
//! functions and counts of its references, as `std::shared_ptr` and `intrusive_ptr` have them, what a `shared_ptr` has beside that, and
//! the items of a `std::vector`. What is found there is claimed, as everything behind a pointer that nobody knows.

use super::{Expansion, Objects};
use crate::fast::Set;
use crate::reader::{Object, Reader};

/// Pointers one after the other.
const DEEPEST: usize = 10;
/// Small blocks for one object, and for all.
const MOST_BLOCKS: usize = 1500;
const MOST_IN_ALL: usize = 20_000;
/// References to an object of C++.
const MOST_COUNTED: u64 = 1 << 24;
/// Bytes of a block that are searched, and the largest block that is.
const MOST_BYTES: u64 = 1 << 12;
const LARGEST: u64 = 1 << 16;
/// A smaller block is not claimed from afar: there are too many of them.
const SMALLEST: u64 = 1 << 14;
/// glibc: flags in the size of a block.
const FLAGS: u64 = 7;
/// A buffer of Arrow is aligned to this, as is its capacity if Arrow has allocated it.
const ARROW_ALIGNMENT: u64 = 64;
/// Words of a buffer of Arrow: where its functions are, whether it is mutable, data, size, capacity, and then the `shared_ptr` of the buffer
/// that it is a part of; since Arrow 14 the kind of device stands in between. So the seventh word is not zero if there is such a buffer.
const ARROW_WORDS: usize = 7;

/// Bytes of the small block that begins at an address, if it looks like one of the C library's.
fn small(reader: &mut Reader, address: u64) -> Option<u64> {
    if !address.is_multiple_of(16) {
        return None;
    }
    let mapping = reader.pages.mapping(address)?;
    if !mapping.is_writable || mapping.path.starts_with('/') {
        return None;
    }
    let size = reader.pages.word(address - 8)? & !FLAGS;
    let next = reader.pages.word(address.checked_add(size)?.checked_sub(8)?)? & !FLAGS;
    let fits = (32..=LARGEST).contains(&size) && size.is_multiple_of(16) && next >= 32 && next.is_multiple_of(16);
    fits.then(|| size - 8)
}

/// Whether an address is that of the functions of a class of Arrow.
fn is_of_arrow(reader: &Reader, address: u64) -> bool {
    let path = reader.pages.mapping(address).map(|mapping| mapping.path.as_str());
    path.and_then(|path| path.rsplit('/').next())
        .is_some_and(|name| name.starts_with("libarrow"))
}

/// The data of a buffer of Arrow that has it for itself, and how large it is.
fn arrow_buffer(reader: &Reader, words: &[u64]) -> Option<(u64, u64)> {
    let words = words.get(..ARROW_WORDS)?;
    let (data, size, capacity) = (words[2], words[3], words[4]);
    let fits = size <= capacity
        && capacity >= SMALLEST
        && capacity.is_multiple_of(ARROW_ALIGNMENT)
        && data.is_multiple_of(ARROW_ALIGNMENT)
        && words[6] == 0
        && reader.pages.has(data, capacity)
        && is_of_arrow(reader, words[0]);
    fits.then_some((data, capacity))
}

/// Whether a file is mapped there.
fn is_of_file(reader: &Reader, address: u64) -> bool {
    let mapping = reader.pages.mapping(address);
    mapping.is_some_and(|mapping| mapping.path.starts_with('/'))
}

/// A block that is searched, or the part of it that is in use.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Part {
    address: u64,
    bytes: u64,
}

/// The block at an address, if it begins with a table of functions and one or two counts.
fn counted(reader: &mut Reader, address: u64) -> Option<Part> {
    let bytes = small(reader, address)?;
    let head = reader.pages.words(address, 2)?;
    let (first, second) = (head[1] & 0xffff_ffff, head[1] >> 32);
    let has_counts = (1..MOST_COUNTED).contains(&first) && second < MOST_COUNTED;
    (has_counts && is_of_file(reader, head[0])).then_some(Part { address, bytes })
}

/// The items of a vector whose three pointers these are.
fn vector(reader: &mut Reader, words: &[u64]) -> Option<Part> {
    let [begin, end, most, ..] = *words else { return None };
    let (bytes, room) = (end.checked_sub(begin)?, most.checked_sub(begin)?);
    if bytes == 0 || !bytes.is_multiple_of(8) || bytes > room || room > LARGEST {
        return None;
    }
    let is_whole = small(reader, begin)? >= room;
    is_whole.then_some(Part { address: begin, bytes })
}

impl Objects<'_> {
    /// Claims what is behind the pointers among these words of an object.
    pub(super) fn follow_native(&mut self, object: Object, words: &[u64], into: &mut Expansion) {
        let mut seen: Set<u64> = Set::default();
        let mut level = self.native_below(words);
        for _step in 0..DEEPEST {
            level.retain(|part| seen.insert(part.address));
            self.reader.pages.prefetch(level.iter().map(|part| part.address));
            let mut below = Vec::new();
            for part in level {
                if self.native_blocks >= MOST_IN_ALL || seen.len() > MOST_BLOCKS {
                    return;
                }
                self.native_blocks += 1;
                let count = (part.bytes.min(MOST_BYTES) / 8) as usize;
                let Some(words) = self.reader.pages.words(part.address, count) else {
                    continue;
                };
                for index in 0..words.len() {
                    match arrow_buffer(&self.reader, &words[index..]) {
                        Some((data, capacity)) => self.claim_block(object, data, capacity, into),
                        None => _ = self.claim(object, words[index], SMALLEST, into),
                    }
                }
                below.extend(self.native_below(&words));
            }
            level = below;
        }
    }

    /// The blocks that these words lead to.
    fn native_below(&mut self, words: &[u64]) -> Vec<Part> {
        let reader = &mut self.reader;
        let is_candidate = |word: &u64| word.is_multiple_of(16) && *word != 0;
        let candidates = words.iter().copied().filter(is_candidate);
        reader.pages.prefetch(candidates.map(|word| word - 16));
        let mut found = Vec::new();
        for (index, word) in words.iter().enumerate().filter(|(_, word)| is_candidate(word)) {
            if let Some(part) = counted(reader, *word) {
                found.push(part);
                // A `shared_ptr` to an object that was made apart from its counts.
                let before = index.checked_sub(1).map_or(0, |before| words[before]);
                let apart = small(reader, before).filter(|_| before != *word);
                found.extend(apart.map(|bytes| Part { address: before, bytes }));
            } else {
                found.extend(vector(reader, &words[index..]));
            }
        }
        found
    }
}
