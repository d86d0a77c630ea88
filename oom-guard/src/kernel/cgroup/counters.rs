//! The counters of a cgroup: kills, and how often its limit was met.

use std::path::Path;

use crate::kernel::kernel_file::{number, text, value};

/// More than any file of events has.
const EVENTS_BYTES: usize = 4096;

/// The counters of one cgroup; `None` for those that this kernel does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Processes in this cgroup itself that the OOM killer has killed, whichever limit was full.
    pub kills: Option<u64>,
    /// As `kills`, with the cgroups below this one; in version 2 only.
    pub kills_below: Option<u64>,
    /// How often this cgroup's own limit could not be kept, so that something had to be killed; in version 2 only.
    pub ooms: Option<u64>,
    /// How often this cgroup, or one below it, was killed as a whole (`memory.oom.group`); in version 2 only.
    pub group_kills: Option<u64>,
    /// How often this cgroup's own limit was met, which may only mean that page cache had to be reclaimed.
    pub met: Option<u64>,
    /// How often the limit of memory and swap together was met; in version 1 only.
    pub swap_met: Option<u64>,
    /// How often this cgroup was made to wait by `memory.high`; in version 2 only.
    pub throttled: Option<u64>,
    /// The most that was ever charged, in bytes.
    pub peak: Option<u64>,
    /// Whether the kernel may not kill at this cgroup's own limit, so that processes wait there; in version 1 only.
    pub is_without_kills: bool,
}

impl Counters {
    /// The counters that are there, each at zero.
    pub fn at_zero(self) -> Self {
        Self {
            kills: self.kills.and(Some(0)),
            kills_below: self.kills_below.and(Some(0)),
            ooms: self.ooms.and(Some(0)),
            group_kills: self.group_kills.and(Some(0)),
            met: self.met.and(Some(0)),
            swap_met: self.swap_met.and(Some(0)),
            throttled: self.throttled.and(Some(0)),
            peak: self.peak.and(Some(0)),
            is_without_kills: self.is_without_kills,
        }
    }
}

pub(super) fn v1(folder: &Path) -> Counters {
    let control = text(&folder.join("memory.oom_control"), EVENTS_BYTES).unwrap_or_default();
    Counters {
        kills: value(&control, "oom_kill"),
        met: number(&folder.join("memory.failcnt")),
        swap_met: number(&folder.join("memory.memsw.failcnt")),
        peak: number(&folder.join("memory.max_usage_in_bytes")),
        is_without_kills: value(&control, "oom_kill_disable") == Some(1),
        ..Counters::default()
    }
}

pub(super) fn v2(folder: &Path) -> Counters {
    let below = text(&folder.join("memory.events"), EVENTS_BYTES).unwrap_or_default();
    // Before Linux 5.2 there is only the sum with the cgroups below.
    let own = text(&folder.join("memory.events.local"), EVENTS_BYTES);
    let own = own.as_deref().unwrap_or(&below);
    Counters {
        kills: value(own, "oom_kill"),
        kills_below: value(&below, "oom_kill"),
        ooms: value(own, "oom"),
        group_kills: value(&below, "oom_group_kill"),
        met: value(own, "max"),
        swap_met: None,
        throttled: value(own, "high"),
        peak: number(&folder.join("memory.peak")),
        is_without_kills: false,
    }
}
