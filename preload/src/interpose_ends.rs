//! The C functions by which a job learns how its children have ended, and by which it prints. No logic.
#![expect(unsafe_code, reason = "exported C functions")]

use core::ffi::{c_int, c_void};

use crate::real::{self, Pointer};
use crate::{sender, traceback};

/// # Safety
/// `status` is null, or readable if `child` is a process.
unsafe fn has_ended(child: c_int, status: *const c_int) {
    if child > 0 && !status.is_null() {
        // SAFETY: read_unaligned wants a readable number: the caller's promise.
        sender::has_ended(child, unsafe { status.read_unaligned() });
    }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn waitpid(process: c_int, status: *mut c_int, options: c_int) -> c_int {
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    let ended = unsafe { real::waitpid(process, status.cast(), options) };
    // SAFETY: has_ended wants null or a readable status: the kernel has just written it.
    unsafe { has_ended(ended, status) };
    ended
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn wait(status: *mut c_int) -> c_int {
    // SAFETY: the C function gets the caller's argument, and the caller keeps its contract.
    let ended = unsafe { real::wait(status.cast()) };
    // SAFETY: has_ended wants null or a readable status: the kernel has just written it.
    unsafe { has_ended(ended, status) };
    ended
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn wait4(process: c_int, status: *mut c_int, options: c_int, usage: Pointer) -> c_int {
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    let ended = unsafe { real::wait4(process, status.cast(), options, usage) };
    // SAFETY: has_ended wants null or a readable status: the kernel has just written it.
    unsafe { has_ended(ended, status) };
    ended
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn write(file: c_int, text: *const c_void, bytes: usize) -> isize {
    if !traceback::is_printed_to(file) {
        // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
        return unsafe { real::write(file, text.cast_mut(), bytes) };
    }
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    let written = unsafe { real::write(file, text.cast_mut(), bytes) };
    if written > 0 {
        traceback::read(text as usize, written.unsigned_abs());
    }
    written
}
