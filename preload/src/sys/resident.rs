//! Which pages of this process are in memory: by mincore(2), and of private mappings of files, where that tells of the page cache, by
//! /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst).
#![expect(unsafe_code, reason = "system calls")]

use super::{File, answer, call, is_locked_in, page_bytes};

/// Pages that are asked for in one call of mincore.
const PAGES: usize = 16 << 10;
/// Pages that one read of pagemap tells of.
const ENTRIES: usize = PAGES / size_of::<u64>();

/// The lowest bit of each answer of mincore, of which a word has eight: whether the page is there. Both processors are little-endian.
const EACH: u64 = 0x0101_0101_0101_0101;

/// Room for what the kernel answers: more than a small thread's stack has.
pub struct Answers([u64; ENTRIES]);

impl Answers {
    /// Empty room.
    pub const fn new() -> Self {
        Self([0; ENTRIES])
    }

    /// How many bytes of this range are in no page that is in memory; `None` if not all of it is mapped. Of memory that `is_new` no more is
    /// read than the beginning, if that ends with a page that is not there.
    pub fn absent(&mut self, address: u64, bytes: u64, is_new: bool) -> Option<u64> {
        // The filter may end the process for a call that it does not know.
        if is_locked_in() {
            return None;
        }
        let page = page_bytes();
        let end = address.checked_add(bytes)?.checked_next_multiple_of(page)?;
        let mut at = address & !(page - 1);
        let mut absent = 0;
        while at < end {
            let pages = ((end - at) / page).min(PAGES as u64);
            let arguments = [at as usize, (pages * page) as usize, self.0.as_mut_ptr() as usize];
            // SAFETY: mincore wants a writable byte for each page: there are as many as `PAGES`.
            answer(unsafe { call(libc::SYS_mincore, arguments) }).ok()?;
            let there = self.0.iter().take(pages as usize / 8).map(|word| word & EACH);
            let rest = self.0.get(pages as usize / 8).map_or(0, |word| word & EACH);
            let rest = rest & ((1 << (pages % 8 * 8)) - 1);
            let there = there
                .chain([rest])
                .map(|word| u64::from(word.count_ones()))
                .sum::<u64>();
            absent += pages - there;
            let last = (pages - 1) as usize;
            let is_last_there = self.0.get(last / 8).is_some_and(|word| word >> (last % 8 * 8) & 1 == 1);
            at += pages * page;
            if is_new && !is_last_there {
                absent += (end - at) / page;
                break;
            }
        }
        Some((absent * page).min(bytes))
    }

    /// How many bytes of this private mapping of a file are in pages of the process's own, in memory; `None` if that cannot be read.
    pub fn written(&mut self, address: u64, bytes: u64) -> Option<u64> {
        const IS_PRESENT: u64 = 1 << 63;
        const IS_OF_FILE: u64 = 1 << 61;
        let map = File::open(c"/proc/self/pagemap", libc::O_RDONLY).ok()?;
        let page = page_bytes();
        let (mut at, end) = (address / page, address.checked_add(bytes)?.div_ceil(page));
        let mut written = 0;
        while at < end {
            let wanted = ((end - at) as usize).min(ENTRIES);
            let room = self.0.get_mut(..wanted)?;
            let read = map.read_words_at(room, at as usize * size_of::<u64>());
            if read == 0 {
                return None;
            }
            let own = room
                .iter()
                .take(read)
                .filter(|entry| **entry & (IS_PRESENT | IS_OF_FILE) == IS_PRESENT);
            written += own.count() as u64;
            at += read as u64;
        }
        Some((written * page).min(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    const MIB: usize = 1 << 20;

    fn map(bytes: usize, flags: i32, file: i32) -> u64 {
        // SAFETY: mmap at an address of the kernel's choice changes no memory that is in use.
        let start = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | flags,
                file,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED);
        // SAFETY: huge pages would be there as a whole; the range was mapped just now.
        unsafe { libc::madvise(start, bytes, libc::MADV_NOHUGEPAGE) };
        start as u64
    }

    fn touch(address: u64, bytes: usize) {
        // SAFETY: the range was mapped by `map`.
        unsafe { core::ptr::write_bytes(address as *mut u8, 1, bytes) };
    }

    #[test]
    fn what_is_not_in_memory_is_counted_and_what_is_not_mapped_is_not() {
        let (bytes, mut answers) = (200 * MIB, Answers::new());
        let start = map(bytes, libc::MAP_ANONYMOUS, -1);
        assert_eq!(answers.absent(start, bytes as u64, false), Some(bytes as u64));
        assert_eq!(answers.absent(start, bytes as u64, true), Some(bytes as u64));
        touch(start + MIB as u64, 100 * MIB);
        assert_eq!(answers.absent(start, bytes as u64, false), Some(100 * MIB as u64));
        assert_eq!(
            answers.absent(start + 16, MIB as u64 - 16, false),
            Some(MIB as u64 - 16)
        );
        // SAFETY: nobody uses the range.
        unsafe { libc::munmap(start as *mut _, bytes) };
        assert_eq!(answers.absent(start, bytes as u64, false), None);
    }

    #[test]
    fn of_a_private_mapping_of_a_file_what_was_written_is_counted() {
        let file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let (bytes, mut answers) = (20 * MIB, Answers::new());
        file.set_len(bytes as u64).unwrap();
        let start = map(bytes, 0, file.as_raw_fd());
        // SAFETY: the first page was mapped by `map`, and is only read.
        assert_eq!(unsafe { (start as *const u8).read_volatile() }, 0);
        assert_eq!(answers.written(start, bytes as u64), Some(0));
        touch(start + MIB as u64, 3 * MIB);
        assert_eq!(answers.written(start, bytes as u64), Some(3 * MIB as u64));
    }
}
