//! The header of the recording of this process, for callers that cannot wait for the lock.
#![expect(
    unsafe_code,
    reason = "makes a reference to mapped memory, and maps other memory over it"
)]

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use recording::Header;

use crate::sys;

/// The header of this process's recording; null before the first sample and after a fork.
static HEADER: AtomicPtr<Header> = AtomicPtr::new(null_mut());

/// The header, once there is one.
pub fn current() -> Option<&'static Header> {
    // SAFETY: a reference for ever wants memory that stays a header: `publish` stores nothing else, a header is never unmapped,
    // and all its fields are atomic.
    NonNull::new(HEADER.load(Acquire)).map(|header| unsafe { header.as_ref() })
}

/// The most that was resident before the library was loaded: maybe of another program that this process was before.
static BEFORE: AtomicU64 = AtomicU64::new(0);

/// The library has been loaded into this process.
pub fn program_begins() {
    BEFORE.store(sys::most_resident(), Relaxed);
}

/// In a forked child, whose count begins anew.
pub fn process_begins() {
    BEFORE.store(0, Relaxed);
}

/// Notes the most that was ever resident; returns it, or what was before if that is more.
pub fn note_most_resident(header: &Header) -> u64 {
    let most = sys::most_resident();
    if most > BEFORE.load(Relaxed) {
        header.most_resident_bytes.store(most, Relaxed);
    }
    most
}

/// If the process has never had as much in memory as a program that it was before, the kernel's count says nothing of it: then what it has now.
pub fn resident_if_less_than_before(most: u64) -> u64 {
    match most <= BEFORE.load(Relaxed) {
        true => sys::resident(sys::pid()).unwrap_or(most),
        false => most,
    }
}

/// The most that was resident of programs that this process was before.
pub fn most_resident_before() -> u64 {
    BEFORE.load(Relaxed)
}

/// In a forked child: the mapped recording is the parent's.
pub fn disown() {
    HEADER.store(null_mut(), Release);
}

/// Puts private memory in place of a part of the recording, for `lost::replace`; `false` if there is none.
pub fn put_memory_over(start: usize, bytes: usize) -> bool {
    // SAFETY: map_anonymous_over wants a mapping of ours whose contents may go: `lost` has only ranges of recordings, which are
    // never unmapped, and any bytes are a value of their records.
    unsafe { sys::map_anonymous_over(start, bytes) }.is_ok()
}

/// The recording with this header is complete, and that of this process.
pub fn publish(header: &'static Header) {
    HEADER.store((header as *const Header).cast_mut(), Release);
}
