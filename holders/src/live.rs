//! The memory of a process that runs: `/proc/PID/mem`. Nothing is stopped and nothing is written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::maps;
use crate::memory::{Mapping, Memory};

/// A process that runs.
pub struct Live {
    file: File,
    mappings: Vec<Mapping>,
}

impl Live {
    /// The process whose folder this is, as in `/proc/1234`. An error if it has ended or may not be read.
    pub fn open(process: &Path) -> io::Result<Self> {
        // The list of mappings of another user's process can be opened, but is empty or cannot be read.
        let mappings = maps::parse(&std::fs::read_to_string(process.join("maps"))?);
        let file = File::open(process.join("mem"))?;
        Ok(Self { file, mappings })
    }
}

impl Memory for Live {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        self.file.read_exact_at(into, address).is_ok()
    }

    fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }
}
