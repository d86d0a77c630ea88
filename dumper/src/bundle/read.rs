//! Reads a bundle. Nothing in it is trusted: it may be torn, no bundle at all, or made by an attacker.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use rmp_serde::decode;
use serde::de::DeserializeOwned;

use super::budget::{Budget, Limited};
use super::{About, Bundle, Head, MAGIC, VERSION};
use crate::bounded::TOO_LONG;
use crate::error::{BundleError, Error, Excess};
use crate::folder::Place;
use crate::process::{Bundled, Process};
use crate::profile::{Profile, Tables};
use crate::source::KeptLines;

/// Of a file: more than any that is written.
const LARGEST: u64 = 4 << 30;

/// Whether a file begins as a bundle does, of whatever version.
pub fn is_bundle(place: &Place) -> bool {
    let mut first = [0; MAGIC.len()];
    let file = place.file(u64::MAX);
    file.is_ok_and(|mut file| file.read_exact(&mut first).is_ok() && first == MAGIC)
}

/// Reads a bundle.
///
/// # Errors
///
/// It cannot be read, is torn, is of a newer version, or is none.
pub fn read(path: &Place) -> Result<Bundle, Error> {
    let open = || {
        let file = path.file(LARGEST)?;
        let size = file.metadata()?.len();
        Ok((BufReader::new(file), size))
    };
    let (mut file, size) = open().map_err(|reason| Error::read(path, reason))?;
    from(&mut file, size, path).map_err(|reason| reason.of(path))
}

/// Reads a bundle that is in memory, and would be at `path`.
///
/// # Errors
///
/// As [`read`], but for those of reading.
pub fn read_bytes(bytes: &[u8], path: &Path) -> Result<Bundle, Error> {
    from(&mut { bytes }, bytes.len() as u64, path).map_err(|reason| reason.of(path))
}

enum Trouble {
    Io(io::Error),
    Bundle(BundleError),
}

impl Trouble {
    fn of(self, path: &Path) -> Error {
        match self {
            Trouble::Io(reason) => Error::read(path, reason),
            Trouble::Bundle(reason) => Error::bundle(path, reason),
        }
    }
}

impl From<Excess> for Trouble {
    fn from(excess: Excess) -> Trouble {
        BundleError::TooLarge(excess).into()
    }
}

impl From<BundleError> for Trouble {
    fn from(reason: BundleError) -> Trouble {
        Trouble::Bundle(reason)
    }
}

impl From<decode::Error> for Trouble {
    fn from(reason: decode::Error) -> Trouble {
        match reason {
            decode::Error::InvalidMarkerRead(reason) | decode::Error::InvalidDataRead(reason) => reason.into(),
            // Of values within values, no bundle has that many.
            decode::Error::DepthLimitExceeded => Excess::List.into(),
            decode::Error::Syntax(reason) | decode::Error::Uncategorized(reason) if reason.starts_with(TOO_LONG) => {
                Excess::List.into()
            }
            _ => BundleError::Torn.into(),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(reason: io::Error) -> Trouble {
        match reason.kind() {
            // What gzip says of bytes that it did not write, and what anybody says of bytes that are missing.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                BundleError::Torn.into()
            }
            _ => Trouble::Io(reason),
        }
    }
}

fn from(file: &mut dyn Read, size: u64, path: &Path) -> Result<Bundle, Trouble> {
    let is_exceeded = Cell::new(false);
    let read = unpack(file, size, path, &is_exceeded);
    match is_exceeded.get() {
        // What was read ended in the middle for this reason.
        true => Err(Excess::Bytes.into()),
        false => read,
    }
}

fn unpack(file: &mut dyn Read, size: u64, path: &Path, is_exceeded: &Cell<bool>) -> Result<Bundle, Trouble> {
    let mut first = Vec::new();
    file.take(MAGIC.len() as u64 + 4).read_to_end(&mut first)?;
    let Some(rest) = first.strip_prefix(&MAGIC) else {
        return Err(BundleError::None.into());
    };
    match <[u8; 4]>::try_from(rest).map(u32::from_le_bytes) {
        Ok(VERSION) => {}
        Ok(0) | Err(_) => return Err(BundleError::Torn.into()),
        Ok(version) => {
            return Err(BundleError::Newer {
                version,
                known: VERSION,
            }
            .into());
        }
    }
    let mut budget = Budget::of(size);
    let unpacked = Limited::new(GzDecoder::new(file), Budget::unpacked(size), is_exceeded);
    let mut values = BufReader::new(unpacked);
    let Head {
        run,
        timeline,
        unrecorded,
    } = next(&mut values)?;
    let mut profiles = Vec::new();
    while next(&mut values)? {
        let about: About = next(&mut values)?;
        let tables: Tables = next(&mut values)?;
        let damage = about.header_damage.len() + about.damage.len();
        let facts = about.facts.command.len() + about.facts.events.len();
        budget.take(tables.count() + facts + damage + about.holders.rows())?;
        let profile = Profile::from_parts(about.facts, tables).ok_or(BundleError::Torn)?;
        let holders = Arc::new(about.holders);
        profiles.push((
            about.name,
            about.header_damage,
            about.damage,
            Arc::new(profile),
            holders,
        ));
    }
    let lines: Arc<KeptLines> = Arc::new(next(&mut values)?);
    // The checksum comes last.
    if io::copy(&mut values, &mut io::sink())? > 0 {
        return Err(BundleError::Torn.into());
    }
    let processes = profiles
        .into_iter()
        .map(|(name, header_damage, damage, profile, holders)| Process {
            // A name, not a place: nothing outside of the bundle is looked at.
            path: path.join(Path::new(&name).file_name().unwrap_or_default()).into(),
            facts: profile.facts.clone(),
            damage: header_damage,
            bundled: Some(Bundled {
                profile,
                damage,
                lines: Arc::clone(&lines),
                holders,
            }),
            presentation: Default::default(),
            present: Default::default(),
        });
    Ok(Bundle {
        run,
        timeline,
        unrecorded,
        processes: processes.collect(),
    })
}

fn next<T: DeserializeOwned>(values: &mut impl Read) -> Result<T, Trouble> {
    Ok(decode::from_read(values)?)
}
