//! What brings a measurement up to date, and what does not.

use super::super::{Charged, Extent};
use super::*;

const MIB: u64 = 1 << 20;

fn pages(mib: u64, resident: u64) -> Pages {
    Pages {
        bytes: mib * MIB,
        resident: resident * MIB,
        ..Pages::default()
    }
}

/// 1000 MiB at site 7, of which 80 are filled, beside 20 MiB of small blocks.
fn filling() -> Measurements {
    let mut measured = Measured {
        time_ns: 10,
        live_bytes: 1020 * MIB,
        high_water: 101 * MIB,
        ..Measured::default()
    };
    let extent = |mib| Extent {
        resident: mib * MIB,
        anonymous: mib * MIB,
        ..Extent::default()
    };
    measured.areas.insert(Area::Heap, extent(20));
    measured.areas.insert(Area::Anonymous, extent(80));
    measured.blocks.insert(Kind::Mapped as u32, pages(1000, 80));
    measured.sites.push(SitePages {
        site: 7,
        pages: pages(1000, 80),
        ..SitePages::default()
    });
    let mut known = Measurements::default();
    known.add(measured, false);
    known
}

fn ended(most: u64) -> Facts {
    Facts {
        state: State::Ended,
        most_resident_bytes: most * MIB,
        peak_bytes: 1020 * MIB,
        ..Facts::default()
    }
}

fn resident(known: &Measurements) -> [u64; 3] {
    let latest = known.latest.as_ref().unwrap();
    let highest = known.highest.as_ref().unwrap();
    [latest.sites[0].pages.resident, latest.resident(), highest.resident()].map(|bytes| bytes / MIB)
}

#[test]
fn a_block_that_was_being_filled_is_as_full_as_the_kernel_says_at_the_end() {
    for (most, expected) in [
        (1020, [1000, 1020, 1020]),
        (600, [580, 600, 600]),
        (101, [80, 100, 100]),
    ] {
        let mut known = filling();
        known.bring_up_to_date(&ended(most), &[]);
        assert_eq!(resident(&known), expected, "{most}");
    }
}

#[test]
fn what_was_growing_is_filled_before_what_was_not() {
    let mut known = filling();
    let latest = known.latest.as_mut().unwrap();
    latest.sites.push(SitePages {
        site: 8,
        pages: pages(500, 10),
        ..SitePages::default()
    });
    let mut earlier = latest.clone();
    earlier.sites[0].pages.resident = 0;
    latest.compare(&earlier);
    known.bring_up_to_date(&ended(800), &[]);
    let sites = &known.latest.unwrap().sites;
    assert_eq!([0, 1].map(|site| sites[site].pages.resident / MIB), [780, 10]);
}

#[test]
fn where_it_is_not_known_which_of_several_blocks_was_filled_nothing_is_said_of_any() {
    for (most, is_doubtful, expected) in [(800, true, [80, 10]), (115, false, [89, 15]), (1500, false, [993, 496])] {
        let mut known = filling();
        let latest = known.latest.as_mut().unwrap();
        latest.sites.push(SitePages {
            site: 8,
            pages: pages(500, 10),
            ..SitePages::default()
        });
        latest.blocks.insert(Kind::Mapped as u32, pages(1500, 90));
        known.bring_up_to_date(&ended(most), &[]);
        let latest = known.latest.unwrap();
        let sites = [0, 1].map(|site| latest.sites[site].pages.resident / MIB);
        assert_eq!((latest.is_doubtful, sites), (is_doubtful, expected), "{most}");
    }
}

#[test]
fn new_blocks_explain_new_pages_before_old_blocks_do() {
    let mut known = filling();
    let facts = Facts {
        peak_bytes: 1420 * MIB,
        peak_time_ns: 20,
        ..ended(500)
    };
    known.bring_up_to_date(&facts, &[]);
    assert_eq!(resident(&known), [80, 100, 100]);
}

#[test]
fn of_several_blocks_of_a_killed_process_those_come_first_that_it_has_seen_in_memory() {
    let mut facts = Facts {
        live_bytes: 1505 * MIB,
        ..Facts::default()
    };
    facts.kinds.live.of_mut(Kind::Mapped).occupied = 1485 * MIB;
    // The one that was being filled is full, 180 MiB are seen, and 305 may be there as far as the kernel has counted more.
    let large = [(7, 1000, 0), (8, 180, 0), (9, 305, 305)].map(|(site, mib, absent)| Large {
        site,
        kind: Kind::Mapped,
        bytes: mib * MIB,
        absent: Some(absent * MIB),
        is_newest: false,
    });
    for (most, untouched) in [(1200, 0), (1210, 10), (1505, 305)] {
        let mut known = filling();
        known.most_resident = most * MIB;
        let latest = known.latest.as_mut().unwrap();
        latest.kinds.of_mut(Kind::Mapped).occupied = 1000 * MIB;
        known.bring_up_to_date(&facts, &large);
        let latest = known.latest.unwrap();
        let sites = [0, 1, 2].map(|site| latest.sites[site].pages.resident / MIB);
        assert_eq!(sites, [1000, 180, untouched], "{most}");
        assert_eq!(latest.resident() / MIB, most);
    }
}

#[test]
fn a_new_block_of_a_killed_process_is_as_full_as_the_kernel_or_the_limit_allows() {
    let mut facts = Facts {
        live_bytes: 1320 * MIB,
        ..Facts::default()
    };
    facts.kinds.live.of_mut(Kind::Mapped).occupied = 1300 * MIB;
    let large = [(7, 1000), (8, 300)].map(|(site, mib)| Large {
        site,
        kind: Kind::Mapped,
        bytes: mib * MIB,
        absent: None,
        is_newest: false,
    });
    let of_new = |known: &Measurements| known.latest.as_ref().unwrap().sites[1].pages.resident / MIB;
    // Of (what the kernel says, the limit).
    for (most, limit, expected) in [(250, 0, 150), (0, 200, 100), (0, 0, 300)] {
        let mut known = filling();
        known.most_resident = most * MIB;
        let latest = known.latest.as_mut().unwrap();
        latest.kinds.of_mut(Kind::Mapped).occupied = 1000 * MIB;
        latest.cgroup = Some(Charged {
            usage: 100 * MIB,
            limit: limit * MIB,
            ..Charged::default()
        });
        known.bring_up_to_date(&facts, &large);
        assert_eq!((of_new(&known), resident(&known)[0]), (expected, 80), "{most} {limit}");
        let usage = known.latest.unwrap().cgroup.unwrap().usage / MIB;
        assert_eq!(usage, 100 + expected);
    }
}

#[test]
fn large_blocks_of_two_kinds_at_one_site_are_not_taken_for_small_ones() {
    let mut facts = Facts {
        live_bytes: 1320 * MIB,
        ..Facts::default()
    };
    facts.kinds.live.of_mut(Kind::Mapped).occupied = 1200 * MIB;
    facts.kinds.live.of_mut(Kind::Mapping).occupied = 100 * MIB;
    let large = [(Kind::Mapped, 1200), (Kind::Mapping, 100)].map(|(kind, mib)| Large {
        site: 7,
        kind,
        bytes: mib * MIB,
        absent: None,
        is_newest: false,
    });
    let mut known = filling();
    known.most_resident = 130 * MIB;
    let latest = known.latest.as_mut().unwrap();
    latest.kinds.of_mut(Kind::Mapped).occupied = 1000 * MIB;
    known.bring_up_to_date(&facts, &large);
    assert_eq!(known.latest.unwrap().resident(), 130 * MIB);
}
