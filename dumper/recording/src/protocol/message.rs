//! The messages of the library to the supervisor: each is one line, written by one `write`, which the kernel does not mix with another process's
//! (pipe(7), `PIPE_BUF`).
//!
//! ```text
//! failed PID            an allocation failed
//! report PID            a report is wanted
//! large PID BYTES       a large block was allocated
//! mark PID NAME         the job has named the phase that begins
//! unwatched PID PROGRAM this process goes on without the library, since its program has the runtime of a sanitizer
//! refused PID WHAT NODE LIMIT PLACE
//!                       something other than memory was refused: what, at which callstack (a node of the recording, 0 if
//!                       that is not known), at which limit (0 if that is not known), and where (`-` if it has no place)
//! signals PID SIGNAL VICTIM NODE RESIDENT
//!                       this process is about to send a signal that may end another one, at this callstack; of the other one so many
//!                       bytes are in memory, 0 if that is not known
//! died PID CHILD SIGNAL this process has waited for a child, which a signal has ended
//! raised PID NAME MEMORY LINE FUNCTION FILE
//!                       an exception was printed with its traceback: its name, 1 if it or its reason is about memory, and the place of
//!                       its last frame, with `-` and 0 for what is not known
//! ```

use core::fmt::{self, Write};

use super::files::number;

/// Bytes that every message fits into, with its line feed.
pub const MAX_BYTES: usize = 512;
/// Bytes of a name or a program that a message has room for; what is longer is cut.
pub const NAME_BYTES: usize = 80;
/// The same of the path of a source file.
pub const PATH_BYTES: usize = 240;

/// A message from a process of the job. See the module's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// An allocation failed.
    Failed {
        /// In this process.
        pid: u32,
    },
    /// A report is wanted.
    Report {
        /// By this process.
        pid: u32,
    },
    /// A large block was allocated.
    LargeBlock {
        /// By this process.
        pid: u32,
        /// As large as this.
        bytes: u64,
    },
    /// The job has named the phase that begins.
    Mark {
        /// In this process.
        pid: u32,
        /// As the job names it. Of a longer name the message has the first line, up to [`NAME_BYTES`], without blanks at its end.
        name: &'a str,
    },
    /// A process goes on without the library.
    Unwatched {
        /// This one.
        pid: u32,
        /// Its program, cut as a name is.
        program: &'a str,
    },
    /// Something other than memory was refused.
    Refused {
        /// To this process.
        pid: u32,
        /// What.
        what: Refusal,
        /// The callstack, as a node of the process's recording; 0 if it is not known.
        node: u32,
        /// The limit, as far as this process knows it; 0 if it does not.
        limit: u64,
        /// A folder of the file system, cut as a name is; `-` for everything else.
        place: &'a str,
    },
    /// A process is about to send another one a signal that may end it.
    Signals {
        /// The sender.
        pid: u32,
        /// The signal.
        signal: u32,
        /// Who gets it.
        victim: u32,
        /// The callstack, as a node of the sender's recording; 0 if it is not known.
        node: u32,
        /// What of the other one is in memory, in bytes; 0 if it is not known.
        resident: u64,
    },
    /// A signal has ended a child of a process.
    Died {
        /// The parent, which has waited for it.
        pid: u32,
        /// The child.
        child: u32,
        /// The signal.
        signal: u32,
    },
    /// An exception was printed with its traceback. Neither its name nor the function's has a blank.
    Raised {
        /// By this process.
        pid: u32,
        /// Its name, cut as a name is.
        name: &'a str,
        /// Whether it or its reason is about memory.
        is_about_memory: bool,
        /// The line of its last frame; 0 if it is not known.
        line: u32,
        /// The function of its last frame, cut as a name is; `-` if it is not known.
        function: &'a str,
        /// The source file of its last frame, cut after [`PATH_BYTES`]; `-` if it is not known.
        file: &'a str,
    },
}

/// What may be refused to a process beside memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A thread; the limit is `RLIMIT_NPROC`.
    Thread,
    /// A process; the limit is `RLIMIT_NPROC`.
    Process,
    /// Locked memory; the limit is `RLIMIT_MEMLOCK`.
    LockedMemory,
    /// Huge pages.
    HugePages,
    /// Room in a file system in memory; the limit is its size.
    FileSystem,
}

impl Refusal {
    /// Each with its word.
    const WORDS: [(Self, &'static str); 5] = [
        (Self::Thread, "thread"),
        (Self::Process, "process"),
        (Self::LockedMemory, "locked"),
        (Self::HugePages, "huge"),
        (Self::FileSystem, "file"),
    ];

    fn word(self) -> &'static str {
        let mut words = Self::WORDS.iter();
        words.find(|(what, _)| *what == self).map_or("", |(_, word)| word)
    }

    fn parse(word: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(_, known)| *known == word)
            .map(|(what, _)| *what)
    }
}

impl<'a> Message<'a> {
    /// Reads a line, with its line feed or without. `None` if it is no message.
    pub fn parse(line: &'a [u8]) -> Option<Message<'a>> {
        let line = core::str::from_utf8(line).ok()?;
        let (word, rest) = line.strip_suffix('\n').unwrap_or(line).split_once(' ')?;
        let (pid, more) = match rest.split_once(' ') {
            Some((pid, more)) => (number(pid)?, Some(more)),
            None => (number(rest)?, None),
        };
        Some(match (word, more) {
            ("failed", None) => Message::Failed { pid },
            ("report", None) => Message::Report { pid },
            ("large", Some(bytes)) => Message::LargeBlock {
                pid,
                bytes: number(bytes)?,
            },
            ("mark", Some(name)) => Message::Mark { pid, name },
            ("unwatched", Some(program)) => Message::Unwatched { pid, program },
            ("refused", Some(rest)) => {
                let mut words = rest.splitn(4, ' ');
                Message::Refused {
                    pid,
                    what: Refusal::parse(words.next()?)?,
                    node: number(words.next()?)?,
                    limit: number(words.next()?)?,
                    place: words.next()?,
                }
            }
            ("signals", Some(rest)) => {
                let (signal, rest) = rest.split_once(' ')?;
                let (victim, rest) = rest.split_once(' ')?;
                let (node, resident) = rest.split_once(' ')?;
                Message::Signals {
                    pid,
                    signal: number(signal)?,
                    victim: number(victim)?,
                    node: number(node)?,
                    resident: number(resident)?,
                }
            }
            ("died", Some(rest)) => {
                let (child, signal) = rest.split_once(' ')?;
                Message::Died {
                    pid,
                    child: number(child)?,
                    signal: number(signal)?,
                }
            }
            ("raised", Some(rest)) => {
                let mut words = rest.splitn(5, ' ');
                Message::Raised {
                    pid,
                    name: words.next()?,
                    is_about_memory: number::<u32>(words.next()?)? > 0,
                    line: number(words.next()?)?,
                    function: words.next()?,
                    file: words.next()?,
                }
            }
            _ => return None,
        })
    }
}

/// Writes the line, with its line feed.
impl fmt::Display for Message<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Message::Failed { pid } => write!(out, "failed {pid}"),
            Message::Report { pid } => write!(out, "report {pid}"),
            Message::LargeBlock { pid, bytes } => write!(out, "large {pid} {bytes}"),
            Message::Mark { pid, name } => write!(out, "mark {pid} {}", cut(name)),
            Message::Unwatched { pid, program } => write!(out, "unwatched {pid} {}", cut(program)),
            Message::Refused {
                pid,
                what,
                node,
                limit,
                place,
            } => write!(out, "refused {pid} {} {node} {limit} {}", what.word(), cut(place)),
            Message::Signals {
                pid,
                signal,
                victim,
                node,
                resident,
            } => write!(out, "signals {pid} {signal} {victim} {node} {resident}"),
            Message::Died { pid, child, signal } => write!(out, "died {pid} {child} {signal}"),
            Message::Raised {
                pid,
                name,
                is_about_memory,
                line,
                function,
                file,
            } => {
                let memory = u32::from(is_about_memory);
                let (name, function, file) = (cut(name), cut(function), cut_after(file, PATH_BYTES));
                write!(out, "raised {pid} {name} {memory} {line} {function} {file}")
            }
        }?;
        out.write_char('\n')
    }
}

/// What of a name fits into a message.
fn cut(name: &str) -> &str {
    cut_after(name, NAME_BYTES)
}

fn cut_after(name: &str, most: usize) -> &str {
    let mut end = name.len().min(most);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let line = name.get(..end).and_then(|name| name.lines().next());
    line.unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::{String, ToString};

    use super::*;
    use proptest::prelude::*;

    fn message(kind: u8, pid: u32, bytes: u64, name: &str) -> Message<'_> {
        match kind {
            0 => Message::Failed { pid },
            1 => Message::Report { pid },
            2 => Message::LargeBlock { pid, bytes },
            3 => Message::Mark { pid, name },
            4 => Message::Unwatched { pid, program: name },
            5 => Message::Refused {
                pid,
                what: Refusal::WORDS[(bytes % 5) as usize].0,
                node: pid,
                limit: bytes,
                place: name,
            },
            6 => Message::Died {
                pid,
                child: pid,
                signal: pid % 64,
            },
            7 => Message::Raised {
                pid,
                name: "numpy.Error",
                is_about_memory: bytes.is_multiple_of(2),
                line: pid,
                function: "<module>",
                file: name,
            },
            _ => Message::Signals {
                pid,
                signal: pid % 64,
                victim: pid,
                node: pid,
                resident: bytes,
            },
        }
    }

    #[test]
    fn the_grammar_is_the_one_on_the_page() {
        let lines = [
            (message(0, 12, 0, ""), "failed 12\n"),
            (message(1, 12, 0, ""), "report 12\n"),
            (message(2, 12, 9_000_000, ""), "large 12 9000000\n"),
            (message(3, 12, 0, "größer werden"), "mark 12 größer werden\n"),
            (message(4, 13, 0, "./a program"), "unwatched 13 ./a program\n"),
            (message(5, 13, 65, "-"), "refused 13 thread 13 65 -\n"),
            (message(5, 13, 64, "/dev/shm"), "refused 13 file 13 64 /dev/shm\n"),
            (message(6, 15, 0, ""), "died 15 15 15\n"),
            (
                message(7, 15, 0, "/srv/a job.py"),
                "raised 15 numpy.Error 1 15 <module> /srv/a job.py\n",
            ),
            (message(8, 15, 0, ""), "signals 15 15 15 15 0\n"),
        ];
        for (message, line) in lines {
            assert_eq!(message.to_string(), line);
            assert_eq!(Message::parse(line.as_bytes()), Some(message));
        }
        for other in [
            "",
            "failed",
            "failed x",
            "failed 1 2",
            "large 12",
            "large 12 x",
            "mark 12",
            "rang 12",
            "failed 012",
            "refused 12 thread 1 2",
            "refused 12 luck 1 2 -",
            "signals 12 9 4 0",
            "died 12 9",
            "raised 12 E 1 0 f",
        ] {
            assert_eq!(Message::parse(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Message::parse(b"mark 12 \xff"), None);
    }

    proptest! {
        #[test]
        fn a_message_is_one_line_that_is_read_as_it_was_written(kind in 0u8..9, pid: u32, bytes: u64, name: String) {
            let line = message(kind, pid, bytes, &name).to_string();
            let kept = if kind == 7 { cut_after(&name, PATH_BYTES) } else { cut(&name) };
            prop_assert!(line.len() <= MAX_BYTES);
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            prop_assert_eq!(Message::parse(line.as_bytes()), Some(message(kind, pid, bytes, kept)));
        }

        #[test]
        fn a_name_is_cut_at_a_character(name in "\\PC{0,120}") {
            prop_assert!(name.starts_with(cut(&name)) && cut(&name).len() <= NAME_BYTES);
        }

        #[test]
        fn a_line_that_is_read_is_written_in_the_same_way(line in "(failed|report|large|mark|unwatched) [0-9]{1,3}( [a-z0-9]{1,4})?") {
            if let Some(read) = Message::parse(line.as_bytes()) {
                prop_assert_eq!(read.to_string(), line + "\n");
            }
        }
    }
}
