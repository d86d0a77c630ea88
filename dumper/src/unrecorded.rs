//! `unrecorded.json`: the processes of a job without a recording, because it was too small to keep or could not be made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bounded::{self, LISTED};
use crate::error::Error;
use crate::folder::Folder;
use crate::outlet::to_json_pretty;
use crate::save::save;

/// Its name in a run folder.
pub use recording::protocol::files::UNRECORDED as FILE;
/// A few command lines.
const MOST_BYTES: u64 = 8 << 20;
/// Programs that are told apart among those that were folded.
const MOST_PROGRAMS: usize = 20;
/// Processes that are named among those that were not seen.
const MOST_UNSEEN: usize = 50;

/// All of them. Fields that a file does not have are empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unrecorded {
    /// Those whose recordings had nothing to add, and were removed.
    pub folded: Folded,
    /// Those that the library is not in, those with the most resident memory first.
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    pub unseen: Vec<Unseen>,
    /// How many more there were.
    pub unseen_more: u64,
    /// `--no-children`: only the first process was watched.
    pub first_only: bool,
}

/// Recordings that were put into these few numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Folded {
    /// How many.
    pub processes: u64,
    /// The highest peak of one of them, in bytes.
    pub highest_peak_bytes: u64,
    /// How many there were of each program.
    #[serde(deserialize_with = "bounded::map::<_, _, _, LISTED>")]
    pub programs: BTreeMap<String, u64>,
}

/// A process that ran without the library.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unseen {
    /// Process id.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// Why, as far as can be told.
    pub why: String,
    /// The most that was seen to be resident, in bytes.
    pub resident_bytes: u64,
}

impl Unrecorded {
    /// That of a run; empty where there is none.
    ///
    /// # Errors
    ///
    /// There is one, and it cannot be read.
    pub fn load(folder: &Folder) -> Result<Unrecorded, Error> {
        let path = || folder.path().join(FILE);
        match folder.read(FILE, MOST_BYTES) {
            Ok(text) => Unrecorded::parse(&text).map_err(|reason| Error::json(&path(), reason)),
            Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => Ok(Unrecorded::default()),
            Err(reason) => Err(Error::read(&path(), reason)),
        }
    }

    /// Reads the text of `unrecorded.json`.
    ///
    /// # Errors
    ///
    /// It is not JSON, or not of a run's processes.
    pub fn parse(text: &[u8]) -> Result<Unrecorded, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Writes it into a run folder.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn save(&self, folder: &Folder) -> Result<(), Error> {
        save(folder, FILE, |out| {
            to_json_pretty(out, self)?;
            out.write_all(b"\n")
        })?;
        Ok(())
    }

    /// Notes another process that is not seen.
    pub fn note(&mut self, unseen: Unseen) {
        self.unseen.push(unseen);
        self.unseen
            .sort_by_key(|unseen| std::cmp::Reverse(unseen.resident_bytes));
        if self.unseen.len() > MOST_UNSEEN {
            self.unseen.truncate(MOST_UNSEEN);
            self.unseen_more += 1;
        }
    }

    /// Notes how much of one is resident by now; returns whether that is more than was known.
    pub fn has_grown(&mut self, pid: u32, resident_bytes: u64) -> bool {
        let mut known = self.unseen.iter_mut().filter(|unseen| unseen.pid == pid);
        let Some(known) = known.find(|known| known.resident_bytes < resident_bytes) else {
            return false;
        };
        known.resident_bytes = resident_bytes;
        true
    }
}

impl Folded {
    /// Counts one more.
    pub fn add(&mut self, program: &str, peak_bytes: u64) {
        self.processes += 1;
        self.highest_peak_bytes = self.highest_peak_bytes.max(peak_bytes);
        if self.programs.len() < MOST_PROGRAMS || self.programs.contains_key(program) {
            *self.programs.entry(program.to_owned()).or_default() += 1;
        } else {
            *self.programs.entry("others".to_owned()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_is_empty_where_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            Unrecorded::load(&Folder::open(folder.path()).unwrap()).unwrap(),
            Unrecorded::default()
        );
        let mut unrecorded = Unrecorded::default();
        unrecorded.folded.add("grep", 7);
        unrecorded.note(Unseen {
            pid: 3,
            command: "busybox".into(),
            why: "it is statically linked".into(),
            resident_bytes: 9,
        });
        unrecorded.save(&Folder::open(folder.path()).unwrap()).unwrap();
        assert_eq!(
            Unrecorded::load(&Folder::open(folder.path()).unwrap()).unwrap(),
            unrecorded
        );
    }

    #[test]
    fn a_thousand_processes_take_no_more_room_than_a_few() {
        let mut unrecorded = Unrecorded::default();
        for pid in 0..1000 {
            unrecorded.folded.add(&format!("program{pid}"), u64::from(pid));
            let resident_bytes = u64::from(pid);
            unrecorded.note(Unseen {
                pid,
                resident_bytes,
                ..Unseen::default()
            });
        }
        assert_eq!(unrecorded.folded.processes, 1000);
        assert_eq!(unrecorded.folded.highest_peak_bytes, 999);
        assert_eq!(unrecorded.folded.programs.values().sum::<u64>(), 1000);
        assert!(unrecorded.folded.programs.len() <= MOST_PROGRAMS + 1);
        assert_eq!(unrecorded.unseen.len(), MOST_UNSEEN);
        assert_eq!(unrecorded.unseen_more, 950);
        assert_eq!(unrecorded.unseen[0].resident_bytes, 999);
    }
}
