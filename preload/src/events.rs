//! The recording's ring of events, written without a lock.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, Release};

use recording::{EVENT_SLOTS, Event, EventKind, Header, Trouble};

use crate::sys;

/// Notes that something happened.
pub fn note(header: &Header, kind: EventKind, detail: u32, bytes: u64) {
    write(header, kind, detail, bytes, 0);
}

/// Notes a trouble, unless the same was the last thing noted of its kind.
pub fn note_once(header: &Header, trouble: Trouble, number: u64) {
    static TOLD: AtomicU64 = AtomicU64::new(0);
    let bit = 1 << trouble as u32;
    if TOLD.fetch_or(bit, Relaxed) & bit == 0 {
        note(header, EventKind::Trouble, trouble as u32, number);
    }
}

/// Notes a failed allocation. The same again right after it only counts up.
pub fn note_failure(header: &Header, function: u32, bytes: u64, node: u32) {
    let last = header.events.load(Relaxed);
    if let Some(event) = slot(header, last)
        && event.sequence.load(Relaxed) == last
        && event.kind.load(Relaxed) == EventKind::AllocationFailed as u32
        && event.detail.load(Relaxed) == function
        && event.node.load(Relaxed) == node
        && event.thread.load(Relaxed) == sys::thread_id()
    {
        event.bytes.store(bytes, Relaxed);
        event.time_ns.store(sys::now_ns(false), Relaxed);
        event.repeats.fetch_add(1, Relaxed);
        return;
    }
    write(header, EventKind::AllocationFailed, function, bytes, node);
}

fn write(header: &Header, kind: EventKind, detail: u32, bytes: u64, node: u32) {
    let number = header.events.fetch_add(1, Relaxed) + 1;
    let Some(event) = slot(header, number) else { return };
    event.sequence.store(0, Release);
    event.time_ns.store(sys::now_ns(false), Relaxed);
    event.kind.store(kind as u32, Relaxed);
    event.detail.store(detail, Relaxed);
    event.bytes.store(bytes, Relaxed);
    event.live_bytes.store(header.live_bytes.load(Relaxed), Relaxed);
    event.node.store(node, Relaxed);
    event.thread.store(sys::thread_id(), Relaxed);
    event.repeats.store(0, Relaxed);
    event.sequence.store(number, Release);
}

fn slot(header: &Header, number: u64) -> Option<&Event> {
    header.ring.get((number.checked_sub(1)? % EVENT_SLOTS as u64) as usize)
}
