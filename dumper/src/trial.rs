//! Whole reports on bytes of any kind, for trials with hostile input: what `cargo fuzz` and a test of every seed call.
//!
//! Nothing here may panic, hang or take more than it is allowed to, whatever the bytes are.

use std::io;
use std::path::Path;

use ::recording::{CHUNK_BYTES, HEADER_BYTES, MAX_CHUNKS};

use crate::bundle;
use crate::holders::Holders;
use crate::process::{Bundled, Process};
use crate::profile::measured::Measurements;
use crate::recording;
use crate::report::{self, Diff, FORMATS, Occasion, Side, Subject};
use crate::run::Run;
use crate::timeline::{self, Sample};
use crate::unrecorded::Unrecorded;

/// What the bytes are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A recording.
    Recording,
    /// A bundle.
    Bundle,
    /// `run.json`.
    Run,
    /// `.measured`, beside a recording that is as it should be.
    Measured,
    /// `.holders`, beside such a recording.
    Holders,
    /// `timeline.csv`.
    Timeline,
}

/// As many bytes as a seed has of each chunk of a recording: a whole one is half a megabyte of zeros, too much to alter at random.
pub const PIECE: usize = 1024;

/// The recording whose header, and the beginning of whose chunks, these bytes are.
pub fn recording_of(pieces: &[u8]) -> Vec<u8> {
    let (header, chunks) = pieces.split_at(pieces.len().min(HEADER_BYTES));
    let mut recording = header.to_vec();
    for piece in chunks.chunks(PIECE).take(MAX_CHUNKS) {
        recording.extend_from_slice(piece);
        recording.resize(recording.len() + CHUNK_BYTES - piece.len(), 0);
    }
    recording
}

/// Takes the bytes for what `kind` says and draws reports in all formats of it, beside `recording`, which is as it should be. Recordings
/// are in [pieces](recording_of). Returns whether there was anything to report on.
pub fn report_on(kind: Kind, bytes: &[u8], recording: &[u8]) -> bool {
    let (mut run, mut samples, mut measured) = (Run::default(), Vec::new(), Measurements::default());
    let mut holders = Holders::default();
    let mut recorded = recording_of(recording);
    match kind {
        Kind::Bundle => return of_bundle(bytes),
        Kind::Recording => recorded = recording_of(bytes),
        Kind::Run => match Run::parse(bytes) {
            Ok(read) => run = read,
            Err(_) => return false,
        },
        Kind::Measured => measured = Measurements::parse(bytes),
        Kind::Holders => holders = Holders::parse(bytes),
        Kind::Timeline => samples = timeline::parse(bytes),
    }
    let Ok((mut profile, damage)) = recording::read(&recorded) else {
        return false;
    };
    profile.measure(measured);
    holders.name_sites(&profile);
    let process = Process {
        path: "1-0.recording".into(),
        facts: profile.facts.clone(),
        damage: damage.clone(),
        bundled: Some(Bundled {
            profile: profile.into(),
            damage,
            lines: Default::default(),
            holders: holders.into(),
        }),
        presentation: Default::default(),
        present: Default::default(),
    };
    all(&run, &[process], &samples, &Unrecorded::default());
    true
}

/// A bundle that is whole, of values that may be anything: `values` is what is packed in it.
pub fn bundle_of(values: &[u8]) -> Vec<u8> {
    bundle::packed(values)
}

fn of_bundle(bytes: &[u8]) -> bool {
    let Ok(read) = bundle::read_bytes(bytes, Path::new("a.fil")) else {
        return false;
    };
    all(&read.run, &read.processes, &read.timeline, &read.unrecorded);
    let side = Side {
        run: &read.run,
        processes: &read.processes,
    };
    if let Ok(Some(diff)) = Diff::between(side, side) {
        let _ = diff.text();
        let _ = diff.picture(&mut io::sink());
    }
    true
}

fn all(run: &Run, processes: &[Process], timeline: &[Sample], unrecorded: &Unrecorded) {
    let subject = Subject {
        run,
        processes,
        unreadable: &[],
        timeline,
        unrecorded,
        occasion: Occasion::Ended,
    };
    for format in FORMATS {
        // Where there is nothing to show, that is an error and no panic.
        let _ = report::export(&mut io::sink(), format, &subject);
    }
    let _ = report::termination_message(run, processes);
    let _ = report::near_limit(run, processes);
    let _ = run.short_command();
}
