//! System calls under Miri, which interprets no assembly: the few that the tests of data structures make, through the C library's
//! functions that it knows.

use libc::{c_int, c_long, c_void};

/// Makes one of these calls; any other is not known to the kernel.
///
/// # Safety
/// What the system call does to the memory of the process must be right.
pub unsafe fn system_call(number: c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    // As the kernel does; Miri compares what is unmapped with what was mapped.
    let pages = |bytes: usize| bytes.next_multiple_of(4096);
    let address = core::ptr::with_exposed_provenance_mut::<c_void>(a);
    // SAFETY: what the call does to memory is the caller's promise.
    let result = unsafe {
        match number {
            libc::SYS_mmap => libc::mmap(address, pages(b), c as c_int, d as c_int, e as c_int, f as i64)
                .expose_provenance() as c_long,
            libc::SYS_mremap => libc::mremap(address, pages(b), pages(c), d as c_int).expose_provenance() as c_long,
            libc::SYS_munmap => libc::munmap(address, pages(b)).into(),
            libc::SYS_sched_yield => libc::sched_yield().into(),
            libc::SYS_futex => libc::syscall(number, address, b as c_int, c as u32, core::ptr::null::<c_void>()),
            _ => return -libc::ENOSYS as isize,
        }
    };
    match result {
        // SAFETY: the C library has set it just now.
        -1 => -(unsafe { *libc::__errno_location() } as isize),
        result => result as isize,
    }
}
