//! The phases of a job, as it names them itself: each one's highest total, in the recording's ring of events.

use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicU64, AtomicUsize};

use recording::{EVENT_SLOTS, Event, EventKind, Header};

use crate::state::State;
use crate::{doorbell, events, file};

/// Phases with different names: what the ring has room for beside what else happens.
const MOST: usize = EVENT_SLOTS / 4;

/// How many there are so far.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// The number of the event that stands for the phase that lasts, 0 before the first.
static CURRENT: AtomicU64 = AtomicU64::new(0);
/// The highest total since [`reset`].
static HIGHEST: AtomicU64 = AtomicU64::new(0);

/// The total has grown; the caller holds the state's lock.
#[inline]
pub fn grew(total: u64) {
    if total > HIGHEST.load(Relaxed) {
        HIGHEST.store(total, Relaxed);
    }
    let current = CURRENT.load(Relaxed);
    if current != 0 {
        raise(current, total);
    }
}

fn raise(number: u64, total: u64) {
    let event = file::header().and_then(|header| event(header, number));
    if let Some(event) = event.filter(|event| total > event.bytes.load(Relaxed)) {
        event.bytes.store(total, Relaxed);
    }
}

/// The event with this number, unless a later one has taken its place.
fn event(header: &Header, number: u64) -> Option<&Event> {
    let event = header
        .ring
        .get((number.checked_sub(1)? % EVENT_SLOTS as u64) as usize)?;
    (event.sequence.load(Relaxed) == number).then_some(event)
}

/// The highest total since [`reset`], or since the beginning.
pub fn highest() -> u64 {
    HIGHEST.load(Relaxed)
}

/// Begins anew to look for the highest total.
pub fn reset(header: &Header) {
    HIGHEST.store(header.live_bytes.load(Relaxed), Relaxed);
}

/// In a forked child: the phases were the parent's.
pub fn forget() {
    COUNT.store(0, Relaxed);
    CURRENT.store(0, Relaxed);
    HIGHEST.store(0, Relaxed);
}

/// A phase with this name begins, or goes on. `false` if there are too many.
pub fn begin(state: &mut State, name: &[u8]) -> bool {
    let Some((header, tree)) = state.tables() else {
        return false;
    };
    let string = tree.string(header, name);
    let last = header.events.load(Relaxed);
    let first = last.saturating_sub(EVENT_SLOTS as u64) + 1;
    let mut known = (first..=last).filter(|number| event(header, *number).is_some_and(|event| is_of(event, string)));
    if let Some(number) = known.next() {
        CURRENT.store(number, Relaxed);
        if let Some(event) = event(header, number) {
            event.repeats.fetch_add(1, Relaxed);
        }
        raise(number, header.live_bytes.load(Relaxed));
        return true;
    }
    if string == 0 || COUNT.load(Relaxed) >= MOST {
        return false;
    }
    COUNT.fetch_add(1, Relaxed);
    events::note(header, EventKind::Mark, string, header.live_bytes.load(Relaxed));
    // Another thread may just have noted something else: look for ours.
    let last = header.events.load(Relaxed);
    let ours = (first..=last)
        .rev()
        .find(|number| event(header, *number).is_some_and(|event| is_of(event, string)));
    CURRENT.store(ours.unwrap_or(0), Release);
    true
}

fn is_of(event: &Event, name: u32) -> bool {
    event.kind.load(Relaxed) == EventKind::Mark as u32 && event.detail.load(Relaxed) == name
}

/// Tells the supervisor, for the timeline.
pub fn tell(name: &[u8]) {
    doorbell::tell_mark(core::str::from_utf8(name).unwrap_or("a mark"));
}
