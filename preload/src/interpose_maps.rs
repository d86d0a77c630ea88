//! The C functions by which the job maps memory itself, and sets limits to it. No logic: call the next definition, look at the result.
#![expect(unsafe_code, reason = "exported C functions")]

use core::ffi::c_int;

use recording::protocol::message::Refusal;
use recording::{AllocFunction, Kind};

use crate::python::{adopt, allocator};
use crate::real::{self, Pointer};
use crate::{arch, chunk, emergency, errno, hooks, memory_file, refused, stash};

/// Passes on the return address as a seventh argument: mappings of an allocator are not the program's own.
macro_rules! with_caller {
    ($($name:ident)*) => {$(
        #[cfg_attr(not(test), unsafe(no_mangle))]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name(at: Pointer, bytes: usize, access: c_int, flags: c_int, file: c_int, from: i64) -> Pointer {
            arch::call_with_return_address!(mmap_called)
        }
    )*};
}

with_caller! { mmap mmap64 }

unsafe extern "C" fn mmap_called(
    at: Pointer,
    bytes: usize,
    access: c_int,
    flags: c_int,
    file: c_int,
    from: i64,
    caller: usize,
) -> Pointer {
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    let start = unsafe { real::mmap(at, bytes, access, flags, file, from) };
    if start == libc::MAP_FAILED {
        if flags & libc::MAP_HUGETLB != 0 && errno::get() == libc::ENOMEM {
            refused::tell(Refusal::HugePages, None);
        } else if errno::get() == libc::EAGAIN {
            refused::lock();
        }
        emergency::came_back_empty(AllocFunction::Mmap, bytes);
        return start;
    }
    match memory_file::classify(access, flags, file) {
        _ if flags & libc::MAP_ANONYMOUS != 0
            && (allocator::is_mimallocs(caller, flags) || chunk::is_allocator(caller)) =>
        {
            hooks::mapped(start, bytes as u64, Kind::Pool, 0);
        }
        Some(memory) => {
            if memory.kind == Kind::Mapping {
                adopt::consider(bytes);
            }
            // As the kernel does: huge pages come whole.
            let bytes = (bytes as u64)
                .checked_next_multiple_of(memory.page)
                .unwrap_or(bytes as u64);
            hooks::mapped(start, bytes, memory.kind, memory.file);
        }
        None if flags & libc::MAP_FIXED != 0 => {
            hooks::unmapped(start, bytes as u64);
        }
        None => {}
    }
    start
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn munmap(at: Pointer, bytes: usize) -> c_int {
    hooks::unmapped(at, bytes as u64);
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    unsafe { real::munmap(at, bytes) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn mremap(at: Pointer, old: usize, new: usize, flags: c_int, to: Pointer) -> Pointer {
    let before = hooks::unmapped(at, old as u64);
    // SAFETY: as for `munmap`. The kernel looks at the last argument with MREMAP_FIXED alone.
    let start = unsafe { real::mremap(at, old, new, flags, to) };
    if start == libc::MAP_FAILED {
        if let Some(before) = before {
            hooks::still_mapped(at, old as u64, before);
        }
        emergency::came_back_empty(AllocFunction::Mremap, new);
    } else if let Some(before) = before {
        match Kind::from_code(before.kind) {
            // The callstack that makes it larger holds it.
            kind @ (Kind::Mapping | Kind::Shared) if new > old => hooks::mapped(start, new as u64, kind, before.file),
            _ => hooks::still_mapped(start, new as u64, before),
        }
        // The old place stays mapped, and empty.
        if flags & libc::MREMAP_DONTUNMAP != 0 {
            hooks::still_mapped(at, old as u64, before);
        }
    }
    start
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn madvise(at: Pointer, bytes: usize, advice: c_int) -> c_int {
    if matches!(advice, libc::MADV_DONTNEED | libc::MADV_REMOVE | libc::MADV_PAGEOUT) {
        hooks::gives_back(at, bytes as u64);
    }
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    unsafe { real::madvise(at, bytes, advice) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn mprotect(at: Pointer, bytes: usize, access: c_int) -> c_int {
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    let status = unsafe { real::mprotect(at, bytes, access) };
    if status == 0 && access & libc::PROT_WRITE != 0 {
        hooks::made_writable(at, bytes as u64);
    }
    status
}

/// On 64-bit systems, a limit is the same in both.
macro_rules! set_limits {
    ($($set:ident $of:ident)*) => {$(
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C" fn $set(which: c_int, limit: Pointer) -> c_int {
            // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
            let status = unsafe { real::setrlimit(which, limit) };
            stash::limit_was_set();
            status
        }

        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C" fn $of(process: c_int, which: c_int, new: Pointer, old: Pointer) -> c_int {
            // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
            let status = unsafe { real::prlimit(process, which, new, old) };
            if !new.is_null() {
                stash::limit_was_set();
            }
            status
        }
    )*};
}

set_limits! { setrlimit prlimit setrlimit64 prlimit64 }

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn shmat(segment: c_int, at: Pointer, flags: c_int) -> Pointer {
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    let start = unsafe { real::shmat(segment, at, flags) };
    if start != libc::MAP_FAILED {
        hooks::mapped(
            start,
            memory_file::segment_bytes(segment),
            Kind::Shared,
            memory_file::segment_id(segment),
        );
    }
    start
}

/// ENOMEM and EAGAIN: more than RLIMIT_MEMLOCK allows. EPERM: it allows none.
fn after_lock(status: c_int) -> c_int {
    if status != 0 && matches!(errno::get(), libc::ENOMEM | libc::EAGAIN | libc::EPERM) {
        refused::lock();
    }
    status
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn mlock(at: Pointer, bytes: usize) -> c_int {
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    after_lock(unsafe { real::mlock(at, bytes) })
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn mlockall(flags: c_int) -> c_int {
    // SAFETY: the C function gets the caller's argument, and the caller keeps its contract.
    after_lock(unsafe { real::mlockall(flags) })
}

/// On x86-64, an offset is the same in both.
macro_rules! reserve {
    ($($name:ident)*) => {$(
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C" fn $name(file: c_int, from: i64, bytes: i64) -> c_int {
            // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
            let status = unsafe { real::posix_fallocate(file, from, bytes) };
            if status == libc::ENOSPC {
                refused::room(file, bytes.max(0) as u64);
            }
            status
        }
    )*};
}

reserve! { posix_fallocate posix_fallocate64 }

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn shmdt(at: Pointer) -> c_int {
    let before = hooks::unmapped_all(at);
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    let status = unsafe { real::shmdt(at) };
    if let (Some(before), true) = (before, status != 0) {
        hooks::still_mapped(at, before.end - before.start, before);
    }
    status
}
