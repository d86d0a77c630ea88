//! The ledger: the memory of a process that a limit counts, by its users, and the rest, whose user is not known.

mod cgroup;
mod process;

use serde::Serialize;

use crate::allocator::{self, Allocator};
use crate::profile::measured::{Area, Extent, Measured};
use crate::profile::{Facts, Moment, Profile};
use crate::units;

/// Which memory a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// Pages in memory: a cgroup, and the machine.
    #[default]
    Resident,
    /// Address space: `ulimit -v`.
    AddressSpace,
}

/// Who uses an entry's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// The program holds it: in the call sites.
    Held,
    /// An allocator holds it, and the program does not.
    Slack,
    /// Stacks.
    Stacks,
    /// Programs, libraries and other files.
    Files,
    /// Shared with other processes.
    Shared,
    /// The kernel's, for the process or the cgroup.
    Kernel,
    /// Other processes of the cgroup.
    Others,
    /// Address space without memory.
    Reserved,
    /// fil-profile's own.
    Own,
}

/// One entry: who has how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// For programs; stays what it is.
    pub name: &'static str,
    /// For people.
    pub what: &'static str,
    /// What becomes of it.
    pub group: Group,
    /// How much.
    pub bytes: u64,
}

/// Pages of one sort, which are part of other entries, or not counted at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Apart {
    /// For programs; stays what it is.
    pub name: &'static str,
    /// For people.
    pub what: &'static str,
    /// How much.
    pub bytes: u64,
    /// Whether the total has them.
    pub is_counted: bool,
}

/// All entries, and the total.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ledger {
    /// What is counted.
    pub counts: Counts,
    /// All of it; none if it was not measured.
    pub total: Option<u64>,
    /// Its users, the largest first.
    pub lines: Vec<Entry>,
    /// The total minus the entries; negative where the entries are estimates and their sum is larger.
    pub unexplained: i64,
    /// Sorts of pages, across all entries.
    pub apart: Vec<Apart>,
    /// Allocators whose memory is not the C library's.
    pub allocators: Vec<Allocator>,
    /// When it was measured, in nanoseconds since the Unix epoch.
    pub time_ns: Option<u64>,
    /// On what occasion.
    pub occasion: Option<String>,
    /// How long that took, in nanoseconds.
    pub took_ns: Option<u64>,
    /// Bytes of the total that became resident after it was measured, as the kernel's count and the recording say.
    pub added: u64,
}

impl Ledger {
    /// The ledger of a measured process, and of its cgroup if resident memory is counted and the cgroup has a limit.
    pub fn measured(measured: &Measured, counts: Counts) -> Ledger {
        let mut ledger = Ledger {
            counts,
            total: Some(0),
            time_ns: Some(measured.time_ns),
            occasion: Some(measured.occasion.clone()),
            took_ns: Some(measured.took_ns),
            added: measured.added,
            allocators: allocator::find(measured),
            ..Ledger::default()
        };
        match counts {
            Counts::Resident => {
                process::resident(&mut ledger, measured);
                cgroup::rest(&mut ledger, measured);
                ledger.apart = apart(measured);
            }
            Counts::AddressSpace => process::address_space(&mut ledger, measured),
        }
        ledger.finish();
        ledger
    }

    /// The ledger of a moment. As long as the job runs, how things are now; and one of another moment says more than none. That of a
    /// failed allocation is then the nearest in time.
    pub(crate) fn choose(profile: &Profile, moment: Moment, counts: Counts, is_running: bool) -> Ledger {
        let known = profile.measurements();
        let now = known.latest.as_ref().filter(|_| is_running && moment == Moment::Peak);
        let failed = profile.facts.failure.as_ref().filter(|_| moment == Moment::OutOfMemory);
        let any = match failed {
            Some(failed) => known
                .all()
                .min_by_key(|measured| measured.time_ns.abs_diff(failed.time_ns)),
            None => known.highest.as_ref().or(known.latest.as_ref()),
        };
        match now.or(profile.at(moment).measured()).or(any) {
            Some(measured) => Ledger::measured(measured, counts),
            None => Ledger::unmeasured(&profile.facts, moment),
        }
    }

    /// The ledger of a process that was never measured, from its recording alone: there is no total.
    pub fn unmeasured(facts: &Facts, moment: Moment) -> Ledger {
        let mut ledger = Ledger::default();
        process::held(&mut ledger, facts.kinds.at(moment), |_| 0);
        process::arena_slack(&mut ledger, facts.kinds.at(moment), u64::MAX);
        ledger.line("own_tables", "tables of fil-profile", Group::Own, facts.own_bytes);
        ledger.finish();
        ledger
    }

    /// What a fork holds of copies of what it has inherited.
    pub(crate) fn copied(measured: &Measured) -> u64 {
        units::sum(process::copied(measured).into_values())
    }

    /// The part of the total that the entries explain, from 0 to 1; none without a total.
    pub fn explained(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0)?;
        Some((1.0 - self.unexplained.unsigned_abs() as f64 / total as f64).max(0.0))
    }

    /// The bytes of the entry with this name; 0 if there is none.
    pub fn bytes(&self, name: &str) -> u64 {
        let mut lines = self.lines.iter();
        lines.find(|line| line.name == name).map_or(0, |line| line.bytes)
    }

    /// The bytes that call sites hold.
    pub fn held(&self) -> u64 {
        let held = self.lines.iter().filter(|line| line.group == Group::Held);
        units::sum(held.map(|line| line.bytes))
    }

    /// The largest entry that is not held by call sites, if it is at least a fifth of the total.
    pub fn largest_unheld(&self) -> Option<&Entry> {
        let total = self.total?;
        let is_slack = |line: &&Entry| !matches!(line.group, Group::Held | Group::Reserved);
        let largest = self.lines.iter().filter(is_slack).max_by_key(|line| line.bytes)?;
        (largest.bytes >= total / 5).then_some(largest)
    }

    fn line(&mut self, name: &'static str, what: &'static str, group: Group, bytes: u64) {
        if bytes > 0 {
            self.lines.push(Entry {
                name,
                what,
                group,
                bytes,
            });
        }
    }

    fn sum(&self) -> u64 {
        units::sum(self.lines.iter().map(|line| line.bytes))
    }

    fn add_to_total(&mut self, bytes: u64) {
        self.total = self.total.map(|total| total.saturating_add(bytes));
    }

    fn finish(&mut self) {
        self.lines.sort_by_key(|line| std::cmp::Reverse(line.bytes));
        let (total, sum) = (self.total.unwrap_or(0), self.sum());
        self.unexplained = match self.total {
            Some(_) => i64::try_from(i128::from(total) - i128::from(sum)).unwrap_or(0),
            None => 0,
        };
    }
}

fn apart(measured: &Measured) -> Vec<Apart> {
    let all = |of: fn(&Extent) -> u64| units::sum(measured.areas.values().map(of));
    let own = [Area::Heap, Area::Anonymous, Area::Shared];
    let shared = units::sum(own.map(|area| measured.area(area).shared));
    let sorts = [
        ("swapped", "in swap", all(|extent| extent.swapped), false),
        (
            "hugetlb",
            "in huge pages of hugetlbfs, which the limit does not count",
            all(|extent| extent.uncounted),
            false,
        ),
        (
            "transparent_huge",
            "in transparent huge pages",
            all(|extent| extent.huge),
            true,
        ),
        ("shared_pages", "shared with other processes", shared, true),
        (
            "lazily_freed",
            "given up by MADV_FREE and not yet taken",
            all(|extent| extent.lazy),
            true,
        ),
    ];
    let sorts = sorts.into_iter().map(|(name, what, bytes, is_counted)| Apart {
        name,
        what,
        bytes,
        is_counted,
    });
    sorts.filter(|sort| sort.bytes > 0).collect()
}

#[cfg(test)]
mod tests;
