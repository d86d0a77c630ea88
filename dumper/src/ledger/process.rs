//! What one process has.

use std::collections::BTreeMap;

use recording::Kind;

use super::{Group, Ledger};
use crate::profile::ByKind;
use crate::profile::measured::{Area, Measured};
use crate::units;

/// What the call sites hold, by kind, without what is `absent` of each.
pub(super) fn held(ledger: &mut Ledger, kinds: &ByKind, absent: impl Fn(Kind) -> u64) {
    for (kind, name, what) in [
        (Kind::Object, "objects", "blocks of Python's own allocator"),
        (Kind::Heap, "heap_blocks", "blocks from malloc"),
        (Kind::Mapped, "mapped_blocks", "blocks that malloc mapped one by one"),
        (
            Kind::Foreign,
            "foreign_blocks",
            "blocks of the allocator that replaces malloc",
        ),
        (Kind::Mapping, "mappings", "memory that the program mapped itself"),
    ] {
        ledger.line(
            name,
            what,
            Group::Held,
            kinds.of(kind).bytes.saturating_sub(absent(kind)),
        );
    }
}

/// What of pymalloc's arenas no object fills, at most `room`.
pub(super) fn arena_slack(ledger: &mut Ledger, kinds: &ByKind, room: u64) {
    let slack = kinds.arenas.saturating_sub(kinds.of(Kind::Object).bytes).min(room);
    free_in_python(ledger, slack);
}

fn free_in_python(ledger: &mut Ledger, bytes: u64) {
    ledger.line(
        "arena_slack",
        "free in the arenas of Python's own allocator",
        Group::Slack,
        bytes,
    );
}

/// Whether Python's blocks are mimalloc's: what that maps is a pool, and pymalloc always has arenas.
fn has_mimalloc(kinds: &ByKind) -> bool {
    kinds.arenas == 0 && kinds.of(Kind::Object).bytes > 0
}

/// By pages in memory.
pub(super) fn resident(ledger: &mut Ledger, measured: &Measured) {
    let kinds = &measured.kinds;
    let area = |area| measured.area(area).resident;
    ledger.add_to_total(measured.resident());
    held(ledger, kinds, |kind| measured.untouched(kind));
    shared(ledger, area(Area::Shared), measured.blocks(Kind::Shared).resident);
    let written = measured.blocks(Kind::PrivateFile).resident;
    let written = written.min(measured.area(Area::Files).anonymous);
    ledger.line(
        "written_files",
        "written to private mappings of files",
        Group::Held,
        written,
    );
    let copied = copied(measured);
    ledger.line(
        "copied",
        "copies of what was inherited from the parent",
        Group::Shared,
        units::sum(copied.values().copied()),
    );
    rest(ledger, measured, |of| {
        let others = copied
            .get(&of)
            .copied()
            .unwrap_or(0)
            .saturating_add(common(measured, of));
        area(of).saturating_sub(others)
    });
    ledger.line(
        "files",
        "files that are mapped (page cache)",
        Group::Files,
        area(Area::Files).saturating_sub(written),
    );
    let own = area(Area::Own).saturating_add(measured.own_bytes);
    ledger.line("own", "fil-profile's library, tables and recording", Group::Own, own);
    inherited(ledger, measured);
}

/// Shared memory, of which the program has mapped so much itself.
fn shared(ledger: &mut Ledger, all: u64, mapped: u64) {
    let mapped = mapped.min(all);
    ledger.line(
        "shared_blocks",
        "shared memory that the program mapped",
        Group::Held,
        mapped,
    );
    ledger.line("shared_other", "other shared memory", Group::Shared, all - mapped);
}

/// What a fork has written to since: pages of its own that it holds no more blocks in, up to what it has inherited. A page is copied as a
/// whole when a byte of it is written.
pub(super) fn copied(measured: &Measured) -> BTreeMap<Area, u64> {
    let kinds = &measured.kinds;
    let in_memory = |kind| {
        let of_kind = kinds.of(kind);
        of_kind
            .bytes
            .max(of_kind.occupied)
            .saturating_sub(measured.untouched(kind))
    };
    let of_blocks = |kinds: &[Kind]| units::sum(kinds.iter().map(|kind| in_memory(*kind)));
    let (objects, pool) = (in_memory(Kind::Object), measured.blocks(Kind::Pool).resident);
    let pools = match has_mimalloc(kinds) {
        // A fork has more objects in the pool of its parent.
        true => objects.max(pool),
        false => objects.saturating_add(pool),
    };
    let held = [
        (
            Area::Anonymous,
            of_blocks(&[Kind::Mapped, Kind::Mapping]).saturating_add(pools),
        ),
        (Area::Heap, in_memory(Kind::Heap)),
    ];
    let mut left = measured.inherited_bytes;
    let copied = held.map(|(area, held)| {
        let extent = measured.area(area);
        let own = extent.resident.saturating_sub(extent.shared);
        let copied = own.saturating_sub(held).min(left);
        left -= copied;
        (area, copied)
    });
    copied.into_iter().collect()
}

/// The pages of an area that a fork shares with its parent.
fn common(measured: &Measured, area: Area) -> u64 {
    match area {
        Area::Heap | Area::Anonymous if measured.is_fork => measured.area(area).shared,
        _ => 0,
    }
}

/// The pages that a fork shares with its parent are the parent's; no other entry counts them here.
fn inherited(ledger: &mut Ledger, measured: &Measured) {
    if measured.is_fork {
        let shared = units::sum([Area::Heap, Area::Anonymous].map(|area| common(measured, area)));
        let left = ledger.total.unwrap_or(0).saturating_sub(ledger.sum());
        ledger.line(
            "inherited",
            "inherited from the parent, and shared with it",
            Group::Shared,
            shared.min(left),
        );
    }
}

/// By address space.
pub(super) fn address_space(ledger: &mut Ledger, measured: &Measured) {
    let kinds = &measured.kinds;
    let area = |area| measured.area(area).size;
    ledger.add_to_total(units::sum(measured.areas.values().map(|extent| extent.size)));
    held(ledger, kinds, |_| 0);
    shared(ledger, area(Area::Shared), kinds.of(Kind::Shared).bytes);
    let inherited = inherited_addresses(measured);
    rest(ledger, measured, |of| {
        area(of).saturating_sub(inherited.get(&of).copied().unwrap_or(0))
    });
    ledger.line(
        "inherited",
        "inherited from the parent",
        Group::Shared,
        units::sum(inherited.into_values()),
    );
    ledger.line("files", "files that are mapped", Group::Files, area(Area::Files));
    ledger.line(
        "reserved",
        "address space that is reserved and cannot be touched",
        Group::Reserved,
        area(Area::Reserved),
    );
    let own = area(Area::Own)
        .saturating_add(measured.own_bytes)
        .saturating_add(measured.stash_bytes);
    ledger.line(
        "own",
        "fil-profile's library, tables, recording and stash",
        Group::Own,
        own,
    );
}

/// The address space of a fork in which the objects are that it has inherited: what its own blocks do not use, up to what was inherited.
fn inherited_addresses(measured: &Measured) -> BTreeMap<Area, u64> {
    let kinds = &measured.kinds;
    let of_kind = |kind| kinds.of(kind).bytes.max(kinds.of(kind).occupied);
    let of_blocks = |kinds: &[Kind]| units::sum(kinds.iter().map(|kind| of_kind(*kind)));
    let pool = measured.blocks(Kind::Pool).bytes;
    let own = [
        (
            Area::Anonymous,
            of_blocks(&[Kind::Mapped, Kind::Mapping])
                .saturating_add(kinds.arenas.max(of_kind(Kind::Object)))
                .saturating_add(pool),
        ),
        (Area::Heap, of_kind(Kind::Heap)),
    ];
    let mut left = measured.inherited_bytes;
    let inherited = own.map(|(area, own)| {
        let inherited = measured.area(area).size.saturating_sub(own).min(left);
        left -= inherited;
        (area, inherited)
    });
    inherited.into_iter().collect()
}

/// What both count alike: what allocators hold back, stacks and libraries.
fn rest(ledger: &mut Ledger, measured: &Measured, area: impl Fn(Area) -> u64) {
    let kinds = &measured.kinds;
    let by_pages = ledger.counts == super::Counts::Resident;
    let absent = |kind| if by_pages { measured.untouched(kind) } else { 0 };
    let mapped = kinds.of(Kind::Mapped);
    ledger.line(
        "mapped_rounding",
        "malloc's headers and rounding of blocks mapped one by one",
        Group::Slack,
        mapped.occupied.saturating_sub(mapped.bytes),
    );
    // Where another allocator replaces malloc, it may take its memory from the same heap.
    let pages = measured.blocks(Kind::Pool);
    let pool = if by_pages { pages.resident } else { pages.bytes };
    let objects = kinds.of(Kind::Object).bytes.saturating_sub(absent(Kind::Object));
    let all_pools = pool;
    let pool = match has_mimalloc(kinds) {
        // What is free in the pools of two allocators is said to be the other's.
        true if kinds.of(Kind::Foreign).bytes > 0 => pool.saturating_sub(objects),
        true => 0,
        false => pool,
    };
    let of_python = all_pools - pool;
    let (heap, foreign) = (kinds.of(Kind::Heap), kinds.of(Kind::Foreign));
    let heaps = area(Area::Heap);
    if foreign.bytes > heap.bytes {
        let used = foreign.bytes.saturating_sub(absent(Kind::Foreign));
        let slack = heaps
            .saturating_add(pool)
            .saturating_sub(used.saturating_add(heap.bytes));
        ledger.line(
            "foreign_slack",
            "kept free by the allocator that replaces malloc",
            Group::Slack,
            slack,
        );
    } else {
        let overhead = heap.occupied.saturating_sub(heap.bytes);
        let used = heap.occupied.saturating_sub(absent(Kind::Heap));
        let overhead = overhead.min(heaps.saturating_sub(used.saturating_sub(overhead)));
        ledger.line("heap_rounding", "malloc's headers and rounding", Group::Slack, overhead);
        ledger.line(
            "heap_slack",
            "free in malloc's heaps",
            Group::Slack,
            heaps.saturating_sub(used),
        );
        let foreign_slack = pool.saturating_sub(foreign.bytes);
        ledger.line(
            "foreign_slack",
            "kept free by the allocator that replaces malloc",
            Group::Slack,
            foreign_slack,
        );
    }
    free_in_python(ledger, of_python.saturating_sub(objects));
    // Not all pages of an arena need be resident: its slack is at most what no other entry has.
    let others = [Kind::Mapped, Kind::Mapping].map(|kind| kinds.of(kind).occupied.saturating_sub(absent(kind)));
    let others = others.into_iter().chain([all_pools, kinds.of(Kind::Object).bytes]);
    arena_slack(ledger, kinds, area(Area::Anonymous).saturating_sub(units::sum(others)));
    ledger.line("stacks", "stacks of threads", Group::Stacks, area(Area::Stacks));
    ledger.line(
        "libraries",
        "programs and libraries",
        Group::Files,
        area(Area::Libraries),
    );
}
