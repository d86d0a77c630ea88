//! Something that happened to a process.

use recording::EventKind;
use serde::{Deserialize, Serialize};

use super::codes;

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Its number, from 1; where numbers are missing, later events have taken the place of older ones.
    pub number: u64,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// What it was; none for a kind of a later version.
    #[serde(with = "codes::event_kind")]
    pub kind: Option<EventKind>,
    /// What exactly; see [`EventKind`].
    pub detail: u32,
    /// Bytes asked for, released, or taken.
    pub bytes: u64,
    /// Estimated live bytes at that moment.
    pub live_bytes: u64,
    /// Kernel thread id.
    pub thread: u32,
    /// How often in a row the same happened.
    pub repeats: u32,
    /// Of a phase that the job has named: its name.
    pub name: String,
    /// For [`Profile::stack`](super::Profile::stack); 0 where the callstack could not be taken.
    pub node: u32,
}
