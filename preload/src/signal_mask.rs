//! Whether threads of the job may have SIGBUS blocked, and how it reaches our handler all the same while the recording is used.
#![expect(unsafe_code, reason = "reads the sets of signals that the job passes")]

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use libc::{SIGBUS, sigaction};

use crate::sys;

/// Whether any thread may have SIGBUS blocked.
static ANY_BLOCKED: AtomicBool = AtomicBool::new(false);

/// SIGBUS in a set of signals.
pub const SIGBUS_BIT: u64 = 1 << (SIGBUS - 1);

/// The first 64 signals of a set, which are all that the kernel knows.
///
/// # Safety
/// `set` must be readable.
pub unsafe fn word(set: *const libc::sigset_t) -> u64 {
    // SAFETY: a read wants a readable word: the caller's promise, since a `sigset_t` is an array of words.
    unsafe { set.cast::<u64>().read() }
}

/// Notes what this thread has blocked since the program was started.
pub fn note_inherited() {
    if sys::mask_of_signals() & SIGBUS_BIT != 0 {
        ANY_BLOCKED.store(true, Relaxed);
    }
}

/// A set of signals is blocked, now or while a handler runs.
///
/// # Safety
/// `set` is null or readable.
pub unsafe fn note_blocked(set: *const libc::sigset_t) {
    // SAFETY: `word` wants a readable set: it is not null, and the caller promises the rest.
    if !set.is_null() && unsafe { word(set) } & SIGBUS_BIT != 0 {
        ANY_BLOCKED.store(true, Relaxed);
    }
}

/// As [`note_blocked`], of the set that an action blocks.
///
/// # Safety
/// `action` is null or readable.
pub unsafe fn note_blocked_by(action: *const sigaction) {
    // SAFETY: `as_ref` wants null or a readable action: the caller's promise.
    if let Some(action) = unsafe { action.as_ref() } {
        // SAFETY: note_blocked wants null or a readable set: it is a part of the action.
        unsafe { note_blocked(&raw const action.sa_mask) };
    }
}

/// While it lives, a SIGBUS on this thread reaches our handler: the kernel ends a process in which it is blocked.
pub struct Reachable {
    was_blocked: bool,
}

impl Reachable {
    /// Unblocks SIGBUS, where it may be blocked.
    #[inline]
    pub fn now() -> Self {
        let was_blocked =
            ANY_BLOCKED.load(Relaxed) && sys::change_mask(libc::SIG_UNBLOCK, SIGBUS_BIT) & SIGBUS_BIT != 0;
        Self { was_blocked }
    }

    /// Blocks it again, if it was blocked.
    #[inline]
    pub fn end(&mut self) {
        if core::mem::take(&mut self.was_blocked) {
            sys::change_mask(libc::SIG_BLOCK, SIGBUS_BIT);
        }
    }
}

impl Drop for Reachable {
    #[inline]
    fn drop(&mut self) {
        self.end();
    }
}
