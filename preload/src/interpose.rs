//! The C functions that the job calls instead of libc's. No logic: count, call the next definition, look at the result.
#![expect(unsafe_code, reason = "exported C functions")]

use core::ffi::c_int;
use core::ptr::null_mut;

use recording::AllocFunction;
use recording::protocol::message::Refusal;

use crate::real::{self, Pointer};
use crate::{chunk, emergency, errno, hooks, live, refused, sanitizer, start, sys, thread};

/// Asks the sampler and calls `call`. The rare case is a tail call, so that the common one saves no registers.
#[inline(always)]
fn allocate(function: AllocFunction, bytes: usize, call: impl Fn() -> Pointer) -> Pointer {
    let block = if thread::spend(bytes) {
        hooks::allocate_looking(chunk::kind_of, bytes, call)
    } else {
        call()
    };
    if block.is_null() {
        return emergency::came_back_empty(function, bytes);
    }
    block
}

#[inline(always)]
fn reallocate(function: AllocFunction, old: Pointer, bytes: usize, call: impl Fn() -> Pointer) -> Pointer {
    let look = thread::spend(bytes);
    let block = if look || live::may_be_recorded(old as u64) {
        hooks::reallocate(chunk::kind_of, old, bytes, look, call)
    } else {
        call()
    };
    if block.is_null() {
        return emergency::came_back_empty(function, bytes);
    }
    block
}

macro_rules! allocate_by {
    ($($name:ident($($argument:ident),*) = $function:ident of $bytes:expr;)*) => {$(
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C" fn $name($($argument: usize),*) -> Pointer {
            // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
            allocate(AllocFunction::$function, $bytes, move || unsafe { real::$name($($argument),*) })
        }
    )*};
}

allocate_by! {
    malloc(bytes) = Malloc of bytes;
    calloc(count, each) = Calloc of count.saturating_mul(each);
    aligned_alloc(alignment, bytes) = AlignedAlloc of bytes;
    memalign(alignment, bytes) = Memalign of bytes;
    valloc(bytes) = Valloc of bytes;
    pvalloc(bytes) = Pvalloc of bytes;
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn realloc(old: Pointer, bytes: usize) -> Pointer {
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    reallocate(AllocFunction::Realloc, old, bytes, move || unsafe {
        real::realloc(old, bytes)
    })
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn reallocarray(old: Pointer, count: usize, each: usize) -> Pointer {
    let bytes = count.saturating_mul(each);
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    reallocate(AllocFunction::ReallocArray, old, bytes, move || unsafe {
        real::reallocarray(old, count, each)
    })
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn free(block: Pointer) {
    if live::may_be_recorded(block as u64) {
        hooks::freed(block);
    }
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    unsafe { real::free(block) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn posix_memalign(out: *mut Pointer, alignment: usize, bytes: usize) -> c_int {
    let status = core::cell::Cell::new(0);
    let call = || {
        // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
        status.set(unsafe { real::posix_memalign(out, alignment, bytes) });
        // SAFETY: a read wants a readable pointer: a call that succeeded has written it.
        if status.get() == 0 { unsafe { *out } } else { null_mut() }
    };
    if thread::spend(bytes) {
        hooks::allocate_looking(chunk::kind_of, bytes, call);
    } else {
        call();
    }
    if status.get() == libc::ENOMEM {
        emergency::failed(AllocFunction::PosixMemalign, bytes);
    }
    status.get()
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_create(
    thread: Pointer,
    attributes: Pointer,
    start: Pointer,
    argument: Pointer,
) -> c_int {
    emergency::thread_starts();
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    let status = unsafe { real::pthread_create(thread, attributes, start, argument) };
    if status != 0 {
        emergency::thread_failed(attributes, status);
    }
    status
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn fork() -> c_int {
    // SAFETY: fork wants nothing.
    let child = unsafe { real::fork() };
    if child < 0 {
        // What a child would have needed is not known; its first page stands for it.
        emergency::came_back_empty(AllocFunction::Fork, 4096);
        if errno::get() == libc::EAGAIN {
            refused::one_more(Refusal::Process);
        }
    }
    child
}

/// Variadic in C; on x86-64 such arguments are where these are.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn prctl(option: c_int, a: usize, b: usize, c: usize, d: usize) -> c_int {
    // Without privileges the first of the two goes before a filter, by whichever call that is set.
    if matches!(option, libc::PR_SET_NO_NEW_PRIVS | libc::PR_SET_SECCOMP) {
        sys::lock_in();
    }
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    unsafe { real::prctl(option, a, b, c, d) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn dl_iterate_phdr(look: Pointer, data: Pointer) -> c_int {
    sanitizer::leave_if_any();
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    unsafe { real::dl_iterate_phdr(look, data) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn _exit(status: c_int) -> ! {
    start::leaves(status);
    // SAFETY: the C function gets the caller's argument, and any status will do.
    unsafe { real::leave(status) };
    sys::exit(status)
}

#[cfg_attr(test, expect(non_snake_case, reason = "its name in C"))]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn _Exit(status: c_int) -> ! {
    // SAFETY: as for `_exit`, which this is by another name.
    unsafe { _exit(status) }
}
