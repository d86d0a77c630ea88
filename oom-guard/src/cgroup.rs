//! The memory cgroup of a process and all its ancestors: each one's limit binds, as the kernel sees it.

mod counters;
mod place;
mod v1;
mod v2;

use std::path::{Path, PathBuf};

use dumper::outcome::LimitKind;
use nix::unistd::Pid;

use crate::headroom::Bound;

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
    /// Of all levels.
    pub version: Version,
    /// The process's own cgroup first, the topmost last; never empty.
    pub levels: Vec<Level>,
    /// Whether the topmost is the kernel's own root, or hangs below it: a container sees only its own part of the tree.
    pub is_whole: bool,
    /// Whether the first is the one that the process is in. Otherwise memory is only counted further up.
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

/// What a cgroup's files say now, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// `memory.limit_in_bytes` or `memory.max`.
    pub limit: Option<u64>,
    /// `memory.memsw.limit_in_bytes`: of memory and swap together, in version 1 only.
    pub swap_limit: Option<u64>,
    /// `memory.high`: above it the kernel makes the job wait, and kills nobody.
    pub throttle: Option<u64>,
    /// Everything charged, page cache too.
    pub usage: u64,
    /// As `usage`, with swap; in version 1 only.
    pub swap_usage: u64,
    /// Of `usage`, what the kernel takes back before it kills anybody.
    pub reclaimable: u64,
    /// Of `usage`, what could go to swap.
    pub anonymous: u64,
    /// What this level still allows to be swapped out; none for no limit of its own.
    pub swap_left: Option<u64>,
    /// The smallest limit of this cgroup and its ancestors, those included that cannot be seen; in version 1 only.
    pub inherited_limit: Option<u64>,
}

impl Cgroup {
    /// That of a process. `root` is `/`, or a folder that has the same files. None where the kernel has no memory
    /// controller or shows none.
    pub fn of(root: &Path, pid: Pid) -> Option<Self> {
        place::find(root, pid)
    }

    /// The cgroup that the process's memory is charged to.
    pub fn leaf(&self) -> &Level {
        &self.levels[0]
    }

    /// Every limit in force, the process's own cgroup first. `swap_free` is the machine's.
    pub fn bounds(&self, swap_free: u64) -> Vec<Bound> {
        let charges: Vec<_> = self.levels.iter().map(Level::charge).collect();
        let swap_left = charges.iter().filter_map(|charge| charge.swap_left);
        let swap_left = swap_left.fold(swap_free, u64::min);
        let kind = self.version.limit_kind();
        let mut bounds = Vec::new();
        for (level, charge) in self.levels.iter().zip(&charges) {
            let of = |bytes, usage: u64, swappable| Bound {
                kind,
                path: level.name.clone(),
                bytes,
                used: usage.saturating_sub(charge.reclaimable),
                swappable,
            };
            let swappable = charge.anonymous.min(swap_left);
            bounds.extend(charge.limit.map(|bytes| of(bytes, charge.usage, swappable)));
            bounds.extend(charge.swap_limit.map(|bytes| of(bytes, charge.swap_usage, 0)));
        }
        bounds.extend(self.hidden(&charges));
        bounds
    }

    /// A limit of an ancestor that cannot be seen: known by its size alone.
    fn hidden(&self, charges: &[Charge]) -> Option<Bound> {
        let seen = charges.iter().filter_map(|charge| charge.limit).min();
        let inherited = charges[0].inherited_limit?;
        let (level, top) = (self.levels.last()?, charges.last()?);
        (!self.is_whole && seen.is_none_or(|seen| inherited < seen)).then(|| Bound {
            kind: self.version.limit_kind(),
            path: format!("{}/..", level.name.trim_end_matches('/')),
            bytes: inherited,
            used: top.usage.saturating_sub(top.reclaimable),
            swappable: top.anonymous.min(top.swap_left.unwrap_or(u64::MAX)),
        })
    }
}

impl Level {
    /// Reads what is charged now. A file that is missing or forbidden counts as no limit and nothing used.
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

    /// One of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

#[cfg(test)]
mod tests;
