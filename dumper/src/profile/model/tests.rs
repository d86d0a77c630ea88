//! What a profile says of memory that was looked at by several.

use super::super::measured::{Area, Extent, Pages, SitePages};
use super::*;

const MIB: u64 = 1 << 20;

/// At a time, so much was live, and so much had been written to a mapping of site 0.
fn measured(time_ns: u64, live: u64, written: u64) -> Measured {
    let pages = Pages {
        bytes: 200 * MIB,
        resident: written * MIB,
        ..Pages::default()
    };
    let site = SitePages {
        pages,
        ..SitePages::default()
    };
    let extent = Extent {
        resident: (live + written) * MIB,
        ..Extent::default()
    };
    Measured {
        time_ns,
        live_bytes: live * MIB,
        blocks: [(Kind::PrivateFile as u32, pages)].into(),
        written: vec![site],
        areas: [(Area::Anonymous, extent)].into(),
        ..Measured::default()
    }
}

/// A process that was killed with so many MiB at two lines, of which `absent` had not been there at the last look.
fn killed(absent: [u64; 2], peak_present: u64) -> Profile {
    let holdings = [1, 2].map(|node| {
        let held = Tally::of_bytes([180, 305][node - 1] * MIB);
        Holding {
            node: node as u32,
            live: held,
            peak: held,
            absent: [absent[node - 1] * MIB; 3],
            ..Holding::default()
        }
    });
    let mut profile = Profile {
        nodes: vec![Node::default(); 3],
        holdings: holdings.to_vec(),
        functions: vec![Function::default()],
        ..Profile::default()
    };
    let absent: u64 = absent.iter().sum();
    profile.facts.live_bytes = 485 * MIB;
    profile.facts.absent_bytes = absent * MIB;
    profile.facts.peak_bytes = peak_present.max(485) * MIB;
    profile.facts.peak_absent_bytes = profile.facts.peak_bytes - peak_present * MIB;
    profile.facts.looked_resident_bytes = 200 * MIB;
    profile
}

#[test]
fn what_a_process_has_seen_is_brought_up_to_date_by_the_kernels_count() {
    // (not there at the last look, in memory at the peak, the kernel's count, the newest block, what each line has in memory)
    for (absent, peak, most, newest, expected) in [
        ([0, 305], 180, 200, 1, Some([180, 0])),
        ([0, 305], 180, 505, 1, Some([180, 305])),
        ([0, 305], 180, 300, 1, Some([180, 100])),
        // The newest is filled first.
        ([180, 305], 0, 380, 0, Some([180, 0])),
        ([180, 305], 0, 400, 0, Some([180, 20])),
        ([180, 305], 0, 380, 1, Some([0, 180])),
        // It may have filled as much as it had freed.
        ([0, 305], 600, 200, 1, Some([180, 305])),
        ([0, 305], 180, 0, 1, None),
    ] {
        let mut profile = killed(absent, peak);
        profile.large = [0, 1]
            .map(|site| Large {
                site,
                kind: Kind::Mapped,
                bytes: [180, 305][site as usize] * MIB,
                absent: Some(absent[site as usize] * MIB),
                is_newest: site == newest,
            })
            .to_vec();
        profile.measure_until_now(Measurements {
            most_resident: most * MIB,
            ..Measurements::default()
        });
        for profile in [profile.clone(), profile.compact()] {
            let untouched = profile.untouched[Moment::Live as usize].as_ref();
            let resident = untouched.map(|untouched| {
                [(1, 180), (2, 305)].map(|(node, mib)| mib - untouched.get(&node).map_or(0, |bytes| bytes / MIB))
            });
            assert_eq!(resident, expected, "{absent:?} {peak} {most}");
        }
    }
}

#[test]
fn what_was_written_to_a_mapping_of_a_file_counts_while_it_is_mapped_and_is_kept() {
    // (measurements, recorded peak, written at the peak and now)
    for (looks, peak, expected) in [
        (vec![measured(1, 20, 90)], 20, [90, 90]),
        (vec![measured(1, 10, 0), measured(2, 10, 300)], 12, [298, 300]),
        (vec![measured(1, 41, 120), measured(2, 81, 0)], 81, [80, 0]),
    ] {
        let mut profile = Profile {
            nodes: vec![Node::default(); 2],
            holdings: vec![Holding {
                node: 1,
                ..Holding::default()
            }],
            functions: vec![Function::default()],
            ..Profile::default()
        };
        profile.facts.peak_bytes = peak * MIB;
        let mut known = Measurements::default();
        looks.into_iter().for_each(|look| known.add(look, false));
        profile.measure(known);
        let written = |profile: &Profile, moment: Moment| {
            let all = profile.written[moment as usize].values().sum::<u64>();
            all / MIB
        };
        for profile in [profile.clone(), profile.compact()] {
            let found = [Moment::Peak, Moment::Live].map(|moment| written(&profile, moment));
            assert_eq!(found, expected, "{peak}");
        }
    }
}

#[test]
fn what_was_written_to_a_file_s_mapping_is_not_taken_for_other_blocks_of_the_same_line() {
    // (MiB that the process has seen written, MiB of the mapping that are still there, MiB in memory)
    for (seen, mapped, expected) in [(0, 100, 157), (40, 100, 157), (0, 0, 60)] {
        let held = Tally::of_bytes((60 + seen) * MIB);
        let mut profile = Profile {
            nodes: vec![Node::default(); 2],
            holdings: vec![Holding {
                node: 1,
                live: held,
                peak: held,
                ..Holding::default()
            }],
            functions: vec![Function::default()],
            large: vec![Large {
                site: 0,
                kind: Kind::PrivateFile,
                bytes: mapped * MIB,
                absent: Some((mapped - seen) * MIB),
                is_newest: false,
            }],
            ..Profile::default()
        };
        let facts = &mut profile.facts;
        (facts.state, facts.looked_resident_bytes) = (State::Running, held.bytes);
        (facts.live_bytes, facts.peak_bytes) = (held.bytes, held.bytes);
        let mut known = Measurements::default();
        known.add(measured(1, 60, 97), false);
        known.most_resident = 157 * MIB;
        profile.measure_until_now(known);
        for profile in [profile.clone(), profile.compact()] {
            let all = [Moment::Peak, Moment::Live].map(|moment| profile.at(moment).weight().requested.bytes / MIB);
            assert_eq!(all, [expected; 2], "{seen} {mapped}");
        }
    }
}
