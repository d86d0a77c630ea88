//! The kernel's counters before the job and after it: what has moved in between.

use std::path::Path;

use nix::unistd::Pid;

use crate::kernel::cgroup::{Cgroup, Counters, Level, Limits, Version};
use crate::kernel::host::Host;
use crate::kernel::kernel_file::number;
use crate::kernel::procfs;

/// The counters at the start of a job. The files are opened anew each time: a cgroup may go with its job, and an open
/// file would tell no more of it than a missing one.
#[derive(Clone, Debug)]
pub struct Evidence {
    host: Host,
    /// The job's cgroup, where it has one.
    pub cgroup: Option<Cgroup>,
    /// Whether others than the job and those who started it are in that cgroup.
    pub is_shared: bool,
    /// Whether `memory.oom.group` is set somewhere: the kernel then kills everybody in a cgroup at once.
    pub is_killed_as_group: bool,
    levels: Vec<(Limits, Option<Counters>)>,
    /// `oom_kill` of /proc/vmstat.
    pub machine_kills: Option<u64>,
}

/// A number at the start and at the end; `None` where it could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// At the start.
    pub before: Option<u64>,
    /// At the end.
    pub after: Option<u64>,
}

/// What the counters of one cgroup did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Which.
    pub level: Level,
    /// The limit at the end, or if the cgroup is gone, at the start, in bytes.
    pub limit: Option<u64>,
    /// The limit of memory and swap together, likewise.
    pub swap_limit: Option<u64>,
    /// At the start.
    pub before: Counters,
    /// At the end; none if the cgroup is gone.
    pub after: Option<Counters>,
}

/// What all of them did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The job's own cgroup first, then its ancestors; empty where there is none.
    pub levels: Vec<Moved>,
    /// Whether it is known that there are no ancestors beyond these.
    pub is_whole: bool,
    /// `oom_kill` of /proc/vmstat.
    pub machine_kills: Change,
}

impl Evidence {
    /// Of a job that has just started. `root` is `/`, or a folder that has the same files.
    pub fn before(host: &Host, pid: Pid) -> Self {
        let cgroup = Cgroup::of(host, pid);
        let levels = cgroup.iter().flat_map(|cgroup| &cgroup.levels);
        Self {
            host: host.clone(),
            is_shared: cgroup.as_ref().is_some_and(|cgroup| is_shared(host, cgroup, pid)),
            is_killed_as_group: levels
                .clone()
                .any(|level| number(&level.file("memory.oom.group")) == Some(1)),
            levels: levels.map(|level| (level.limits(), level.counters())).collect(),
            machine_kills: procfs::machine_kills(host),
            cgroup,
        }
    }

    /// Of a job that has ended.
    pub fn after(&self) -> Counted {
        let levels = self.cgroup.iter().flat_map(|cgroup| &cgroup.levels);
        let moved = |(level, (limits, before)): (&Level, &(Limits, Option<Counters>))| {
            let after = level.counters();
            let now = if after.is_some() { level.limits() } else { *limits };
            Moved {
                level: level.clone(),
                limit: now.memory,
                swap_limit: now.with_swap,
                before: before.unwrap_or_default(),
                after,
            }
        };
        Counted {
            levels: levels.zip(&self.levels).map(moved).collect(),
            is_whole: self.cgroup.as_ref().is_some_and(|cgroup| cgroup.is_whole),
            machine_kills: Change {
                before: self.machine_kills,
                after: procfs::machine_kills(&self.host),
            },
        }
    }
}

impl Counted {
    /// Takes off so many kills in the job's own cgroup. Version 2 counts them further up too, and the machine everywhere.
    pub fn take_off(&mut self, kills: u64) {
        self.machine_kills.take_off(kills);
        for (above, level) in self.levels.iter_mut().enumerate() {
            let (before, Some(after)) = (level.before, &mut level.after) else {
                continue;
            };
            if above == 0 {
                less(before.kills, &mut after.kills, kills);
            }
            less(before.kills_below, &mut after.kills_below, kills);
        }
    }
}

/// A counter does not fall.
fn less(before: Option<u64>, after: &mut Option<u64>, by: u64) {
    *after = after.map(|after| after.saturating_sub(by).max(before.unwrap_or(0).min(after)));
}

fn is_shared(host: &Host, cgroup: &Cgroup, pid: Pid) -> bool {
    let mut ours = procfs::tree(host, pid);
    ours.extend(procfs::ancestors(host, pid));
    let members = procfs::members(&cgroup.leaf().file("cgroup.procs"));
    !cgroup.is_own
        || members
            .iter()
            .any(|member| member.is_none_or(|pid| !ours.contains(&pid)))
}

impl Change {
    /// By how much it has grown; none where either number is missing.
    pub fn grown(self) -> Option<u64> {
        Some(self.after?.saturating_sub(self.before?))
    }

    fn take_off(&mut self, by: u64) {
        less(self.before, &mut self.after, by);
    }

    /// Whether it is known to have grown.
    pub fn has_grown(self) -> bool {
        self.grown().is_some_and(|by| by > 0)
    }
}

impl Moved {
    /// One of the counters.
    pub fn change(&self, counter: impl Fn(&Counters) -> Option<u64>) -> Change {
        Change {
            before: counter(&self.before),
            after: self.after.as_ref().and_then(counter),
        }
    }

    /// Whether this cgroup's own limit was so full that somebody had to be killed. Version 1 counts no such thing: there it
    /// is certain only that the limit was met, or where the kernel has ceased to count that, as 6.18 has, that the most ever
    /// used is as much as the limit.
    pub fn ran_out(&self) -> bool {
        match self.level.version {
            Version::V2 => self.change(|counters| counters.ooms).has_grown(),
            Version::V1 => {
                let met = self.change(|counters| counters.met).has_grown();
                self.has_peaked() || self.limit.is_some() && met || self.swap_limit.is_some() && self.swap_ran_out()
            }
        }
    }

    /// Whether the limit has been all used while the job ran.
    pub fn has_peaked(&self) -> bool {
        let limit = self.limit.or(self.swap_limit).unwrap_or(u64::MAX);
        self.peak().is_some_and(|peak| peak >= limit - limit / 100)
    }

    /// Whether it was the limit of memory and swap together that was met.
    pub fn swap_ran_out(&self) -> bool {
        self.change(|counters| counters.swap_met).has_grown()
    }

    /// The most that was charged, if that has been while the job ran.
    pub fn peak(&self) -> Option<u64> {
        let change = self.change(|counters| counters.peak);
        change.after.filter(|_| change.has_grown())
    }
}

#[cfg(test)]
mod tests;
