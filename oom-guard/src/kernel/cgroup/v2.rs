//! What is charged to a cgroup of version 2 (Documentation/admin-guide/cgroup-v2.rst).

use std::path::Path;

use super::{CgroupLimits, Charge};
use crate::kernel::kernel_file::{number, text, value};

/// More than memory.stat has in any kernel.
const STAT_BYTES: usize = 16 << 10;

/// Files that [`limits`] reads.
pub const LIMITS: &[&str] = &["memory.max", "memory.swap.max", "memory.swap.current"];
/// Files that [`charge`] reads.
pub const CHARGE: &[&str] = &["memory.stat", "memory.current"];

/// A limit that reads `max` is none.
pub fn limits(folder: &Path) -> CgroupLimits {
    let read = |name: &str| number(&folder.join(name));
    let swapped = read("memory.swap.current").unwrap_or(0);
    CgroupLimits {
        memory: read("memory.max"),
        with_swap: None,
        swap_left: read("memory.swap.max").map(|most| most.saturating_sub(swapped)),
    }
}

/// Reclaimable is what is on the lists of file pages (see version 1), and the slabs of which the kernel says that it
/// can free them.
pub fn charge(folder: &Path) -> Charge {
    let stat = text(&folder.join("memory.stat"), STAT_BYTES).unwrap_or_default();
    let sum = |keys: &[&str]| keys.iter().filter_map(|key| value(&stat, key)).sum();
    Charge {
        usage: number(&folder.join("memory.current")).unwrap_or(0),
        with_swap: 0,
        reclaimable: sum(&["inactive_file", "active_file", "slab_reclaimable"]),
        anonymous: sum(&["inactive_anon", "active_anon"]),
    }
}
