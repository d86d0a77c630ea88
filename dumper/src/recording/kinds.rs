//! What a process holds of each kind of memory, from the header of its recording.

use std::mem::{offset_of, size_of};

use recording::{Header, Kind, KindSum};

use super::bytes::{u32_at, u64_at};
use crate::profile::{KindBytes, Kinds};

/// What the header states of each kind.
pub(super) fn read(header: &[u8]) -> Kinds {
    let arenas = |offset| sane(u64_at(header, offset));
    let epochs = [offset_of!(Header, peak_epoch), offset_of!(Header, oom_epoch)].map(|at| u32_at(header, at));
    let mut kinds = Kinds {
        oom_epoch: epochs[1],
        ..Kinds::default()
    };
    kinds.live.arenas = arenas(offset_of!(Header, arena_bytes));
    kinds.peak.arenas = arenas(offset_of!(Header, peak_arena_bytes));
    kinds.oom.arenas = arenas(offset_of!(Header, oom_arena_bytes));
    for kind in Kind::ALL {
        let begin = offset_of!(Header, kinds) + kind as usize * size_of::<KindSum>();
        let held = |bytes, occupied| KindBytes {
            bytes: sane(u64_at(header, begin + bytes)),
            occupied: sane(u64_at(header, begin + occupied)),
        };
        let live = held(offset_of!(KindSum, bytes), offset_of!(KindSum, occupied));
        // A snapshot is what was saved for it, or what is live if nothing has changed since.
        let saved = |epoch, stamp, saved| match u32_at(header, begin + stamp) == epoch {
            true => saved,
            false => live,
        };
        *kinds.live.of_mut(kind) = live;
        *kinds.peak.of_mut(kind) = saved(
            epochs[0],
            offset_of!(KindSum, peak_epoch),
            held(offset_of!(KindSum, peak_bytes), offset_of!(KindSum, peak_occupied)),
        );
        *kinds.oom.of_mut(kind) = saved(
            epochs[1],
            offset_of!(KindSum, oom_epoch),
            held(offset_of!(KindSum, oom_bytes), offset_of!(KindSum, oom_occupied)),
        );
    }
    kinds
}

/// A difference that fell below zero, or damage, is nothing.
fn sane(bytes: u64) -> u64 {
    if bytes < 1 << 52 { bytes } else { 0 }
}
