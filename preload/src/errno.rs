//! The thread's `errno`, which a call of ours must leave as the job's own call left it.
#![expect(unsafe_code, reason = "errno is a C variable")]

use core::ptr::NonNull;

fn place() -> Option<NonNull<i32>> {
    // SAFETY: the function wants nothing: it gives the address of this thread's variable.
    NonNull::new(unsafe { libc::__errno_location() })
}

/// What it is now.
pub fn get() -> i32 {
    // SAFETY: the address is valid and nobody else uses it: the variable is this thread's own, and lives as long as the thread.
    place().map_or(0, |errno| unsafe { errno.read() })
}

/// Sets it.
pub fn set(value: i32) {
    if let Some(errno) = place() {
        // SAFETY: the address is valid and nobody else uses it: the variable is this thread's own, and lives as long as the thread.
        unsafe { errno.write(value) };
    }
}
