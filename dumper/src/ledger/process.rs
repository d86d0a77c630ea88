//! What one process has.

use recording::Kind;

use super::{Group, Ledger};
use crate::profile::ByKind;
use crate::profile::measured::{Area, Measured};
use crate::units;

/// What the call sites hold, by kind, without what is `absent` of each.
pub(super) fn held(ledger: &mut Ledger, kinds: &ByKind, absent: impl Fn(Kind) -> u64) {
    for (kind, name, what) in [
        (Kind::Object, "objects", "small objects of Python"),
        (Kind::Heap, "heap_blocks", "blocks from malloc"),
        (Kind::Mapped, "mapped_blocks", "blocks that malloc mapped one by one"),
        (
            Kind::Foreign,
            "foreign_blocks",
            "blocks of the allocator in malloc's place",
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
    ledger.line(
        "arena_slack",
        "free in the arenas of Python's small objects",
        Group::Slack,
        slack,
    );
}

/// By pages in memory.
pub(super) fn resident(ledger: &mut Ledger, measured: &Measured) {
    let kinds = &measured.kinds;
    let area = |area| measured.area(area).resident;
    ledger.add_to_total(measured.resident());
    held(ledger, kinds, |kind| measured.untouched(kind));
    shared(ledger, area(Area::Shared), measured.blocks(Kind::Shared).resident);
    rest(ledger, measured, area);
    ledger.line(
        "files",
        "files that are mapped (page cache)",
        Group::Files,
        area(Area::Files),
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

/// The pages that a fork shares with its parent are the parent's; no other entry counts them here.
fn inherited(ledger: &mut Ledger, measured: &Measured) {
    if measured.is_fork {
        let shared = units::sum([Area::Heap, Area::Anonymous].map(|area| measured.area(area).shared));
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
    rest(ledger, measured, area);
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
    // Where another allocator is in malloc's place, it may take its memory from the same heap.
    let pages = measured.blocks(Kind::Pool);
    let pool = if by_pages { pages.resident } else { pages.bytes };
    let (heap, foreign) = (kinds.of(Kind::Heap), kinds.of(Kind::Foreign));
    let heaps = area(Area::Heap);
    if foreign.bytes > heap.bytes {
        let used = foreign.bytes.saturating_sub(absent(Kind::Foreign));
        let slack = heaps
            .saturating_add(pool)
            .saturating_sub(used.saturating_add(heap.bytes));
        ledger.line(
            "foreign_slack",
            "held back by the allocator in malloc's place",
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
            "held back by the allocator in malloc's place",
            Group::Slack,
            foreign_slack,
        );
    }
    // Not all pages of an arena need be resident: its slack is at most what no other entry has.
    let others = [Kind::Mapped, Kind::Mapping].map(|kind| kinds.of(kind).occupied.saturating_sub(absent(kind)));
    let others = others.into_iter().chain([pool, kinds.of(Kind::Object).bytes]);
    arena_slack(ledger, kinds, area(Area::Anonymous).saturating_sub(units::sum(others)));
    ledger.line("stacks", "stacks of threads", Group::Stacks, area(Area::Stacks));
    ledger.line(
        "libraries",
        "programs and libraries",
        Group::Files,
        area(Area::Libraries),
    );
}
