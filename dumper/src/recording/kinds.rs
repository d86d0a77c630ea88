//! What a recording holds of each kind of memory, at each moment.

use std::mem::{offset_of, size_of};

use recording::{Header, KINDS, Kind, KindSum};
use serde::{Deserialize, Serialize};

use super::bytes::{u32_at, u64_at};
use crate::call_tree::Moment;

/// What is held of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Held {
    /// Bytes asked for.
    pub bytes: u64,
    /// Bytes that they occupy, with what their allocator puts before them and rounds them up to.
    pub occupied: u64,
}

/// What is held of each kind and in pymalloc's arenas, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ByKind {
    /// Indexed by [`Kind`].
    held: [Held; KINDS],
    /// Bytes in arenas.
    pub arenas: u64,
}

impl ByKind {
    /// Of one kind.
    pub fn of(&self, kind: Kind) -> Held {
        self.held[kind as usize]
    }

    /// As [`ByKind::of`], to be changed.
    pub fn of_mut(&mut self, kind: Kind) -> &mut Held {
        &mut self.held[kind as usize]
    }
}

/// The three moments of a recording; zeros for what a file of version 1 does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kinds {
    live: ByKind,
    peak: ByKind,
    oom: ByKind,
    /// Which failed allocation the last of them belongs to; 0 for none.
    pub oom_epoch: u32,
}

impl Kinds {
    /// What was held at a moment.
    pub fn at(&self, moment: Moment) -> &ByKind {
        match moment {
            Moment::Live => &self.live,
            Moment::Peak => &self.peak,
            Moment::OutOfMemory => &self.oom,
        }
    }

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
        for kind in 0..KINDS {
            let begin = offset_of!(Header, kinds) + kind * size_of::<KindSum>();
            let held = |bytes, occupied| Held {
                bytes: sane(u64_at(header, begin + bytes)),
                occupied: sane(u64_at(header, begin + occupied)),
            };
            let live = held(offset_of!(KindSum, bytes), offset_of!(KindSum, occupied));
            // A snapshot is what was saved for it, or what is live if nothing has changed since.
            let saved = |epoch, stamp, saved| match u32_at(header, begin + stamp) == epoch {
                true => saved,
                false => live,
            };
            kinds.live.held[kind] = live;
            kinds.peak.held[kind] = saved(
                epochs[0],
                offset_of!(KindSum, peak_epoch),
                held(offset_of!(KindSum, peak_bytes), offset_of!(KindSum, peak_occupied)),
            );
            kinds.oom.held[kind] = saved(
                epochs[1],
                offset_of!(KindSum, oom_epoch),
                held(offset_of!(KindSum, oom_bytes), offset_of!(KindSum, oom_occupied)),
            );
        }
        kinds
    }
}

/// A difference that fell below zero, or damage, is nothing.
fn sane(bytes: u64) -> u64 {
    if bytes < 1 << 52 { bytes } else { 0 }
}
