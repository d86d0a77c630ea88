//! What a report is made from: the recordings of a run, or what its bundle has of them.

use std::ffi::OsStr;

use dumper::folder::Place;
use dumper::process::{self, Process};
use dumper::{Folder, bundle};

use crate::terminal::say::say;

/// Recordings that cannot be read are named up to this number.
const MOST_SAID: usize = 10;

/// The processes of a run.
#[derive(Debug)]
pub struct Material {
    /// The recordings that can be read.
    pub processes: Vec<Process>,
    /// Why others cannot be read.
    pub unreadable: Vec<dumper::Error>,
}

impl Material {
    /// Reads a folder with recordings, a bundle, or both. Where a process is in both, the bundle knows more, unless the process has
    /// gone on since.
    pub fn load(folder: &Folder) -> Result<Self, String> {
        let (mut processes, mut unreadable) = process::load(folder).map_err(|error| error.to_string())?;
        match bundle::of(folder).map(|bundle| bundle::read(&bundle)) {
            None => {}
            Some(Ok(bundle)) => {
                for bundled in bundle.processes {
                    match processes.iter_mut().find(|known| name(known) == name(&bundled)) {
                        None => processes.push(bundled),
                        Some(known) if is_as_old(known, &bundled) => *known = bundled,
                        Some(_) => {}
                    }
                }
                processes.sort_by_key(|process| process.facts.started_ns);
            }
            Some(Err(error)) => unreadable.push(error),
        }
        unreadable.iter().take(MOST_SAID).for_each(say);
        match unreadable.len().saturating_sub(MOST_SAID) {
            0 => {}
            more => say(format!("and {more} more recordings cannot be read")),
        }
        Ok(Self { processes, unreadable })
    }

    /// Reads one recording.
    pub fn load_recording(recording: &Place) -> Result<Self, String> {
        let process = process::read(recording).map_err(|error| error.to_string())?;
        Ok(Self::from(vec![process]))
    }

    /// Whether nothing has been recorded.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// Whether there are recordings, of which none can be read.
    pub fn is_unreadable(&self) -> bool {
        self.processes.is_empty() && !self.unreadable.is_empty()
    }
}

impl From<Vec<Process>> for Material {
    fn from(processes: Vec<Process>) -> Self {
        Self {
            processes,
            unreadable: Vec::new(),
        }
    }
}

fn is_as_old(recording: &Process, bundled: &Process) -> bool {
    let age = |process: &Process| (process.facts.samples, process.facts.state, process.facts.live_bytes);
    age(recording) == age(bundled)
}

fn name(process: &Process) -> Option<&OsStr> {
    process.path.file_name()
}
