//! The layout of a *recording*: one memory-mapped file per process that always holds the live answer to "which call
//! stacks hold how much memory, now, at the peak, and when an allocation failed". This page is the specification.
//!
//! Writer and reader share nothing but this crate. The writer (the preload) begins a recording in private memory. When the process
//! holds enough, it writes the file, the header last, and from then on updates the mapped file in place. The reader (the dumper)
//! takes the bytes as they are, at any moment, also after a SIGKILL in the middle of an update.
//!
//! # File
//!
//! ```text
//! offset 0              Header           padded to HEADER_BYTES
//! HEADER_BYTES + i·CHUNK_BYTES           chunk i, i < chunk_count, of the table named by chunk_kinds[i]
//! ```
//!
//! Everything is little-endian; the only platform is x86-64. Chunks are handed out in the order of need, so the chunks of
//! one table need not be neighbours: record `r` of a table lies in that table's chunk number `r / records_per_chunk`,
//! counted in file order. A file never has more than [`MAX_CHUNKS`] chunks, which bounds it at [`MAX_FILE_BYTES`].
//! Chunks are reserved on disk before they are mapped, so that a full disk is an error code and never a SIGBUS.
//!
//! | table     | record       | size | record 0                                                        |
//! |-----------|--------------|------|-----------------------------------------------------------------|
//! | nodes     | [`Node`]     | 16   | the root; its parent is itself                                  |
//! | functions | [`Function`] | 16   | none; the root's function                                       |
//! | sites     | [`Site`]     | 128  | the overflow site: for what has no site, nor has a caller of it   |
//! | blocks    | [`Block`]    | 32   | an ordinary slot                                                |
//! | strings   | bytes        | 1    | offset 0 is the empty string                                    |
//!
//! A string is a `u32` length and that many bytes (UTF-8 from Python, arbitrary from elsewhere), begins at a multiple of
//! four, and never straddles two chunks; its id is its offset in the string table as a whole.
//!
//! # Counting
//!
//! A [`Tally`] is a sum over samples. An allocation of `n` bytes that was sampled with probability `p` adds `n/p` bytes,
//! `1/p` blocks (in units of 1/[`BLOCK_UNIT`]), and `(1-p)·(n/p)²` to the variance (in units of [`VARIANCE_UNIT`]
//! bytes²): the Horvitz–Thompson estimator and its variance estimator. Exact records have `p = 1`. Freeing subtracts
//! the same three numbers.
//!
//! # Snapshots without copying
//!
//! `header.peak_epoch` goes up by one at every new highest total (a total that is higher by the chance of sampling alone is not one),
//! and `header.oom_epoch` at every failed allocation that defines "the moment it ran out". Before a site's `live` changes, each of its [`Snapshot`]s whose `epoch` differs from
//! the header's takes a copy of `live` and the header's epoch. So the tally at the snapshot is `saved` where the epochs
//! agree and `live` elsewhere. Epoch 0 means that there has been no such moment.
//!
//! # Earlier moments
//!
//! To tell what has grown, a report compares with an earlier moment. There are two of them. `header.earlier_epoch` counts them: it goes
//! up at a new highest total, if the process has run for 7/5 of the time that it had run for when it went up last. Moment `e` began at
//! `header.earlier_ns[e % 2]`. The sites keep what they held at the last two moments, as in a snapshot, but `site.earlier[e % 2]` holds
//! what was saved for moment `e`, and `site.earlier_epoch` is the epoch of both. A report compares with the moment before the last. It
//! lies between 1/2 and 3/4 of the time in which the total has risen, and never after the peak. If the total has not risen for long, it
//! lies further back. Then a report may take the last moment, which began when the total rose again. A site that has not changed since
//! has grown by nothing, exactly.
//!
//! # What is not in memory
//!
//! A block of [`LOOK_BYTES`] or more that is not counted by sampling is looked at when it is new, before it is freed, and at every event of
//! that sort of another such block: `block.absent` is how much of it was not in memory then. A site of whose blocks something was not there
//! has a second record among the sites, whose `node` is the site with the bit [`OF_ABSENT`]: the sum of that, now and at the snapshots.
//! `header.absent_bytes` is the sum over all sites. A total is the highest if more of it is in memory
//! than ever; if about as much is, by what was asked for. So a block that is never touched hides no peak, and where the address space is
//! limited, it counts as if it were in memory.
//!
//! # Kinds
//!
//! Each allocation also counts for its [`Kind`] of memory in `header.kinds`: the bytes that were asked for, and the bytes that they
//! occupy. These sums have the same snapshots. They are updated apart from the sites, and may differ a little from their sum.
//!
//! # What a crash can leave
//!
//! * Nodes, functions and strings are written before the count that publishes them. Ids at or above a count are damage.
//! * `header.sequence` is odd while a sample is being written. Odd in a dead process's file: at most that one sample is
//!   half applied, and the totals may differ from the sums by it.
//! * Sites are updated under one lock, so sums and totals agree otherwise.
//! * Events are published by writing `sequence` last; slot `k` of the ring is valid if it holds an event numbered `e`
//!   with `(e - 1) % EVENT_SLOTS == k`.
//!
//! # Version history
//!
//! See [`VERSION`].

#![no_std]
#![forbid(unsafe_code)]

mod alloc_function;
mod event_kind;
mod hidden;
mod kinds;
pub mod protocol;

use core::mem::size_of;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

pub use alloc_function::AllocFunction;
pub use event_kind::{EventKind, Trouble};
pub use hidden::is_hidden;
pub use kinds::{KINDS, Kind, KindSum};

/// The first eight bytes of every recording. The line feed and the zero catch text-mode copies and truncated strings.
pub const MAGIC: [u8; 8] = *b"OOMREC\n\0";

/// Version of the layout; a reader refuses what is newer than itself.
///
/// * 1: the first.
/// * 2: sums by kind of memory, the arenas at the snapshots, and where the supervisor says that it has measured, all behind the
///   ring of events; kinds in [`Block::flags`], and mappings among the blocks. A file of version 1 has zeros in their places.
///   Earlier moments: a site of version 1 ends before them, and is [`SITE_BYTES_1`] long.
/// * 3: what is not in memory: sites of [`OF_ABSENT`], and at the end of [`Block`], which was [`BLOCK_BYTES_2`] long, and of [`Header`].
pub const VERSION: u32 = 3;

/// Size of a [`Site`] in a file of version 1.
pub const SITE_BYTES_1: usize = 96;
/// In [`Site::node`]: the record is of what was not in memory of the site whose number the other bits are.
pub const OF_ABSENT: u32 = 1 << 31;
/// Size of a [`Block`] in a file of version 1 or 2.
pub const BLOCK_BYTES_2: usize = 24;

/// Bytes before the first chunk.
pub const HEADER_BYTES: usize = 64 * 1024;
/// Bytes of a chunk.
pub const CHUNK_BYTES: usize = 128 * 1024;
/// Most chunks that a file may have.
pub const MAX_CHUNKS: usize = 511;
/// No recording is ever longer than this (64 MiB).
pub const MAX_FILE_BYTES: usize = HEADER_BYTES + MAX_CHUNKS * CHUNK_BYTES;

/// Slots in the ring of events.
pub const EVENT_SLOTS: usize = 256;
/// Blocks of at least this many bytes are looked at: how much of them is in memory. See "What is not in memory".
pub const LOOK_BYTES: u64 = 1 << 20;
/// [`Block::absent`] of a block that has not been looked at.
pub const NOT_LOOKED_AT: u64 = u64::MAX;
/// One block counts this much in [`Tally::blocks`], so that an estimate need not be a whole number.
pub const BLOCK_UNIT: u64 = 1024;
/// Bytes² that one unit of [`Tally::variance`] stands for.
pub const VARIANCE_UNIT: u64 = 4096;
/// Longest string kept; longer ones are cut and end in `…`.
pub const MAX_STRING_BYTES: usize = 4096;

/// The tables that chunks belong to, as stored in [`Header::chunk_kinds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Table {
    /// [`Node`] records.
    Nodes = 1,
    /// [`Function`] records.
    Functions = 2,
    /// [`Site`] records.
    Sites = 3,
    /// [`Block`] records.
    Blocks = 4,
    /// String bytes.
    Strings = 5,
}

impl Table {
    /// Every table, in the order of their codes.
    pub const ALL: [Table; 5] = [
        Table::Nodes,
        Table::Functions,
        Table::Sites,
        Table::Blocks,
        Table::Strings,
    ];

    /// Size of one record in bytes.
    pub const fn record_bytes(self) -> usize {
        match self {
            Table::Nodes => size_of::<Node>(),
            Table::Functions => size_of::<Function>(),
            Table::Sites => size_of::<Site>(),
            Table::Blocks => size_of::<Block>(),
            Table::Strings => 1,
        }
    }

    /// Records in one chunk; what is left over at a chunk's end is unused.
    pub const fn records_per_chunk(self) -> usize {
        CHUNK_BYTES / self.record_bytes()
    }
}

/// A sum over the samples of one site at one moment. See "Counting".
#[repr(C)]
#[derive(Debug, Default)]
pub struct Tally {
    /// Estimated bytes.
    pub bytes: AtomicU64,
    /// Estimated blocks, in units of 1/[`BLOCK_UNIT`].
    pub blocks: AtomicU64,
    /// Variance of `bytes`, in units of [`VARIANCE_UNIT`] bytes².
    pub variance: AtomicU64,
}

/// A tally as it was when the epoch began, if the epoch is still the header's.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The epoch that `saved` belongs to.
    pub epoch: AtomicU32,
    /// The site's `earlier_epoch` then: whether it had changed since an earlier moment.
    pub earlier_epoch: AtomicU32,
    /// The tally at that epoch's beginning.
    pub saved: Tally,
}

/// One line of one function under one caller. Never changes once published, but for `site`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Node {
    /// The calling node; always smaller than this node's own id, but for the root.
    pub parent: AtomicU32,
    /// Index into the functions.
    pub function: AtomicU32,
    /// Line, from 1; 0 where there is none.
    pub line: AtomicU32,
    /// The site that holds what this node itself allocated; 0 for none.
    pub site: AtomicU32,
}

/// A function: Python's, or a made-up one in square brackets without a file.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Function {
    /// String: the file's path as Python gives it; 0 for made-up functions.
    pub file: AtomicU32,
    /// String: the function's name.
    pub name: AtomicU32,
    /// First line of the definition.
    pub first_line: AtomicU32,
    /// Zero.
    pub reserved: AtomicU32,
}

/// What a site held at an earlier moment: as a [`Tally`], without the blocks.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Earlier {
    /// Estimated bytes.
    pub bytes: AtomicU64,
    /// Variance of `bytes`, in units of [`VARIANCE_UNIT`] bytes².
    pub variance: AtomicU64,
}

/// What one node has allocated itself and not freed; with [`OF_ABSENT`] in `node`, how much of another site was not in memory. Two cache lines.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Site {
    /// The node; 0 for the overflow site; [`OF_ABSENT`] and a site.
    pub node: AtomicU32,
    /// See "Earlier moments".
    pub earlier_epoch: AtomicU32,
    /// Now.
    pub live: Tally,
    /// At the highest total.
    pub peak: Snapshot,
    /// At the failed allocation.
    pub oom: Snapshot,
    /// See "Earlier moments".
    pub earlier: [Earlier; 2],
}

/// A large live block or mapping, recorded exactly.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Block {
    /// Where it begins; 0 for an empty slot.
    pub address: AtomicU64,
    /// Bytes requested.
    pub bytes: AtomicU64,
    /// Its site.
    pub site: AtomicU32,
    /// Its [`Kind`].
    pub flags: AtomicU32,
    /// So many of the bytes were not in memory when it was looked at last; or [`NOT_LOOKED_AT`]. Since version 3.
    pub absent: AtomicU64,
}

/// Something that happened.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Event {
    /// 0 while being written, else the event's number, from 1.
    pub sequence: AtomicU64,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: AtomicU64,
    /// An [`EventKind`].
    pub kind: AtomicU32,
    /// What exactly; see [`EventKind`].
    pub detail: AtomicU32,
    /// Bytes asked for, released, or taken.
    pub bytes: AtomicU64,
    /// Estimated live bytes at that moment.
    pub live_bytes: AtomicU64,
    /// Node of the callstack; 0 where it could not be taken.
    pub node: AtomicU32,
    /// Kernel thread id.
    pub thread: AtomicU32,
    /// How often in a row the same happened; `bytes` and `time_ns` are the last one's.
    pub repeats: AtomicU32,
    /// Zero.
    pub reserved: AtomicU32,
}

/// [`Header::state`]: the process was running when it last wrote.
pub const STATE_RUNNING: u32 = 1;
/// [`Header::state`]: the process ended of itself: it went through its exit handlers, or called `_exit`.
pub const STATE_ENDED: u32 = 2;
/// [`Header::state`]: the process replaced itself by another program, or was ended at a failed allocation (`--on-oom=exit`).
pub const STATE_OOM_EXIT: u32 = 3;

/// The first bytes of the file.
#[repr(C)]
#[derive(Debug)]
pub struct Header {
    /// [`MAGIC`], written last.
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU32,
    /// [`HEADER_BYTES`].
    pub header_bytes: AtomicU32,
    /// [`CHUNK_BYTES`].
    pub chunk_bytes: AtomicU32,
    /// [`STATE_RUNNING`] and so on.
    pub state: AtomicU32,
    /// Odd while a sample is being written.
    pub sequence: AtomicU64,

    /// Process id, in the job's own namespace.
    pub pid: AtomicU32,
    /// Parent's process id.
    pub ppid: AtomicU32,
    /// When the recording began, nanoseconds since the Unix epoch.
    pub started_ns: AtomicU64,
    /// String: the command line, arguments separated by zero bytes.
    pub command: AtomicU32,
    /// `major << 8 | minor` of the Python found, 0 for none.
    pub python: AtomicU32,
    /// 1 if every allocation is recorded.
    pub exact: AtomicU32,
    /// Number of chunks in the file.
    pub chunk_count: AtomicU32,

    /// Published records of each table, indexed by `Table as usize - 1`; for strings, bytes.
    pub counts: [AtomicU32; 5],
    /// Threads that have ever been started beside the first.
    pub threads_started: AtomicU32,

    /// Mean bytes between samples now in force.
    pub sample_interval: AtomicU64,
    /// Blocks of at least this many bytes are recorded exactly.
    pub large_bytes: AtomicU64,
    /// Samples ever taken.
    pub samples: AtomicU64,

    /// Sum over the sites now.
    pub live_bytes: AtomicU64,
    /// Sum over the sites at the peak.
    pub peak_bytes: AtomicU64,
    /// Time of the peak, nanoseconds since the Unix epoch; to the second.
    pub peak_time_ns: AtomicU64,
    /// See "Snapshots without copying".
    pub peak_epoch: AtomicU32,
    /// See "Snapshots without copying".
    pub oom_epoch: AtomicU32,

    /// Sum over the sites at the failed allocation that began `oom_epoch`.
    pub oom_live_bytes: AtomicU64,
    /// Bytes that it asked for.
    pub oom_request_bytes: AtomicU64,
    /// When, nanoseconds since the Unix epoch.
    pub oom_time_ns: AtomicU64,
    /// The node that asked for them; 0 where the callstack could not be taken.
    pub oom_node: AtomicU32,
    /// An [`AllocFunction`].
    pub oom_function: AtomicU32,
    /// Failed allocations so far.
    pub failures: AtomicU64,

    /// Bytes in pymalloc's arenas now.
    pub arena_bytes: AtomicU64,
    /// Bytes of the stash now held.
    pub stash_bytes: AtomicU64,
    /// Private memory of the preload beside the stash and this file.
    pub own_bytes: AtomicU64,

    /// Events ever written.
    pub events: AtomicU64,
    /// Table of each chunk.
    pub chunk_kinds: [AtomicU8; MAX_CHUNKS + 1],
    /// The ring of events.
    pub ring: [Event; EVENT_SLOTS],

    /// What was alive in the recordings of the process's parent and its ancestors when this process was forked: memory that it
    /// shares with them until either changes it, and no part of any sum here. 0 if it is no fork, or of a version without.
    pub inherited_bytes: AtomicU64,
    /// The rank that the environment gives the process among those of a parallel program, plus one; 0 for none.
    pub rank: AtomicU32,
    /// Zero.
    pub reserved_here: AtomicU32,

    /// What is held of each kind, indexed by [`Kind`]. Since version 2, as all that follows.
    pub kinds: [KindSum; KINDS],
    /// Bytes in pymalloc's arenas at the peak.
    pub peak_arena_bytes: AtomicU64,
    /// Bytes in pymalloc's arenas at the failed allocation that began `oom_epoch`.
    pub oom_arena_bytes: AtomicU64,
    /// The last `oom_epoch` for which the supervisor has measured what is resident ([`protocol::measured`]). The one field that the
    /// writer leaves alone: it waits for it, for a while.
    pub measured_epoch: AtomicU32,
    /// See "Earlier moments".
    pub earlier_epoch: AtomicU32,
    /// When they began, nanoseconds since the Unix epoch.
    pub earlier_ns: [AtomicU64; 2],
    /// The most that was ever resident of the process, as the kernel counts (`ru_maxrss` of getrusage(2)), when it last asked: at its
    /// end, as it frees a large block, and now and then. 0 if that is not known, or of a version without, as for the next.
    pub most_resident_bytes: AtomicU64,
    /// Of what was held at the peak, so much has been freed since.
    pub gone_bytes: AtomicU64,

    /// Of `live_bytes`, so many were not in memory when it was looked at last. Since version 3, as all that follows.
    pub absent_bytes: AtomicU64,
    /// Of `peak_bytes`, so many were not in memory.
    pub peak_absent_bytes: AtomicU64,
    /// Of `oom_live_bytes`, so many were not in memory.
    pub oom_absent_bytes: AtomicU64,
    /// The most that was ever resident of the process, by the kernel's count, when the blocks were looked at last; what was resident then, if
    /// that count is of a program that the process was before; 0 before the first look.
    pub looked_resident_bytes: AtomicU64,
    /// The slot of the block that was looked at first last, plus one; 0 for none.
    pub newest_block: AtomicU32,
    /// Zero.
    pub reserved_there: AtomicU32,
    /// The most that was ever resident of programs that the process was before: the kernel's count goes on from there.
    pub resident_before_bytes: AtomicU64,
}

const _: () = assert!(size_of::<Header>() <= HEADER_BYTES);
const _: () = assert!(size_of::<Node>() == 16);
const _: () = assert!(size_of::<Function>() == 16);
const _: () = assert!(size_of::<Site>() == 128);
const _: () = assert!(size_of::<Block>() == 32);
const _: () = assert!(size_of::<KindSum>() == 56);
const _: () = assert!(MAX_FILE_BYTES <= 64 * 1024 * 1024);
