//! The C functions that the job calls instead of libc's. No logic: count, call the next definition, look at the result.
#![expect(unsafe_code, reason = "exported C functions")]

use core::ffi::c_int;
use core::ptr::null_mut;

use recording::AllocFunction;

use crate::python::late;
use crate::real::{self, Pointer};
use crate::{emergency, hooks, live, start, sys, thread};

/// Asks the sampler and then calls `call`. What is rare is called in a way that leaves nothing to save for the rest.
#[inline(always)]
fn allocate(function: AllocFunction, bytes: usize, call: impl Fn() -> Pointer) -> Pointer {
    let block = if thread::spend(bytes) {
        hooks::allocate_looking(bytes, call)
    } else {
        call()
    };
    if block.is_null() {
        return hooks::came_back_empty(function, bytes);
    }
    block
}

#[inline(always)]
fn reallocate(function: AllocFunction, old: Pointer, bytes: usize, call: impl Fn() -> Pointer) -> Pointer {
    let look = thread::spend(bytes);
    let block = if look || live::may_be_recorded(old as u64) {
        hooks::reallocate(old, bytes, look, call)
    } else {
        call()
    };
    if block.is_null() {
        return hooks::came_back_empty(function, bytes);
    }
    block
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn malloc(bytes: usize) -> Pointer {
    // SAFETY: the caller's arguments, handed on.
    allocate(AllocFunction::Malloc, bytes, move || unsafe { real::malloc(bytes) })
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn calloc(count: usize, each: usize) -> Pointer {
    // SAFETY: the caller's arguments, handed on.
    allocate(AllocFunction::Calloc, count.saturating_mul(each), move || unsafe {
        real::calloc(count, each)
    })
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn realloc(old: Pointer, bytes: usize) -> Pointer {
    // SAFETY: the caller's arguments, handed on.
    reallocate(AllocFunction::Realloc, old, bytes, move || unsafe {
        real::realloc(old, bytes)
    })
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn reallocarray(old: Pointer, count: usize, each: usize) -> Pointer {
    let bytes = count.saturating_mul(each);
    // SAFETY: the caller's arguments, handed on.
    reallocate(AllocFunction::ReallocArray, old, bytes, move || unsafe {
        real::reallocarray(old, count, each)
    })
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn free(block: Pointer) {
    if live::may_be_recorded(block as u64) {
        hooks::freed(block);
    }
    // SAFETY: the caller's arguments, handed on.
    unsafe { real::free(block) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn posix_memalign(out: *mut Pointer, alignment: usize, bytes: usize) -> c_int {
    let status = core::cell::Cell::new(0);
    let call = || {
        // SAFETY: the caller's arguments, handed on.
        status.set(unsafe { real::posix_memalign(out, alignment, bytes) });
        // SAFETY: written by a call that succeeded.
        if status.get() == 0 { unsafe { *out } } else { null_mut() }
    };
    if thread::spend(bytes) {
        hooks::allocate_looking(bytes, call);
    } else {
        call();
    }
    if status.get() == libc::ENOMEM {
        hooks::failed(AllocFunction::PosixMemalign, bytes);
    }
    status.get()
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn aligned_alloc(alignment: usize, bytes: usize) -> Pointer {
    // SAFETY: the caller's arguments, handed on.
    allocate(AllocFunction::AlignedAlloc, bytes, move || unsafe {
        real::aligned_alloc(alignment, bytes)
    })
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memalign(alignment: usize, bytes: usize) -> Pointer {
    // SAFETY: the caller's arguments, handed on.
    allocate(AllocFunction::Memalign, bytes, move || unsafe {
        real::memalign(alignment, bytes)
    })
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn valloc(bytes: usize) -> Pointer {
    // SAFETY: the caller's arguments, handed on.
    allocate(AllocFunction::Valloc, bytes, move || unsafe { real::valloc(bytes) })
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn pvalloc(bytes: usize) -> Pointer {
    // SAFETY: the caller's arguments, handed on.
    allocate(AllocFunction::Pvalloc, bytes, move || unsafe { real::pvalloc(bytes) })
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn mmap(
    at: Pointer,
    bytes: usize,
    access: c_int,
    flags: c_int,
    file: c_int,
    from: i64,
) -> Pointer {
    // SAFETY: the caller's arguments, handed on.
    let start = unsafe { real::mmap(at, bytes, access, flags, file, from) };
    if start == libc::MAP_FAILED {
        hooks::came_back_empty(AllocFunction::Mmap, bytes);
    } else if flags & libc::MAP_ANONYMOUS != 0 && access & libc::PROT_WRITE != 0 {
        late::consider(bytes);
        hooks::mapped(start, bytes);
    } else if flags & libc::MAP_FIXED != 0 {
        hooks::unmapped(start, bytes);
    }
    start
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn mmap64(
    at: Pointer,
    bytes: usize,
    access: c_int,
    flags: c_int,
    file: c_int,
    from: i64,
) -> Pointer {
    // SAFETY: the same function on this platform.
    unsafe { mmap(at, bytes, access, flags, file, from) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn munmap(at: Pointer, bytes: usize) -> c_int {
    hooks::unmapped(at, bytes);
    // SAFETY: the caller's arguments, handed on.
    unsafe { real::munmap(at, bytes) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn mremap(at: Pointer, old: usize, new: usize, flags: c_int, to: Pointer) -> Pointer {
    let counted = hooks::unmapped(at, old);
    // SAFETY: the caller's arguments, handed on; without MREMAP_FIXED the kernel does not look at the last.
    let start = unsafe { real::mremap(at, old, new, flags, to) };
    match (counted, start == libc::MAP_FAILED) {
        (Some(site), true) => hooks::still_mapped(at, old, site),
        (Some(_), false) => hooks::mapped(start, new),
        (None, _) => (),
    }
    if start == libc::MAP_FAILED {
        hooks::came_back_empty(AllocFunction::Mremap, new);
    }
    start
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_create(
    thread: Pointer,
    attributes: Pointer,
    start: Pointer,
    argument: Pointer,
) -> c_int {
    emergency::thread_starts();
    // SAFETY: the caller's arguments, handed on.
    let status = unsafe { real::pthread_create(thread, attributes, start, argument) };
    if status != 0 {
        emergency::thread_failed(attributes, status);
    }
    status
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn fork() -> c_int {
    // SAFETY: no arguments.
    let child = unsafe { real::fork() };
    if child < 0 {
        // What a child would have needed is not known; its first page stands for it.
        hooks::came_back_empty(AllocFunction::Fork, 4096);
    }
    child
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn _exit(status: c_int) -> ! {
    start::leaves();
    // SAFETY: the caller's argument, handed on.
    unsafe { real::leave(status) };
    sys::exit(status)
}

#[cfg_attr(test, expect(non_snake_case, reason = "its name in C"))]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn _Exit(status: c_int) -> ! {
    // SAFETY: the same function by C's own name.
    unsafe { _exit(status) }
}
