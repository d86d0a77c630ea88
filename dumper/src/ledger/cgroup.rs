//! What a cgroup counts beside one process: other processes, the kernel's memory, and page cache.

use super::{Group, Ledger};
use crate::profile::measured::{Area, Extent, Measured};
use crate::units;

/// Adds to a process's lines what else its cgroup is charged for, and makes the cgroup's charge the total.
pub(super) fn rest(ledger: &mut Ledger, measured: &Measured) {
    let Some(cgroup) = &measured.cgroup else { return };
    // A page that several processes have mapped is charged once, to the cgroup of the first process that touched it. Libraries and
    // files are likely to be charged to another cgroup: of them, this cgroup has only the page cache that it reports.
    let of_file = |extent: Extent| extent.resident.saturating_sub(extent.anonymous);
    let mapped = [Area::Libraries, Area::Files, Area::Own];
    let of_files = units::sum(mapped.map(|area| of_file(measured.area(area))));
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
    let others = units::sum(measured.others.iter().map(|other| other.resident_bytes));
    // Of them only what no file stands behind is sure to be theirs.
    let own = units::sum(measured.areas.values().map(|extent| extent.anonymous));
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
