//! Writing a bundle: one recording is in memory at a time.

use std::io::{self, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::{About, FILE, Head, MAGIC, VERSION, Written};
use crate::error::Error;
use crate::folder::Folder;
use crate::process::{self, Process};
use crate::run::Run;
use crate::save::save;
use crate::source::{KeptLines, Sources};
use crate::timeline::Sample;
use crate::unrecorded::Unrecorded;

/// Writes `profile.fil` into a run folder. `sources` is what the report has read of source files, if there was one: it is not read
/// again. A recording that cannot be read is left out.
///
/// # Errors
///
/// It cannot be written.
pub fn write(
    folder: &Folder,
    run: &Run,
    processes: &[Process],
    timeline: &[Sample],
    unrecorded: &Unrecorded,
    sources: Option<Sources>,
) -> Result<Written, Error> {
    let mut included = Vec::new();
    let path = save(folder, FILE, |out| {
        let sources = sources.unwrap_or_else(|| process::sources(run, processes));
        included = put(out, run, processes, timeline, unrecorded, sources)?;
        Ok(())
    })?;
    let recordings = included.into_iter().map(|index| processes[index].path.clone());
    Ok(Written {
        path,
        recordings: recordings.collect(),
    })
}

/// Writes a bundle, and returns which of the processes are in it.
///
/// # Errors
///
/// `out` takes no more.
pub fn to(
    out: &mut dyn Write,
    run: &Run,
    processes: &[Process],
    timeline: &[Sample],
    unrecorded: &Unrecorded,
) -> io::Result<Vec<usize>> {
    put(
        out,
        run,
        processes,
        timeline,
        unrecorded,
        process::sources(run, processes),
    )
}

/// A bundle of these values, whatever they are: for trials of the reader.
pub(crate) fn packed(values: &[u8]) -> Vec<u8> {
    let mut bundle = [&MAGIC[..], &VERSION.to_le_bytes()].concat();
    let mut out = GzEncoder::new(&mut bundle, Compression::fast());
    // Nothing fails in memory.
    let _ = out.write_all(values);
    let _ = out.finish();
    bundle
}

fn put(
    out: &mut dyn Write,
    run: &Run,
    processes: &[Process],
    timeline: &[Sample],
    unrecorded: &Unrecorded,
    mut sources: Sources,
) -> io::Result<Vec<usize>> {
    out.write_all(&MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    let mut out = GzEncoder::new(out, Compression::fast());
    let head = Head {
        run: run.clone(),
        timeline: timeline.to_vec(),
        unrecorded: unrecorded.clone(),
    };
    by_name(&mut out, &head)?;
    let mut lines = KeptLines::default();
    let mut included = Vec::new();
    for (index, process) in processes.iter().enumerate() {
        let Ok((profile, damage)) = process.read() else {
            continue;
        };
        let mut holders = process.holders();
        holders.name_sites(&profile);
        let profile = Arc::unwrap_or_clone(profile).compact();
        profile
            .lines()
            .for_each(|(file, line)| sources.keep(file, line, &mut lines));
        let (facts, tables) = profile.into_parts();
        let name = process.path.file_name().unwrap_or_default();
        by_name(&mut out, &true)?;
        let about = About {
            name: name.to_string_lossy().into_owned(),
            facts,
            header_damage: process.damage.clone(),
            damage,
            holders,
        };
        by_name(&mut out, &about)?;
        by_place(&mut out, &tables)?;
        included.push(index);
    }
    by_name(&mut out, &false)?;
    by_name(&mut out, &lines)?;
    out.finish()?;
    Ok(included)
}

fn by_name(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let mut out = rmp_serde::Serializer::new(out).with_struct_map();
    value.serialize(&mut out).map_err(io::Error::other)
}

fn by_place(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let mut out = rmp_serde::Serializer::new(out);
    value.serialize(&mut out).map_err(io::Error::other)
}
