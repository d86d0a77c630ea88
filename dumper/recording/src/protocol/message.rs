//! The messages on the doorbell: each is one line, written by one `write`, which the kernel does not mix with another process's
//! (pipe(7), `PIPE_BUF`).
//!
//! ```text
//! failed PID            an allocation failed
//! report PID            a report is wanted
//! large PID BYTES       a large block was allocated
//! mark PID NAME         the job has named the phase that begins
//! unwatched PID PROGRAM this process goes on without the library, since its program has the runtime of a sanitizer
//! ```

use core::fmt::{self, Write};

use super::files::number;

/// Bytes that every message fits into, with its line feed.
pub const MAX_BYTES: usize = 128;
/// Bytes of a name or a program that a message has room for; what is longer is cut.
pub const NAME_BYTES: usize = 80;

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
        }?;
        out.write_char('\n')
    }
}

/// What of a name fits into a message.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(NAME_BYTES);
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
            _ => Message::Unwatched { pid, program: name },
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
        ] {
            assert_eq!(Message::parse(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Message::parse(b"mark 12 \xff"), None);
    }

    proptest! {
        #[test]
        fn a_message_is_one_line_that_is_read_as_it_was_written(kind in 0u8..5, pid: u32, bytes: u64, name: String) {
            let line = message(kind, pid, bytes, &name).to_string();
            prop_assert!(line.len() <= MAX_BYTES);
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            prop_assert_eq!(Message::parse(line.as_bytes()), Some(message(kind, pid, bytes, cut(&name))));
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
