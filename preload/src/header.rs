//! The header of the recording of this process, for callers that cannot wait for the lock.
#![expect(unsafe_code, reason = "makes a reference to mapped memory")]

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering::Acquire, Ordering::Release};

use recording::Header;

/// The header of this process's recording; null before the first sample and after a fork.
static HEADER: AtomicPtr<Header> = AtomicPtr::new(null_mut());

/// The header, once there is one.
pub fn current() -> Option<&'static Header> {
    // SAFETY: a reference for ever wants memory that stays a header: `publish` stores nothing else, a header is never unmapped,
    // and all its fields are atomic.
    NonNull::new(HEADER.load(Acquire)).map(|header| unsafe { header.as_ref() })
}

/// In a forked child: the mapped recording is the parent's.
pub fn disown() {
    HEADER.store(null_mut(), Release);
}

/// The recording with this header is complete, and that of this process.
pub fn publish(header: &'static Header) {
    HEADER.store((header as *const Header).cast_mut(), Release);
}
