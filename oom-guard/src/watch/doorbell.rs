//! The doorbell: a named pipe in the run folder by which the preload wakes the supervisor.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use dumper::Folder;

use crate::watch::limit_poller::Request;
use recording::protocol::Message;
use recording::protocol::files::DOORBELL;
use recording::protocol::message::MAX_BYTES;

/// The pipe by which the preload wakes the supervisor.
#[derive(Debug)]
pub struct Doorbell {
    folder: Folder,
    pipe: File,
    unread: Vec<u8>,
}

/// A message of the preload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ring {
    /// An allocation failed, in this process.
    Failed(u32),
    /// A report is wanted.
    Report,
    /// A large block has been allocated.
    Large(Request),
    /// The job has named the phase that it begins.
    Mark(String),
    /// A process goes on without the library, because its program has the runtime of a sanitizer: its id and its program.
    Unwatched(u32, String),
}

impl Doorbell {
    /// Makes the pipe in a run folder. Fails where the file system has no pipes.
    pub fn hang(folder: &Folder) -> io::Result<Self> {
        folder.make_pipe(DOORBELL)?;
        Ok(Self {
            folder: folder.clone(),
            // A reader that is also a writer never sees the end of the file when the last process of the job closes it.
            pipe: folder.pipe(DOORBELL)?,
            unread: Vec::new(),
        })
    }

    /// The messages that have come since the last call. Lines that are no message are ignored.
    pub fn answer(&mut self) -> Vec<Ring> {
        let mut bytes = [0; 4096];
        if let Ok(count) = self.pipe.read(&mut bytes) {
            self.unread.extend_from_slice(&bytes[..count]);
        }
        let mut rings = Vec::new();
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            rings.extend(Ring::parse(&line));
        }
        if self.unread.len() > MAX_BYTES {
            self.unread.clear();
        }
        rings
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        let _ = self.folder.remove(DOORBELL);
    }
}

impl Ring {
    fn parse(line: &[u8]) -> Option<Self> {
        Some(match Message::parse(line)? {
            Message::Failed { pid } => Self::Failed(pid),
            Message::Report { .. } => Self::Report,
            Message::LargeBlock { pid, bytes } => Self::Large(Request { pid, bytes }),
            Message::Mark { name, .. } => Self::Mark(name.to_owned()),
            Message::Unwatched { pid, program } => Self::Unwatched(pid, program.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::Write;

    #[test]
    fn the_doorbell_hears_whole_lines_and_passes_over_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut doorbell = Doorbell::hang(&Folder::open(folder).unwrap()).unwrap();
        let mut ringer = OpenOptions::new().write(true).open(folder.join(DOORBELL)).unwrap();
        ringer
            .write_all(b"failed 12\nnonsense\nreport x\nreport 7\nlarge 12\nlarge 12 9000000\nfai")
            .unwrap();
        let large = Request {
            pid: 12,
            bytes: 9_000_000,
        };
        assert_eq!(doorbell.answer(), [Ring::Failed(12), Ring::Report, Ring::Large(large)]);
        ringer.write_all(b"led 12\n").unwrap();
        assert_eq!(doorbell.answer(), [Ring::Failed(12)]);
        ringer.write_all("mark 12 größer werden\n".as_bytes()).unwrap();
        assert_eq!(doorbell.answer(), [Ring::Mark("größer werden".to_owned())]);
        ringer.write_all(b"unwatched 13 ./a program\n").unwrap();
        assert_eq!(doorbell.answer(), [Ring::Unwatched(13, "./a program".to_owned())]);
        ringer.write_all(&[b'x'; 200]).unwrap();
        assert_eq!(doorbell.answer(), []);
        drop(doorbell);
        assert!(!folder.join(DOORBELL).exists());
    }
}
