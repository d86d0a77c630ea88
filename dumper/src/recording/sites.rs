//! What each node itself holds, at each moment, from the table of sites.

use std::mem::{offset_of, size_of};

use recording::{Header, OF_ABSENT, Snapshot, Table};

use super::bytes::{Bytes, u32_at, u64_at};
use super::tables::Tables;
use crate::damage::Findings;
use crate::profile::{Earlier, Holding, Tally};

/// More than any address space holds, so that a number above it is damage (or a difference that fell below zero).
const ABSURD: u64 = 1 << 52;
const ABSURD_VARIANCE: u64 = 1 << 63;
/// Where less than this was ever in use, one sample may be off by more than that.
const SMALL_HEAP: u64 = 1 << 20;
/// An earlier moment is just now within one part in this many of the time.
const JUST_NOW: u64 = 100;

fn tally(record: &[u8], offset: usize, found: &mut Findings) -> Tally {
    let mut field = |field, limit| checked(u64_at(record, offset + field), limit, found);
    Tally {
        bytes: field(offset_of!(recording::Tally, bytes), ABSURD),
        blocks: field(offset_of!(recording::Tally, blocks), ABSURD),
        variance: field(offset_of!(recording::Tally, variance), ABSURD_VARIANCE),
    }
}

fn earlier_tally(record: &[u8], offset: usize, found: &mut Findings) -> Tally {
    let mut field = |field, limit| checked(u64_at(record, offset + field), limit, found);
    Tally {
        bytes: field(offset_of!(recording::Earlier, bytes), ABSURD),
        blocks: 0,
        variance: field(offset_of!(recording::Earlier, variance), ABSURD_VARIANCE),
    }
}

fn checked(number: u64, limit: u64, found: &mut Findings) -> u64 {
    let is_absurd = number >= limit;
    found.absurd_numbers += u32::from(is_absurd);
    if is_absurd { 0 } else { number }
}

/// Sets numbers to zero that are above the highest total, since these cannot be true.
pub(super) fn limit(site: &mut Holding, highest: u64, found: &mut Findings) {
    for held in [&mut site.live, &mut site.peak, &mut site.oom] {
        if held.bytes > highest {
            *held = Tally::default();
            found.absurd_numbers += 1;
        }
        if held.error() > highest.max(SMALL_HEAP) {
            held.variance = 0;
            found.absurd_numbers += 1;
        }
    }
    if site.earlier.is_some_and(|earlier| earlier.held.bytes > highest) {
        site.earlier = None;
        found.absurd_numbers += 1;
    }
}

/// The earlier moment that growth is counted from; none if there is no such moment. It is the last but one; but where the total
/// stood still for so long that this is in the first half, the last, unless that has only just been.
fn earlier_epoch(header: &[u8]) -> Option<u32> {
    let last = match u32_at(header, offset_of!(Header, version)) {
        ..2 => 0,
        _ => u32_at(header, offset_of!(Header, earlier_epoch)),
    };
    let before = last.checked_sub(1).filter(|epoch| *epoch > 0)?;
    let began = u64_at(header, offset_of!(Header, started_ns));
    let ran = |until: u64| until.saturating_sub(began);
    let failed = Some(u64_at(header, offset_of!(Header, oom_time_ns))).filter(|time| *time > 0);
    let peak = u64_at(header, offset_of!(Header, peak_time_ns));
    let risen = ran(failed.map_or(peak, |failed| failed.min(peak)));
    let is_long_ago = ran(began_ns(header, before)) < risen / 2;
    let is_just_now = ran(began_ns(header, last)) > risen - risen / JUST_NOW;
    Some(if is_long_ago && !is_just_now { last } else { before })
}

fn began_ns(header: &[u8], epoch: u32) -> u64 {
    u64_at(
        header,
        offset_of!(Header, earlier_ns) + epoch as usize % 2 * size_of::<u64>(),
    )
}

/// When that was, nanoseconds since the Unix epoch.
pub(super) fn earlier_ns(header: &[u8]) -> Option<u64> {
    Some(began_ns(header, earlier_epoch(header)?))
}

/// All sites. A snapshot is what was saved for it, or what is live if nothing has changed since.
pub(super) fn read<B: Bytes + ?Sized>(header: &[u8], tables: &Tables<B>, found: &mut Findings) -> Vec<Holding> {
    let peak_epoch = u32_at(header, offset_of!(Header, peak_epoch));
    let oom_epoch = u32_at(header, offset_of!(Header, oom_epoch));
    let compared_with = earlier_epoch(header);
    let mut sites = Vec::with_capacity(tables.present(Table::Sites));
    let mut absent = Vec::new();
    tables.each(Table::Sites, |_, record| {
        let mut read = |offset| tally(record, offset, found);
        let live = read(offset_of!(recording::Site, live));
        let stamp = |offset| u32_at(record, offset);
        let last_change = stamp(offset_of!(recording::Site, earlier_epoch));
        let mut snapshot = |epoch, offset| match stamp(offset + offset_of!(Snapshot, epoch)) == epoch {
            true => (
                read(offset + offset_of!(Snapshot, saved)),
                stamp(offset + offset_of!(Snapshot, earlier_epoch)),
            ),
            false => (live, last_change),
        };
        let (peak, peak_change) = snapshot(peak_epoch, offset_of!(recording::Site, peak));
        let (oom, oom_change) = snapshot(oom_epoch, offset_of!(recording::Site, oom));
        let earlier = compared_with.filter(|epoch| last_change >= *epoch).map(|epoch| {
            let slot = epoch as usize % 2 * size_of::<recording::Earlier>();
            Earlier {
                held: earlier_tally(record, offset_of!(recording::Site, earlier) + slot, found),
                in_peak: peak_change >= epoch,
                in_oom: oom_change >= epoch,
            }
        });
        let node = u32_at(record, offset_of!(recording::Site, node));
        if node & OF_ABSENT != 0 {
            // No site: it is of another one. Here it holds nothing.
            let of = (node & !OF_ABSENT) as usize;
            absent.push((of, [live.bytes, peak.bytes, oom.bytes]));
            return sites.push(Holding::default());
        }
        sites.push(Holding {
            node,
            live,
            peak,
            oom,
            earlier,
            absent: [0; 3],
        });
    });
    for (of, bytes) in absent {
        match sites.get_mut(of) {
            Some(site) => site.absent = bytes,
            None => found.bad_references += 1,
        }
    }
    sites
}
