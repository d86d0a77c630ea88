//! The message pipe: a named pipe (FIFO) in the run folder by which the library sends messages to the supervisor.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use dumper::Folder;

use crate::watch::limit_poller::Request;
use recording::protocol::Message;
use recording::protocol::files::MESSAGE_PIPE;
use recording::protocol::message::{MAX_BYTES, Refusal};

/// The supervisor's end of it.
#[derive(Debug)]
pub struct MessagePipe {
    folder: Folder,
    pipe: File,
    unread: Vec<u8>,
}

/// A message of the library, as the supervisor uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
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
    /// Something other than memory was refused.
    Refused(Refusing),
    /// A process of the job is about to send a signal that ends another one.
    Signals(Sending),
    /// A signal has ended a child of a process of the job: its id, and the signal.
    Died(u32, i32),
    /// A process of the job has printed an exception with its traceback.
    Raised(Raising),
}

/// An exception that was printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raising {
    /// By this process.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Whether it or its reason is about memory.
    pub is_about_memory: bool,
    /// The source file, the line and the function of its last frame, where they are known.
    pub place: Option<(PathBuf, u32, String)>,
}

/// What was refused to a process, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusing {
    /// The process.
    pub pid: u32,
    /// What.
    pub what: Refusal,
    /// The callstack, as a node of its recording.
    pub node: u32,
    /// The limit, where it knows it.
    pub limit: Option<u64>,
    /// A folder of the file system that is full.
    pub folder: PathBuf,
}

/// A signal that a process of the job is about to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// The sender.
    pub pid: u32,
    /// Its number.
    pub signal: u32,
    /// Who gets it.
    pub victim: u32,
    /// The callstack, as a node of the sender's recording.
    pub node: u32,
    /// What of the other one is in memory, in bytes, where that is known.
    pub resident: Option<u64>,
}

impl MessagePipe {
    /// Makes the pipe in a run folder. Fails where the file system has no pipes.
    pub fn create(folder: &Folder) -> io::Result<Self> {
        folder.make_pipe(MESSAGE_PIPE)?;
        Ok(Self {
            folder: folder.clone(),
            // A reader that is also a writer never sees the end of the file when the last process of the job closes it.
            pipe: folder.pipe(MESSAGE_PIPE)?,
            unread: Vec::new(),
        })
    }

    /// The messages that have come since the last call. Lines that are no message are ignored.
    pub fn read(&mut self) -> Vec<Received> {
        let mut bytes = [0; 4096];
        if let Ok(count) = self.pipe.read(&mut bytes) {
            self.unread.extend_from_slice(&bytes[..count]);
        }
        let mut messages = Vec::new();
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            messages.extend(Received::parse(&line));
        }
        if self.unread.len() > MAX_BYTES {
            self.unread.clear();
        }
        messages
    }
}

impl AsFd for MessagePipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Drop for MessagePipe {
    fn drop(&mut self) {
        let _ = self.folder.remove(MESSAGE_PIPE);
    }
}

impl Received {
    /// Whether it may say why a job has ended: such a message counts even if the job has ended meanwhile.
    pub fn says_why(&self) -> bool {
        matches!(
            self,
            Self::Unwatched(..) | Self::Refused(..) | Self::Signals(..) | Self::Died(..) | Self::Raised(..)
        )
    }

    fn parse(line: &[u8]) -> Option<Self> {
        Some(match Message::parse(line)? {
            Message::Failed { pid } => Self::Failed(pid),
            Message::Report { .. } => Self::Report,
            Message::LargeBlock { pid, bytes } => Self::Large(Request { pid, bytes }),
            Message::Mark { name, .. } => Self::Mark(name.to_owned()),
            Message::Unwatched { pid, program } => Self::Unwatched(pid, program.to_owned()),
            Message::Refused {
                pid,
                what,
                node,
                limit,
                place,
            } => Self::Refused(Refusing {
                pid,
                what,
                node,
                limit: Some(limit).filter(|limit| *limit > 0),
                folder: Path::new(place).to_owned(),
            }),
            Message::Signals {
                pid,
                signal,
                victim,
                node,
                resident,
            } => Self::Signals(Sending {
                pid,
                signal,
                victim,
                node,
                resident: Some(resident).filter(|resident| *resident > 0),
            }),
            Message::Died { child, signal, .. } => Self::Died(child, signal.cast_signed()),
            Message::Raised {
                pid,
                name,
                is_about_memory,
                line,
                function,
                file,
            } => Self::Raised(Raising {
                pid,
                name: name.to_owned(),
                is_about_memory,
                place: (line > 0 && file != "-").then(|| (PathBuf::from(file), line, function.to_owned())),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::Write;

    #[test]
    fn whole_lines_are_read_and_the_rest_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut pipe = MessagePipe::create(&Folder::open(folder).unwrap()).unwrap();
        let mut writer = OpenOptions::new().write(true).open(folder.join(MESSAGE_PIPE)).unwrap();
        writer
            .write_all(b"failed 12\nnonsense\nreport x\nreport 7\nlarge 12\nlarge 12 9000000\nfai")
            .unwrap();
        let large = Request {
            pid: 12,
            bytes: 9_000_000,
        };
        assert_eq!(
            pipe.read(),
            [Received::Failed(12), Received::Report, Received::Large(large)]
        );
        writer.write_all(b"led 12\n").unwrap();
        assert_eq!(pipe.read(), [Received::Failed(12)]);
        writer.write_all("mark 12 größer werden\n".as_bytes()).unwrap();
        assert_eq!(pipe.read(), [Received::Mark("größer werden".to_owned())]);
        writer.write_all(b"unwatched 13 ./a program\n").unwrap();
        assert_eq!(pipe.read(), [Received::Unwatched(13, "./a program".to_owned())]);
        writer.write_all(&[b'x'; MAX_BYTES + 1]).unwrap();
        assert_eq!(pipe.read(), []);
        drop(pipe);
        assert!(!folder.join(MESSAGE_PIPE).exists());
    }
}
