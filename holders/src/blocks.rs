//! Blocks of memory: where the one that an object lies in ends, and how large one is that an object points to.
//!
//! Small blocks are in pools of pymalloc, whose header gives their size. Large ones are of the C library, which has the size in the
//! word before. Both are believed only where everything else about them fits, since a pointer may lead anywhere.

use crate::reader::Reader;

/// A table of blocks that somebody has recorded. Where there is one, it is asked first.
pub trait Blocks {
    /// The size of the block that begins at this address.
    fn size(&self, address: u64) -> Option<u64>;

    /// Each live block of at least so many bytes is in the table.
    fn least(&self) -> u64;

    /// The number of the place that allocated the block in which this address lies.
    fn site(&self, address: u64) -> Option<u32>;
}

/// Bytes of a pool's header.
const POOL_HEADER: u64 = 48;
/// Size classes of pymalloc: 16 to 512 bytes.
const SIZE_CLASSES: u64 = 32;
/// glibc: the block has a mapping of its own.
const IS_MMAPPED: u64 = 2;
/// glibc: the block before is in use.
const PREVIOUS_IN_USE: u64 = 1;
/// glibc: flags in the size.
const FLAGS: u64 = 7;
/// A smaller block is not worth the risk that something else looks like one.
const SMALLEST: u64 = 1024;

/// First address and size of the small block that an address lies in.
pub fn small(reader: &mut Reader, address: u64) -> Option<(u64, u64)> {
    let pool_bytes = reader.layout.objects.pool_bytes;
    let pool = address & !(pool_bytes - 1);
    let head = reader.pages.words(pool, 6)?;
    let (used, class) = (head[0] & 0xffff_ffff, head[4] >> 32);
    let (next, last) = (head[5] & 0xffff_ffff, head[5] >> 32);
    let size = (class + 1) * 16;
    let fits = class < SIZE_CLASSES
        && last == pool_bytes - size
        && (1..=(pool_bytes - POOL_HEADER) / size).contains(&used)
        && next <= pool_bytes
        && next >= POOL_HEADER
        && (next - POOL_HEADER).is_multiple_of(size);
    let offset = address.checked_sub(pool + POOL_HEADER)?;
    fits.then(|| (pool + POOL_HEADER + offset / size * size, size))
}

/// Bytes of the large block that begins at an address, if there is one.
pub fn large(reader: &mut Reader, address: u64) -> Option<u64> {
    if address == 0 || !address.is_multiple_of(16) {
        return None;
    }
    let mapping = reader.pages.mapping(address)?;
    if !mapping.is_writable || mapping.path.starts_with('/') {
        return None;
    }
    let head = reader.pages.words(address.checked_sub(16)?, 2)?;
    let (before, word) = (head[0], head[1]);
    let size = word & !FLAGS;
    if size < SMALLEST || !size.is_multiple_of(16) {
        return None;
    }
    let end = (address - 16).checked_add(size)?;
    // One block may lie in several mappings that adjoin, as where a part of it has huge pages.
    if !reader.pages.has(address, end - address) {
        return None;
    }
    if word & IS_MMAPPED != 0 {
        let begins = before < 4096 && (address - 16 - before).is_multiple_of(4096);
        // Up to glibc 2.42 the size is that of the whole mapping; from 2.43 on, what the program may use of it.
        let usable = [size - 16, size];
        let is_whole = |usable: &u64| (usable + 16 + before).is_multiple_of(4096);
        return usable.into_iter().find(is_whole).filter(|_| begins);
    }
    // The next block says that this one is in use.
    let next = reader.pages.word(end.checked_add(8)?)?;
    let next_size = next & !FLAGS;
    let fits = next & PREVIOUS_IN_USE != 0
        && next & IS_MMAPPED == 0
        && next_size >= 32
        && next_size.is_multiple_of(16)
        && reader.pages.has(end, next_size);
    fits.then(|| size - 8)
}
