//! `profile.fil`: all that a run has left, in one small file that can be sent and opened anywhere, with the source lines that its
//! report shows.
//!
//! ```text
//! 8 bytes   "FILBNDL" and a zero byte
//! 4 bytes   version, little-endian
//! the rest  gzip of a sequence of MessagePack values:
//!     the head        {run, timeline, unrecorded}
//!     for each process that has left a recording
//!         true
//!         the process {name, facts, header_damage, damage, holders}
//!         its tables  [nodes, sites, functions, names], without what held nothing at any moment
//!     false
//!     the lines       {file: {number: text}}
//! ```
//!
//! Structures that there is one of are maps by the names of their fields, tables are arrays of arrays. A field that is added, to
//! a table as the last one, needs no new version: where a file does not have it, it has its default, and a reader that does
//! not know it leaves it out of a map. Anything else is a new version, and the reader of the old one stays.
//!
//! A file that was cut off or altered is told by gzip's checksum. What a file may take, by its size, is told in `budget.rs`.
//!
//! Version 1 was the first.

mod budget;
mod read;
mod write;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::bounded::{self, LISTED};
use crate::damage::Damage;
use crate::folder::{Folder, Place};
use crate::holders::Holders;
use crate::process::Process;
use crate::profile::Facts;
use crate::run::Run;
use crate::timeline::{MOST_ROWS, Sample};
use crate::unrecorded::Unrecorded;

pub use read::{is_bundle, read, read_bytes};
pub(crate) use write::packed;
pub use write::{to, write};

/// What it is called in a run folder.
pub const FILE: &str = "profile.fil";

const MAGIC: [u8; 8] = *b"FILBNDL\0";
const VERSION: u32 = 1;

/// A bundle that has been read.
#[derive(Debug)]
pub struct Bundle {
    /// What was run, and what became of it.
    pub run: Run,
    /// How much memory it had over time.
    pub timeline: Vec<Sample>,
    /// The processes without a recording of their own.
    pub unrecorded: Unrecorded,
    /// Its processes, in the order of their beginning.
    pub processes: Vec<Process>,
}

/// A bundle that has been written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Where.
    pub path: PathBuf,
    /// The recordings that are in it.
    pub recordings: Vec<Place>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Head {
    run: Run,
    #[serde(deserialize_with = "bounded::list::<_, _, MOST_ROWS>")]
    timeline: Vec<Sample>,
    unrecorded: Unrecorded,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct About {
    /// Of its file.
    name: String,
    facts: Facts,
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    header_damage: Vec<Damage>,
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    damage: Vec<Damage>,
    /// With named sites.
    holders: Holders,
}

/// The bundle in a run folder, if there is one.
pub fn of(folder: &Folder) -> Option<Place> {
    folder.has_file(FILE).then(|| Place::within(folder, FILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Tally;

    #[test]
    fn a_field_that_an_older_file_does_not_have_has_its_default() {
        // In a table by its place, elsewhere by its name.
        let older = rmp_serde::to_vec(&(5u64, 2u64)).unwrap();
        let tally: Tally = rmp_serde::from_slice(&older).unwrap();
        assert_eq!((tally.bytes, tally.blocks, tally.variance), (5, 2, 0));
        #[derive(Serialize)]
        struct Older {
            pid: u32,
            no_longer_known: u32,
        }
        let older = Older {
            pid: 7,
            no_longer_known: 1,
        };
        let facts: Facts = rmp_serde::from_slice(&rmp_serde::to_vec_named(&older).unwrap()).unwrap();
        assert_eq!(
            facts,
            Facts {
                pid: 7,
                ..Facts::default()
            }
        );
    }
}
