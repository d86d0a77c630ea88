//! An interpreter that comes after the start of the program: a libpython that the program loads itself, out of sight of the
//! others (`dlopen` with `RTLD_LOCAL`), as editors, databases and web servers do.
#![expect(unsafe_code, reason = "gets a handle of a loaded library")]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::allocator::ARENA_BYTES;
use crate::lock::Lock;
use crate::objects;
use crate::real;
use crate::settings::Path;
use crate::switches::RECORDING;
use crate::thread::{self, Inside};

/// Mappings of an arena's size that are taken for a sign of Python; after that the program just likes the number.
const LOOKS: u32 = 64;
static LOOKED: AtomicU32 = AtomicU32::new(0);

/// There is an interpreter: don't look for another.
pub fn stop_looking() {
    LOOKED.store(LOOKS, Relaxed);
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
        return;
    };
    // SAFETY: dlopen wants a path that ends in a zero byte, as a `CStr` does. RTLD_NOLOAD runs no code of a library: it gives a
    // handle to one that is loaded, which is kept for ever, as the hooks are.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY) };
    if !library.is_null() {
        real::look_in(library);
        crate::start::adopt_python();
    }
}
