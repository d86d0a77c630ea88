//! Every seed of `fuzz/`, and a bounded number of mutations of each, through what the fuzzers call. A mutation is the same in every run.

use std::fs;
use std::path::{Path, PathBuf};

use dumper::trial::{Kind, PIECE, bundle_of, report_on};
use recording::{CHUNK_BYTES, HEADER_BYTES};

use crate::formats::gunzipped;
use crate::job;

/// Mutations of each seed.
const MUTATIONS: u64 = 40;

const KINDS: [(Kind, &str); 6] = [
    (Kind::Recording, "recording"),
    (Kind::Bundle, "bundle"),
    (Kind::Run, "run"),
    (Kind::Measured, "measured"),
    (Kind::Holders, "holders"),
    (Kind::Timeline, "timeline"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds")
}

fn pieces(recording: &[u8]) -> Vec<u8> {
    let (header, chunks) = recording.split_at(HEADER_BYTES);
    let pieces = chunks.chunks(CHUNK_BYTES).flat_map(|chunk| &chunk[..PIECE]);
    header.iter().chain(pieces).copied().collect()
}

fn report(kind: Kind, bytes: &[u8], recording: &[u8]) -> bool {
    match kind {
        Kind::Bundle => report_on(kind, &bundle_of(bytes), recording),
        _ => report_on(kind, bytes, recording),
    }
}

/// The seeds that come from this version's own files. `BLESS=1` writes them.
fn made() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let run = job::killed_run(folder.path());
    let run = serde_json::to_vec(&dumper::Run {
        directory: "/home/ada".into(),
        ..run
    });
    let bundle = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bundle-1.fil")).unwrap();
    vec![
        ("recording", "ran-out", pieces(&job::recording())),
        ("recording", "killed", pieces(&job::killed())),
        ("bundle", "version-1", gunzipped(&bundle[12..])),
        ("run", "killed", run.unwrap()),
    ]
}

#[test]
fn every_seed_and_what_it_is_altered_to_becomes_reports_or_an_error() {
    if std::env::var_os("BLESS").is_some() {
        for (kind, name, bytes) in made() {
            fs::create_dir_all(folder().join(kind)).unwrap();
            fs::write(folder().join(kind).join(name), bytes).unwrap();
        }
    }
    let recording = pieces(&job::killed());
    for (kind, name) in KINDS {
        let mut seeds: Vec<PathBuf> = fs::read_dir(folder().join(name))
            .unwrap_or_else(|error| panic!("no seeds of {name}: {error}"))
            .map(|seed| seed.unwrap().path())
            .collect();
        seeds.sort();
        let mut is_any_reported_on = false;
        for (number, path) in (1..).zip(&seeds) {
            let seed = fs::read(path).unwrap();
            is_any_reported_on |= report(kind, &seed, &recording);
            let mut random = Random(number);
            for _ in 0..MUTATIONS {
                report(kind, &random.altered(&seed), &recording);
            }
        }
        assert!(is_any_reported_on, "no seed of {name} is one");
    }
}

/// xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    /// The bytes with a few of them flipped, set to an extreme, cut out, doubled or cut off.
    fn altered(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len());
            let until = (at + 1 + self.below(8)).min(bytes.len());
            match self.below(6) {
                _ if bytes.is_empty() => {}
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at..until].fill(0xff),
                2 => bytes[at..until].fill(0),
                3 => drop(bytes.drain(at..until)),
                4 => {
                    let again = bytes[at..until].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => bytes.truncate(seed.len() - self.below(seed.len() / 4)),
            }
        }
        bytes
    }
}
