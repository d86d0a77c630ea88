//! What has grown since an earlier moment, in every format, and where nothing is known of it.

use std::fs;
use std::mem::{offset_of, size_of};

use dumper::report::Occasion;
use dumper::{Moment, Rank, Run};
use recording::{AllocFunction, CHUNK_BYTES, HEADER_BYTES, Header, MAX_CHUNKS, SITE_BYTES_1, Site, Table};
use serde_json::{Value, json};

use crate::builder::{Builder, Held, STARTED_NS};
use crate::{formats, job};

const SECOND: u64 = 1_000_000_000;

/// Line 1 has grown from 30 to 80 bytes until the failed allocation, line 2 was there all the time, line 3 has shrunk, and line 4
/// has changed only after the failed allocation, before which nothing of it is known but by sampling.
fn grown(failed_after: u64) -> Vec<u8> {
    let mut job = Builder::new(7, &["python3", "job.py"]);
    let exact = |bytes| Held { bytes, variance: 0 };
    for (line, held, was) in [(1, 80, Some(30)), (2, 90, None), (3, 10, Some(50))] {
        let node = job.stack(&[("job.py", line, "f")]);
        job.site(node, exact(held), exact(held), exact(held));
        if let Some(was) = was {
            job.earlier(3 * SECOND, was, true);
        }
    }
    let node = job.stack(&[("job.py", 4, "f")]);
    let sampled = Held {
        bytes: 7,
        variance: 1 << 20,
    };
    job.site(node, Held::default(), sampled, sampled);
    job.earlier(3 * SECOND, 7, false);
    job.failed(AllocFunction::Malloc, 9, 1, STARTED_NS + failed_after * SECOND);
    job.bytes()
}

fn sites(report: &Value) -> Vec<[Value; 3]> {
    let sites = report["call_sites"].as_array().unwrap().iter();
    sites
        .map(|site| ["line", "growth_bytes", "growth_error_bytes"].map(|field| site[field].clone()))
        .collect()
}

fn report(recording: Vec<u8>) -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().unwrap();
    job::report(folder.path(), &Run::default(), &[recording], Occasion::Ended);
    let report = serde_json::from_slice(&fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    (folder, report)
}

#[test]
fn what_has_grown_is_told_by_line_in_every_format() {
    let (folder, report) = report(grown(5));
    assert_eq!(report["moment"]["growth_since_seconds"], json!(3.0));
    let expected = [[2, 0, 0], [1, 50, 0], [3, -40, 0], [4, 0, 0]].map(|row| row.map(|number| json!(number)));
    assert_eq!(sites(&report), expected);
    let csv = String::from_utf8(formats::document("csv", folder.path(), &Run::default())).unwrap();
    let growth: Vec<&str> = csv.lines().map(|row| row.split(',').nth(8).unwrap()).collect();
    assert_eq!(growth, ["growth_bytes", "0", "50", "-40", "0"]);
    let page = fs::read_to_string(folder.path().join("index.html")).unwrap();
    for text in [">growth since 3.0 s<", ">+50 B<", ">−40 B<", "data-growth=\"-40\""] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_moment_before_is_compared_with_none_that_came_later() {
    let (folder, report) = report(grown(2));
    assert_eq!(report["moment"]["growth_since_seconds"], Value::Null);
    assert_eq!(sites(&report)[0][1..], [Value::Null, Value::Null]);
    let page = fs::read_to_string(folder.path().join("index.html")).unwrap();
    assert!(!page.contains("growth since"));
}

/// The same file as an earlier version had it, in which sites are shorter: in version 1 they end before what has grown.
fn of_version(version: u8, site_bytes: usize, file: &[u8]) -> Vec<u8> {
    let mut old = file.to_vec();
    old[offset_of!(Header, version)] = version;
    for (index, kind) in file[offset_of!(Header, chunk_kinds)..][..MAX_CHUNKS].iter().enumerate() {
        if *kind != Table::Sites as u8 {
            continue;
        }
        let chunk = HEADER_BYTES + index * CHUNK_BYTES..HEADER_BYTES + (index + 1) * CHUNK_BYTES;
        let sites = file[chunk.clone()].chunks_exact(size_of::<Site>());
        let mut shorter: Vec<u8> = sites.flat_map(|site| &site[..site_bytes]).copied().collect();
        shorter.resize(CHUNK_BYTES, 0);
        old[chunk].copy_from_slice(&shorter);
    }
    old
}

#[test]
fn a_recording_of_an_earlier_version_has_the_same_tree_and_in_version_1_no_growth() {
    let file = job::recording();
    let read = |file: &[u8]| dumper::recording::read(file).unwrap();
    for (version, site_bytes) in [(1, SITE_BYTES_1), (2, size_of::<Site>())] {
        let old = of_version(version, site_bytes, &file);
        let ((new, damage), (old, old_damage)) = (read(&file), read(&old));
        assert_eq!((damage.len(), old_damage.len()), (0, 0), "{old_damage:?}");
        for moment in [Moment::Live, Moment::Peak, Moment::OutOfMemory] {
            let of = |recording: &dumper::Profile| {
                let tree = recording.at(moment).by(Rank::Requested);
                (0..tree.nodes().len()).map(|id| tree.own(id)).collect::<Vec<_>>()
            };
            assert_eq!(of(&new), of(&old));
            let growth = new.at(moment).growth().is_some() && version > 1;
            assert_eq!(old.at(moment).growth().is_some(), growth);
        }
        assert!(new.at(Moment::OutOfMemory).growth().is_some());
    }
}

#[test]
fn of_several_processes_together_a_line_has_grown_by_the_sum() {
    let folder = tempfile::tempdir().unwrap();
    let run = job::killed_run(folder.path());
    let jobs = [
        (4711, 80, Some((3, 30))),
        (5000, 100, Some((200, 90))),
        (5001, 20, None),
    ]
    .map(|(pid, held, earlier)| {
        let mut job = Builder::new(pid, &["python3", "oom.py"]);
        job.running();
        let node = job.stack(&[("oom.py", 7, "load")]);
        job.holds(node, held);
        if let Some((seconds, was)) = earlier {
            job.earlier(seconds * SECOND, was, true);
        }
        job.bytes()
    });
    job::report(folder.path(), &run, &jobs, Occasion::Ended);
    let page = fs::read_to_string(folder.path().join("index.html")).unwrap();
    let together = page.split("class=\"view\"").nth(1).unwrap();
    for text in [
        "3 processes together",
        ">growth since 3.0 s to 3 min 20 s<",
        "each is compared with when it had itself run",
        ">+60 B<",
        "data-growth=\"60\"",
    ] {
        assert!(together.contains(text), "{text}: {together}");
    }
}

/// Seconds and bytes that the growth of a line is counted from, of a job whose total rose until 60 s, and again from `again` to `peak`.
fn counted_from(again: u64, peak: u64) -> (f64, i64) {
    let mut job = Builder::new(7, &["python3", "job.py"]);
    let node = job.stack(&[("job.py", 1, "f")]);
    job.holds(node, 100);
    job.earlier(45 * SECOND, 30, true);
    job.rose_again(again * SECOND, 40, peak * SECOND);
    let (recording, damage) = dumper::recording::read(&job.bytes()).unwrap();
    assert!(damage.is_empty(), "{damage:?}");
    let grown = recording.at(Moment::Live).growth().unwrap();
    let call = recording.stack(node).next().unwrap();
    (grown.since, 100 - grown.site(&call).bytes)
}

#[test]
fn after_a_long_standstill_growth_is_counted_from_when_the_total_rose_again() {
    assert_eq!(counted_from(3600, 4000), (3600.0, 40));
    // It has only just begun to rise.
    assert_eq!(counted_from(3600, 3601), (45.0, 30));
    // It has always risen.
    assert_eq!(counted_from(63, 80), (45.0, 30));
}
