//! Finds the interpreter and begins to use it: at the start of the program, or later if it is not visible then. That is a libpython
//! that the program loads itself, out of sight of the others (`dlopen` with `RTLD_LOCAL`), as editors, databases and web servers do;
//! or an interpreter that is a part of the program ([`hidden`]).
#![expect(unsafe_code, reason = "gets a handle of a loaded library")]

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use recording::Trouble;

use super::Found;
use super::allocator::{self, ARENA_BYTES};
use super::hidden::{self, Hidden};
use crate::lock::Lock;
use crate::objects;
use crate::real;
use crate::settings::Path;
use crate::state::STATE;
use crate::switches::RECORDING;
use crate::thread::{self, Inside};
use crate::traceback;

/// Mappings of an arena's size that are taken for a sign of Python; after that the program just likes the number.
const LOOKS: u32 = 64;
static LOOKED: AtomicU32 = AtomicU32::new(0);

/// There is an interpreter, which prints tracebacks: don't look for another.
fn stop_looking() {
    traceback::expect();
    LOOKED.store(LOOKS, Relaxed);
}

/// Hooks and reads the interpreter, if there is one now. `false` if there is none.
pub fn adopt_python() -> bool {
    let (version, python, trouble) = match super::find() {
        Found::None => return false,
        Found::Known(python, version) => {
            let hooked = allocator::install(python.allocator());
            (version, Some(python), (!hooked).then_some(Trouble::NoPythonAllocator))
        }
        Found::Newer(python, version) => {
            allocator::install(python.allocator());
            (version, Some(python), Some(Trouble::NewerPython))
        }
        Found::Unknown(version) => (version, None, Some(Trouble::UnknownPython)),
    };
    stop_looking();
    STATE.lock().recorder.meet_python(python, code(version), trouble);
    true
}

/// The program has an interpreter in it, of which nothing is known.
fn meet_hidden_python() {
    stop_looking();
    STATE.lock().recorder.meet_python(None, 0, Some(Trouble::HiddenPython));
}

fn code((major, minor): (u8, u8)) -> u32 {
    (major as u32) << 8 | minor as u32
}

/// The program has mapped anonymous memory of this size. If it may be pymalloc's first arena, looks for a libpython.
#[inline]
pub fn consider(bytes: usize) {
    if ARENA_BYTES.contains(&bytes)
        && LOOKED.load(Relaxed) < LOOKS
        && RECORDING.load(Relaxed)
        && !thread::state().is_inside()
    {
        look();
    }
}

#[cold]
fn look() {
    LOOKED.fetch_add(1, Relaxed);
    // Not on the stack of the thread, which may be as small as 16 KiB.
    static FOUND: Lock<Path> = Lock::new(Path::new());
    let Some(_inside) = Inside::enter() else { return };
    let mut path = FOUND.lock();
    path.clear();
    objects::each(|object, _| {
        let file = objects::file_name(object);
        // Not libpython3.so, the stub of the stable ABI.
        let is_python = file.starts_with(b"libpython3.") && !file.starts_with(b"libpython3.so");
        if is_python {
            path.push(object.to_bytes_with_nul());
        }
        !is_python
    });
    let Some(path) = path.as_c_str().filter(|path| !path.is_empty()) else {
        return look_in_the_program();
    };
    // SAFETY: dlopen wants a path that ends in a zero byte, as a `CStr` does. RTLD_NOLOAD runs no code of a library: it gives a
    // handle to one that is loaded, which is kept for ever, as the hooks are.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY) };
    if !library.is_null() {
        real::look_in(library);
        adopt_python();
    }
}

fn look_in_the_program() {
    static HAS_LOOKED: AtomicBool = AtomicBool::new(false);
    if HAS_LOOKED.swap(true, Relaxed) {
        return;
    }
    match hidden::look() {
        Hidden::None => {}
        Hidden::Named => {
            adopt_python();
        }
        Hidden::Stripped => meet_hidden_python(),
    }
}
