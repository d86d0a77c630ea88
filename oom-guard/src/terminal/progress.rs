//! Shows that work takes long: one line in a log, or on a terminal a line that counts the seconds and disappears at the end. Ctrl-C ends
//! the work.

use std::io::Write;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::terminal::say::{PREFIX, Stderr, is_seen};

/// Nothing is shown for work that is shorter than this.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the line on a terminal changes.
const TICK: Duration = Duration::from_millis(500);
/// Moves to the beginning of the line and clears it.
const CLEAR: &str = "\r\x1b[K";

/// Shows the progress until this is dropped.
pub struct Progress {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shows it on a terminal or in a log.
    pub fn show(what: &'static str) -> Self {
        Self::told(what, is_seen())
    }

    /// Shows it on a terminal only: the user has asked for this work.
    pub fn on_terminal(what: &'static str) -> Self {
        match is_seen() {
            true => Self::told(what, true),
            false => Self {
                done: None,
                thread: None,
            },
        }
    }

    fn told(what: &'static str, is_seen: bool) -> Self {
        let (done, wait) = mpsc::channel();
        let tell = move || tell(what, &wait, PATIENCE, is_seen, &mut Stderr);
        // A small stack: there may be little address space. If there can be no thread, nothing is shown.
        let thread = thread::Builder::new().stack_size(64 << 10).spawn(tell).ok();
        Self {
            done: Some(done),
            thread,
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.done.take());
        // Until the line has gone, nothing else may be written to the terminal.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn tell(what: &'static str, wait: &Receiver<()>, patience: Duration, is_seen: bool, out: &mut dyn Write) {
    let begin = Instant::now();
    let mut is_told = false;
    let pause = |is_told| if is_told { TICK } else { patience };
    while wait.recv_timeout(pause(is_told)) == Err(RecvTimeoutError::Timeout) {
        is_told = true;
        // A closed stderr is no reason to fail.
        if !is_seen {
            let _ = out.write_all(format!("{PREFIX}{what} …\n").as_bytes());
            return;
        }
        let seconds = begin.elapsed().as_secs();
        let line = format!("{CLEAR}{PREFIX}{what} … {seconds} s (Ctrl-C ends it)");
        let _ = out.write_all(line.as_bytes());
    }
    if is_told {
        let _ = out.write_all(CLEAR.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells each piece that is written.
    struct Pieces(Sender<String>);

    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is told of work that is done once something has been told of it.
    fn told(is_seen: bool) -> Vec<String> {
        let (done, wait) = mpsc::channel();
        let (said, pieces) = mpsc::channel();
        let teller = thread::spawn(move || tell("working", &wait, Duration::ZERO, is_seen, &mut Pieces(said)));
        let first = pieces.recv().unwrap();
        drop(done);
        teller.join().unwrap();
        [first].into_iter().chain(pieces.try_iter()).collect()
    }

    #[test]
    fn a_log_gets_one_line_and_a_terminal_one_that_goes_again() {
        assert_eq!(told(false), ["=fil-profile= working …\n"]);
        let told = told(true);
        assert!(
            told[0].starts_with("\r\x1b[K=fil-profile= working … ") && !told[0].contains('\n'),
            "{told:?}"
        );
        assert_eq!(told.last().unwrap(), CLEAR);
    }

    #[test]
    fn work_that_is_done_soon_is_not_told_of() {
        let (done, wait) = mpsc::channel();
        drop(done);
        let mut out = Vec::new();
        tell("working", &wait, PATIENCE, true, &mut out);
        assert_eq!(out, b"");
    }
}
