//! Bytes in memory or in a file, and little-endian numbers in them at offsets that the layout names.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::error::{Error, ReadError};
use crate::folder::Place;

/// More than the bytes of any recording.
const MOST_BYTES: u64 = 2 * recording::MAX_FILE_BYTES as u64;

/// Where the bytes of a recording are.
pub(crate) trait Bytes {
    /// How many there are.
    fn length(&self) -> u64;
    /// As many as there are from `offset` on, at most `count`.
    fn read(&self, offset: u64, count: usize) -> Vec<u8>;
}

impl Bytes for [u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, offset: u64, count: usize) -> Vec<u8> {
        let begin = self.len().min(offset as usize);
        let end = self.len().min(begin.saturating_add(count));
        self[begin..end].to_vec()
    }
}

/// A file, of which no more is in memory than what is being looked at.
pub(crate) struct InFile {
    file: File,
    length: u64,
    error: RefCell<Option<io::Error>>,
}

impl InFile {
    fn new(file: File) -> io::Result<InFile> {
        Ok(InFile {
            length: file.metadata()?.len(),
            file,
            error: RefCell::new(None),
        })
    }

    /// Why bytes are missing, if some could not be read.
    fn finish(self) -> io::Result<()> {
        self.error.into_inner().map_or(Ok(()), Err)
    }
}

impl Bytes for InFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn read(&self, offset: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.error.borrow_mut().get_or_insert(error);
                    break;
                }
            }
        }
        bytes.truncate(filled);
        bytes
    }
}

/// Reads a file, by what `read` makes of it.
pub(crate) fn read_file<T>(path: &Place, read: impl FnOnce(&InFile) -> Result<T, ReadError>) -> Result<T, Error> {
    let file = path.file(MOST_BYTES).and_then(InFile::new);
    let file = file.map_err(|reason| Error::read(path, reason))?;
    let what = read(&file);
    file.finish().map_err(|reason| Error::read(path, reason))?;
    what.map_err(|reason| Error::recording(path, reason))
}

/// The number at `offset`; zero where the bytes end before it.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let end = offset.saturating_add(4);
    let field = bytes.get(offset..end).and_then(|field| field.try_into().ok());
    field.map_or(0, u32::from_le_bytes)
}

/// The number at `offset`; zero where the bytes end before it.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let end = offset.saturating_add(8);
    let field = bytes.get(offset..end).and_then(|field| field.try_into().ok());
    field.map_or(0, u64::from_le_bytes)
}
