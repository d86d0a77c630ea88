//! The recording's ring of events, written without a lock.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, Release};

use recording::{EVENT_SLOTS, Event, EventKind, Header, Trouble};

use crate::sys;

/// Notes that something happened; the event's number.
pub fn note(header: &Header, kind: EventKind, detail: u32, bytes: u64) -> u64 {
    write(header, kind, detail, bytes, 0)
}

/// Notes a trouble, unless it was noted before.
pub fn note_once(header: &Header, trouble: Trouble, number: u64) {
    static TOLD: AtomicU64 = AtomicU64::new(0);
    let bit = 1 << trouble as u32;
    if TOLD.fetch_or(bit, Relaxed) & bit == 0 {
        note(header, EventKind::Trouble, trouble as u32, number);
    }
}

/// How many events back the same failure is looked for.
const LOOK_BACK: u64 = 8;

/// Notes a failed allocation. If the same one was noted shortly before, only its count goes up: a dying interpreter asks for the
/// same arena a thousand times.
pub fn note_failure(header: &Header, function: u32, bytes: u64, node: u32) {
    let (last, thread) = (header.events.load(Relaxed), sys::thread_id());
    for number in (last.saturating_sub(LOOK_BACK) + 1..=last).rev() {
        let Some(event) = get(header, number) else { continue };
        if event.kind.load(Relaxed) == EventKind::AllocationFailed as u32
            && event.detail.load(Relaxed) == function
            && event.bytes.load(Relaxed) == bytes
            && event.thread.load(Relaxed) == thread
        {
            event.time_ns.store(sys::now_ns(false), Relaxed);
            event.repeats.fetch_add(1, Relaxed);
            return;
        }
    }
    write(header, EventKind::AllocationFailed, function, bytes, node);
}

fn write(header: &Header, kind: EventKind, detail: u32, bytes: u64, node: u32) -> u64 {
    let number = header.events.fetch_add(1, Relaxed) + 1;
    let Some(event) = slot(header, number) else {
        return number;
    };
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
    number
}

/// The event with this number, unless a later one has taken its place.
pub fn get(header: &Header, number: u64) -> Option<&Event> {
    slot(header, number).filter(|event| event.sequence.load(Relaxed) == number)
}

fn slot(header: &Header, number: u64) -> Option<&Event> {
    header.ring.get((number.checked_sub(1)? % EVENT_SLOTS as u64) as usize)
}
