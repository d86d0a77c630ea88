//! The Python in this process: found by its symbols, checked once, read at every sample.
#![expect(unsafe_code, reason = "calls functions of the interpreter")]

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;

use crate::real;

pub mod allocator;
pub mod late;
pub mod layout;
pub mod lines;
pub mod memory;
pub mod names;
pub mod waiting;
pub mod walk;

use layout::{BYTES_LENGTH, BYTES_TEXT, Layout, OBJECT_TYPE};
use memory::{Checked, Direct};
use names::Name;
use walk::{Change, End, Frame, Link, Memory};

/// Links of another thread that are followed.
const STEPS_OF_OTHERS: u32 = 4096;

/// What reading the frames of the current thread gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Not a thread that Python knows, or no frame.
    Nothing,
    /// Links were shown.
    Frames,
    /// The frames are those that were known, in the same state.
    Unchanged,
    /// The frames are those that were known, but the innermost is at this link now.
    WentOn(Link),
    /// The offsets don't fit this build.
    Misfit,
}

/// The most links of a callstack: far more than any C stack lets Python recurse.
const MOST_STEPS: u32 = 1 << 22;
/// Links that the self-check follows.
const STEPS_TO_CHECK: u32 = 200;
/// No table of lines has more bytes.
const LONGEST_TABLE: u64 = 16 << 20;
/// Frames that the self-check looks into.
const FRAMES_TO_CHECK: u32 = 50;
/// Looks without a frame after which the self-check has failed.
const BLANKS: u32 = 100;

/// An interpreter with a known layout.
#[derive(Clone, Copy)]
pub struct Python {
    layout: &'static Layout,
    checked: bool,
    /// The state of the thread that was read last; `None` while Python shuts down, 0 if the thread has none.
    state: Option<u64>,
    /// Frames of another thread are being read, which may go away meanwhile.
    careful: bool,
    /// How often a thread should have had frames, but none was valid.
    blanks: u32,
    code_type: u64,
    str_type: u64,
    bytes_type: u64,
    thread_state: unsafe extern "C" fn() -> *mut c_void,
    is_finalizing: Finalizing,
}

/// How to ask whether the interpreter is shutting down.
#[derive(Clone, Copy)]
enum Finalizing {
    Function(unsafe extern "C" fn() -> c_int),
    Variable(*const usize),
    Unknown,
}

// SAFETY: `Send` wants that another thread may use it: the pointers lead to code and static data of the interpreter, which is
// never unloaded.
unsafe impl Send for Python {}

/// What was found in the process.
pub enum Found {
    /// No Python.
    None,
    /// One whose frames can be read; its version.
    Known(Python, (u8, u8)),
    /// One whose frames cannot be read; its version, 0.0 for PyPy.
    Unknown((u8, u8)),
}

/// Looks for an interpreter among the program and its libraries.
pub fn find() -> Found {
    let version = real::find(c"Py_GetVersion");
    if version.is_null() {
        let is_pypy = !real::find(c"PyPy_GetVersion").is_null();
        return if is_pypy { Found::Unknown((0, 0)) } else { Found::None };
    }
    // SAFETY: transmute wants a function of this type: `const char *Py_GetVersion(void)` in every version.
    let version = unsafe { transmute::<*mut c_void, unsafe extern "C" fn() -> *const c_char>(version) };
    // SAFETY: the function wants nothing, no initialized interpreter either: it formats into static storage.
    let text = unsafe { version() };
    // SAFETY: from_ptr wants a string that ends in a zero byte and stays: it is static.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    let number = parse_version(text);
    match known(number, text) {
        Some(python) => Found::Known(python, number),
        None => Found::Unknown(number),
    }
}

fn known(number: (u8, u8), text: &[u8]) -> Option<Python> {
    // A free-threaded build has another layout of frames, and says so in its version.
    if text.windows(14).any(|part| part == b"free-threading") {
        return None;
    }
    let layout = layout::for_version(number.0, number.1)?;
    let found = |symbol: &CStr| Some(real::find(symbol)).filter(|address| !address.is_null());
    let thread_state = found(c"PyGILState_GetThisThreadState")?;
    let function = found(c"Py_IsFinalizing").or_else(|| found(c"_Py_IsFinalizing"));
    // SAFETY: transmute wants a function of this type: `int (void)` under both names.
    let as_function = |found| unsafe { transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(found) };
    let is_finalizing = match (function, found(c"_Py_Finalizing")) {
        (Some(function), _) => Finalizing::Function(as_function(function)),
        (None, Some(variable)) => Finalizing::Variable(variable.cast()),
        (None, None) => Finalizing::Unknown,
    };
    Some(Python {
        layout,
        checked: false,
        state: None,
        careful: false,
        blanks: 0,
        code_type: found(c"PyCode_Type")? as u64,
        str_type: found(c"PyUnicode_Type")? as u64,
        bytes_type: found(c"PyBytes_Type")? as u64,
        // SAFETY: transmute wants a function of this type: `PyThreadState *PyGILState_GetThisThreadState(void)` in every version.
        thread_state: unsafe { transmute::<*mut c_void, unsafe extern "C" fn() -> *mut c_void>(thread_state) },
        is_finalizing,
    })
}

fn parse_version(text: &[u8]) -> (u8, u8) {
    let mut numbers = text.split(|byte| !byte.is_ascii_digit()).map(|digits| {
        digits.iter().fold(0u8, |number, digit| {
            number.saturating_mul(10).saturating_add(digit - b'0')
        })
    });
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

impl Python {
    /// Shows `visit` the current thread's links, innermost first, until it says `false`; unless they are `known`.
    #[inline]
    pub fn look(&mut self, known: impl Iterator<Item = Link>, visit: impl FnMut(Link) -> bool) -> Look {
        self.state = self.current_thread_state();
        let state = self.state.unwrap_or(0);
        if state == 0 {
            return Look::Nothing;
        }
        if !self.checked {
            match self.check(state) {
                Look::Frames => self.checked = true,
                other => return other,
            }
        }
        match walk::change(&Direct, self.layout, state, known) {
            Change::None => return Look::Unchanged,
            Change::Innermost(link) => return Look::WentOn(link),
            Change::Frames => {}
        }
        match walk::links(&Direct, self.layout, state, MOST_STEPS, visit) {
            End::Empty => Look::Nothing,
            End::Done | End::Lost => Look::Frames,
        }
    }

    /// The frame that a link stands for, if it does for one.
    #[inline]
    pub fn frame(&self, link: Link) -> Option<Frame> {
        if self.careful {
            return walk::read(&Checked::default(), self.layout, self.code_type, link);
        }
        walk::read(&Direct, self.layout, self.code_type, link)
    }

    /// The state of the thread that was read last; 0 if it has none.
    pub fn last_state(&self) -> u64 {
        self.state.unwrap_or(0)
    }

    /// Whether the thread that was read last runs no Python, while others do.
    pub fn is_without(&self) -> bool {
        self.checked && self.state == Some(0)
    }

    /// From now on, what is read may have been freed (`true`) or not.
    pub fn be_careful(&mut self, careful: bool) {
        self.careful = careful;
    }

    /// The innermost link of another thread that stands for a frame; none if there is no such thread with a callstack.
    pub fn top(&self, state: u64) -> Option<Link> {
        let memory = Checked::default();
        let mut top = None;
        let is_one = self.look_at(state, |link| {
            top = walk::read(&memory, self.layout, self.code_type, link).map(|_| link);
            top.is_none()
        });
        top.filter(|_| is_one && !memory.has_failed())
    }

    /// As [`Python::look`], of another thread. `false`: what was shown is not valid.
    pub fn look_at(&self, state: u64, visit: impl FnMut(Link) -> bool) -> bool {
        let memory = Checked::default();
        let end = walk::links(&memory, self.layout, state, STEPS_OF_OTHERS, visit);
        end == End::Done && !memory.has_failed()
    }

    /// None while the interpreter shuts down, when thread states go away under their threads; 0 for a thread without one.
    fn current_thread_state(&self) -> Option<u64> {
        let finalizing = match self.is_finalizing {
            // SAFETY: the function wants nothing: it reads a variable of the runtime.
            Finalizing::Function(function) => unsafe { function() != 0 },
            // SAFETY: a read wants a readable pointer: it is a static one of the interpreter.
            Finalizing::Variable(variable) => unsafe { variable.read_volatile() != 0 },
            Finalizing::Unknown => false,
        };
        if finalizing {
            return None;
        }
        // SAFETY: the function wants nothing: it looks up a thread-specific value, without the GIL.
        Some(unsafe { (self.thread_state)() as u64 })
    }

    /// The self-check: whether the offsets lead to code objects whose parts have the right types.
    fn check(&mut self, state: u64) -> Look {
        let memory = Checked::default();
        let mut frames = 0;
        let mut fits = true;
        let end = walk::links(&memory, self.layout, state, STEPS_TO_CHECK, |link| {
            let Some(frame) = walk::read(&memory, self.layout, self.code_type, link) else {
                return true;
            };
            frames += 1;
            let part = |offset: u16| memory.word(memory.word(frame.code + offset as u64) + OBJECT_TYPE);
            fits &= part(self.layout.code_filename) == self.str_type
                && part(self.layout.code_name) == self.str_type
                && part(self.layout.code_line_table) == self.bytes_type
                && memory.half(frame.code + self.layout.code_first_line as u64) < 1 << 30
                && (-2..1 << 28).contains(&frame.at);
            fits && frames < FRAMES_TO_CHECK
        });
        if !fits || memory.has_failed() {
            return Look::Misfit;
        }
        if frames > 0 {
            return Look::Frames;
        }
        // A frame may be incomplete for a moment, but not at every look.
        self.blanks += (end != End::Empty) as u32;
        if self.blanks > BLANKS {
            Look::Misfit
        } else {
            Look::Nothing
        }
    }

    /// The file, the name and the first line of a code object.
    pub fn describe(&self, code: u64, file: &mut Name, name: &mut Name) -> u32 {
        if self.careful {
            self.describe_by(&Checked::default(), code, file, name)
        } else {
            self.describe_by(&Direct, code, file, name)
        }
    }

    fn describe_by(&self, memory: &impl Memory, code: u64, file: &mut Name, name: &mut Name) -> u32 {
        let part = |offset: u16| memory.word(code + offset as u64);
        names::append(memory, self.layout, part(self.layout.code_filename), file);
        names::append(memory, self.layout, part(self.layout.code_name), name);
        memory.half(code + self.layout.code_first_line as u64)
    }

    /// The line that a frame is at.
    pub fn line(&self, frame: Frame) -> u32 {
        if self.careful {
            self.line_by(&Checked::default(), frame)
        } else {
            self.line_by(&Direct, frame)
        }
    }

    fn line_by(&self, memory: &impl Memory, frame: Frame) -> u32 {
        let first_line = memory.half(frame.code + self.layout.code_first_line as u64);
        if frame.at < 0 {
            return first_line;
        }
        let table = memory.word(frame.code + self.layout.code_line_table as u64);
        let length = memory.word(table + BYTES_LENGTH).min(LONGEST_TABLE);
        let bytes = (0..length).map(|index| memory.byte(table + BYTES_TEXT + index));
        lines::line(self.layout.line_table, bytes, first_line, frame.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_front() {
        assert_eq!(parse_version(b"3.13.0 (main, Oct  7 2024) [GCC 12.2.0]"), (3, 13));
        assert_eq!(parse_version(b"3.9.18+ (heads"), (3, 9));
        assert_eq!(parse_version(b""), (0, 0));
    }
}
