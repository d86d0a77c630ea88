//! Work that takes long says so: in one line of a log, and on a terminal in a line that counts the seconds and goes when it is
//! done. Ctrl-C ends it, as it ends any program.

use std::io::{IsTerminal, Write, stderr};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::say::{PREFIX, say};

/// Whoever waits longer than this is told what for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the line on a terminal changes.
const TICK: Duration = Duration::from_millis(500);
/// Back to the beginning of the line, and nothing in it.
const CLEAR: &str = "\r\x1b[K";

/// Says after a while that we are still busy, for as long as this lives.
pub struct Progress {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Of this work.
    pub fn of(what: &'static str) -> Self {
        let (done, wait) = mpsc::channel();
        let is_seen = stderr().is_terminal();
        let tell = move || {
            let begin = Instant::now();
            let mut pause = PATIENCE;
            while wait.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                if !is_seen {
                    say(format!("{what} …"));
                    return;
                }
                let seconds = begin.elapsed().as_secs();
                let _ = write!(stderr(), "{CLEAR}{PREFIX}{what} … {seconds} s (Ctrl-C ends it)");
                pause = TICK;
            }
            if pause == TICK {
                let _ = write!(stderr(), "{CLEAR}");
            }
        };
        // A small stack: there may be little address space. Without the thread there is only no such line.
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
