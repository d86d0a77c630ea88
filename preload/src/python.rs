//! The Python in this process: found by its symbols, checked once, read at every sample.
#![expect(unsafe_code, reason = "calls functions of the interpreter")]

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;

use cpython::{ACTIVE, Layout, Running, lines, newer};

use crate::real;

pub mod adopt;
pub mod allocator;
pub mod hidden;
pub mod memory;
pub mod names;
pub mod waiting;
pub mod walk;

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
    layout: Layout,
    checked: bool,
    /// The thread that was looked at last.
    thread: Thread,
    /// What is being read may go away meanwhile.
    careful: bool,
    /// How often a thread should have had frames, but none was valid.
    blanks: u32,
    code_type: u64,
    str_type: u64,
    bytes_type: u64,
    own_state: StateFunction,
    /// The state that runs Python, on whichever thread that is; asked up to 3.11. Later it is a variable of each thread, for which the
    /// dynamic linker may need memory and its lock.
    running_state: Option<StateFunction>,
    is_finalizing: Finalizing,
}

/// A function that gives a thread state, or NULL.
type StateFunction = unsafe extern "C" fn() -> *mut c_void;

/// What Python knows of a thread.
#[derive(Clone, Copy)]
struct Thread {
    /// Its state; 0 if it has none that can be read.
    state: u64,
    /// It has the lock of its interpreter: nobody else runs Python for it.
    runs: bool,
    /// The interpreter shuts down, and under this thread its state may go away.
    is_left_behind: bool,
    /// It is not certain that the state is this thread's.
    is_guess: bool,
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
    /// One whose frames can be read if it is as it says itself, since its version is newer than what is known; its version.
    Newer(Python, (u8, u8)),
    /// One whose frames cannot be read; its version, 0.0 for PyPy.
    Unknown((u8, u8)),
}

/// Looks for an interpreter among the program and its libraries.
pub fn find() -> Found {
    let Some(version) = symbol(c"Py_GetVersion") else {
        let is_pypy = symbol(c"PyPy_GetVersion").is_some();
        return if is_pypy { Found::Unknown((0, 0)) } else { Found::None };
    };
    // SAFETY: transmute wants a function of this type: `const char *Py_GetVersion(void)` in every version.
    let version = unsafe { transmute::<*mut c_void, unsafe extern "C" fn() -> *const c_char>(version) };
    // SAFETY: the function wants nothing, no initialized interpreter either: it formats into static storage.
    let text = unsafe { version() };
    // SAFETY: from_ptr wants a string that ends in a zero byte and stays: it is static.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    let number = parse_version(text);
    // A free-threaded build has another layout, and says so in its version.
    let has_gil = !text.windows(14).any(|part| part == b"free-threading");
    let known = match has_gil {
        true => cpython::of(number.0, number.1),
        false => cpython::of_free_threaded(number.0, number.1),
    };
    let newer = || newer_layout(number).and_then(interpreter);
    match known {
        Some(layout) => interpreter(*layout).map(|python| Found::Known(python, number)),
        None => newer().map(|python| Found::Newer(python, number)),
    }
    .unwrap_or(Found::Unknown(number))
}

/// A symbol of the interpreter.
fn symbol(name: &CStr) -> Option<*mut c_void> {
    let mut found = [real::find(name), hidden::address(name)].into_iter();
    found.find(|address| !address.is_null())
}

/// The layout that a Python of a newer version tells.
#[cold]
fn newer_layout(version: (u8, u8)) -> Option<Layout> {
    let runtime = symbol(c"_PyRuntime")? as u64;
    let memory = Checked::default();
    let words: [u64; newer::WORDS] = core::array::from_fn(|word| memory.word(runtime + 8 * word as u64));
    newer::layout(version, &words)
}

fn interpreter(layout: Layout) -> Option<Python> {
    let function = symbol(c"Py_IsFinalizing").or_else(|| symbol(c"_Py_IsFinalizing"));
    // SAFETY: transmute wants a function of this type: `int (void)` under both names.
    let as_function = |found| unsafe { transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(found) };
    let is_finalizing = match (function, symbol(c"_Py_Finalizing")) {
        (Some(function), _) => Finalizing::Function(as_function(function)),
        (None, Some(variable)) => Finalizing::Variable(variable.cast()),
        (None, None) => Finalizing::Unknown,
    };
    // SAFETY: transmute wants a function of this type: `PyThreadState *(void)` under each of the names below.
    let gives_state = |found| unsafe { transmute::<*mut c_void, StateFunction>(found) };
    let running =
        symbol(c"_PyThreadState_UncheckedGet").filter(|_| matches!(layout.runtime.running, Running::Ident(_)));
    Some(Python {
        layout,
        checked: false,
        thread: Thread::NONE,
        careful: false,
        blanks: 0,
        code_type: symbol(c"PyCode_Type")? as u64,
        str_type: symbol(c"PyUnicode_Type")? as u64,
        bytes_type: symbol(c"PyBytes_Type")? as u64,
        own_state: gives_state(symbol(c"PyGILState_GetThisThreadState")?),
        running_state: running.map(gives_state),
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

impl Thread {
    const NONE: Self = Self {
        state: 0,
        runs: false,
        is_left_behind: false,
        is_guess: false,
    };
}

/// Whether the `pthread_self()` at this address, in a state that may go away, is that of this thread.
fn is_of_this_thread(address: u64) -> bool {
    // SAFETY: the function wants nothing.
    Checked::default().word(address) == unsafe { libc::pthread_self() } as u64
}

impl Python {
    /// Which allocator it has.
    pub fn allocator(&self) -> cpython::Allocator {
        self.layout.allocator
    }

    /// Shows `visit` the current thread's links, innermost first, until it says `false`; unless they are `known`.
    #[inline]
    pub fn look(&mut self, known: impl Iterator<Item = Link>, visit: impl FnMut(Link) -> bool) -> Look {
        self.thread = self.current_thread();
        // A table of copies may be replaced and freed while this thread does not run Python; whatever else is read, its frames keep.
        self.careful = self.thread.is_guess || self.layout.frames.copies.is_some() && !self.thread.runs;
        let state = self.last_state();
        if state == 0 {
            return Look::Nothing;
        }
        if !self.checked {
            match self.check(state) {
                Look::Frames => self.checked = true,
                other => return other,
            }
        }
        if self.thread.is_guess {
            return match self.look_at(state, visit) {
                true => Look::Frames,
                false => Look::Nothing,
            };
        }
        match walk::change(&Direct, &self.layout, state, known) {
            Change::None => return Look::Unchanged,
            Change::Innermost(link) => return Look::WentOn(link),
            Change::Frames => {}
        }
        match walk::links(&Direct, &self.layout, state, MOST_STEPS, visit) {
            End::Empty => Look::Nothing,
            End::Done | End::Lost => Look::Frames,
        }
    }

    /// The frame that a link stands for, if it does for one.
    #[inline]
    pub fn frame(&self, link: Link) -> Option<Frame> {
        if self.careful {
            return walk::read(&Checked::default(), &self.layout, self.code_type, link);
        }
        walk::read(&Direct, &self.layout, self.code_type, link)
    }

    /// The state of the thread that was read last; 0 if it has none.
    pub fn last_state(&self) -> u64 {
        self.thread.state
    }

    /// Whether the thread that was read last runs no Python, while others do. It may have a state all the same: a thread of a library
    /// keeps the one that its first call into Python has made. Never without the GIL: there, several threads run Python at once, so
    /// nothing says which of them waits.
    pub fn is_without(&self) -> bool {
        self.layout.has_gil && self.checked && !self.thread.runs && !self.thread.is_left_behind
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
            top = walk::read(&memory, &self.layout, self.code_type, link).map(|_| link);
            top.is_none()
        });
        top.filter(|_| is_one && !memory.has_failed())
    }

    /// As [`Python::look`], of another thread. `false`: what was shown is not valid.
    pub fn look_at(&self, state: u64, visit: impl FnMut(Link) -> bool) -> bool {
        let memory = Checked::default();
        let end = walk::links(&memory, &self.layout, state, STEPS_OF_OTHERS, visit);
        end == End::Done && !memory.has_failed()
    }

    /// What Python knows of this thread. Its state is the one that was made first for it. Up to 3.11, that is not the one that runs in a
    /// subinterpreter.
    fn current_thread(&self) -> Thread {
        // SAFETY: the function wants nothing: it looks up a thread-specific value, without the GIL.
        let own = unsafe { (self.own_state)() as u64 };
        // SAFETY: the function wants nothing: it reads a variable of the runtime.
        let running = self.running_state.map_or(0, |state| unsafe { state() as u64 });
        let is_finalizing = self.is_finalizing();
        let is_guess = match self.layout.runtime.running {
            Running::Ident(ident) => running != 0 && running != own && is_of_this_thread(running + ident as u64),
            Running::Status(_) => false,
        };
        let runs = own != 0
            && match self.layout.runtime.running {
                Running::Ident(_) => running == own,
                // When the interpreter shuts down, the states of other threads go away under them.
                Running::Status(at) if is_finalizing => Checked::default().half(own + at as u64) & ACTIVE != 0,
                Running::Status(at) => Direct.half(own + at as u64) & ACTIVE != 0,
            };
        let (state, runs) = if is_guess { (running, true) } else { (own, runs) };
        // The thread that shuts it down runs finalizers meanwhile, and is the only one that still runs.
        let is_left_behind = !runs && is_finalizing;
        Thread {
            state: if is_left_behind { 0 } else { state },
            runs,
            is_left_behind,
            is_guess,
        }
    }

    /// Whether the interpreter is shutting down.
    fn is_finalizing(&self) -> bool {
        match self.is_finalizing {
            // SAFETY: the function wants nothing: it reads a variable of the runtime.
            Finalizing::Function(function) => unsafe { function() != 0 },
            // SAFETY: a read wants a readable pointer: it is a static one of the interpreter.
            Finalizing::Variable(variable) => unsafe { variable.read_volatile() != 0 },
            Finalizing::Unknown => false,
        }
    }

    /// The self-check: whether the offsets lead to code objects whose parts have the right types.
    fn check(&mut self, state: u64) -> Look {
        let memory = Checked::default();
        let (mut links, mut frames) = (0, 0);
        let mut fits = true;
        walk::links(&memory, &self.layout, state, STEPS_TO_CHECK, |link| {
            links += 1;
            let Some(frame) = walk::read(&memory, &self.layout, self.code_type, link) else {
                return true;
            };
            frames += 1;
            let part =
                |offset: u16| memory.word(memory.word(frame.code + offset as u64) + self.layout.objects.object_type());
            fits &= part(self.layout.frames.filename) == self.str_type
                && part(self.layout.frames.name) == self.str_type
                && part(self.layout.frames.line_table) == self.bytes_type
                && memory.half(frame.code + self.layout.frames.first_line as u64) < 1 << 30
                && (-2..1 << 28).contains(&frame.at);
            fits && frames < FRAMES_TO_CHECK
        });
        if !fits || memory.has_failed() {
            return Look::Misfit;
        }
        if frames > 0 {
            return Look::Frames;
        }
        // A frame may be incomplete for a moment, but not at every look. From 3.15 on, the chain of a thread that runs no function
        // has one link.
        self.blanks += (links > 1) as u32;
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
        names::append(memory, &self.layout, part(self.layout.frames.filename), file);
        names::append(memory, &self.layout, part(self.layout.frames.name), name);
        memory.half(code + self.layout.frames.first_line as u64)
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
        let first_line = memory.half(frame.code + self.layout.frames.first_line as u64);
        if frame.at < 0 {
            return first_line;
        }
        let table = memory.word(frame.code + self.layout.frames.line_table as u64);
        let objects = &self.layout.objects;
        let length = memory.word(table + objects.object_size()).min(LONGEST_TABLE);
        let bytes = (0..length).map(|index| memory.byte(table + objects.bytes_text() + index));
        lines::line(self.layout.frames.line_table_kind, bytes, first_line, frame.at as u64)
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
