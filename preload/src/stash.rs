//! Address space reserved for the work after a failed allocation: mapped from the start, given back at the first failed
//! allocation, taken again when the program has freed enough. Its pages are never touched. On Linux an allocation fails because a
//! limit on address space (RLIMIT_AS, RLIMIT_DATA) or on committed memory (vm.overcommit_memory) is reached, and a private
//! writable mapping counts for both without a page of memory.
#![expect(unsafe_code, reason = "unmaps what it mapped, asks for limits")]

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Relaxed, Ordering::Release,
};

use recording::{EventKind, Header};

use crate::settings::Settings;
use crate::{events, header, sys};

static START: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static BYTES: AtomicUsize = AtomicUsize::new(0);
/// Whether it is smaller than was asked for.
static WAS_SCALED: AtomicBool = AtomicBool::new(false);
/// Nanoseconds since the Unix epoch; 0 if it never was released.
static RELEASED_NS: AtomicU64 = AtomicU64::new(0);

/// A smaller stash is of no use.
const LEAST_BYTES: usize = 1 << 20;
/// A process that is not the first of the job takes a stash when it holds this many times its size.
const WORTH_IT: u64 = 4;
/// Shortest time from the release of the stash until it is taken again.
const PAUSE_NS: u64 = 1_000_000_000;

/// `RLIMIT_AS` and `RLIMIT_DATA` as they were when the job was started, with what was granted for a stash.
static GRANTED: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// These limits have room for a stash.
pub fn granted(limits: [u64; 2]) {
    GRANTED
        .iter()
        .zip(limits)
        .for_each(|(granted, limit)| granted.store(limit, Relaxed));
}

/// Whether the job has set a limit itself, which leaves no room for a stash.
fn is_limited_by_job() -> bool {
    let mut of_both = GRANTED.iter().zip([libc::RLIMIT_AS, libc::RLIMIT_DATA]);
    of_both.any(|(granted, which)| sys::limit(which).is_some_and(|limit| limit < granted.load(Relaxed)))
}

/// Whether what is asked for is limited, and not what is in memory: RLIMIT_AS or RLIMIT_DATA.
static IS_ADDRESS_SPACE_LIMITED: AtomicBool = AtomicBool::new(false);

/// See [`IS_ADDRESS_SPACE_LIMITED`].
#[inline]
pub fn is_address_space_limited() -> bool {
    IS_ADDRESS_SPACE_LIMITED.load(Relaxed)
}

/// Finds out whether it is.
pub fn look_at_limits() {
    let is_limited = |which| sys::limit(which).is_some_and(|limit| limit != libc::RLIM_INFINITY);
    let of_both = [libc::RLIMIT_AS, libc::RLIMIT_DATA].into_iter().any(is_limited);
    IS_ADDRESS_SPACE_LIMITED.store(of_both, Relaxed);
}

/// The job may have set a limit on its memory.
pub fn limit_was_set() {
    look_at_limits();
    if is_limited_by_job() {
        release();
    }
}

/// Takes a stash of `asked` bytes; `at_most`, if that is less, or still less if there is not enough memory. None below a limit that
/// the job has set itself.
pub fn take(asked: usize, at_most: usize) {
    if is_limited_by_job() {
        return;
    }
    let mut bytes = asked.min(at_most);
    WAS_SCALED.store(false, Relaxed);
    while bytes >= LEAST_BYTES {
        if let Ok(start) = sys::map_anonymous(bytes) {
            BYTES.store(bytes, Relaxed);
            START.store(start.as_ptr(), Release);
            if let Some(header) = header::current() {
                header.stash_bytes.store(bytes as u64, Relaxed);
                events::note(header, EventKind::StashTaken, (bytes < asked) as u32, bytes as u64);
            }
            WAS_SCALED.store(bytes < asked, Relaxed);
            return;
        }
        bytes /= 2;
    }
}

/// Tells a new recording of the stash that is held.
pub fn introduce(header: &Header) {
    if !START.load(Relaxed).is_null() {
        let bytes = BYTES.load(Relaxed) as u64;
        header.stash_bytes.store(bytes, Relaxed);
        events::note(header, EventKind::StashTaken, WAS_SCALED.load(Relaxed) as u32, bytes);
    }
}

/// Gives the stash back to the system, at once and without a lock.
pub fn release() {
    let Some(start) = NonNull::new(START.swap(null_mut(), AcqRel)) else {
        return;
    };
    let bytes = BYTES.load(Relaxed);
    RELEASED_NS.store(sys::now_ns(true), Relaxed);
    // SAFETY: `unmap` wants memory that nobody uses: the swap made this thread the only one that knows the mapping, and nothing
    // is kept in it.
    unsafe { sys::unmap(start, bytes) };
    if let Some(header) = header::current() {
        header.stash_bytes.store(0, Relaxed);
        events::note(header, EventKind::StashReleased, 0, bytes as u64);
    }
}

/// After a sample: takes the stash if there is none, there is a reason for one, and there is room.
#[inline]
pub fn look_after(settings: &Settings) {
    if START.load(Relaxed).is_null() && settings.stash_bytes >= LEAST_BYTES {
        consider(settings);
    }
}

#[cold]
fn consider(settings: &Settings) {
    let asked = settings.stash_bytes as u64;
    let Some(header) = header::current() else { return };
    let (live, released) = (header.live_bytes.load(Relaxed), RELEASED_NS.load(Relaxed));
    if released == 0 {
        if live < asked.saturating_mul(WORTH_IT) {
            return;
        }
    } else {
        let now = sys::now_ns(true);
        let room = live.saturating_add(2 * asked) <= header.oom_live_bytes.load(Relaxed);
        if !room || now.saturating_sub(released) < PAUSE_NS {
            return;
        }
    }
    take(asked as usize, settings.stash_at_most);
    if START.load(Relaxed).is_null() {
        // Not even a small one is possible: not tried again at every sample.
        RELEASED_NS.store(sys::now_ns(true), Relaxed);
    }
}
