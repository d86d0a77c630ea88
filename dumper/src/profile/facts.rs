//! What is known of one process: all that its recording's header says.

use recording::{AllocFunction, EventKind};
use serde::{Deserialize, Serialize};

use super::codes;
use super::event::Event;
use super::kinds::Kinds;
use super::moment::Moment;
use crate::bounded::{self, LISTED, NAMES};

/// One process, as its recording's header describes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Process id, in the job's own namespace.
    pub pid: u32,
    /// Parent's process id.
    pub ppid: u32,
    /// The command line.
    #[serde(deserialize_with = "bounded::list::<_, _, NAMES>")]
    pub command: Vec<String>,
    /// When the recording began, nanoseconds since the Unix epoch.
    pub started_ns: u64,
    /// How far the process got.
    pub state: State,
    /// Major and minor version of the Python found.
    pub python: Option<(u8, u8)>,
    /// Whether every allocation was recorded.
    pub exact: bool,
    /// Mean bytes between samples at last.
    pub sample_interval: u64,
    /// Blocks of at least this many bytes were recorded exactly.
    pub large_bytes: u64,
    /// Samples ever taken.
    pub samples: u64,
    /// Bytes now, as the header states them.
    pub live_bytes: u64,
    /// Bytes at the peak, as the header states them.
    pub peak_bytes: u64,
    /// When the peak was, nanoseconds since the Unix epoch.
    pub peak_time_ns: u64,
    /// The failed allocation that defines the moment it ran out.
    pub failure: Option<FailedAllocation>,
    /// Failed allocations in all.
    pub failures: u64,
    /// Bytes in pymalloc's arenas at last.
    pub arena_bytes: u64,
    /// What is held of each kind of memory.
    pub kinds: Kinds,
    /// Bytes of the stash that was held at last.
    pub stash_bytes: u64,
    /// Private memory of the preload beside the stash and the file.
    pub own_bytes: u64,
    /// The most that was resident of it by the kernel's count, when it last asked; 0 if that is not known.
    pub most_resident_bytes: u64,
    /// Of what was held at the peak, so much has been freed since.
    pub gone_bytes: u64,
    /// Of what is live, so much was not in memory when the library looked last; and so on at the peak, and at the failed allocation.
    pub absent_bytes: u64,
    /// See `absent_bytes`.
    pub peak_absent_bytes: u64,
    /// See `absent_bytes`.
    pub oom_absent_bytes: u64,
    /// The most that was ever resident of it, by the kernel's count, when the library looked last at what is in memory; 0 if it never has.
    pub looked_resident_bytes: u64,
    /// The most that was ever resident of programs that it was before: up to that, the kernel's count says nothing of it.
    pub resident_before_bytes: u64,
    /// What its parent and ancestors held when it was forked, and it has in common with them; counted in theirs alone.
    pub inherited_bytes: u64,
    /// Its rank among the processes of a parallel program.
    pub rank: Option<u32>,
    /// What happened, oldest first.
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    pub events: Vec<Event>,
    /// When the earlier moment was that growth is counted from, nanoseconds since the Unix epoch; none if there is no such moment.
    pub earlier_ns: Option<u64>,
}

/// How far a process got, as far as it could still say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It runs, or something ended it before it came to its exit handlers.
    #[default]
    Running,
    /// It ended of itself: it went through its exit handlers, or called `_exit`.
    Ended,
    /// It replaced itself by another program, or left at a failed allocation (`--on-oom=exit`).
    Left,
}

/// An allocation that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailedAllocation {
    /// Bytes that it asked for.
    pub request_bytes: u64,
    /// Bytes that were live, as the header states them.
    pub live_bytes: u64,
    /// When, nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// Which function was called; none if this version does not know it.
    #[serde(with = "codes::alloc_function")]
    pub function: Option<AllocFunction>,
    /// The callstack that asked; 0 where it could not be taken.
    pub node: u32,
}

impl Facts {
    /// Whether it is a fork of another process of the job.
    pub fn is_fork(&self) -> bool {
        let mut events = self.events.iter();
        events.any(|event| event.kind == Some(recording::EventKind::Forked))
    }

    /// When it ended of itself, in nanoseconds since the Unix epoch, and with which status.
    pub fn exit(&self) -> Option<(u64, i32)> {
        let ended = |event: &&Event| event.kind == Some(EventKind::Ended);
        let event = self.events.iter().rfind(ended)?;
        Some((event.time_ns, event.detail.cast_signed()))
    }

    /// How much of what was held at the peak was in memory.
    pub fn peak_present(&self) -> u64 {
        self.peak_bytes.saturating_sub(self.peak_absent_bytes)
    }

    /// How much of what is held now is in memory.
    pub fn live_present(&self) -> u64 {
        self.live_bytes.saturating_sub(self.absent_bytes)
    }

    /// How long the process had run at the moment that growth is counted from, in seconds; none where that was not before this one.
    pub fn growth_since(&self, moment: Moment) -> Option<f64> {
        let until = match moment {
            Moment::Live => u64::MAX,
            Moment::Peak => self.peak_time_ns,
            Moment::OutOfMemory => self.failure.as_ref()?.time_ns,
        };
        let since = self.earlier_ns.filter(|since| *since < until)?;
        Some(since.saturating_sub(self.started_ns) as f64 / 1e9)
    }

    /// The phases that the job has named, in the order of their beginning: name, and highest total in bytes.
    pub fn phases(&self) -> impl Iterator<Item = (&str, u64)> {
        let marks = self.events.iter().filter(|event| event.kind == Some(EventKind::Mark));
        marks.map(|event| (event.name.as_str(), event.bytes))
    }
}
