//! Any bytes whatsoever: never a panic, never a total that its parts do not add up to without saying so.

use std::mem::{offset_of, size_of};

use dumper::report::{self, Occasion};
use dumper::{Damage, Moment, Profile, Rank, ReadError, Run, process};
use proptest::prelude::*;
use recording::{AllocFunction, CHUNK_BYTES, HEADER_BYTES, Header, MAGIC, Node, Table, Trouble};

use crate::builder::{Builder, Held, STARTED_NS};
use crate::job;

/// Offsets of all bytes that are in use, and of one after each run of them.
fn used(file: &[u8]) -> Vec<usize> {
    let is_used = |at: &usize| file[*at] != 0 || *at > 0 && file[*at - 1] != 0;
    (0..file.len()).filter(is_used).collect()
}

/// A recording with one of everything, small enough to try something with each of its bytes.
fn small() -> Vec<u8> {
    let mut job = Builder::new(1, &["python3", "a.py"]);
    let [f, g] = [2, 3].map(|line| job.stack(&[("a.py", 1, "<module>"), ("a.py", line, "f")]));
    let held = |bytes| Held {
        bytes,
        variance: bytes << 12,
    };
    job.site(f, held(10_000), held(90_000), held(50_000));
    job.holds(g, 70_000);
    job.overflow(3000);
    job.trouble(Trouble::UnknownPython, 3 << 8 | 14);
    job.failed(AllocFunction::Malloc, 1 << 30, g, STARTED_NS);
    job.bytes()
}

/// Whatever was read can be walked, and adds up to what is stated or is called damaged.
fn check(recording: &Profile, damage: &[Damage]) {
    let stated = [
        (Moment::Live, Some(recording.facts.live_bytes)),
        (Moment::Peak, Some(recording.facts.peak_bytes)),
        (
            Moment::OutOfMemory,
            recording.facts.failure.as_ref().map(|failure| failure.live_bytes),
        ),
    ];
    for (moment, stated) in stated {
        let tree = recording.at(moment).by(Rank::Requested);
        let sum: u64 = (0..tree.nodes().len()).map(|id| tree.own(id).bytes).sum();
        assert_eq!(tree.all().bytes, sum);
        assert_eq!(tree.clone().condensed().all(), tree.all());
        if let Some(stated) = stated {
            assert!(
                sum == stated || !damage.is_empty(),
                "{moment:?}: {sum} instead of {stated}"
            );
        }
    }
    for event in &recording.facts.events {
        assert!(recording.stack(event.node).count() < 1_000_000);
    }
}

#[test]
fn a_recording_cut_off_at_any_byte_is_read_as_far_as_it_goes() {
    let file = small();
    let whole = dumper::recording::read(&file)
        .unwrap()
        .0
        .at(Moment::OutOfMemory)
        .by(Rank::Requested)
        .all();
    for end in used(&file) {
        match dumper::recording::read(&file[..end]) {
            Err(error) => assert!(
                error == ReadError::NotARecording && end < size_of::<Header>(),
                "cut at {end}"
            ),
            Ok((recording, damage)) => {
                assert!(
                    matches!(damage[0], Damage::Truncated { .. }),
                    "cut at {end}: {damage:?}"
                );
                check(&recording, &damage);
                assert!(recording.at(Moment::OutOfMemory).by(Rank::Requested).all().bytes <= whole.bytes);
            }
        }
    }
}

#[test]
fn a_recording_with_any_byte_altered_never_states_a_wrong_total_silently() {
    let file = small();
    let mut altered = file.clone();
    for at in used(&file) {
        for flip in [0x01, 0x80, 0xff] {
            altered[at] ^= flip;
            if let Ok((recording, damage)) = dumper::recording::read(&altered) {
                check(&recording, &damage);
            }
            altered[at] = file[at];
        }
    }
}

#[test]
fn a_damaged_recording_still_becomes_a_report_that_says_so() {
    let file = small();
    let folder = tempfile::tempdir().unwrap();
    for (number, at) in used(&file)
        .into_iter()
        .enumerate()
        .filter(|(number, _)| number % 23 == 0)
    {
        let mut altered = file.clone();
        altered[at] ^= 0xff;
        let cut = if number % 2 == 0 { &altered[..] } else { &altered[..at] };
        let Ok((_, damage)) = dumper::recording::read(cut) else {
            continue;
        };
        let is_damaged = damage.iter().any(|damage| *damage != Damage::SampleInFlight);
        let path = folder.path().join("1-0.recording");
        std::fs::write(&path, cut).unwrap();
        let (processes, _) = process::load(&crate::job::opened(folder.path())).unwrap();
        let written = report::write(
            &crate::job::opened(folder.path()),
            &Run::default(),
            &processes,
            &[],
            Occasion::Ended,
        );
        let page = std::fs::read_to_string(&written.index).unwrap();
        assert_eq!(page.contains("The recording is damaged: "), is_damaged);
    }
}

#[test]
fn an_undamaged_recording_has_no_damage() {
    let (recording, damage) = dumper::recording::read(&job::recording()).unwrap();
    assert_eq!(damage, []);
    check(&recording, &damage);
}

#[test]
fn a_file_of_another_kind_or_a_newer_version_is_refused_with_what_to_do() {
    let mut file = job::recording();
    assert_eq!(dumper::recording::read(b"").unwrap_err(), ReadError::NotARecording);
    file[offset_of!(Header, version)] = recording::VERSION as u8 + 1;
    let newer = dumper::recording::read(&file).unwrap_err();
    assert_eq!(newer, ReadError::Newer(recording::VERSION + 1));
    assert!(
        newer
            .to_string()
            .contains("use the fil-profile that recorded it, or a newer one")
    );
    file[0] ^= 1;
    assert_eq!(dumper::recording::read(&file).unwrap_err(), ReadError::NotARecording);
}

#[test]
fn a_sample_in_flight_is_told() {
    let mut file = job::recording();
    file[offset_of!(Header, sequence)] = 3;
    assert_eq!(dumper::recording::read(&file).unwrap().1, [Damage::SampleInFlight]);
}

#[test]
fn what_points_nowhere_is_counted_under_a_made_up_name() {
    let mut job = Builder::new(1, &["a"]);
    let node = job.stack(&[("a.py", 1, "f")]);
    job.holds(node, 1000);
    job.holds(77, 500);
    let (recording, damage) = dumper::recording::read(&job.bytes()).unwrap();
    assert_eq!(damage, [Damage::BadReferences(1)]);
    let tree = recording.at(Moment::Live).by(Rank::Requested);
    let hottest: Vec<_> = tree
        .sites(9)
        .into_iter()
        .map(|site| (site.call.exact(), site.ranked.bytes))
        .collect();
    assert_eq!(
        hottest,
        [("a.py:1 (f)".to_owned(), 1000), ("[damaged]".to_owned(), 500)]
    );
}

#[test]
fn what_is_more_than_all_that_was_in_use_counts_as_zero() {
    let file = small();
    let total = |file: &[u8], moment| {
        let (recording, damage) = dumper::recording::read(file).unwrap();
        (recording.at(moment).by(Rank::Requested).all().bytes, damage)
    };
    let held = 70_000u64.to_le_bytes();
    let places = (HEADER_BYTES..file.len() - 8).filter(|at| file[*at..*at + 8] == held);
    for at in places {
        let mut altered = file.clone();
        altered[at + 5] ^= 0x40;
        for moment in [Moment::Live, Moment::Peak, Moment::OutOfMemory] {
            let (sum, damage) = total(&altered, moment);
            assert_eq!(sum, total(&file, moment).0 - 70_000, "{moment:?}");
            assert!(damage.contains(&Damage::AbsurdNumbers(3)), "{damage:?}");
        }
    }
}

#[test]
fn an_error_that_is_more_than_all_that_was_in_use_counts_as_none() {
    let mut job = Builder::new(1, &["a"]);
    let node = job.stack(&[("a.py", 1, "f")]);
    let held = Held {
        bytes: 1 << 30,
        variance: 1 << 62,
    };
    job.site(node, held, held, held);
    let (recording, damage) = dumper::recording::read(&job.bytes()).unwrap();
    assert_eq!(damage, [Damage::AbsurdNumbers(3)]);
    let total = recording.at(Moment::Live).by(Rank::Requested).all();
    assert_eq!((total.bytes, total.error()), (1 << 30, 0));
}

#[test]
fn a_node_that_is_its_own_caller_hangs_on_the_root() {
    let mut job = Builder::new(1, &["a"]);
    let node = job.stack(&[("a.py", 1, "f"), ("a.py", 2, "g")]);
    job.holds(node, 1000);
    let mut file = job.bytes();
    let nodes = HEADER_BYTES + node as usize * size_of::<Node>();
    file[nodes..nodes + 4].copy_from_slice(&node.to_le_bytes());
    let (recording, damage) = dumper::recording::read(&file).unwrap();
    assert_eq!(damage, [Damage::BadReferences(1)]);
    assert_eq!(recording.stack(node).count(), 1);
}

#[test]
fn names_that_lie_in_one_another_cannot_fill_the_memory() {
    // Every string claims to be as long as all that follow it together.
    let mut job = Builder::new(1, &["a"]);
    for line in 0..8000 {
        job.stack(&[(format!("{line:08}").as_str(), 1, "f")]);
    }
    let mut file = job.bytes();
    let strings = file[offset_of!(Header, chunk_kinds)..]
        .iter()
        .position(|kind| *kind == Table::Strings as u8)
        .unwrap();
    let begin = HEADER_BYTES + strings * CHUNK_BYTES;
    for at in (begin + 4..begin + 12 * 8000).step_by(12) {
        let rest = (begin + 12 * 8000 - at - 4) as u32;
        file[at..at + 4].copy_from_slice(&rest.to_le_bytes());
    }
    let (_, damage) = dumper::recording::read(&file).unwrap();
    assert!(
        matches!(damage[..], [Damage::BadNames(bad)] if bad > 7000),
        "{damage:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arbitrary_bytes_do_no_harm(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..size_of::<Header>() + 4000),
        is_recording in any::<bool>(),
    ) {
        if is_recording && bytes.len() > 12 {
            bytes[..8].copy_from_slice(&MAGIC);
            bytes[8..12].copy_from_slice(&1u32.to_le_bytes());
        }
        if let Ok((recording, damage)) = dumper::recording::read(&bytes) {
            check(&recording, &damage);
        }
    }

    #[test]
    fn arbitrary_numbers_in_the_records_do_no_harm(
        numbers in proptest::collection::vec((any::<proptest::sample::Index>(), numbers()), 1..200),
    ) {
        let mut file = job::recording();
        let places = used(&file);
        for (place, number) in numbers {
            let at = place.get(&places) / 4 * 4;
            if at >= 12 {
                file[at..at + 4].copy_from_slice(&number.to_le_bytes());
            }
        }
        if let Ok((recording, damage)) = dumper::recording::read(&file) {
            check(&recording, &damage);
        }
    }
}

/// Small ones, which may be ids, as well as absurd ones.
fn numbers() -> impl Strategy<Value = u32> {
    prop_oneof![0..300u32, any::<u32>(), Just(u32::MAX)]
}
