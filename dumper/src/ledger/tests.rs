//! The sums.

use recording::Kind;

use super::*;
use crate::profile::KindBytes;
use crate::profile::measured::{Area, Charged, Extent, Pages};

const MIB: u64 = 1 << 20;

fn extent(mib: u64) -> Extent {
    Extent {
        size: 2 * mib * MIB,
        resident: mib * MIB,
        anonymous: mib * MIB,
        ..Extent::default()
    }
}

/// 60 MiB of a heap are blocks, 30 are free; of a mapping of 100 MiB 25 are touched.
fn measured() -> Measured {
    let mut measured = Measured::default();
    let held = |mib: u64| KindBytes {
        bytes: mib * MIB,
        occupied: mib * MIB,
    };
    *measured.kinds.of_mut(Kind::Heap) = KindBytes {
        occupied: 66 * MIB,
        ..held(60)
    };
    *measured.kinds.of_mut(Kind::Mapping) = held(100);
    *measured.kinds.of_mut(Kind::Object) = held(5);
    measured.kinds.arenas = 8 * MIB;
    let pages = Pages {
        bytes: 100 * MIB,
        resident: 25 * MIB,
        ..Pages::default()
    };
    measured.blocks.insert(Kind::Mapping as u32, pages);
    let areas = [
        (Area::Heap, 96),
        (Area::Anonymous, 36),
        (Area::Stacks, 1),
        (Area::Libraries, 7),
    ];
    measured.areas = areas.map(|(area, mib)| (area, extent(mib))).into();
    measured
}

#[test]
fn what_is_resident_adds_up_and_what_nobody_has_is_unexplained() {
    let ledger = Ledger::measured(&measured(), Counts::Resident);
    assert_eq!(ledger.total, Some(140 * MIB));
    let of = |name| ledger.bytes(name) / MIB;
    assert_eq!((of("heap_blocks"), of("mappings"), of("objects")), (60, 25, 5));
    assert_eq!((of("heap_rounding"), of("heap_slack"), of("arena_slack")), (6, 30, 3));
    assert_eq!(ledger.unexplained, 3 * MIB as i64);
    assert!((ledger.explained().unwrap() - 137.0 / 140.0).abs() < 1e-9);
    assert_eq!(ledger.largest_unheld().map(|line| line.name), Some("heap_slack"));
}

#[test]
fn address_space_counts_what_is_not_touched() {
    let ledger = Ledger::measured(&measured(), Counts::AddressSpace);
    assert_eq!(ledger.total, Some(280 * MIB));
    assert_eq!(ledger.bytes("mappings"), 100 * MIB);
}

/// 40 MiB in the heap and 20 in mappings were its parent's when it was forked; it has 56 MiB of blocks of its own in the heap.
#[test]
fn what_a_fork_has_inherited_is_not_free() {
    let mut measured = Measured {
        is_fork: true,
        inherited_bytes: 60 * MIB,
        ..Measured::default()
    };
    *measured.kinds.of_mut(Kind::Heap) = KindBytes {
        bytes: 56 * MIB,
        occupied: 56 * MIB,
    };
    let of = |size: u64, shared: u64| Extent {
        size: size * MIB,
        resident: size * MIB,
        shared: shared * MIB,
        ..Extent::default()
    };
    measured.areas = [(Area::Heap, of(100, 40)), (Area::Anonymous, of(20, 20))].into();
    for (counts, slack) in [(Counts::AddressSpace, 4), (Counts::Resident, 0)] {
        let ledger = Ledger::measured(&measured, counts);
        let of = |name| ledger.bytes(name) / MIB;
        assert_eq!((of("inherited"), of("heap_slack")), (60, slack), "{ledger:?}");
    }
}

#[test]
fn a_cgroup_has_other_processes_a_kernel_and_a_cache() {
    let mut measured = measured();
    measured.cgroup = Some(Charged {
        usage: 200 * MIB,
        cache: 20 * MIB,
        kernel: 10 * MIB,
        anonymous: 165 * MIB,
        ..Charged::default()
    });
    measured.others.push(crate::outcome::Other {
        resident_bytes: 40 * MIB,
        ..Default::default()
    });
    let ledger = Ledger::measured(&measured, Counts::Resident);
    assert_eq!(ledger.total, Some(200 * MIB));
    let of = |name| ledger.bytes(name) / MIB;
    // Another process may have pages of files: what no file stands behind is at most what is left of it.
    assert_eq!((of("others"), of("kernel"), of("page_cache")), (25, 10, 20));
}

#[test]
fn blocks_in_a_pool_of_mimalloc_are_counted_once() {
    let mut measured = measured();
    let pages = |bytes, resident| Pages {
        bytes: bytes * MIB,
        resident: resident * MIB,
        ..Pages::default()
    };
    measured.kinds.arenas = 0;
    measured.blocks.insert(Kind::Pool as u32, pages(1024, 9));
    // A large one of 2 MiB is touched for a half.
    measured.blocks.insert(Kind::Object as u32, pages(2, 1));
    let ledger = Ledger::measured(&measured, Counts::Resident);
    let of = |ledger: &Ledger, name| ledger.bytes(name) / MIB;
    assert_eq!((of(&ledger, "objects"), of(&ledger, "arena_slack")), (4, 5));
    assert_eq!((of(&ledger, "foreign_slack"), of(&ledger, "heap_slack")), (0, 30));
    assert_eq!(ledger.unexplained, 2 * MIB as i64);
    let reserved = Ledger::measured(&measured, Counts::AddressSpace);
    assert_eq!((of(&reserved, "objects"), of(&reserved, "arena_slack")), (5, 1019));
    // With an allocator in the place of malloc, too: its pool cannot be told from Python's.
    *measured.kinds.of_mut(Kind::Foreign) = KindBytes {
        bytes: MIB,
        occupied: MIB,
    };
    let both = Ledger::measured(&measured, Counts::Resident);
    assert_eq!((of(&both, "arena_slack"), of(&both, "foreign_slack")), (0, 4));
}

#[test]
fn slack_is_named_only_where_there_is_room_for_it() {
    let mut measured = measured();
    measured.kinds.arenas = 500 * MIB;
    let ledger = Ledger::measured(&measured, Counts::Resident);
    assert_eq!(ledger.bytes("arena_slack"), 6 * MIB);
    assert_eq!(ledger.unexplained, 0);
}

#[test]
fn pages_of_some_sorts_are_told_apart_and_change_no_sum() {
    let mut measured = measured();
    let before = Ledger::measured(&measured, Counts::Resident);
    assert_eq!(before.apart, []);
    let anonymous = measured.areas.get_mut(&Area::Anonymous).unwrap();
    (anonymous.swapped, anonymous.uncounted, anonymous.huge) = (7 * MIB, 16 * MIB, 4 * MIB);
    (anonymous.shared, anonymous.lazy) = (3 * MIB, 2 * MIB);
    // Everybody shares libraries.
    measured.areas.get_mut(&Area::Libraries).unwrap().shared = 6 * MIB;
    let ledger = Ledger::measured(&measured, Counts::Resident);
    assert_eq!((ledger.total, &ledger.lines), (before.total, &before.lines));
    let apart: Vec<_> = ledger
        .apart
        .iter()
        .map(|sort| (sort.name, sort.bytes / MIB, sort.is_counted))
        .collect();
    assert_eq!(
        apart,
        [
            ("swapped", 7, false),
            ("hugetlb", 16, false),
            ("transparent_huge", 4, true),
            ("shared_pages", 3, true),
            ("lazily_freed", 2, true)
        ]
    );
    assert_eq!(Ledger::measured(&measured, Counts::AddressSpace).apart, []);
}

#[test]
fn a_measurement_whose_numbers_are_all_the_largest_has_a_ledger() {
    let extent = r#"{"size": M, "resident": M, "shared": M, "anonymous": M, "swapped": M, "huge": M, "lazy": M, "uncounted": M}"#;
    let names = [
        "heap",
        "anonymous",
        "stacks",
        "libraries",
        "files",
        "shared",
        "own",
        "reserved",
    ];
    let areas = names.map(|name| format!("\"{name}\": {extent}")).join(",");
    let held = [r#"{"bytes": M, "occupied": M}"#; recording::KINDS].join(",");
    for (is_fork, touched) in [(false, "0"), (true, "M")] {
        let blocks: Vec<String> = (0..recording::KINDS)
            .map(|kind| format!(r#""{kind}": {{"bytes": M, "resident": {touched}}}"#))
            .collect();
        let text = format!(
            r#"{{"is_fork": {is_fork}, "live_bytes": M, "own_bytes": M, "stash_bytes": M, "areas": {{{areas}}},
                "kinds": {{"held": [{held}], "arenas": M}}, "blocks": {{{blocks}}}, "others": [{{"resident_bytes": M}}, {{"resident_bytes": M}}],
                "cgroup": {{"usage": M, "cache": M, "shared": M, "kernel": M, "anonymous": M}}}}"#,
            blocks = blocks.join(",")
        );
        let measured: Measured = serde_json::from_str(&text.replace('M', &u64::MAX.to_string())).unwrap();
        assert_eq!(measured.resident(), u64::MAX);
        for counts in [Counts::Resident, Counts::AddressSpace] {
            let ledger = Ledger::measured(&measured, counts);
            let is_absent = touched == "0" && counts == Counts::Resident;
            let held = if is_absent { 0 } else { u64::MAX };
            assert_eq!((ledger.total, ledger.held()), (Some(u64::MAX), held));
        }
    }
}
