//! What is charged to a cgroup of version 1 (Documentation/admin-guide/cgroup-v1/memory.rst).

use std::path::Path;

use super::{CgroupLimits, Charge};
use crate::kernel::kernel_file::{number, text, value};

/// Files that [`limits`] reads.
pub const LIMITS: &[&str] = &[
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.swappiness",
];
/// Files that [`charge`] reads.
pub const CHARGE: &[&str] = &["memory.stat", "memory.usage_in_bytes", "memory.memsw.usage_in_bytes"];

/// No limit: the largest number of whole pages in an `i64` of bytes. Older kernels leave the bytes as they are, and a page may
/// have 64 KiB.
const NO_LIMIT: u64 = i64::MAX as u64 & !0xffff;

/// More than memory.stat has in any kernel.
const STAT_BYTES: usize = 16 << 10;

fn limited(bytes: u64) -> Option<u64> {
    (bytes < NO_LIMIT).then_some(bytes)
}

pub fn limits(folder: &Path) -> CgroupLimits {
    let read = |name: &str| number(&folder.join(name));
    CgroupLimits {
        memory: read("memory.limit_in_bytes").and_then(limited),
        with_swap: read("memory.memsw.limit_in_bytes").and_then(limited),
        // Zero forbids to swap when this cgroup is at its limit.
        swap_left: (read("memory.swappiness") == Some(0)).then_some(0),
    }
}

/// The smallest limit of a cgroup and all its ancestors, also of those that cannot be seen.
pub fn inherited_limit(folder: &Path) -> Option<u64> {
    let stat = text(&folder.join("memory.stat"), STAT_BYTES)?;
    value(&stat, "hierarchical_memory_limit").and_then(limited)
}

/// Reclaimable is what is on the lists of file pages, `total_inactive_file + total_active_file`: before the kernel kills, it has
/// tried to free all of them (mm/vmscan.c, `shrink_lruvec` at the last priority), dirty pages too, which it writes and
/// waits for. Shared memory and tmpfs are on the other lists, and locked pages are on neither.
pub fn charge(folder: &Path) -> Charge {
    let read = |name: &str| number(&folder.join(name)).unwrap_or(0);
    let stat = text(&folder.join("memory.stat"), STAT_BYTES).unwrap_or_default();
    let sum = |keys: [&str; 2]| keys.iter().filter_map(|key| value(&stat, key)).sum();
    Charge {
        usage: read("memory.usage_in_bytes"),
        with_swap: read("memory.memsw.usage_in_bytes"),
        reclaimable: sum(["total_inactive_file", "total_active_file"]),
        anonymous: sum(["total_inactive_anon", "total_active_anon"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_recognized_in_every_kernel() {
        for bytes in [9_223_372_036_854_771_712, 9_223_372_036_854_775_807, u64::MAX, NO_LIMIT] {
            assert_eq!(limited(bytes), None, "{bytes}");
        }
        assert_eq!(limited(64 << 20), Some(64 << 20));
        assert_eq!(limited(0), Some(0));
    }
}
