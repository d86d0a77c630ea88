//! What a process holds of each kind of memory, at each moment.

use recording::{KINDS, Kind};
use serde::{Deserialize, Serialize};

use super::moment::Moment;

/// What is held of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KindBytes {
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
    held: [KindBytes; KINDS],
    /// Bytes in arenas.
    pub arenas: u64,
}

impl ByKind {
    /// Of one kind.
    pub fn of(&self, kind: Kind) -> KindBytes {
        self.held[kind as usize]
    }

    /// As [`ByKind::of`], to be changed.
    pub fn of_mut(&mut self, kind: Kind) -> &mut KindBytes {
        &mut self.held[kind as usize]
    }
}

/// The three moments of a recording; zeros for what a file of version 1 does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kinds {
    pub(crate) live: ByKind,
    pub(crate) peak: ByKind,
    pub(crate) oom: ByKind,
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
}
