//! The kinds of memory. Each has another allocator, and so other slack.

use core::sync::atomic::{AtomicU32, AtomicU64};

/// How many kinds a header has room for.
pub const KINDS: usize = 8;

/// Where an allocation's memory comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Kind {
    /// A small object of Python's, in an arena of pymalloc.
    Object = 0,
    /// From the C library's allocator, in one of its heaps.
    #[default]
    Heap = 1,
    /// From the C library's allocator, in a mapping of its own.
    Mapped = 2,
    /// Anonymous memory that the program mapped.
    Mapping = 3,
    /// Shared memory that the program mapped: anonymous, System V's, or a file that is in memory.
    Shared = 4,
    /// From an allocator that replaces the C library's.
    Foreign = 5,
    /// Mapped by that allocator: in no site and no sum, but among the blocks, so that its slack can be told.
    Pool = 6,
    /// Address space without memory: in no site and no sum.
    Reserved = 7,
    /// A writable private mapping of a file. A page of it is page cache until the program writes to it, and then the program's own. So it
    /// has a site, but is in no sum: only a measurement can tell how much of it was written.
    PrivateFile = 8,
}

impl Kind {
    /// Every kind that has a sum, in the order of their codes.
    pub const ALL: [Kind; KINDS] = [
        Kind::Object,
        Kind::Heap,
        Kind::Mapped,
        Kind::Mapping,
        Kind::Shared,
        Kind::Foreign,
        Kind::Pool,
        Kind::Reserved,
    ];

    /// The kind with this code; [`Kind::Heap`] for a code of a later version.
    pub fn from_code(code: u32) -> Kind {
        match code {
            8 => Kind::PrivateFile,
            _ => Self::ALL.get(code as usize).copied().unwrap_or_default(),
        }
    }

    /// Whether it is counted for a site.
    pub const fn is_counted(self) -> bool {
        !matches!(self, Kind::Pool | Kind::Reserved | Kind::PrivateFile)
    }

    /// Whether it has a site.
    pub const fn has_site(self) -> bool {
        self.is_counted() || matches!(self, Kind::PrivateFile)
    }

    /// What a block of `bytes` takes of its allocator: glibc puts 8 bytes before a block, and everything is rounded.
    pub const fn occupied(self, bytes: u64) -> u64 {
        match self {
            Kind::Object => round(bytes, 16),
            Kind::Heap | Kind::Foreign if bytes <= 24 => 32,
            Kind::Heap | Kind::Foreign => round(bytes.saturating_add(8), 16),
            Kind::Mapped => round(bytes.saturating_add(16), 4096),
            _ => bytes,
        }
    }
}

const fn round(bytes: u64, to: u64) -> u64 {
    bytes.saturating_add(to - 1) & !(to - 1)
}

/// What is held of one kind, estimated as for the sites, now and at the two snapshots.
#[repr(C)]
#[derive(Debug, Default)]
pub struct KindSum {
    /// Bytes asked for.
    pub bytes: AtomicU64,
    /// Bytes that they occupy.
    pub occupied: AtomicU64,
    /// The epoch that `peak_*` belong to.
    pub peak_epoch: AtomicU32,
    /// The epoch that `oom_*` belong to.
    pub oom_epoch: AtomicU32,
    /// `bytes` at the peak.
    pub peak_bytes: AtomicU64,
    /// `occupied` at the peak.
    pub peak_occupied: AtomicU64,
    /// `bytes` at the failed allocation.
    pub oom_bytes: AtomicU64,
    /// `occupied` at the failed allocation.
    pub oom_occupied: AtomicU64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_places_and_what_a_block_occupies_is_its_allocators_rule() {
        for (code, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!((kind as usize, Kind::from_code(code as u32)), (code, kind));
        }
        assert_eq!(Kind::from_code(Kind::PrivateFile as u32), Kind::PrivateFile);
        assert_eq!(Kind::from_code(99), Kind::Heap);
        let each = |kind: Kind, sizes: [u64; 3]| sizes.map(|bytes| kind.occupied(bytes));
        assert_eq!(each(Kind::Heap, [1, 25, 100]), [32, 48, 112]);
        assert_eq!(each(Kind::Object, [1, 16, 33]), [16, 16, 48]);
        assert_eq!(each(Kind::Mapped, [4000, 4096, 8176]), [4096, 8192, 8192]);
    }
}
