//! Memory of another process: what can be read of it, and a cache of pages of bounded size in front.

use crate::fast::Map;

/// Bytes of a page of the cache. It is smaller than the machine's: objects are small, and far from each other.
pub const PAGE: u64 = 2048;
/// No program has memory from here on: x86-64 has 57 bits for addresses, and half of them are the kernel's.
const HIGHEST: u64 = 1 << 56;
/// Pages that the cache keeps: 2 MiB, and what it takes to find them.
const PAGES: usize = 1024;
/// Pages that are read at a time, at most: so many fit beside those that are in use.
pub const AT_A_TIME: usize = PAGES / 4;

/// A range of addresses, as `/proc/PID/maps` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// Where `start` is in the file.
    pub offset: u64,
    /// Whether it can be written to: objects that change lie nowhere else.
    pub is_writable: bool,
    /// The file, `[heap]` and the like, or nothing.
    pub path: String,
}

/// Memory that is read by address.
pub trait Memory {
    /// Fills `into` with the bytes from `address` on; false if they are not there.
    fn read(&self, address: u64, into: &mut [u8]) -> bool;

    /// Fills each of these pages with the bytes from its address on, until one is not there. Returns how many are filled.
    fn read_pages(&self, pages: &mut [(u64, Box<[u8]>)]) -> usize {
        let is_missing = |(address, into): &mut (u64, Box<[u8]>)| !self.read(*address, into);
        let missing = pages.iter_mut().position(is_missing);
        missing.unwrap_or(pages.len())
    }

    /// All ranges that are mapped, in the order of their addresses.
    fn mappings(&self) -> &[Mapping];
}

/// What reading has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Calls of [`Memory::read`].
    pub reads: u64,
    /// Bytes that they asked for.
    pub bytes: u64,
}

/// Reads through a cache of pages. What is read of a process that runs may be of different moments.
pub struct Pages<'a> {
    memory: &'a dyn Memory,
    /// Page number to its place in `pages`.
    places: Map<u64, usize>,
    pages: Vec<Box<[u8]>>,
    /// The page number and whether it was used again, for each place.
    held: Vec<(u64, bool)>,
    /// The next place to be given to another page, if it is not in use.
    hand: usize,
    /// The page that was read last and its place: most reads are near the one before.
    last: (u64, usize),
    cost: Cost,
    writable_bytes: u64,
}

impl<'a> Pages<'a> {
    /// Over this memory, with nothing read so far.
    pub fn new(memory: &'a dyn Memory) -> Self {
        let writable = memory.mappings().iter().filter(|mapping| mapping.is_writable);
        let writable = writable.map(|mapping| mapping.end.saturating_sub(mapping.start));
        Self {
            memory,
            places: Map::with_capacity_and_hasher(PAGES, Default::default()),
            pages: Vec::new(),
            held: Vec::new(),
            hand: 0,
            last: (u64::MAX, 0),
            cost: Cost::default(),
            writable_bytes: writable.fold(0, u64::saturating_add).min(HIGHEST),
        }
    }

    /// What has been read so far.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// All ranges that are mapped.
    pub fn mappings(&self) -> &'a [Mapping] {
        self.memory.mappings()
    }

    /// The range that an address lies in.
    pub fn mapping(&self, address: u64) -> Option<&'a Mapping> {
        if address >= HIGHEST {
            return None;
        }
        let mappings = self.memory.mappings();
        let after = mappings.partition_point(|mapping| mapping.start <= address);
        let mapping = mappings.get(after.checked_sub(1)?)?;
        (address < mapping.end).then_some(mapping)
    }

    /// Bytes of all ranges that can be written to: nothing in the heap is larger.
    pub fn writable_bytes(&self) -> u64 {
        self.writable_bytes
    }

    /// Whether all of these bytes are mapped. One block may lie in several ranges that adjoin.
    pub fn has(&self, address: u64, bytes: u64) -> bool {
        let Some(end) = address.checked_add(bytes) else {
            return false;
        };
        let mappings = self.memory.mappings();
        let after = mappings.partition_point(|mapping| mapping.start <= address);
        let mut reached = address;
        for mapping in &mappings[after.saturating_sub(1)..] {
            if reached >= end || mapping.start > reached || mapping.end <= reached {
                break;
            }
            reached = mapping.end;
        }
        reached >= end
    }

    /// Fills `into` with the bytes from `address` on.
    pub fn read(&mut self, address: u64, into: &mut [u8]) -> Option<()> {
        let mut at = address;
        let mut rest = into;
        while !rest.is_empty() {
            let place = self.place(at / PAGE)?;
            let from = (at % PAGE) as usize;
            let count = rest.len().min(PAGE as usize - from);
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(self.pages.get(place)?.get(from..from + count)?);
            rest = later;
            at = at.checked_add(count as u64)?;
        }
        Some(())
    }

    /// The eight bytes at `address` as a number.
    pub fn word(&mut self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Some(u64::from_le_bytes(bytes))
    }

    /// The four bytes at `address` as a number.
    pub fn half(&mut self, address: u64) -> Option<u32> {
        let mut bytes = [0; 4];
        self.read(address, &mut bytes)?;
        Some(u32::from_le_bytes(bytes))
    }

    /// The byte at `address`.
    pub fn byte(&mut self, address: u64) -> Option<u8> {
        let mut byte = [0];
        self.read(address, &mut byte)?;
        Some(byte[0])
    }

    /// `count` words from `address` on.
    pub fn words(&mut self, address: u64, count: usize) -> Option<Vec<u64>> {
        let mut bytes = vec![0; count.checked_mul(8)?];
        self.read(address, &mut bytes)?;
        let words = bytes.chunks_exact(8);
        Some(
            words
                .map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()))
                .collect(),
        )
    }

    /// The bytes from `address` to the first zero, at most `most` of them.
    pub fn c_string(&mut self, address: u64, most: usize) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        for at in 0..most as u64 {
            match self.byte(address.checked_add(at)?)? {
                0 => return Some(text),
                byte => text.push(byte),
            }
        }
        Some(text)
    }

    /// Where the page is in `pages`; it is read if it is not there.
    fn place(&mut self, page: u64) -> Option<usize> {
        if self.last.0 == page {
            return Some(self.last.1);
        }
        let place = match self.places.get(&page) {
            Some(place) => *place,
            None => self.load(page)?,
        };
        self.held[place].1 = true;
        self.last = (page, place);
        Some(place)
    }

    fn load(&mut self, page: u64) -> Option<usize> {
        let address = page.checked_mul(PAGE)?;
        // No system call for an address that is none.
        self.mapping(address)?;
        let place = self.free_place();
        self.cost.reads += 1;
        self.cost.bytes += PAGE;
        if !self.memory.read(address, self.pages.get_mut(place)?) {
            // The place stays empty: no page has this number.
            return None;
        }
        self.keep(page, place);
        Some(place)
    }

    fn keep(&mut self, page: u64, place: usize) {
        self.held[place] = (page, false);
        self.places.insert(page, place);
    }

    /// Reads the pages of these addresses together, which costs less than one after the other. What is read once more soon after is in the
    /// cache then. Addresses that lead nowhere do no harm.
    pub fn prefetch(&mut self, addresses: impl Iterator<Item = u64>) {
        let mut wanted: Vec<u64> = Vec::new();
        for page in addresses.map(|address| address / PAGE) {
            match self.places.get(&page) {
                Some(place) => self.held[*place].1 = true,
                None if wanted.len() < AT_A_TIME => wanted.push(page),
                None => {}
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|page| self.mapping(page * PAGE).is_some());
        if wanted.len() < 2 {
            // It is read when it is needed.
            return;
        }
        self.cost.reads += 1;
        self.cost.bytes += PAGE * wanted.len() as u64;
        let mut places: Vec<usize> = Vec::with_capacity(wanted.len());
        let mut reads: Vec<(u64, Box<[u8]>)> = Vec::with_capacity(wanted.len());
        for page in &wanted {
            let place = self.free_place();
            places.push(place);
            reads.push((page * PAGE, std::mem::take(&mut self.pages[place])));
        }
        let mut done = 0;
        while done < reads.len() {
            let filled = self.memory.read_pages(&mut reads[done..]);
            for at in done..done + filled {
                self.keep(wanted[at], places[at]);
            }
            // One that cannot be read is left out.
            done += filled + 1;
        }
        for (place, (_, bytes)) in places.into_iter().zip(reads) {
            self.pages[place] = bytes;
        }
    }

    /// A place for another page: a new one, or that of a page that was not used since the hand last came by.
    fn free_place(&mut self) -> usize {
        if self.held.len() < PAGES {
            self.held.push((u64::MAX, true));
            self.pages.push(vec![0; PAGE as usize].into_boxed_slice());
            return self.held.len() - 1;
        }
        loop {
            let place = self.hand;
            self.hand = (self.hand + 1) % PAGES;
            match &mut self.held[place] {
                (_, is_used @ true) => *is_used = false,
                held => {
                    self.places.remove(&held.0);
                    // Until it is filled it has no page, and may not be given away.
                    *held = (u64::MAX, true);
                    if self.last.1 == place {
                        self.last.0 = u64::MAX;
                    }
                    return place;
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::Cell;

    /// One range of bytes at an address.
    pub struct Image {
        bytes: Vec<u8>,
        mappings: Vec<Mapping>,
        reads: Cell<u64>,
    }

    impl Image {
        /// These bytes, writable, from `start` on.
        pub fn new(start: u64, bytes: Vec<u8>) -> Self {
            let mapping = Mapping {
                start,
                end: start + bytes.len() as u64,
                is_writable: true,
                ..Mapping::default()
            };
            Self {
                bytes,
                mappings: vec![mapping],
                reads: Cell::new(0),
            }
        }
    }

    impl Memory for Image {
        fn read(&self, address: u64, into: &mut [u8]) -> bool {
            self.reads.set(self.reads.get() + 1);
            let from = address.wrapping_sub(self.mappings[0].start) as usize;
            let bytes = self.bytes.get(from..from.saturating_add(into.len()));
            bytes.is_some_and(|bytes| {
                into.copy_from_slice(bytes);
                true
            })
        }

        fn mappings(&self) -> &[Mapping] {
            &self.mappings
        }
    }

    #[test]
    fn a_page_is_read_once_as_long_as_there_is_room() {
        let bytes: Vec<u8> = (0..3000 * PAGE).map(|at| (at / 5) as u8).collect();
        let image = Image::new(PAGE * 10, bytes.clone());
        let mut pages = Pages::new(&image);
        for at in [0, PAGE - 6, 7, PAGE - 4] {
            let mut read = [0; 8];
            pages.read(PAGE * 10 + at, &mut read).unwrap();
            assert_eq!(read[..], bytes[at as usize..at as usize + 8]);
        }
        assert_eq!(image.reads.get(), 2);
        for page in 0..3000 {
            assert_eq!(pages.byte(PAGE * (10 + page)), Some(bytes[(page * PAGE) as usize]));
        }
        assert!(pages.pages.len() <= PAGES);
        assert!(pages.places.len() <= PAGES);
        assert_eq!(
            pages.word(PAGE * 10),
            Some(u64::from_le_bytes(bytes[..8].try_into().unwrap()))
        );
    }

    #[test]
    fn pages_that_are_read_together_are_those_that_were_asked_for() {
        let bytes: Vec<u8> = (0..3000 * PAGE).map(|at| (at / 7) as u8).collect();
        let image = Image::new(PAGE * 10, bytes.clone());
        let mut pages = Pages::new(&image);
        let (mut asked, mut again) = (0, 0);
        for round in 0..40u64 {
            // Some of them are not mapped, and some come more than once.
            let wanted: Vec<u64> = (0..200)
                .map(|at| PAGE * (8 + (round * 71 + at * 17) % 3010) + at)
                .collect();
            pages.prefetch(wanted.iter().copied());
            let read = image.reads.get();
            asked += wanted.len() as u64;
            for address in wanted {
                let expected = address
                    .checked_sub(PAGE * 10)
                    .and_then(|at| bytes.get(at as usize))
                    .copied();
                assert_eq!(pages.byte(address), expected, "{address:#x}");
            }
            again += image.reads.get() - read;
        }
        assert!(again < asked / 100, "{again} of {asked} were not there any more");
        assert!(pages.pages.len() <= PAGES && pages.places.len() <= PAGES);
        assert!(pages.pages.iter().all(|page| page.len() == PAGE as usize));
    }

    #[test]
    fn what_is_not_mapped_is_not_read() {
        let image = Image::new(PAGE * 10, vec![1; PAGE as usize]);
        let mut pages = Pages::new(&image);
        assert_eq!(pages.word(8), None);
        assert_eq!(pages.word(u64::MAX - 3), None);
        assert_eq!(image.reads.get(), 0);
        assert_eq!(pages.word(PAGE * 11 - 4), None);
        assert_eq!(pages.word(PAGE * 11 - 8), Some(0x0101_0101_0101_0101));
    }
}
