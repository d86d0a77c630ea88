//! `profile.fil`: what comes out is what went in, of this version's files and of older ones, and of nothing else.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use dumper::folder::Place;
use dumper::report::{self, Occasion, Subject};
use dumper::{LocalSource, Run, Unrecorded, bundle, process, timeline};
use flate2::read::GzDecoder;
use proptest::prelude::*;

use crate::formats::document;
use crate::job;

/// The names of all formats that show what a bundle has, without that of the bundle itself.
pub fn formats() -> impl Iterator<Item = &'static str> {
    let names = report::FORMATS.into_iter().map(|format| format.about().name);
    names.filter(|name| *name != "fil")
}

/// A folder with the run of a job that was killed, its recordings and its timeline.
fn killed(folder: &Path) -> Run {
    let run = job::killed_run(folder);
    fs::write(
        folder.join("timeline.csv"),
        "seconds,tracked_bytes,resident_bytes,cgroup_bytes,limit_bytes,mark\n\
         0.100,1048576,20971520,25165824,536870912,\n\
         4.900,448790528,520093696,536608768,536870912,close to the limit\n",
    )
    .unwrap();
    fs::write(folder.join("4711-1.recording"), job::killed()).unwrap();
    fs::write(folder.join("4711-0.recording"), job::recording()).unwrap();
    run
}

fn bundled(folder: &Path, run: &Run) -> PathBuf {
    let (processes, _) = process::load(&crate::job::opened(folder)).unwrap();
    let written = bundle::write(
        &crate::job::opened(folder),
        run,
        &processes,
        &timeline::load(&crate::job::opened(folder)).unwrap(),
        &Unrecorded::load(&crate::job::opened(folder)).unwrap(),
        None,
    )
    .unwrap();
    assert_eq!(written.recordings.len(), processes.len());
    written.path
}

fn document_of(bundle: &bundle::Bundle, format: &str) -> Vec<u8> {
    let subject = Subject {
        run: &bundle.run,
        processes: &bundle.processes,
        unreadable: &[],
        timeline: &bundle.timeline,
        unrecorded: &bundle.unrecorded,
        occasion: Occasion::Ended,
    };
    let mut out = Vec::new();
    report::export(&mut out, report::format(format).unwrap(), &subject).unwrap();
    out
}

#[test]
fn a_bundle_says_in_every_format_what_the_recordings_say() {
    let folder = tempfile::tempdir().unwrap();
    let run = killed(folder.path());
    let path = bundled(folder.path(), &run);
    let bundle = bundle::read(&Place::of(&path).unwrap()).unwrap();
    let unread = Run {
        source: LocalSource::Nothing,
        ..run.clone()
    };
    assert_eq!(bundle.run, unread);
    for format in formats() {
        let of_bundle = document_of(&bundle, format);
        assert!(of_bundle == document(format, folder.path(), &run), "{format:?}");
    }
    assert!(fs::metadata(&path).unwrap().len() < 4096);
}

#[test]
fn a_bundle_brings_its_source_lines_along() {
    let folder = tempfile::tempdir().unwrap();
    let run = killed(folder.path());
    let path = bundled(folder.path(), &run);
    let before = document_of(&bundle::read(&Place::of(&path).unwrap()).unwrap(), "svg");
    assert!(String::from_utf8_lossy(&before).contains("parts.append(np.ones((1024, 1024, 16)))"));
    fs::write(folder.path().join("oom.py"), "# Another program\n".repeat(30)).unwrap();
    assert!(document_of(&bundle::read(&Place::of(&path).unwrap()).unwrap(), "svg") == before);
    fs::remove_file(folder.path().join("oom.py")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("of-my-job.fil");
    fs::rename(path, &moved).unwrap();
    let bundle = bundle::read(&Place::of(&moved).unwrap()).unwrap();
    assert!(document_of(&bundle, "svg") == before);

    let written = report::write(
        &crate::job::opened(elsewhere.path()),
        &bundle.run,
        &bundle.processes,
        &[],
        Occasion::Ended,
    );
    let page = fs::read_to_string(written.index).unwrap();
    assert!(page.contains("return {row: [row] * 8 for row in rows}"), "{page}");
}

/// The bundle of version 1, as it was when that was the newest.
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bundle-1.fil")
}

#[test]
fn a_bundle_of_version_1_is_still_read() {
    let bundle = bundle::read(&Place::of(&fixture()).unwrap()).unwrap();
    assert_eq!(bundle.run.host, "analytical");
    assert_eq!(bundle.run.outcome.as_ref().unwrap().signal, Some(9));
    assert_eq!(bundle.timeline.len(), 2);
    assert_eq!(bundle.timeline[1].mark.as_deref(), Some("close to the limit"));
    assert_eq!(bundle.processes.len(), 2);
    let facts = &bundle.processes[0].facts;
    assert_eq!((facts.pid, facts.failures), (4711, 1));
    assert_eq!(facts.failure.as_ref().unwrap().request_bytes, 1536 << 20);
    let folded = String::from_utf8(document_of(&bundle, "folded")).unwrap();
    assert!(folded.ends_with("oom.py:12 (index_rows) 46137344\n"), "{folded}");
    let picture = String::from_utf8(document_of(&bundle, "svg")).unwrap();
    assert!(picture.contains("parts.append(np.ones((1024, 1024, 16)))"));
    let text = String::from_utf8(document_of(&bundle, "text")).unwrap();
    assert!(text.contains("384.0 MiB") && text.contains("± 1.7 MiB"), "{text}");
}

#[test]
fn a_newer_bundle_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(fixture()).unwrap();
    bytes[8] = 7;
    let path = folder.path().join("new.fil");
    fs::write(&path, bytes).unwrap();
    assert!(bundle::is_bundle(&Place::of(&path).unwrap()));
    let error = bundle::read(&Place::of(&path).unwrap()).unwrap_err().to_string();
    assert!(
        error.contains("version 7") && error.ends_with("use a newer fil-profile"),
        "{error}"
    );
}

#[test]
fn what_is_no_bundle_is_told_from_one_that_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.fil");
    let error = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        bundle::read(&Place::of(&path).unwrap()).unwrap_err().to_string()
    };
    let whole = fs::read(fixture()).unwrap();
    for foreign in [&b""[..], b"FILBNDL", b"PK\x03\x04 and so on", &job::killed()] {
        assert!(error(foreign).ends_with("not a bundle of fil-profile"));
    }
    for length in (8..whole.len()).step_by(7).chain([whole.len() - 1]) {
        assert!(error(&whole[..length]).contains("cut off or altered"), "{length}");
    }
    assert!(error(&whole[..9]).contains("cut off or altered"));
    let missing = bundle::read(&Place::of(&folder.path().join("none.fil")).unwrap())
        .unwrap_err()
        .to_string();
    assert!(missing.contains("No such file"), "{missing}");
}

#[test]
fn what_is_wrong_with_recordings_counts_among_what_a_bundle_claims() {
    let claims = |processes: usize, each: u16| {
        let mut values = vec![0x80];
        for _ in 0..processes {
            // One node, and so many times `Damage::Sizes`.
            values.extend_from_slice(b"\xc3\x81\xa6damage\xdc");
            values.extend_from_slice(&each.to_be_bytes());
            (0..each).for_each(|_| values.extend_from_slice(b"\xa5Sizes"));
            values.extend_from_slice(b"\x94\x91\x93\0\0\0\x90\x91\x92\0\0\x92\xa0\x91\0");
        }
        values.extend_from_slice(b"\xc2\x81\xa5files\x80");
        bundle::read_bytes(&dumper::trial::bundle_of(&values), Path::new("a.fil"))
    };
    assert_eq!(claims(2, 4096).unwrap().processes.len(), 2);
    let error = claims(50, 4096).err().unwrap().to_string();
    assert!(
        error.contains("claims more call sites than a bundle of its size can hold"),
        "{error}"
    );
}

/// What a bundle has behind its own head.
fn unpacked(bundle: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    GzDecoder::new(bundle.get(12..)?).read_to_end(&mut all).ok()?;
    Some(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn an_altered_bundle_is_never_believed(place in 12usize..2000, flip in 1u8..) {
        let whole = fs::read(fixture()).unwrap();
        // gzip's own header says when and where, which nobody asks for.
        let place = 12 + (place.max(22) - 12) % (whole.len() - 12);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.fil");
        let mut bytes = whole.clone();
        bytes[place] ^= flip;
        fs::write(&path, &bytes).unwrap();
        let read = bundle::read(&Place::of(&path).unwrap());
        // There are bits in it that stand for nothing: then it still says the same.
        prop_assert!(place < 22 || read.is_err() || unpacked(&bytes) == unpacked(&whole));
    }
}
