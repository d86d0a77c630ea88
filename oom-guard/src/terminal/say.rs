//! The one place from which text reaches a terminal, but for the counting line of [`progress`](crate::terminal::progress), which holds no name.
//!
//! Lines to stderr all begin with `=fil-profile= `: stdout, and every other line, is the job's. No text is written but as a [`PaintedLine`],
//! so that none can command the terminal or forge a line of ours. Colours are for a terminal that wants them and nowhere else: a log, a
//! pipe, `NO_COLOR` and `TERM=dumb` get plain text. `CLICOLOR`, `CLICOLOR_FORCE` and a build server's `CI` are heeded as [`anstream`]
//! heeds them.
#![expect(clippy::disallowed_methods, reason = "everything else writes through this file")]

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Seek, Stdout, StdoutLock, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice};
use libc::PIPE_BUF;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::terminal::paint::{PaintedLine, Tone};

/// What every line of ours begins with.
pub const PREFIX: &str = "=fil-profile= ";

/// Whether all is to be printed that is known, not only what fits a few lines.
static IS_VERBOSE: AtomicBool = AtomicBool::new(false);

/// From now on, all is to be printed.
pub fn be_verbose() {
    IS_VERBOSE.store(true, Relaxed);
}

/// Whether all is to be printed.
pub fn is_verbose() -> bool {
    IS_VERBOSE.load(Relaxed)
}

/// The columns of the terminal that stderr is, 0 if it does not say; `None` if it is no terminal.
pub fn columns() -> Option<usize> {
    let width = || terminal_size::terminal_size_of(io::stderr()).map_or(0, |(width, _)| width.0.into());
    io::stderr().is_terminal().then(width)
}

/// Writes one line, in a tone where there are colours.
pub fn say_in(tone: Tone, line: &str) {
    write(&PaintedLine::toned(tone, line));
}

/// Writes one line.
pub fn say(line: impl Display) {
    write(&PaintedLine::plain(line));
}

fn write(line: &PaintedLine) {
    let end = if is_within_a_line().unwrap_or(false) { "\n" } else { "" };
    let line = format!("{end}{PREFIX}{}\n", line.painted(has_colours(&stderr())));
    // A closed stderr is no reason to fail.
    let _ = Stderr.write_all(line.as_bytes());
}

/// Whether stderr is a file in which the job has begun a line and not ended it. Of a terminal or a pipe, that cannot be known.
fn is_within_a_line() -> io::Result<bool> {
    let mut file = File::from(stderr().as_fd().try_clone_to_owned()?);
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    let end = if flags.contains(OFlag::O_APPEND) {
        file.metadata()?.len()
    } else {
        file.stream_position()?
    };
    let mut last = [b'\n'];
    if end > 0 {
        // stderr itself may be open for writing only.
        File::open("/proc/self/fd/2")?.read_exact_at(&mut last, end - 1)?;
    }
    Ok(last != [b'\n'])
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

/// Writes a line to stdout, for a reader who may have seen enough: if it is closed, that is no failure.
pub fn show(line: &PaintedLine) {
    let line = format!("{}\n", line.painted(has_colours(&stdout())));
    let _ = stdout().write_all(line.as_bytes());
}

/// Writes a text of several lines to stdout, as [`show`] writes one.
pub fn show_all(text: &str) {
    let text: String = text
        .lines()
        .map(|line| PaintedLine::plain(line).painted(false) + "\n")
        .collect();
    let _ = stdout().write_all(text.as_bytes());
}

/// Stdout for a document of `dumper`, which has its own way to write names for each format.
pub fn document() -> BufWriter<StdoutLock<'static>> {
    BufWriter::new(stdout().lock())
}

/// Whether stdout is a terminal.
pub fn is_shown() -> bool {
    stdout().is_terminal()
}

/// Whether stderr is a terminal.
pub fn is_seen() -> bool {
    stderr().is_terminal()
}

/// Says what our own panic is about as one line of ours, in place of the several that Rust would write.
pub fn panics_too() {
    std::panic::set_hook(Box::new(|panic| {
        say(format!("an error of fil-profile itself, please report it: {panic}"))
    }));
}

fn has_colours<S: anstream::stream::RawStream>(stream: &S) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

fn stdout() -> Stdout {
    io::stdout()
}

fn stderr() -> io::Stderr {
    io::stderr()
}
