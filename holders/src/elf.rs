//! Symbols of the ELF files that a process has loaded, from its memory: no file is opened, so it does not matter whether the
//! file is still there, or in which container it is. Of a core file the pages that it leaves out come from the files.

use crate::memory::Pages;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_NULL: u64 = 0;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
/// No program has more program headers or entries in its dynamic section; a torn one may seem to.
const MOST: u64 = 512;
/// Symbols of one hash bucket that are looked at.
const MOST_IN_BUCKET: u64 = 10_000;

/// The dynamic symbols of a loaded file.
pub struct Symbols {
    bias: u64,
    strings: u64,
    symbols: u64,
    hashes: u64,
}

impl Symbols {
    /// Of the file whose beginning is mapped at `base`.
    pub fn at(pages: &mut Pages, base: u64) -> Option<Self> {
        let mut header = [0; 64];
        pages.read(base, &mut header)?;
        if !header.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let table = base.checked_add(u64_at(&header, 32)?)?;
        let (mut first, mut dynamic) = (None, None);
        for index in 0..u64::from(u16::from_le_bytes([header[56], header[57]])).min(MOST) {
            let mut entry = [0; 56];
            pages.read(table.checked_add(index * 56)?, &mut entry)?;
            let address = u64_at(&entry, 16)?;
            match u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]) {
                PT_LOAD if first.is_none() => first = Some(address & !4095),
                PT_DYNAMIC => dynamic = Some(address),
                _ => {}
            }
        }
        let bias = base.wrapping_sub(first?);
        let dynamic = bias.wrapping_add(dynamic?);
        let (mut strings, mut symbols, mut hashes) = (None, None, None);
        for index in 0..MOST {
            let entry = pages.words(dynamic.checked_add(index * 16)?, 2)?;
            match entry[0] {
                DT_NULL => break,
                DT_STRTAB => strings = Some(entry[1]),
                DT_SYMTAB => symbols = Some(entry[1]),
                DT_GNU_HASH => hashes = Some(entry[1]),
                _ => {}
            }
        }
        // The dynamic linker of glibc has made addresses of them; that of musl leaves them as they are in the file.
        let address = |value: u64| if value < base { bias.wrapping_add(value) } else { value };
        Some(Self {
            bias,
            strings: address(strings?),
            symbols: address(symbols?),
            hashes: address(hashes?),
        })
    }

    /// Where a symbol of this name is in memory.
    pub fn find(&self, pages: &mut Pages, name: &str) -> Option<u64> {
        let wanted = gnu_hash(name);
        let buckets = pages.half(self.hashes)?;
        let first_symbol = pages.half(self.hashes.checked_add(4)?)?;
        let bloom_words = u64::from(pages.half(self.hashes.checked_add(8)?)?);
        let bucket_table = self.hashes.checked_add(16 + bloom_words * 8)?;
        let chains = bucket_table.checked_add(u64::from(buckets) * 4)?;
        let bucket = u64::from(wanted.checked_rem(buckets)?);
        let first = pages.half(bucket_table.checked_add(bucket * 4)?)?;
        let start = u64::from(first.checked_sub(first_symbol)?);
        for step in 0..MOST_IN_BUCKET {
            let hash = pages.half(chains.checked_add((start + step) * 4)?)?;
            if hash | 1 == wanted | 1 {
                let symbol = self.symbols.checked_add((u64::from(first) + step) * 24)?;
                let text = self.strings.checked_add(u64::from(pages.half(symbol)?))?;
                let section = pages.half(symbol + 4)? >> 16;
                if section != 0 && pages.c_string(text, name.len() + 1)? == name.as_bytes() {
                    return Some(self.bias.wrapping_add(pages.word(symbol + 8)?));
                }
            }
            if hash & 1 == 1 {
                return None;
            }
        }
        None
    }
}

/// The hash of a name in `DT_GNU_HASH`.
fn gnu_hash(name: &str) -> u32 {
    name.bytes().fold(5381, |hash: u32, byte| {
        hash.wrapping_mul(33).wrapping_add(u32::from(byte))
    })
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Live;
    use std::path::Path;

    #[test]
    fn a_function_of_our_own_c_library_is_found() {
        let memory = Live::open(Path::new("/proc/self")).unwrap();
        let mut pages = Pages::new(&memory);
        let library = pages.mappings().iter().find(|mapping| mapping.path.contains("libc.so"));
        let library = library.unwrap();
        let symbols = Symbols::at(&mut pages, library.start).unwrap();
        let malloc = symbols.find(&mut pages, "malloc").unwrap();
        assert_eq!(pages.mapping(malloc).unwrap().path, library.path);
        assert_eq!(symbols.find(&mut pages, "no_such_function"), None);
    }

    #[test]
    fn a_name_has_the_hash_that_the_linker_gives_it() {
        // From the description of the format.
        assert_eq!(gnu_hash("printf"), 0x156b_2bb8);
        assert_eq!(gnu_hash(""), 5381);
    }
}
