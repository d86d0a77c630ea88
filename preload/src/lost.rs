//! A recording that is lost while the job runs: its file is truncated, or the disk fails, and the next access to the mapping is a
//! SIGBUS. Then private memory replaces the mapping, and nothing is recorded any more; the job does not notice.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crate::switches::RECORDING;
use crate::{header, say, sys};

/// Ranges that can be known: the beginning of a recording, and each of its chunks.
const MOST: usize = recording::MAX_CHUNKS + 1;

/// The ranges where this process has the recording mapped. Written under the lock of the state, read by a signal handler.
static RANGES: [[AtomicUsize; 2]; MOST] = [const { [const { AtomicUsize::new(0) }; 2] }; MOST];
static COUNT: AtomicUsize = AtomicUsize::new(0);
static IS_LOST: AtomicBool = AtomicBool::new(false);

/// Another recording begins, which is not in a file yet.
pub fn start_over() {
    COUNT.store(0, Release);
}

/// A part of the recording's file is mapped here.
pub fn add(start: usize, bytes: usize) {
    let count = COUNT.load(Relaxed);
    if let Some([from, to]) = RANGES.get(count) {
        from.store(start, Relaxed);
        to.store(start.saturating_add(bytes), Relaxed);
        COUNT.store(count + 1, Release);
    }
}

fn ranges() -> impl Iterator<Item = (usize, usize)> {
    let count = COUNT.load(Acquire);
    RANGES
        .iter()
        .take(count)
        .map(|[from, to]| (from.load(Relaxed), to.load(Relaxed)))
}

/// After a SIGBUS at this address: `true` if it was at the recording and the program can continue, since other memory is mapped
/// there now. Called by a signal handler, in any state of the process.
pub fn replace(address: usize) -> bool {
    if !ranges().any(|(from, to)| (from..to).contains(&address)) {
        return false;
    }
    let is_known = IS_LOST.swap(true, Relaxed);
    RECORDING.store(false, Relaxed);
    header::disown();
    // All ranges at once: otherwise each of them would raise a SIGBUS of its own.
    let mut all = true;
    for (from, to) in ranges() {
        all &= header::put_memory_over(from, to - from);
    }
    if !is_known {
        say::line(format_args!(
            "Process {} is no longer recorded: its recording was cut off, or the disk under it has gone.",
            sys::pid()
        ));
    }
    all
}

/// In a forked child: was the parent's recording lost? The child may have one of its own.
pub fn forget() -> bool {
    IS_LOST.swap(false, Relaxed)
}

/// Is this still the file that was created? Another one in its place is not ours to write to.
pub fn is_same(file: &sys::File, created: Option<(u64, u64)>) -> bool {
    created.is_some() && file.identity() == created
}
