//! Lines to stderr, all beginning with `=fil-profile= `: stdout, and every other line, is the job's.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use libc::PIPE_BUF;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::paint::{Tone, painted, stderr_has_colours};

/// What every line of ours begins with.
pub const PREFIX: &str = "=fil-profile= ";

/// Writes one line, in a tone where there are colours.
pub fn say_in(tone: Tone, line: &str) {
    write(&painted(printable(line), tone, stderr_has_colours()));
}

/// Writes one line. Control characters are escaped, so that no name can end the line or command the terminal.
pub fn say(line: impl Display) {
    write(&printable(&line.to_string()));
}

fn write(line: &str) {
    let line = format!("{PREFIX}{line}\n");
    // A closed stderr is no reason to fail.
    let _ = Stderr.write_all(line.as_bytes());
}

/// How long in all this process waits for a stderr that takes no more.
const PATIENCE: Duration = Duration::from_secs(3);

/// stderr for a process that somebody waits for: where nobody reads the pipe any more, or the terminal has been stopped, what does not
/// fit is lost after a while, since the job alone would have ended by now. A line is one write, so that lines do not mix.
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        static WAITED_MS: AtomicU64 = AtomicU64::new(0);
        let stderr = io::stderr();
        let left = PATIENCE.saturating_sub(Duration::from_millis(WAITED_MS.load(Relaxed)));
        let mut sources = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        let began = Instant::now();
        let ready = poll(&mut sources, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO));
        WAITED_MS.fetch_add(began.elapsed().as_millis() as u64, Relaxed);
        match ready {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            // A pipe that is ready takes so much without waiting, in one piece.
            _ => stderr.lock().write(&bytes[..bytes.len().min(PIPE_BUF)]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to stdout, for a reader who may have seen enough: if it is closed, that is no failure.
pub fn show(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, char| {
        if char.is_control() {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_the_line_or_command_the_terminal() {
        assert_eq!(printable("a\nb\x1b[2Jü"), "a\\nb\\u{1b}[2Jü");
    }
}
