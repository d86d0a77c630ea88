//! What Python prints when an exception ends a program: the supervisor is told which it was, and where. A MemoryError need not have an
//! allocation that failed behind it, and one that failed need not be the reason for the exception that ends the program.
//!
//! A signal handler may print too, and a fork may have been copied while another thread printed: nothing waits, and only system calls are made.

use core::ffi::c_int;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use recording::protocol::message::Message;

use crate::lock::Lock;
use crate::switches::RECORDING;
use crate::text::Text;
use crate::{errno, message_pipe, sys};

const STDERR: c_int = 2;
const BEGINS: &[u8] = b"Traceback (most recent call last):";
/// Between the tracebacks of an exception and of its reason.
const CHAINS: [&[u8]; 2] = [
    b"During handling of the above exception",
    b"The above exception was the direct cause",
];
/// What the message of an exception says that is about memory, whatever its name is: the last is ENOMEM.
const ABOUT_MEMORY: [&[u8]; 4] = [b"emory", b"alloc", b"Alloc", b"[Errno 12]"];

/// Bytes that are looked at together.
const PART: usize = 4096;

static PRINTED: Lock<(Traceback, [u8; PART])> = Lock::new((Traceback::new(), [0; PART]));

/// A traceback that is being printed.
struct Traceback {
    is_inside: bool,
    is_chained: bool,
    is_about_memory: bool,
    /// Of the last frame so far.
    file: Text<240>,
    function: Text<60>,
    line: u32,
}

/// Whether there is an interpreter that prints tracebacks.
static ARE_PRINTED: AtomicBool = AtomicBool::new(false);

/// An interpreter has been found.
pub fn expect() {
    ARE_PRINTED.store(true, Relaxed);
}

/// Whether what is written to this file is to be read.
#[inline]
pub fn is_printed_to(file: c_int) -> bool {
    file == STDERR && ARE_PRINTED.load(Relaxed) && RECORDING.load(Relaxed)
}

/// Reads what has been printed, so many bytes at this address, which may be memory that nobody can read: /dev/null, for one, takes it
/// without a look. Leaves `errno` as it is.
#[cold]
pub fn read(address: usize, bytes: usize) {
    let errno = errno::get();
    if let Some(mut printed) = PRINTED.try_at_once() {
        let (printed, part) = &mut *printed;
        each_line(
            bytes,
            part,
            |at, part| sys::read_checked(address.wrapping_add(at), part),
            |line| printed.meet(line),
        );
    }
    errno::set(errno);
}

/// Shows each line of a text of so many bytes, of which `read` reads a part; of a line that is longer than `part`, its beginning. Python
/// writes whole lines. What else is written there, such as the bar of a progress, begins no line.
fn each_line(bytes: usize, part: &mut [u8], read: impl Fn(usize, &mut [u8]) -> bool, mut show: impl FnMut(&[u8])) {
    let (mut at, mut is_rest) = (0, false);
    while at < bytes {
        let length = part.len().min(bytes - at);
        let Some(part) = part.get_mut(..length).filter(|part| !part.is_empty()) else {
            return;
        };
        if !read(at, part) {
            return;
        }
        let last = part.iter().rposition(|byte| *byte == b'\n');
        // What begins in this part and does not end in it is shown with the next one.
        let shown = match last {
            Some(last) if at + length < bytes => last + 1,
            _ => length,
        };
        let lines = part
            .get(..shown)
            .unwrap_or_default()
            .split_inclusive(|byte| *byte == b'\n');
        for line in lines.skip(usize::from(is_rest)) {
            show(line.strip_suffix(b"\n").unwrap_or(line));
        }
        is_rest = last.is_none();
        at += shown;
    }
}

impl Traceback {
    const fn new() -> Self {
        Self {
            is_inside: false,
            is_chained: false,
            is_about_memory: false,
            file: Text::new(),
            function: Text::new(),
            line: 0,
        }
    }

    fn meet(&mut self, line: &[u8]) {
        if let Some(name) = self.read(line) {
            let text = |bytes| match core::str::from_utf8(bytes) {
                Ok("") | Err(_) => "-",
                Ok(text) => text,
            };
            message_pipe::send(Message::Raised {
                pid: sys::pid(),
                name,
                is_about_memory: self.is_about_memory,
                line: self.line,
                function: text(self.function.bytes()),
                file: text(self.file.bytes()),
            });
        }
    }

    /// The name of the exception, if the line has it.
    fn read<'a>(&mut self, line: &'a [u8]) -> Option<&'a str> {
        if line.starts_with(BEGINS) {
            self.is_about_memory &= self.is_chained;
            (self.is_inside, self.is_chained, self.line) = (true, false, 0);
            self.file.clear();
            self.function.clear();
            return None;
        }
        if !self.is_inside {
            self.is_chained |= CHAINS.iter().any(|text| line.starts_with(text));
            return None;
        }
        if let Some(frame) = line.strip_prefix(b"  File \"") {
            self.frame(frame);
            return None;
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
        if name.is_empty() || !name.iter().all(is_name) {
            return None;
        }
        self.is_inside = false;
        let says = |text: &&[u8]| line.windows(text.len()).any(|part| part == *text);
        self.is_about_memory |= ABOUT_MEMORY.iter().any(says);
        core::str::from_utf8(name).ok()
    }

    /// `/srv/job.py", line 12, in load`
    fn frame(&mut self, frame: &[u8]) {
        let Some(end) = frame.iter().position(|byte| *byte == b'"') else {
            return;
        };
        let (file, rest) = frame.split_at(end);
        let mut words = rest.split(|byte| *byte == b',').skip(1);
        let mut word = |prefix: &[u8]| {
            words
                .next()
                .and_then(|word| word.strip_prefix(prefix))
                .unwrap_or_default()
        };
        let line = word(b" line ");
        self.line = core::str::from_utf8(line)
            .ok()
            .and_then(|line| line.parse().ok())
            .unwrap_or(0);
        self.file.clear();
        self.file.push(file);
        self.function.clear();
        self.function.push(word(b" in "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last exception in this text: its name, whether it is about memory, and the last frame's place.
    fn last(text: &str) -> Option<(String, bool, String)> {
        let mut printed = Traceback::new();
        let mut last = None;
        for line in text.split('\n') {
            if let Some(name) = printed.read(line.as_bytes()).map(str::to_owned) {
                let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let place = format!(
                    "{}:{} ({})",
                    of(printed.file.bytes()),
                    printed.line,
                    of(printed.function.bytes())
                );
                last = Some((name, printed.is_about_memory, place));
            }
        }
        last
    }

    const FRAMES: &str = "Traceback (most recent call last):\n  File \"/srv/a b.py\", line 3, in <module>\n    load()\n  File \"/srv/a b.py\", \
                          line 2, in load\n    def load(): return [0]*2**60\n                       ~~~^~~~~~\n";

    #[test]
    fn the_exception_and_the_line_of_its_last_frame_are_found() {
        let of = |name: &str| last(&format!("{FRAMES}{name}\n"));
        let found =
            |name: &str, is_about_memory| Some((name.to_owned(), is_about_memory, "/srv/a b.py:2 (load)".to_owned()));
        assert_eq!(of("MemoryError"), found("MemoryError", true));
        assert_eq!(
            of("numpy.exceptions._ArrayMemoryError: Unable to"),
            found("numpy.exceptions._ArrayMemoryError", true)
        );
        assert_eq!(of("OSError: [Errno 12] Cannot"), found("OSError", true));
        assert_eq!(of("RuntimeError: can't allocate"), found("RuntimeError", true));
        assert_eq!(of("ValueError: other"), found("ValueError", false));
        assert_eq!(
            of("RecursionError: maximum recursion depth exceeded"),
            found("RecursionError", false)
        );
    }

    #[test]
    fn an_exception_has_that_of_its_reason_too_and_not_that_of_an_earlier_one() {
        let chain = "\nDuring handling of the above exception, another exception occurred:\n\n";
        let after = |between: &str| {
            last(&format!("{FRAMES}MemoryError\n{between}{FRAMES}ValueError\n")).map(|(_, memory, _)| memory)
        };
        assert_eq!(after(chain), Some(true));
        assert_eq!(after(""), Some(false));
    }

    #[test]
    fn lines_are_whole_whatever_the_size_of_a_part_and_end_where_nothing_can_be_read() {
        let text = b"one\ntwo two\n\nthree three three\nfour";
        let lines = |size: usize, readable: usize| {
            let mut lines = Vec::new();
            let read = |at: usize, part: &mut [u8]| match text.get(at..at + part.len()) {
                Some(bytes) if at + part.len() <= readable => {
                    part.copy_from_slice(bytes);
                    true
                }
                _ => false,
            };
            let show = |line: &[u8]| lines.push(String::from_utf8_lossy(line).into_owned());
            each_line(text.len(), &mut vec![0; size], read, show);
            lines
        };
        let whole = ["one", "two two", "", "three three three", "four"];
        for size in 18..60 {
            assert_eq!(lines(size, text.len()), whole, "parts of {size}");
        }
        assert_eq!(lines(9, text.len()), ["one", "two two", "", "three thr", "four"]);
        assert_eq!(lines(18, 20), ["one", "two two", ""]);
        assert_eq!(lines(0, text.len()), [""; 0]);
        assert_eq!(lines(60, 0), [""; 0]);
    }

    #[test]
    fn what_is_no_traceback_says_nothing() {
        assert_eq!(last("MemoryError\n 12 %|###   | 3/10\n\n"), None);
        assert_eq!(last("Traceback (most recent call last):\n  File \"x\n"), None);
    }
}
