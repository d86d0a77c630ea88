//! How much memory a bundle may take, by its size: the lengths that it states are not trusted.
//!
//! Of a bundle of n bytes:
//!
//! | what | at most |
//! |---|---|
//! | bytes that it unpacks to | 8 MiB + 32 n, and 2 GiB |
//! | rows of all tables of all processes, with their events, arguments and damage | 128 Ki + 2 n |
//! | processes | 1 Ki + n / 16 |
//! | bytes of one name | 16 KiB |
//!
//! A row takes up to 400 bytes of memory while a report is made of it, the unpacked bytes are at most twice in memory, and what is read
//! before it is counted takes 256 MiB at most. So a bundle of n bytes takes at most 512 MiB + 1 KiB · n of memory; `oom-guard/tests/cli/hostile.rs`
//! holds the part that does not go by size. Of bundles that this program writes, none has come near: they unpack to 2 to 12 times their size, and a row takes 3
//! bytes or more.

use std::cell::Cell;
use std::io::{self, Read};

use crate::error::Excess;

/// What is left of what a bundle may take.
#[derive(Debug)]
pub(super) struct Budget {
    rows: u64,
    processes: u64,
}

impl Budget {
    /// That of a bundle of so many bytes.
    pub(super) fn of(packed: u64) -> Budget {
        Budget {
            rows: (128 << 10) + 2 * packed,
            processes: (1 << 10) + packed / 16,
        }
    }

    /// As many bytes a bundle of so many may unpack to.
    pub(super) fn unpacked(packed: u64) -> u64 {
        packed.saturating_mul(32).saturating_add(8 << 20).min(2 << 30)
    }

    /// Takes a process with so many rows.
    pub(super) fn take(&mut self, rows: usize) -> Result<(), Excess> {
        self.processes = self.processes.checked_sub(1).ok_or(Excess::Processes)?;
        self.rows = self.rows.checked_sub(rows as u64).ok_or(Excess::Rows)?;
        Ok(())
    }
}

/// A reader that ends after so many bytes, and knows whether there were more.
pub(super) struct Limited<'a, R> {
    from: R,
    left: u64,
    is_exceeded: &'a Cell<bool>,
}

impl<R: Read> Limited<'_, R> {
    pub(super) fn new(from: R, limit: u64, is_exceeded: &Cell<bool>) -> Limited<'_, R> {
        Limited {
            from,
            left: limit,
            is_exceeded,
        }
    }
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let room = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if room == 0 && !bytes.is_empty() {
            self.is_exceeded.set(self.from.read(&mut [0])? > 0);
            return Ok(0);
        }
        let read = self.from.read(&mut bytes[..room])?;
        self.left -= read as u64;
        Ok(read)
    }
}
