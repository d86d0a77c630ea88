//! The memory of a process that runs: `/proc/PID/mem`, or `process_vm_readv` where much is read at a time. Nothing is stopped and nothing
//! is written.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::maps;
use crate::memory::{AT_A_TIME, Mapping, Memory};

/// The number that a process has for itself: in a container it is another than outside. Python has the numbers of threads as they are there.
pub fn own_number(process: &Path) -> Option<u64> {
    let status = std::fs::read_to_string(process.join("status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().last()?.parse().ok()
}

/// A process that runs.
pub struct Live {
    file: File,
    /// Its number, as long as the kernel lets us read by it: in containers that is often not allowed.
    pid: Cell<Option<Pid>>,
    mappings: Vec<Mapping>,
}

impl Live {
    /// The process whose folder this is, as in `/proc/1234`. An error if it has ended or may not be read.
    pub fn open(process: &Path) -> io::Result<Self> {
        // The list of mappings of another user's process can be opened, but is empty or cannot be read.
        let mappings = maps::parse(&std::fs::read_to_string(process.join("maps"))?);
        let file = File::open(process.join("mem"))?;
        let name = process.file_name().and_then(|name| name.to_str());
        let pid = name.and_then(|name| name.parse().ok()).map(Pid::from_raw);
        Ok(Self {
            file,
            pid: Cell::new(pid),
            mappings,
        })
    }
}

impl Memory for Live {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        self.file.read_exact_at(into, address).is_ok()
    }

    fn read_pages(&self, pages: &mut [(u64, Box<[u8]>)]) -> usize {
        let mut filled = 0;
        for pages in pages.chunks_mut(AT_A_TIME) {
            let of_these = self.try_read(pages).unwrap_or_else(|| {
                let is_missing = |(address, into): &mut (u64, Box<[u8]>)| !self.read(*address, into);
                pages.iter_mut().position(is_missing).unwrap_or(pages.len())
            });
            filled += of_these;
            if of_these < pages.len() {
                break;
            }
        }
        filled
    }

    fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }
}

impl Live {
    /// How many of the pages, from the first on, could be read; none if they have to be read in another way.
    fn try_read(&self, pages: &mut [(u64, Box<[u8]>)]) -> Option<usize> {
        let pid = self.pid.get()?;
        let remote: Vec<RemoteIoVec> = pages
            .iter()
            .map(|(address, bytes)| RemoteIoVec {
                base: *address as usize,
                len: bytes.len(),
            })
            .collect();
        let mut local: Vec<IoSliceMut> = pages.iter_mut().map(|(_, bytes)| IoSliceMut::new(bytes)).collect();
        match process_vm_readv(pid, &mut local, &remote) {
            Ok(bytes) => {
                let mut left = bytes;
                let is_short = |remote: &RemoteIoVec| {
                    let is_short = left < remote.len;
                    left = left.saturating_sub(remote.len);
                    is_short
                };
                Some(remote.iter().position(is_short).unwrap_or(remote.len()))
            }
            Err(Errno::EFAULT) => Some(0),
            Err(_) => {
                self.pid.set(None);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_process_is_that_of_the_innermost_container() {
        let folder = tempfile::tempdir().unwrap();
        for (status, number) in [
            ("Name:\tpython\nNSpid:\t5384\t12\t1\nNSpgid:\t5384\n", Some(1)),
            ("NSpid:\t77\n", Some(77)),
            ("Name:\tpython\n", None),
        ] {
            std::fs::write(folder.path().join("status"), status).unwrap();
            assert_eq!(own_number(folder.path()), number);
        }
    }
}
