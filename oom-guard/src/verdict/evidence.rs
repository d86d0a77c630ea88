//! The kernel's counters before and after the job, and how they have changed.

use nix::unistd::Pid;

use crate::kernel::cgroup::{Cgroup, CgroupLimits, Counters, Level, Version};
use crate::kernel::headroom::Bound;
use crate::kernel::host::Host;
use crate::kernel::kernel_file::number;
use crate::kernel::procfs;

/// The counters at the start of a job. The files are not kept open: a cgroup may be removed when its job ends, and then an open file
/// cannot be read either.
#[derive(Clone, Debug)]
pub struct CountersAtStart {
    host: Host,
    /// The job's cgroup, where it has one.
    pub cgroup: Option<Cgroup>,
    /// Whether there are processes in that cgroup other than the job and its ancestors.
    pub is_shared: bool,
    /// Whether `memory.oom.group` is set at some level: the kernel then kills all processes of a cgroup at once.
    pub is_killed_as_group: bool,
    levels: Vec<(CgroupLimits, Option<Counters>)>,
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

/// How the counters of one cgroup have changed.
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

/// How all counters have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The job's own cgroup first, then its ancestors; empty where there is none.
    pub levels: Vec<Moved>,
    /// Whether it is known that there are no ancestors beyond these.
    pub is_whole: bool,
    /// `oom_kill` of /proc/vmstat.
    pub machine_kills: Change,
}

impl CountersAtStart {
    /// Reads them for a job that will start now.
    pub fn before(host: &Host, pid: Pid) -> Self {
        let cgroup = Cgroup::find(host, pid);
        let is_shared = cgroup.as_ref().is_some_and(|cgroup| is_shared(host, cgroup, pid));
        Self::of(host, cgroup, is_shared)
    }

    /// Reads those of a cgroup.
    pub fn of(host: &Host, cgroup: Option<Cgroup>, is_shared: bool) -> Self {
        let levels = cgroup.iter().flat_map(|cgroup| &cgroup.levels);
        Self {
            host: host.clone(),
            is_shared,
            is_killed_as_group: levels
                .clone()
                .any(|level| number(&level.file("memory.oom.group")) == Some(1)),
            levels: levels.map(|level| (level.limits(), level.counters())).collect(),
            machine_kills: procfs::machine_kills(host),
            cgroup,
        }
    }

    /// The cgroup itself was made after the job's start: each of its counters has begun at zero.
    pub fn began_at_zero(&mut self) {
        if let Some((_, Some(counters))) = self.levels.first_mut() {
            *counters = counters.at_zero();
        }
    }

    /// Whether the kernel may not kill at this limit.
    pub fn is_without_kills_at(&self, bound: &Bound) -> bool {
        let levels = self.cgroup.iter().flat_map(|cgroup| &cgroup.levels);
        let counters = |level: &Level, counters: &Option<Counters>| {
            level.has(bound) && counters.is_some_and(|known| known.is_without_kills)
        };
        levels
            .zip(&self.levels)
            .any(|(level, (_, known))| counters(level, known))
    }

    /// Reads them again for a job that has ended.
    pub fn after(&self) -> Counted {
        let levels = self.cgroup.iter().flat_map(|cgroup| &cgroup.levels);
        let moved = |(level, (limits, before)): (&Level, &(CgroupLimits, Option<Counters>))| {
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
    /// Whether the kernel has killed a process in the first cgroup or below it.
    pub fn has_kills(&self) -> bool {
        let counters = [|of: &Counters| of.kills, |of: &Counters| of.kills_below];
        let first = self.levels.first();
        first.is_some_and(|level| counters.iter().any(|counter| level.change(counter).has_grown()))
    }

    /// Subtracts this many kills in the job's own cgroup. Version 2 counts them in the ancestors too, and the machine counts all.
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
    /// By how much it has grown; none if either number is missing.
    pub fn grown(self) -> Option<u64> {
        Some(self.after?.saturating_sub(self.before?))
    }

    /// As if so many more had been counted since.
    pub fn with(self, more: u64) -> Self {
        Self {
            after: self.after.map(|after| after.saturating_add(more)),
            ..self
        }
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

    /// Whether this cgroup's own limit was so full that a process had to be killed. Version 1 has no counter for that: it counts only that
    /// the limit was met. Linux 6.18 does not count that either; then the highest usage must be as high as the limit.
    pub fn ran_out(&self) -> bool {
        match self.level.version {
            Version::V2 => self.change(|counters| counters.ooms).has_grown(),
            Version::V1 => {
                let met = self.change(|counters| counters.met).has_grown();
                self.has_peaked() || self.limit.is_some() && met || self.swap_limit.is_some() && self.swap_ran_out()
            }
        }
    }

    /// Whether the usage was as high as the limit while the job ran.
    pub fn has_peaked(&self) -> bool {
        let limit = self.limit.or(self.swap_limit).unwrap_or(u64::MAX);
        self.peak().is_some_and(|peak| peak >= limit - limit / 100)
    }

    /// Whether it was the limit of memory and swap together that was met.
    pub fn swap_ran_out(&self) -> bool {
        self.change(|counters| counters.swap_met).has_grown()
    }

    /// The highest charge, if that was reached while the job ran.
    pub fn peak(&self) -> Option<u64> {
        let change = self.change(|counters| counters.peak);
        change.after.filter(|_| change.has_grown())
    }
}

#[cfg(test)]
mod tests;
