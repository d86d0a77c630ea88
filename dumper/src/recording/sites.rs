//! What each node itself holds, at each moment.

use std::mem::{offset_of, size_of};
use std::ops::AddAssign;

use recording::{BLOCK_UNIT, Header, Snapshot, Table, VARIANCE_UNIT};
use serde::{Deserialize, Serialize};

use super::bytes::{Bytes, u32_at, u64_at};
use super::tables::Tables;
use crate::call_tree::Moment;
use crate::damage::Findings;

/// More than any address space holds, so that a number above it is damage (or a difference that fell below zero).
const ABSURD: u64 = 1 << 52;
const ABSURD_VARIANCE: u64 = 1 << 63;
/// Where less than this was ever in use, one sample may be off by more than that.
const SMALL_HEAP: u64 = 1 << 20;
/// An earlier moment is just now within one part in this many of the time.
const JUST_NOW: u64 = 100;

/// A sum over samples. Sums saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Estimated bytes.
    pub bytes: u64,
    /// Estimated blocks, in units of 1/[`BLOCK_UNIT`].
    pub blocks: u64,
    /// Variance of `bytes`, in units of [`VARIANCE_UNIT`] bytes².
    pub variance: u64,
}

impl Tally {
    /// One standard deviation of `bytes`, in bytes; 0 where everything was recorded exactly.
    pub fn error(&self) -> u64 {
        deviation(self.variance)
    }

    /// Blocks, rounded.
    pub fn whole_blocks(&self) -> u64 {
        self.blocks.saturating_add(BLOCK_UNIT / 2) / BLOCK_UNIT
    }

    fn read(record: &[u8], offset: usize, found: &mut Findings) -> Tally {
        let mut field = |field, limit| checked(u64_at(record, offset + field), limit, found);
        Tally {
            bytes: field(offset_of!(recording::Tally, bytes), ABSURD),
            blocks: field(offset_of!(recording::Tally, blocks), ABSURD),
            variance: field(offset_of!(recording::Tally, variance), ABSURD_VARIANCE),
        }
    }

    fn read_earlier(record: &[u8], offset: usize, found: &mut Findings) -> Tally {
        let mut field = |field, limit| checked(u64_at(record, offset + field), limit, found);
        Tally {
            bytes: field(offset_of!(recording::Earlier, bytes), ABSURD),
            blocks: 0,
            variance: field(offset_of!(recording::Earlier, variance), ABSURD_VARIANCE),
        }
    }
}

fn checked(number: u64, limit: u64, found: &mut Findings) -> u64 {
    let is_absurd = number >= limit;
    found.absurd_numbers += u32::from(is_absurd);
    if is_absurd { 0 } else { number }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.blocks = self.blocks.saturating_add(other.blocks);
        self.variance = self.variance.saturating_add(other.variance);
    }
}

/// What is held more than at an earlier moment, or less. Sums saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Estimated bytes.
    pub bytes: i64,
    /// The most that the variance of `bytes` can be, in units of [`VARIANCE_UNIT`] bytes²: what was sampled at both moments adds
    /// nothing to it, but how much that is nobody has counted.
    pub variance: u64,
}

impl Growth {
    /// One standard deviation of `bytes`, in bytes, or less; 0 where nothing has changed, or everything was recorded exactly.
    pub fn error(&self) -> u64 {
        deviation(self.variance)
    }
}

impl AddAssign for Growth {
    fn add_assign(&mut self, other: Growth) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.variance = self.variance.saturating_add(other.variance);
    }
}

/// A bundle may give any numbers.
fn difference(now: u64, then: u64) -> i64 {
    let difference = i128::from(now) - i128::from(then);
    i64::try_from(difference.clamp(-i128::from(i64::MAX), i128::from(i64::MAX))).unwrap_or(0)
}

fn deviation(variance: u64) -> u64 {
    (variance as f64 * VARIANCE_UNIT as f64).sqrt() as u64
}

/// What one node has allocated itself and not freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Site {
    pub(crate) node: u32,
    live: Tally,
    peak: Tally,
    oom: Tally,
    /// None where nothing has changed since.
    earlier: Option<Earlier>,
}

/// What it held at the moment that growth is counted from, without the blocks, and whether it had changed by the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Earlier {
    held: Tally,
    in_peak: bool,
    in_oom: bool,
}

impl Site {
    /// One that holds this much now, and of which no more is known.
    pub(super) fn live(node: u32, live: Tally) -> Site {
        Site {
            node,
            live,
            ..Site::default()
        }
    }

    /// Numbers above the highest total cannot be true.
    pub(super) fn limit(&mut self, highest: u64, found: &mut Findings) {
        for held in [&mut self.live, &mut self.peak, &mut self.oom] {
            if held.bytes > highest {
                *held = Tally::default();
                found.absurd_numbers += 1;
            }
            if held.error() > highest.max(SMALL_HEAP) {
                held.variance = 0;
                found.absurd_numbers += 1;
            }
        }
        if self.earlier.is_some_and(|earlier| earlier.held.bytes > highest) {
            self.earlier = None;
            found.absurd_numbers += 1;
        }
    }

    /// Whether it held nothing at any moment.
    pub(super) fn is_empty(&self) -> bool {
        let earlier = self.earlier.unwrap_or_default().held;
        let moments = [self.live, self.peak, self.oom, earlier];
        moments.iter().all(|held| held.bytes == 0)
    }

    /// By how much it has grown from the earlier moment to this one.
    pub(crate) fn growth(&self, moment: Moment) -> Growth {
        let changed = self.earlier.filter(|earlier| match moment {
            Moment::Live => true,
            Moment::Peak => earlier.in_peak,
            Moment::OutOfMemory => earlier.in_oom,
        });
        let now = self.at(moment);
        changed.map_or(Growth::default(), |Earlier { held, .. }| Growth {
            bytes: difference(now.bytes, held.bytes),
            variance: now.variance.saturating_add(held.variance),
        })
    }

    /// What it held at a moment.
    pub fn at(&self, moment: Moment) -> Tally {
        match moment {
            Moment::Live => self.live,
            Moment::Peak => self.peak,
            Moment::OutOfMemory => self.oom,
        }
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
pub(super) fn read<B: Bytes + ?Sized>(header: &[u8], tables: &Tables<B>, found: &mut Findings) -> Vec<Site> {
    let peak_epoch = u32_at(header, offset_of!(Header, peak_epoch));
    let oom_epoch = u32_at(header, offset_of!(Header, oom_epoch));
    let compared_with = earlier_epoch(header);
    let mut sites = Vec::with_capacity(tables.present(Table::Sites));
    tables.each(Table::Sites, |_, record| {
        let mut tally = |offset| Tally::read(record, offset, found);
        let live = tally(offset_of!(recording::Site, live));
        let stamp = |offset| u32_at(record, offset);
        let last_change = stamp(offset_of!(recording::Site, earlier_epoch));
        let mut snapshot = |epoch, offset| match stamp(offset + offset_of!(Snapshot, epoch)) == epoch {
            true => (
                tally(offset + offset_of!(Snapshot, saved)),
                stamp(offset + offset_of!(Snapshot, earlier_epoch)),
            ),
            false => (live, last_change),
        };
        let (peak, peak_change) = snapshot(peak_epoch, offset_of!(recording::Site, peak));
        let (oom, oom_change) = snapshot(oom_epoch, offset_of!(recording::Site, oom));
        let earlier = compared_with.filter(|epoch| last_change >= *epoch).map(|epoch| {
            let slot = epoch as usize % 2 * size_of::<recording::Earlier>();
            Earlier {
                held: Tally::read_earlier(record, offset_of!(recording::Site, earlier) + slot, found),
                in_peak: peak_change >= epoch,
                in_oom: oom_change >= epoch,
            }
        });
        sites.push(Site {
            node: u32_at(record, offset_of!(recording::Site, node)),
            live,
            peak,
            oom,
            earlier,
        });
    });
    sites
}
