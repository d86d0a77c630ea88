//! What a profile is made of.

use std::collections::HashMap;

use recording::Kind;
use serde::{Deserialize, Serialize};

use super::facts::{Facts, State};
use super::holding::Holding;
use super::measured::{Large, Measured, Measurements};
use super::moment::Moment;
use super::strings::Strings;
use super::tally::Tally;
use crate::label::Call;
use crate::origin::IMPORTING;
use crate::units;

/// What one process held, or several together, at each moment and for each callstack. Every id in it has been checked.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// What is known of the process; empty where there are several.
    pub facts: Facts,
    /// What was measured of it, and when; empty where nothing was.
    pub(super) measurements: Measurements,
    pub(crate) nodes: Vec<Node>,
    pub(crate) holdings: Vec<Holding>,
    pub(crate) functions: Vec<Function>,
    pub(crate) strings: Strings,
    /// For each moment, what each node has asked for and was not in memory, in bytes; none where that was not measured.
    pub(super) untouched: [Option<HashMap<u32, u64>>; Moment::ALL.len()],
    /// For each moment, what each node has written of private mappings of files, in bytes.
    pub(super) written: [HashMap<u32, u64>; Moment::ALL.len()],
    /// The large blocks that are alive; empty where it does not come from a recording.
    pub(crate) large: Vec<Large>,
}

/// One line of one function under one caller. Its parent's id is smaller than its own; the root, which is no call, is its own parent.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// The caller.
    pub parent: u32,
    /// Equal for equal file and name.
    pub function: u32,
    /// Line, from 1; 0 where there is none.
    pub line: u32,
}

/// File and name, each by its number among the strings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Function {
    pub(crate) file: u32,
    pub(crate) name: u32,
}

/// Totals of which as much is in memory, but for one part in this many, are about the same.
pub(crate) const ABOUT_THE_SAME: u64 = 64;
/// Less than this in swap is no reason to prefer a measurement.
const LITTLE_SWAP: u64 = 4 << 20;
/// What was measured is used if it differs by less than one part in this many from what was seen.
const MEASURED_ERROR: u64 = 32;
/// The kernel's count of what was resident at most is wrong by up to this.
const LEAST_FILLED: u64 = 2 << 20;

/// The name of whatever a damaged file points at that does not exist.
pub(crate) const DAMAGED: &str = "[damaged]";
/// What stands for all frames of an import: a function that no profile has, and no line.
pub(crate) const IMPORTS: (u32, u32) = (u32::MAX, 0);

impl Profile {
    /// One in which nothing is held yet.
    pub(crate) fn new(facts: Facts, nodes: Vec<Node>, functions: Vec<Function>, strings: Strings) -> Profile {
        Profile {
            facts,
            nodes,
            functions,
            strings,
            ..Profile::default()
        }
    }

    /// One of these functions, each as the numbers of its file and its name among `strings`, and of these nodes, the root first and
    /// parents before their children, each with the bytes that it holds at [`Moment::Live`].
    pub(crate) fn from_nodes(
        strings: Strings,
        functions: impl IntoIterator<Item = (u32, u32)>,
        nodes: impl IntoIterator<Item = (Node, u64)>,
    ) -> Profile {
        let functions = functions.into_iter().map(|(file, name)| Function { file, name });
        let (nodes, held): (Vec<Node>, Vec<u64>) = nodes.into_iter().unzip();
        let held = held.into_iter().zip(0..).filter(|(bytes, _)| *bytes > 0);
        Profile {
            holdings: held
                .map(|(bytes, node)| Holding::live(node, Tally::of_bytes(bytes)))
                .collect(),
            functions: functions.collect(),
            nodes,
            strings,
            ..Profile::default()
        }
    }

    /// File and name of a function.
    pub(crate) fn function(&self, function: u32) -> (&str, &str) {
        match self.functions.get(function as usize) {
            None if function == IMPORTS.0 => ("", IMPORTING),
            Some(function) => (self.strings.get(function.file), self.strings.get(function.name)),
            None => ("", DAMAGED),
        }
    }

    /// A line of a function, by its names.
    pub(crate) fn call(&self, function: u32, line: u32) -> Call<'_> {
        let (file, function) = self.function(function);
        Call { file, function, line }
    }

    /// The callstack of a node, innermost first; empty for the root.
    pub fn stack(&self, node: u32) -> impl Iterator<Item = Call<'_>> {
        let mut at = node as usize;
        std::iter::from_fn(move || {
            let node = self.nodes.get(at).filter(|_| at != 0)?;
            at = node.parent as usize;
            Some(self.call(node.function, node.line))
        })
    }

    /// The callstack of the failed allocation, innermost first; empty where it could not be taken.
    pub fn failed_stack(&self) -> impl Iterator<Item = Call<'_>> {
        self.stack(self.facts.failure.as_ref().map_or(0, |failure| failure.node))
    }

    /// What was measured of its process.
    pub fn measurements(&self) -> &Measurements {
        &self.measurements
    }

    /// Notes what was measured of its process: of large blocks, how much of each site's was in memory. Small blocks are taken to be
    /// in memory, and so is what was allocated after the measurement.
    pub fn measure(&mut self, measurements: Measurements) {
        self.measurements = measurements;
        for moment in Moment::ALL {
            let Some(measured) = self.better_measured(moment) else {
                self.untouched[moment as usize] = self.seen_untouched(moment);
                continue;
            };
            let mut untouched = HashMap::new();
            for site in &measured.sites {
                if let Some(holding) = self.holdings.get(site.site as usize) {
                    let bytes = site.pages.bytes.saturating_sub(site.pages.resident);
                    let sum: &mut u64 = untouched.entry(holding.node).or_default();
                    *sum = sum.saturating_add(bytes.min(holding.at(moment).bytes));
                }
            }
            self.untouched[moment as usize] = Some(untouched);
        }
        self.written = Moment::ALL.map(|moment| self.written_at(moment));
    }

    /// The measurement that says more of a moment than what the process has seen itself. That is of the very moment, if it is over: before a
    /// block is freed, it is looked at, and so are all at the end. But it does not tell swap from what was never touched.
    fn better_measured(&self, moment: Moment) -> Option<&Measured> {
        let facts = &self.facts;
        let measured = self
            .measurements
            .at(moment, facts)
            .filter(|measured| !measured.is_doubtful)?;
        let is_seen = facts.looked_resident_bytes > 0 && measured.swapped() <= LITTLE_SWAP;
        let is_seen_better = is_seen && self.is_over() && moment == Moment::Peak;
        (!is_seen_better).then_some(measured)
    }

    /// Whether the peak is of the past, or nothing happened after the last look.
    fn is_over(&self) -> bool {
        self.facts.state == State::Ended || !self.is_peak_now()
    }

    /// Whether what is held now is what was held at the peak, small blocks aside.
    fn is_peak_now(&self) -> bool {
        let [peak, live] = [self.facts.peak_bytes, self.facts.live_bytes];
        peak.abs_diff(live) <= peak / ABOUT_THE_SAME && self.facts.gone_bytes <= peak / ABOUT_THE_SAME
    }

    /// What of each node was not in memory, as the process has seen; none if it has not looked.
    fn seen_untouched(&self, moment: Moment) -> Option<HashMap<u32, u64>> {
        if self.facts.looked_resident_bytes == 0 {
            return None;
        }
        let mut untouched = HashMap::new();
        for holding in self.holdings.iter().filter(|holding| holding.absent(moment) > 0) {
            let sum: &mut u64 = untouched.entry(holding.node).or_default();
            *sum = sum.saturating_add(holding.absent(moment));
        }
        Some(untouched)
    }

    /// A process that was never measured goes on after its last look at what is in memory. By as much as the kernel counted more than ever
    /// after that, blocks have been filled; by as much as was there at the peak and had been freed, they may have been.
    fn fill_until_now(&mut self) {
        let facts = &self.facts;
        let most = self.measurements.most_resident;
        if facts.looked_resident_bytes == 0 || facts.state == State::Ended {
            return;
        }
        let is_known = most.max(facts.most_resident_bytes) > facts.resident_before_bytes.saturating_add(LEAST_FILLED);
        let counted = most
            .max(facts.most_resident_bytes)
            .saturating_sub(facts.looked_resident_bytes);
        let counted = if is_known && counted > LEAST_FILLED { counted } else { 0 };
        let refilled = facts.peak_present().saturating_sub(facts.live_present());
        if let Some(measured) = self.measurements.latest.as_ref().filter(|latest| !latest.is_doubtful) {
            // A process goes on while it is measured: what was measured of it may not fit together.
            let (present, least) = (measured.present(), facts.live_present().saturating_add(counted));
            let slack = least / MEASURED_ERROR + LEAST_FILLED;
            let fits = present.saturating_add(slack) >= least
                && present <= least.saturating_add(refilled).saturating_add(slack);
            if most == 0 || counted == 0 || fits {
                return;
            }
            self.measurements.doubt();
        }
        if most == 0 {
            // How much is unknown: what was asked for is all that there is to say.
            self.facts.looked_resident_bytes = 0;
            return;
        }
        let facts = &self.facts;
        let more = counted.saturating_add(refilled);
        let (all, is_peak) = (facts.absent_bytes, self.is_peak_now());
        self.facts.absent_bytes = all - more.min(all);
        // More than ever is more than what was there at the peak, too.
        if counted > 0 {
            self.write_until_now(more.saturating_sub(all));
        }
        let newest = self
            .large
            .iter()
            .find(|block| block.is_newest && block.kind.is_counted());
        let newest = newest.map(|block| (block.site as usize, block.absent.unwrap_or(0).min(all)));
        let (first, of_first) = newest.unwrap_or_default();
        let (of_first, others) = (of_first.min(more), all - of_first);
        let left = (more - of_first).min(others);
        for (site, holding) in self.holdings.iter_mut().enumerate() {
            let own = if site == first { newest.unwrap_or_default().1 } else { 0 };
            let now = holding.absent[Moment::Live as usize];
            let filled = if site == first { of_first } else { 0 };
            let filled = filled.saturating_add(units::part(now.saturating_sub(own), left, others));
            for moment in [Moment::Live, Moment::Peak] {
                if moment == Moment::Live || is_peak {
                    let absent = &mut holding.absent[moment as usize];
                    *absent = absent.saturating_sub(filled);
                }
            }
        }
    }

    /// What more the kernel has counted than blocks explain was written to private mappings of files.
    fn write_until_now(&mut self, bytes: u64) {
        let is_of_file = |block: &Large| block.kind == Kind::PrivateFile;
        let rooms = self
            .large
            .iter()
            .filter(|block| is_of_file(block))
            .map(|block| block.absent.unwrap_or(0));
        let all = units::sum(rooms);
        for block in self.large.iter_mut().filter(|block| is_of_file(block)) {
            if let Some(holding) = self.holdings.get_mut(block.site as usize) {
                let written = units::part(block.absent.unwrap_or(0), bytes.min(all), all);
                block.absent = block.absent.map(|absent| absent.saturating_sub(written));
                holding.live += Tally::of_bytes(written);
                self.facts.live_bytes = self.facts.live_bytes.saturating_add(written);
            }
        }
    }

    /// If a process that was killed has filled blocks after its last look, it may have had more in memory at the end than at the peak that it has
    /// recorded.
    fn raise_peak_to_the_end(&mut self) {
        let facts = &mut self.facts;
        let is_over = facts.state == State::Ended || facts.looked_resident_bytes == 0;
        let measured = self.measurements.latest.as_ref().filter(|latest| !latest.is_doubtful);
        let present = measured.map_or(facts.live_present(), Measured::present);
        let slack = facts.peak_present() / ABOUT_THE_SAME;
        if is_over || present <= facts.peak_present().saturating_add(slack) {
            return;
        }
        facts.peak_bytes = facts.live_bytes;
        facts.peak_absent_bytes = facts.peak_bytes.saturating_sub(present);
        facts.gone_bytes = 0;
        // Any measurement was before that.
        let last = self.measurements.all().map(|measured| measured.time_ns).max();
        facts.peak_time_ns = facts.peak_time_ns.max(last.unwrap_or(0).saturating_add(1));
        facts.kinds.peak = facts.kinds.live;
        self.holdings
            .iter_mut()
            .for_each(|holding| holding.raise_peak(Moment::Live));
    }

    /// What each node had written of private mappings of files at a moment, and is not in the sums of the recording: its process may not have
    /// looked, or not since. So the recorded peak says nothing of when that was written.
    fn written_at(&self, moment: Moment) -> HashMap<u32, u64> {
        let mut written: HashMap<u32, u64> = HashMap::new();
        let at_most = match moment {
            Moment::Live | Moment::OutOfMemory => u64::MAX,
            // What the process has seen is in its sums; of what it wrote after its last look, a measurement may tell.
            Moment::Peak if self.facts.looked_resident_bytes > 0 => match self.is_over() {
                true => 0,
                false => u64::MAX,
            },
            // The total is the highest that was measured, or that of the recording.
            Moment::Peak => {
                let highest = self.measurements.all().map(Measured::held).max().unwrap_or(0);
                highest.saturating_sub(self.facts.peak_bytes)
            }
        };
        let of_files = |measured: &&Measured| measured.blocks(Kind::PrivateFile).resident;
        let measured = match moment {
            Moment::Live | Moment::OutOfMemory => {
                let of_moment = self.measurements.at(moment, &self.facts);
                of_moment.or_else(|| self.measurements.at(Moment::Live, &self.facts))
            }
            Moment::Peak if self.facts.looked_resident_bytes > 0 => self.measurements.at(Moment::Live, &self.facts),
            Moment::Peak => self.measurements.all().max_by_key(of_files),
        };
        let Some(measured) = measured else { return written };
        let all = of_files(&measured);
        for site in &measured.written {
            if let Some(holding) = self.holdings.get(site.site as usize) {
                let bytes = units::part(site.pages.resident, at_most.min(all), all);
                // What the process has seen of it is in its sums.
                // Of a mapping that may be gone by now, no more is known than all that the site held then.
                let seen = match moment {
                    Moment::OutOfMemory if self.facts.looked_resident_bytes > 0 => holding.at(moment).bytes,
                    _ => site.seen,
                };
                let bytes = bytes.saturating_sub(seen);
                let sum: &mut u64 = written.entry(holding.node).or_default();
                *sum = sum.saturating_add(bytes);
            }
        }
        written.retain(|_, bytes| *bytes > 0);
        written
    }

    /// Notes what of private mappings of files is in the sums of the recording, where other blocks of the same site are too.
    fn note_what_is_seen_of_files(&mut self) {
        if self.facts.looked_resident_bytes == 0 {
            return;
        }
        // Of each site, how much is mapped, and how much of that the process has seen.
        let mut known: HashMap<u32, (u64, u64)> = HashMap::new();
        for block in self.large.iter().filter(|block| block.kind == Kind::PrivateFile) {
            let (mapped, seen) = known.entry(block.site).or_default();
            *mapped = mapped.saturating_add(block.bytes);
            *seen = seen.saturating_add(block.absent.map_or(0, |absent| block.bytes.saturating_sub(absent)));
        }
        for measured in self.measurements.all_mut() {
            let is_doubtful = measured.is_doubtful;
            for site in &mut measured.written {
                let (mapped, seen) = known.get(&site.site).copied().unwrap_or_default();
                let mapped = if is_doubtful { 0 } else { mapped };
                // A mapping that is gone by now is not in memory any more.
                let more = site.pages.resident.min(mapped).saturating_sub(seen);
                site.seen = site.pages.resident - more;
            }
        }
    }

    /// As [`Profile::measure`], of a recording: what the recording and the kernel say at the end brings the last measurement up to date.
    pub(crate) fn measure_until_now(&mut self, mut measurements: Measurements) {
        measurements.bring_up_to_date(&self.facts, &self.large);
        self.measurements = measurements;
        self.fill_until_now();
        self.raise_peak_to_the_end();
        self.note_what_is_seen_of_files();
        let measurements = std::mem::take(&mut self.measurements);
        self.measure(measurements);
    }
}

#[cfg(test)]
mod tests;
