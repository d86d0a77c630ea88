//! The memory cgroup of a process and all its ancestors. The limit of each applies.

mod counters;
mod place;
mod v1;
mod v2;

use std::path::PathBuf;

use dumper::outcome::LimitKind;
use nix::unistd::Pid;

use crate::kernel::headroom::Bound;
use crate::kernel::host::Host;
use crate::kernel::kernel_file::keep_open;

pub use counters::Counters;

/// Which of the kernel's two interfaces the memory controller is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Control groups version 1: a hierarchy of the memory controller's own.
    V1,
    /// Control groups version 2.
    V2,
}

impl Version {
    /// The kind of a limit that such a cgroup sets.
    pub fn limit_kind(self) -> LimitKind {
        match self {
            Self::V1 => LimitKind::CgroupV1,
            Self::V2 => LimitKind::CgroupV2,
        }
    }
}

/// The cgroup that a process's memory is charged to, and its ancestors as far as they can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// The same for all levels.
    pub version: Version,
    /// The process's own cgroup first, the topmost last; never empty.
    pub levels: Vec<Level>,
    /// Whether the topmost level is the root of the hierarchy. A container may see only its own part of the tree.
    pub is_whole: bool,
    /// Whether the first level is the process's own cgroup. Otherwise memory is counted only in an ancestor.
    pub is_own: bool,
}

/// One cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Which files it has.
    pub version: Version,
    /// Where its files are.
    pub folder: PathBuf,
    /// Its path in the hierarchy, as /proc/PID/cgroup has it: `/` is the topmost that can be seen.
    pub name: String,
}

/// The limits of a cgroup in bytes; `None` for no limit. `memory.high` is not among them: there the kernel slows the job down and kills no
/// process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupLimits {
    /// `memory.limit_in_bytes` or `memory.max`.
    pub memory: Option<u64>,
    /// `memory.memsw.limit_in_bytes`: memory and swap together, in version 1 only.
    pub with_swap: Option<u64>,
    /// What may still be swapped out.
    pub swap_left: Option<u64>,
}

/// What is charged to a cgroup and those below it, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Everything, page cache too.
    pub usage: u64,
    /// As `usage`, with swap; in version 1 only.
    pub with_swap: u64,
    /// The part of `usage` that the kernel reclaims before it kills a process.
    pub reclaimable: u64,
    /// The part of `usage` that could be swapped out.
    pub anonymous: u64,
}

impl Cgroup {
    /// Finds the cgroup of a process; none if the kernel has no memory controller or does not show it.
    pub fn find(host: &Host, pid: Pid) -> Option<Self> {
        place::find(host, pid)
    }

    /// The folders of a process's cgroup and its ancestors where another controller's files are; none where there is none.
    pub fn folders(host: &Host, pid: Pid, controller: &str) -> Vec<PathBuf> {
        place::folders(host, pid, controller)
    }

    /// The cgroup that the process's memory is charged to.
    pub fn leaf(&self) -> &Level {
        &self.levels[0]
    }

    /// Every limit in force, the process's own cgroup first. `swap_free` is the machine's.
    pub fn bounds(&self, swap_free: u64) -> Vec<Bound> {
        let limits: Vec<_> = self.levels.iter().map(Level::limits).collect();
        let swap_left = limits
            .iter()
            .filter_map(|limits| limits.swap_left)
            .fold(swap_free, u64::min);
        let mut bounds = Vec::new();
        for (level, limits) in self.levels.iter().zip(&limits) {
            // Without a limit the charge is not needed, and the kernel takes a while to add it up.
            if limits.memory.is_none() && limits.with_swap.is_none() {
                continue;
            }
            let charge = level.charge();
            let of = |bytes| self.bound(&level.name, bytes, charge, swap_left);
            bounds.extend(limits.memory.map(of));
            bounds.extend(limits.with_swap.map(|bytes| Bound {
                used: charge.with_swap.saturating_sub(charge.reclaimable),
                swappable: 0,
                ..of(bytes)
            }));
        }
        let seen = limits.iter().filter_map(|limits| limits.memory).min();
        bounds.extend(self.hidden(seen, swap_left));
        bounds
    }

    fn bound(&self, path: &str, bytes: u64, charge: Charge, swap_left: u64) -> Bound {
        Bound {
            kind: self.version.limit_kind(),
            path: path.to_owned(),
            bytes,
            used: charge.usage.saturating_sub(charge.reclaimable),
            swappable: charge.anonymous.min(swap_left),
        }
    }

    /// The limit of an invisible ancestor, if it is smaller than all visible ones. Only its size is known.
    fn hidden(&self, seen: Option<u64>, swap_left: u64) -> Option<Bound> {
        if self.is_whole || self.version == Version::V2 {
            return None;
        }
        let bytes = v1::inherited_limit(&self.leaf().folder)?;
        let top = self.levels.last()?;
        let path = format!("{}/..", top.name.trim_end_matches('/'));
        let is_less = seen.is_none_or(|seen| bytes < seen);
        is_less.then(|| self.bound(&path, bytes, top.charge(), swap_left))
    }
}

impl Level {
    /// Whether this limit is its own.
    pub fn has(&self, limit: &Bound) -> bool {
        limit.kind == self.version.limit_kind() && limit.path == self.name
    }

    /// Reads what is allowed now. A file that is missing or forbidden counts as no limit.
    pub fn limits(&self) -> CgroupLimits {
        match self.version {
            Version::V1 => v1::limits(&self.folder),
            Version::V2 => v2::limits(&self.folder),
        }
    }

    /// Reads what is charged now. A file that is missing or forbidden counts as nothing used.
    pub fn charge(&self) -> Charge {
        match self.version {
            Version::V1 => v1::charge(&self.folder),
            Version::V2 => v2::charge(&self.folder),
        }
    }

    /// Reads the counters; `None` if the cgroup is gone.
    pub fn counters(&self) -> Option<Counters> {
        let read = match self.version {
            Version::V1 => counters::v1,
            Version::V2 => counters::v2,
        };
        self.folder.is_dir().then(|| read(&self.folder))
    }

    /// Whether its limit counts pages of hugetlbfs: from Linux 6.6 on it may, in version 2.
    pub fn counts_hugetlb(&self, host: &Host) -> bool {
        self.version == Version::V2 && place::counts_hugetlb(host)
    }

    /// Keeps the files open that are read while a job runs: of its limits and, if it has any, of their usage.
    pub fn keep_open(&self) {
        let (limits, charge) = match self.version {
            Version::V1 => (v1::LIMITS, v1::CHARGE),
            Version::V2 => (v2::LIMITS, v2::CHARGE),
        };
        let has_limit = self.limits().memory.is_some() || self.limits().with_swap.is_some();
        for name in limits.iter().chain(charge.iter().filter(|_| has_limit)) {
            keep_open(&self.file(name));
        }
    }

    /// One of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

#[cfg(test)]
mod tests;
