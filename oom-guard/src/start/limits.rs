//! Resource limits: the job gets what the user allowed plus what we use in it. We raise our own soft limits to the hard ones.

use dumper::outcome::{self, LimitKind};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

use crate::kernel::headroom::Bound;

/// What the preload and a recording of ordinary size use in the job beside the stash, in bytes of address space: 1.8 MB were
/// measured with a small job, 3.7 MB with a heap of 300 MB in small objects.
pub const OVERHEAD_BYTES: u64 = 4 << 20;

/// If the limit cannot be raised, the stash is at most this part of it.
const STASH_SHARE: u64 = 16;

/// Below these limits the job runs alone: a small job that just fits must not fail because we use [`OVERHEAD_BYTES`] and map 1.2 MB of
/// library. A Python that has just started has 16 MB of address space and 8 MB of data.
const LEAST_ADDRESS_SPACE: u64 = 48 << 20;
const LEAST_DATA: u64 = 12 << 20;

/// The processes that stand beside the job for its whole life: its parent, the supervisor and the probe.
pub const STANDING_PROCESSES: u64 = 3;

/// A soft and a hard limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    soft: rlim_t,
    hard: rlim_t,
}

impl Limit {
    /// What is allowed, bytes in most cases; `None` for no limit.
    pub fn bytes(self) -> Option<u64> {
        (self.soft != RLIM_INFINITY).then_some(self.soft)
    }

    /// The limit for a job beside which we use `ours`.
    fn granting(self, ours: u64) -> Self {
        match self.bytes() {
            Some(soft) => Self {
                soft: soft.saturating_add(ours).min(self.hard),
                ..self
            },
            None => self,
        }
    }

    /// Whether the hard limit leaves room for `ours` above the soft one.
    fn can_grant(self, ours: u64) -> bool {
        self.bytes().is_none_or(|soft| self.hard - soft >= ours)
    }
}

/// The limits of the user that also count what we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimits {
    /// `RLIMIT_AS`.
    pub address_space: Limit,
    /// `RLIMIT_DATA`.
    pub data: Limit,
    /// `RLIMIT_FSIZE`, bytes of a file.
    pub file_size: Limit,
    /// `RLIMIT_NOFILE`, open files.
    pub files: Limit,
    /// `RLIMIT_NPROC`, processes and threads of the user.
    pub processes: Limit,
}

impl ResourceLimits {
    /// The limits of this process.
    pub fn read() -> Self {
        let read = |resource| {
            let (soft, hard) = getrlimit(resource).unwrap_or((RLIM_INFINITY, RLIM_INFINITY));
            Limit { soft, hard }
        };
        Self {
            address_space: read(Resource::RLIMIT_AS),
            data: read(Resource::RLIMIT_DATA),
            file_size: read(Resource::RLIMIT_FSIZE),
            files: read(Resource::RLIMIT_NOFILE),
            processes: read(Resource::RLIMIT_NPROC),
        }
    }

    /// The same limits, raised to the hard ones: for ourselves, because a report may need more room than the job.
    pub fn lifted(self) -> Self {
        let lift = |limit: Limit| Limit {
            soft: limit.hard,
            ..limit
        };
        Self {
            address_space: lift(self.address_space),
            data: lift(self.data),
            file_size: lift(self.file_size),
            files: lift(self.files),
            processes: lift(self.processes),
        }
    }

    /// The limits for a job with a stash of `stash` bytes, and the stash that fits. Limits by which the kernel kills do not matter: they
    /// count touched memory, and nobody touches the stash.
    pub fn for_job(self, stash: u64) -> (Self, u64) {
        let stash = [self.address_space, self.data]
            .into_iter()
            .filter(|limit| !limit.can_grant(stash.saturating_add(OVERHEAD_BYTES)))
            .filter_map(Limit::bytes)
            .map(|bytes| bytes / STASH_SHARE)
            .fold(stash, u64::min);
        let ours = stash.saturating_add(OVERHEAD_BYTES);
        let granted = Self {
            address_space: self.address_space.granting(ours),
            data: self.data.granting(ours),
            ..self
        };
        (granted, stash)
    }

    /// With room for the processes that stand beside the job, if the hard limit has it.
    pub fn with_our_processes(self) -> Option<Self> {
        let processes = self.processes.granting(STANDING_PROCESSES);
        self.processes
            .can_grant(STANDING_PROCESSES)
            .then_some(Self { processes, ..self })
    }

    /// The name of a memory limit that leaves no room for the library: it is small, and the hard limit does not allow to raise it.
    pub fn without_room(self) -> Option<&'static str> {
        let limits = [
            ("address space (ulimit -v)", self.address_space, LEAST_ADDRESS_SPACE),
            ("data (ulimit -d)", self.data, LEAST_DATA),
        ];
        let is_tight = |limit: Limit, least| {
            let most = limit.granting(OVERHEAD_BYTES).bytes();
            !limit.can_grant(OVERHEAD_BYTES) && most.is_some_and(|bytes| bytes < least)
        };
        let mut tight = limits.into_iter().filter(|(_, limit, least)| is_tight(*limit, *least));
        tight.next().map(|(name, ..)| name)
    }

    /// The limits as reports list them, without the usage.
    pub fn in_force(self) -> Vec<outcome::Limit> {
        let limits = [
            (LimitKind::AddressSpace, self.address_space),
            (LimitKind::Data, self.data),
        ];
        let limit = |(kind, limit): (LimitKind, Limit)| {
            Some(outcome::Limit {
                kind,
                bytes: limit.bytes()?,
                ..outcome::Limit::default()
            })
        };
        limits.into_iter().filter_map(limit).collect()
    }

    /// A limit of the job as its user set it: without what we have added, and without the least that we use of it.
    pub fn of_the_user(self, bound: Bound) -> Bound {
        let set = match bound.kind {
            LimitKind::AddressSpace => self.address_space,
            LimitKind::Data => self.data,
            _ => return bound,
        };
        let bytes = set.bytes().unwrap_or(bound.bytes).min(bound.bytes);
        let ours = bound.bytes - bytes;
        Bound {
            bytes,
            used: bound.used.saturating_sub(ours),
            ..bound
        }
    }

    #[cfg(test)]
    pub fn with_memory(self, address_space: (rlim_t, rlim_t), data: (rlim_t, rlim_t)) -> Self {
        let limit = |(soft, hard)| Limit { soft, hard };
        Self {
            address_space: limit(address_space),
            data: limit(data),
            ..self
        }
    }

    #[cfg(test)]
    pub fn with_processes(self, soft: rlim_t, hard: rlim_t) -> Self {
        let processes = Limit { soft, hard };
        Self { processes, ..self }
    }

    /// Sets them for this process, as far as each can be set. Safe between fork and exec.
    pub fn set(self) {
        for (resource, limit) in self.all() {
            let _ = setrlimit(resource, limit.soft, limit.hard);
        }
    }

    /// As [`ResourceLimits::set`]; one that cannot be set becomes that of `others`. Safe between fork and exec.
    pub fn set_or(self, others: Self) {
        for ((resource, limit), (_, other)) in self.all().into_iter().zip(others.all()) {
            if setrlimit(resource, limit.soft, limit.hard).is_err() {
                let _ = setrlimit(resource, other.soft, other.hard);
            }
        }
    }

    fn all(self) -> [(Resource, Limit); 5] {
        [
            (Resource::RLIMIT_AS, self.address_space),
            (Resource::RLIMIT_DATA, self.data),
            (Resource::RLIMIT_FSIZE, self.file_size),
            (Resource::RLIMIT_NOFILE, self.files),
            (Resource::RLIMIT_NPROC, self.processes),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STASH: u64 = 16 << 20;
    const NONE: Limit = Limit {
        soft: RLIM_INFINITY,
        hard: RLIM_INFINITY,
    };

    const UNLIMITED: ResourceLimits = ResourceLimits {
        address_space: NONE,
        data: NONE,
        file_size: NONE,
        files: NONE,
        processes: NONE,
    };

    fn address_space(soft: u64, hard: u64) -> ResourceLimits {
        ResourceLimits {
            address_space: Limit { soft, hard },
            ..UNLIMITED
        }
    }

    #[test]
    fn without_limits_nothing_changes() {
        assert_eq!(UNLIMITED.for_job(STASH), (UNLIMITED, STASH));
    }

    #[test]
    fn a_soft_limit_is_raised_by_what_we_use() {
        let (limits, stash) = address_space(100 << 20, RLIM_INFINITY).for_job(STASH);
        assert_eq!(limits.address_space.soft, (100 << 20) + STASH + OVERHEAD_BYTES);
        assert_eq!((limits.address_space.hard, stash), (RLIM_INFINITY, STASH));
    }

    #[test]
    fn where_the_hard_limit_forbids_it_the_stash_is_scaled_down() {
        let (limits, stash) = address_space(64 << 20, 64 << 20).for_job(STASH);
        assert_eq!((limits.address_space.soft, stash), (64 << 20, 4 << 20));
        let (limits, stash) = address_space(4 << 30, 4 << 30).for_job(STASH);
        assert_eq!((limits.address_space.soft, stash), (4 << 30, STASH));
    }

    #[test]
    fn the_user_sees_the_limit_that_the_user_set() {
        let limits = address_space(100 << 20, RLIM_INFINITY);
        let (granted, _) = limits.for_job(STASH);
        let bound = Bound {
            kind: LimitKind::AddressSpace,
            path: String::new(),
            bytes: granted.address_space.soft,
            used: 60 << 20,
            swappable: 0,
        };
        let seen = limits.of_the_user(bound);
        assert_eq!((seen.bytes, seen.used), (100 << 20, (40 << 20)));
    }

    #[test]
    fn a_grant_never_passes_the_hard_limit() {
        let (limits, _) = address_space(u64::MAX - 2, u64::MAX - 1).for_job(u64::MAX);
        assert_eq!(limits.address_space.soft, u64::MAX - 1);
    }
}
