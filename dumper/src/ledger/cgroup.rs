//! What a cgroup counts beside one process: other processes, the kernel's memory, and page cache.

use super::{Group, Ledger};
use crate::measured::{Area, Measured};

/// Adds to a process's lines what else its cgroup is charged for, and makes the cgroup's charge the total.
pub(super) fn rest(ledger: &mut Ledger, measured: &Measured) {
    let Some(cgroup) = &measured.cgroup else { return };
    // What several processes have mapped is charged once, and to whoever touched it first: of libraries and files, which are
    // likely to be somebody else's, the cgroup has the cache that it says it has.
    let mapped = measured.area(Area::Libraries);
    let files = measured.area(Area::Files);
    let of_files = (mapped.resident - mapped.anonymous.min(mapped.resident))
        + (files.resident - files.anonymous.min(files.resident))
        + measured
            .area(Area::Own)
            .resident
            .saturating_sub(measured.area(Area::Own).anonymous);
    let charged = of_files.min(cgroup.cache);
    let not_charged = of_files - charged;
    ledger.total = Some(cgroup.usage);
    take_off(ledger, "libraries", not_charged);
    ledger.line(
        "page_cache",
        "page cache, which the kernel takes back",
        Group::Files,
        cgroup.cache - charged,
    );
    let process_shared = measured.area(Area::Shared).resident;
    let unmapped = cgroup.shared.saturating_sub(process_shared);
    ledger.line(
        "memory_files",
        "files in memory that this process has not mapped",
        Group::Shared,
        unmapped,
    );
    ledger.line(
        "kernel",
        "the kernel's, page tables among it",
        Group::Kernel,
        cgroup.kernel,
    );
    let others: u64 = measured.others.iter().map(|other| other.resident_bytes).sum();
    // Of them only what no file stands behind is sure to be theirs.
    let own = measured.areas.values().map(|extent| extent.anonymous).sum::<u64>();
    let others = others.min(cgroup.anonymous.saturating_sub(own));
    ledger.line("others", "other processes", Group::Others, others);
}

fn take_off(ledger: &mut Ledger, name: &str, bytes: u64) {
    let mut bytes = bytes;
    for name in [name, "files", "own"] {
        if let Some(line) = ledger.lines.iter_mut().find(|line| line.name == name) {
            let less = bytes.min(line.bytes);
            line.bytes -= less;
            bytes -= less;
        }
    }
    ledger.lines.retain(|line| line.bytes > 0);
}
