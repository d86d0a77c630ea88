//! The formats of other tools: what is in them, and that those who read them can.

use std::io::Read;

use dumper::outcome::Outcome;
use dumper::report::{self, Occasion, Subject};
use dumper::{Process, Run, Unrecorded, process, timeline};
use serde_json::Value;

use crate::builder::{Builder, Held};
use crate::protobuf;

/// A document about the recordings in a folder.
pub fn document(format: &str, folder: &std::path::Path, run: &Run) -> Vec<u8> {
    let (processes, unreadable) = process::load(&crate::job::opened(folder)).unwrap();
    let timeline = timeline::load(&crate::job::opened(folder)).unwrap();
    let subject = Subject {
        run,
        processes: &processes,
        unreadable: &unreadable,
        timeline: &timeline,
        unrecorded: &Unrecorded::default(),
        occasion: Occasion::Ended,
    };
    let mut out = Vec::new();
    report::export(&mut out, report::format(format).unwrap(), &subject).unwrap();
    out
}

/// A document about one recording.
fn of(format: &str, recording: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("1-0.recording"), recording).unwrap();
    document(format, folder.path(), &Run::default())
}

pub fn gunzipped(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

/// A job with names that no format may stumble over.
fn awkward() -> Vec<u8> {
    let mut job = Builder::new(7, &["python3", "a, \"b\".py"]);
    let outer = ("a, \"b\".py", 3, "</script>;<module>");
    for (line, bytes) in [(1, 1000), (2, 2_000_000), (3, 30)] {
        let node = job.stack(&[outer, ("größe\n\u{1}.py", line, "f,\"g\"")]);
        let held = Held {
            bytes,
            variance: bytes << 10,
        };
        job.site(node, held, held, held);
    }
    let node = job.stack(&[("", 0, "[No Python stack]")]);
    job.holds(node, 5);
    job.bytes()
}

#[test]
fn pprof_has_each_callstack_with_its_bytes_and_blocks() {
    let profile = protobuf::text(&gunzipped(&of("pprof", &awkward())));
    let strings: Vec<&str> = profile.lines().filter_map(|line| line.strip_prefix("6: ")).collect();
    assert_eq!(strings[0], "\"\"");
    for name in [
        "inuse_objects",
        "inuse_space",
        "</script>;<module>",
        "größe\\\\n\\\\u{1}.py",
    ] {
        assert!(strings.iter().any(|string| string.contains(name)), "{name}: {profile}");
    }
    let samples: Vec<&str> = profile.lines().filter(|line| line.starts_with("2: ")).collect();
    assert_eq!(samples.len(), 4, "{profile}");
    // Leaf first, and as many blocks as mebibytes.
    assert_eq!(samples[1], "2: {1: [3, 2], 2: [2, 2000000]}");
    assert_eq!(samples[3], "2: {1: [5], 2: [1, 5]}");
}

#[test]
fn speedscope_has_each_callstack_with_its_bytes() {
    let file: Value = serde_json::from_slice(&of("speedscope", &awkward())).unwrap();
    let profile = &file["profiles"][0];
    assert_eq!(profile["unit"], "bytes");
    assert_eq!(profile["weights"].to_string(), "[1000,2000000,30,5]");
    assert_eq!(profile["endValue"], 2_001_035);
    assert_eq!(profile["samples"].to_string(), "[[0,1],[0,2],[0,3],[4]]");
    let frames = &file["shared"]["frames"];
    assert_eq!(frames[2]["file"], "größe\\n\\u{1}.py");
    assert_eq!(frames[2]["line"], 2);
    assert_eq!(frames[4].to_string(), r#"{"name":"[No Python stack]"}"#);
}

#[test]
fn the_table_has_a_row_for_each_call_site() {
    let text = of("csv", &awkward());
    let mut table = csv::Reader::from_reader(&text[..]);
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4);
    let first: Vec<&str> = rows[0].iter().collect();
    let error = 2_000_000f64 * 1024.0;
    let error = error.sqrt() as u64;
    assert_eq!(first[..4], ["7", "größe\\n\\u{1}.py", "2", "f,\"g\""]);
    assert_eq!((first[4], first[6], first[7]), ("2000000", "2", ""));
    assert!(first[5].parse::<u64>().unwrap().abs_diff(error) <= 2, "{first:?}");
    assert_eq!(rows[3][2], *"");
}

#[test]
fn other_tools_read_the_folded_stacks() {
    let folded = String::from_utf8(of("folded", &awkward())).unwrap();
    let mut options = inferno::flamegraph::Options::default();
    let mut picture = Vec::new();
    inferno::flamegraph::from_lines(&mut options, folded.lines(), &mut picture).unwrap();
    let picture = String::from_utf8(picture).unwrap();
    assert!(picture.contains("2,001,035"), "{picture}");
    assert!(!picture.contains("</script>;"));
}

#[test]
fn a_recording_of_very_many_deep_stacks_is_bounded_in_every_format() {
    let mut job = Builder::new(1, &["a"]);
    let names: Vec<String> = (0..1500).map(|depth| format!("f{depth}")).collect();
    let chain: Vec<_> = names.iter().map(|name| ("a.py", 1, name.as_str())).collect();
    let deepest = job.stack(&chain);
    for site in 1..=3500 {
        let node = job.node(deepest, "a.py", site, "leaf");
        job.holds(node, u64::from(site));
    }
    let recording = job.bytes();
    let total = 3500 * 3501 / 2;

    let file = of("speedscope", &recording);
    assert!(file.len() < 32 << 20, "{}", file.len());
    let file: Value = serde_json::from_slice(&file).unwrap();
    let weights = file["profiles"][0]["weights"].as_array().unwrap();
    assert_eq!(weights.iter().filter_map(Value::as_u64).sum::<u64>(), total);
    assert!((1000..3000).contains(&weights.len()), "{}", weights.len());

    let profile = gunzipped(&of("pprof", &recording));
    assert!(profile.len() < 32 << 20, "{}", profile.len());
}

#[test]
fn of_nothing_there_is_only_what_needs_no_memory() {
    let none: [Process; 0] = [];
    let run = Run {
        outcome: Some(Outcome::default()),
        ..Run::default()
    };
    let subject = Subject {
        run: &run,
        processes: &none,
        unreadable: &[],
        timeline: &[],
        unrecorded: &Unrecorded::default(),
        occasion: Occasion::Ended,
    };
    for (format, is_possible) in [
        ("pprof", false),
        ("svg", false),
        ("csv", false),
        ("json", true),
        ("text", true),
        ("html", true),
    ] {
        let written = report::export(&mut Vec::new(), report::format(format).unwrap(), &subject);
        assert_eq!(written.is_ok(), is_possible, "{format:?}");
        if let Err(error) = written {
            assert_eq!(error.to_string(), "nothing was recorded that could be shown");
        }
    }
}
