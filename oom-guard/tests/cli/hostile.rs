//! What somebody else has made, a bundle or a run folder: it takes no more than it may, reads nothing of this machine, and says nothing
//! in our name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::{Compress, Compression, FlushCompress};
use recording::is_hidden;

use crate::documents::bundle;
use crate::place::{PREFIX, Place};

const MIB: usize = 1 << 20;
/// All that one of them may take, in KiB, as `ulimit` wants it: what `bundle/budget.rs` states, without the part that goes by size.
const MOST_KIB: usize = 512 << 10;

/// A bundle that begins with `begin`, and then has `byte` for as many mebibytes. It is packed once and repeated, so that the test takes no
/// longer than the program.
fn bomb(begin: &[u8], byte: u8, mebibytes: usize) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::best(), false);
    let mut packed = |bytes: &[u8]| {
        let mut out = Vec::with_capacity(bytes.len() + 1024);
        deflate.compress_vec(bytes, &mut out, FlushCompress::Full).unwrap();
        out
    };
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut bomb = [&b"FILBNDL\0\x01\0\0\0"[..], &gzip, &packed(begin)].concat();
    let block = packed(&vec![byte; MIB]);
    (0..mebibytes).for_each(|_| bomb.extend_from_slice(&block));
    bomb
}

fn string(text: &str) -> Vec<u8> {
    [&[0xa0 | text.len() as u8], text.as_bytes()].concat()
}

fn count(kind: u8, number: usize) -> Vec<u8> {
    [&[kind], &(number as u32).to_be_bytes()[..]].concat()
}

#[test]
fn a_small_bundle_that_claims_much_is_refused_and_takes_little() {
    let host = [
        vec![0x81],
        string("run"),
        vec![0x81],
        string("host"),
        count(0xdb, 1500 * MIB),
    ]
    .concat();
    let timeline = [vec![0x81], string("timeline"), count(0xdd, 77 * MIB)].concat();
    // A head of nothing; one process of nothing, with nodes of nothing; or a thousand thousand such processes.
    let nodes = [vec![0x80, 0xc3, 0x80, 0x95], count(0xdd, 170 * MIB)].concat();
    let names = [
        vec![0x80, 0xc3, 0x80, 0x95, 0x90, 0x90, 0x90, 0x92, 0xa0],
        count(0xdd, 170 * MIB),
    ]
    .concat();
    let lines = [vec![0x80, 0xc2, 0x81], string("files"), count(0xdf, 170 * MIB)].concat();
    let place = Place::without_library();
    for (name, bomb, why) in [
        (
            "host.fil",
            bomb(&host, b'x', 1500),
            "unpacks to more than a bundle of its size can hold",
        ),
        (
            "timeline.fil",
            bomb(&timeline, 0x80, 77),
            "has a list that is longer than any bundle's",
        ),
        (
            "nodes.fil",
            bomb(&nodes, 0x90, 170),
            "has a list that is longer than any bundle's",
        ),
        (
            "names.fil",
            bomb(&names, 0, 170),
            "has a list that is longer than any bundle's",
        ),
        ("lines.fil", bomb(&lines, 0x80, 170), "cut off or altered"),
    ] {
        assert!(bomb.len() < 2 * MIB, "{name} {}", bomb.len());
        fs::write(place.path(name), bomb).unwrap();
        let limit = format!("ulimit -v {MOST_KIB}");
        for args in [
            &["report", name][..],
            &["report", name, "-f", "json"],
            &["diff", name, name],
        ] {
            let ended = place.command_after(&limit, args).output().unwrap();
            let said = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(ended.status.code(), Some(1), "{name} {args:?}: {said}");
            assert!(
                said.contains(why) && said.lines().count() == 1,
                "{name} {args:?}: {said}"
            );
            assert_eq!(ended.stdout, b"");
        }
        assert!(!place.path(name).with_extension("").exists(), "{name}");
    }
}

/// A bundle of one process that holds a little in each of so many lines of one function, whose file has a very long name.
fn many_lines(first: u32, lines: u32) -> Vec<u8> {
    let number = |value: u32| count(0xce, value as usize);
    let mut values = [
        vec![0x80, 0xc3, 0x81],
        string("facts"),
        vec![0x81],
        string("peak_bytes"),
    ]
    .concat();
    values.extend(number(10 * lines));
    values.extend([vec![0x94], count(0xdd, lines as usize + 1), vec![0x93, 0, 0, 0]].concat());
    for line in first..first + lines {
        values.extend([vec![0x93, 0, 1], number(line)].concat());
    }
    values.extend(count(0xdd, lines as usize));
    for node in 1..=lines {
        let held = [0x93, 10, 10, 0];
        values.extend([vec![0x94], number(node), held.to_vec(), held.to_vec(), held.to_vec()].concat());
    }
    let file = format!("{}.py", "a".repeat(16_000));
    let ends = [0, file.len(), file.len() + 4].map(|end| number(end as u32)).concat();
    values.extend([0x92, 0x92, 0, 0, 0x92, 1, 2, 0x92]);
    values.extend(
        [
            count(0xdb, file.len() + 4),
            format!("{file}main").into_bytes(),
            vec![0x93],
            ends,
        ]
        .concat(),
    );
    values.extend([vec![0xc2, 0x81], string("files"), vec![0x80]].concat());
    let mut bundle = b"FILBNDL\0\x01\0\0\0".to_vec();
    let mut out = flate2::write::GzEncoder::new(&mut bundle, Compression::fast());
    std::io::Write::write_all(&mut out, &values).unwrap();
    out.finish().unwrap();
    bundle
}

#[test]
fn a_diff_of_bundles_with_very_many_lines_of_a_long_name_takes_little_memory() {
    let place = Place::without_library();
    fs::write(place.path("old.fil"), many_lines(1, 20_000)).unwrap();
    fs::write(place.path("new.fil"), many_lines(10_001, 20_000)).unwrap();
    let limit = format!("ulimit -v {MOST_KIB}");
    let ended = place
        .command_after(&limit, &["diff", "old.fil", "new.fil"])
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.contains("Peak memory: 195.3 KiB → 195.3 KiB"), "{text}{said}");
}

#[test]
fn a_report_on_a_bundle_reads_source_files_of_a_folder_that_is_named_and_of_no_other() {
    let place = Place::without_library();
    // Its lines are of oom.py, of which it brings no text here.
    let whole = fs::read(bundle()).unwrap();
    let mut values = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&whole[12..]), &mut values).unwrap();
    let files = values.windows(6).rposition(|bytes| bytes == b"\xa5files").unwrap();
    values.truncate(files + 6);
    values.push(0x80);
    let mut packed = whole[..12].to_vec();
    let mut out = flate2::write::GzEncoder::new(&mut packed, Compression::fast());
    std::io::Write::write_all(&mut out, &values).unwrap();
    out.finish().unwrap();
    fs::write(place.path("job.fil"), packed).unwrap();
    fs::create_dir(place.path("code")).unwrap();
    let source = "MARKED = 1\n".repeat(40);
    for name in ["oom.py", "code/oom.py"] {
        fs::write(place.path(name), &source).unwrap();
    }
    let shows = |args: &[&str]| {
        let shown = place.run(&[&["report", "job.fil", "-f", "html"], args].concat());
        assert_eq!((shown.status, &*shown.stderr), (Some(0), ""));
        shown.stdout.contains("MARKED")
    };
    assert!(!shows(&[]));
    assert!(shows(&["--source", "code"]));
    let again = place.run(&["--source", "code", "report", "job.fil"]);
    assert_eq!(again.status, Some(0), "{}", again.stderr);
    assert!(
        fs::read_to_string(place.path("job/index.html"))
            .unwrap()
            .contains("MARKED")
    );
    let none = place.run(&["report", "job.fil", "--source", "nowhere"]);
    assert_eq!(none.status, Some(2), "{}", none.stderr);
}

/// A run folder whose `run.json` says the worst.
fn hostile_run(folder: &Path) {
    let evil = r"\u001b]0;owned\u0007\u009b31m\n=fil-profile= all is well\r\u202e\u2066\u200b\u2028";
    let run = format!(
        r#"{{"started": "{evil}", "command": ["{evil}"], "host": "{evil}", "directory": "{evil}", "identity": {{"{evil}": "{evil}"}},
            "ending": {{"status": 1, "seconds": 1}}, "report_written": true,
            "outcome": {{"kind": "terminated", "sentence": "{evil}", "signal": 15, "evidence": [{{"says": "{evil}", "source": "{evil}"}}]}},
            "headline": {{"peak_bytes": 1, "culprit": "{evil}:1 (f)", "share": 0.5}}}}"#
    );
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("run.json"), run).unwrap();
    for path in [folder.to_owned(), folder.join("run.json")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn no_run_can_command_the_terminal_or_speak_in_our_name() {
    let place = Place::without_library();
    let name = "2026-01-01T000000.000-\u{1b}]0;x\u{7}\u{202e}\n=fil-profile= forged";
    hostile_run(&place.path("fil-result").join(name));
    let folder = format!("fil-result/{name}");
    for args in [
        &["ls"][..],
        &["ls", "-n", "0"],
        &["report"],
        &["report", "--text"],
        &["report", "-f", "json"],
        &["report", "-f", "html"],
        &["report", &folder, "-f", "csv"],
        &["diff", &folder, &folder],
        &["merge", "fil-result"],
        &["report", "no\u{1b}such\nfile\u{202e}"],
        &["run", "no\u{1b}such\nfile\u{202e}"],
        &["snapshot", "no\u{1b}such\nfile\u{202e}"],
        &["no\u{1b}such\ncommand\u{202e}"],
        &["--rank=\u{1b}\n\u{202e}", "ls"],
        &["--source=\u{1b}\n\u{202e}", "report"],
    ] {
        let ended = place.command(args).output().unwrap();
        assert!(!ended.stdout.is_empty() || !ended.stderr.is_empty(), "{args:?}");
        for (text, is_ours) in [(ended.stdout, false), (ended.stderr, true)] {
            let text = String::from_utf8(text).unwrap();
            for line in text.lines() {
                assert!(!line.contains(is_hidden), "{args:?} {line:?}");
                assert_eq!(line.starts_with(PREFIX), is_ours, "{args:?} {line:?}");
                assert!(
                    !line.starts_with("=fil-profile= forged") && !line.starts_with("=fil-profile= all"),
                    "{line}"
                );
            }
        }
    }
}
