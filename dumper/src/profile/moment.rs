//! The moments that a profile knows.

use serde::{Deserialize, Serialize};

/// A moment of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moment {
    /// When the recording was read, or the process ended.
    Live,
    /// At the highest total.
    Peak,
    /// When an allocation failed, before anything was unwound.
    OutOfMemory,
}

impl Moment {
    /// Every moment, in the order of their numbers.
    pub(crate) const ALL: [Moment; 3] = [Moment::Live, Moment::Peak, Moment::OutOfMemory];
}
