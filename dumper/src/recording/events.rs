//! What happened, from the ring in the header.

use std::mem::{offset_of, size_of};

use recording::{EVENT_SLOTS, EventKind, Header};

use super::bytes::{Bytes, u32_at, u64_at};
use super::tables::Tables;
use crate::damage::Findings;
use crate::profile::Event;

/// The valid events, oldest first.
pub(super) fn read<B: Bytes + ?Sized>(
    header: &[u8],
    tables: &Tables<B>,
    nodes: usize,
    found: &mut Findings,
) -> Vec<Event> {
    let written = u64_at(header, offset_of!(Header, events));
    let ring = offset_of!(Header, ring);
    let mut events = Vec::new();
    for slot in 0..EVENT_SLOTS {
        let begin = ring + slot * size_of::<recording::Event>();
        let record = &header[begin..][..size_of::<recording::Event>()];
        let number = u64_at(record, offset_of!(recording::Event, sequence));
        if number == 0 {
            continue;
        }
        // A writer may have published an event and died before counting it.
        if (number - 1) % EVENT_SLOTS as u64 != slot as u64 || number > written.saturating_add(1) {
            found.bad_events += 1;
            continue;
        }
        let mut node = u32_at(record, offset_of!(recording::Event, node));
        if node as usize >= nodes {
            found.bad_references += 1;
            node = 0;
        }
        let kind = EventKind::from_code(u32_at(record, offset_of!(recording::Event, kind)));
        let detail = u32_at(record, offset_of!(recording::Event, detail));
        let name = match kind {
            Some(EventKind::Mark) => tables.string(detail).unwrap_or_else(|| {
                found.bad_names += 1;
                Vec::new()
            }),
            _ => Vec::new(),
        };
        events.push(Event {
            number,
            time_ns: u64_at(record, offset_of!(recording::Event, time_ns)),
            kind,
            detail,
            name: String::from_utf8_lossy(&name).into_owned(),
            bytes: u64_at(record, offset_of!(recording::Event, bytes)),
            live_bytes: u64_at(record, offset_of!(recording::Event, live_bytes)),
            thread: u32_at(record, offset_of!(recording::Event, thread)),
            repeats: u32_at(record, offset_of!(recording::Event, repeats)),
            node,
        });
    }
    events.sort_unstable_by_key(|event| event.number);
    events
}
