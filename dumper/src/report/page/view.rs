//! One moment of one process as the page shows it: a graph, a table and the source.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::graph::{Graph, Room};
use super::lines::{self, LineTotals};
use super::listing::{self, Listing};
use crate::label::Call;
use crate::process::Process;
use crate::profile::{CallSite, CallTree, Facts, Grown, Growth, Moment, Profile, Rank, Tally, Weight};
use crate::rank;
use crate::report::account::Shown;
use crate::report::words;
use crate::run::Run;
use crate::source::Sources;
use crate::units::Bytes;

/// Call sites that are listed for what they allocated themselves, and as many again for all they called.
const SITES: usize = 100;
/// Callers that are listed of each.
const CALLERS: usize = 20;
/// Call sites below one part in this many of the total are not listed.
const SMALL: u64 = 2000;

/// What a graph of the moment that the report is about may take of the page.
pub(in crate::report) const FULL: Room = Room {
    nodes: 40_000,
    names: 3 << 20,
};
/// What one of another process may.
pub(in crate::report) const SPARSE: Room = Room {
    nodes: 6_000,
    names: 512 << 10,
};

/// A moment of a process, or of several.
pub(in crate::report) struct View {
    pub(in crate::report) pid: u32,
    pub(in crate::report) name: String,
    pub(in crate::report) moment: Moment,
    /// `When it was killed`.
    pub(in crate::report) when: &'static str,
    /// What its pictures are called, if it has any.
    pub(in crate::report) stem: Option<&'static str>,
    /// All that was held.
    pub(in crate::report) weight: Weight,
    /// What lines are ranked by.
    pub(in crate::report) rank: Rank,
    pub(in crate::report) facts: Facts,
    pub(in crate::report) graph: Graph,
    pub(in crate::report) sites: Vec<ListedSite>,
    /// How long the process had run at the moment that growth is counted from, in seconds: of several the least and the most; none if
    /// there is none.
    pub(in crate::report) growth_since: Option<(f64, f64)>,
    pub(in crate::report) listings: Vec<Listing>,
    /// How many processes it is of, if not of one.
    pub(in crate::report) together: usize,
}

/// A line that holds memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::report) struct ListedSite {
    pub(in crate::report) place: String,
    /// If it is not the user's own: the places of the lines of the user's own code that it holds this for, the largest first.
    pub(in crate::report) callers: Vec<ListedCaller>,
    /// Whether it is what imports hold.
    pub(in crate::report) is_import: bool,
    pub(in crate::report) code: String,
    /// What it allocated itself.
    pub(in crate::report) held: Weight,
    /// What it and everything that it called asked for.
    pub(in crate::report) total: Tally,
    pub(in crate::report) growth: Option<Growth>,
}

/// A line of the user's own code that a call site holds something for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::report) struct ListedCaller {
    pub(in crate::report) place: String,
    pub(in crate::report) code: String,
    pub(in crate::report) held: Weight,
}

impl ListedSite {
    /// The bytes that it allocated itself, by rank.
    pub(in crate::report) fn ranked(&self, rank: Rank) -> u64 {
        self.held.by(rank).bytes
    }
}

impl View {
    /// A moment that the report is about.
    pub(super) fn of_shown(run: &Run, shown: &Shown, sources: &mut Sources) -> View {
        View {
            stem: Some(shown.stem()),
            ..View::compute(run, shown.process, &shown.profile, shown.moment, FULL, sources)
        }
    }

    /// A moment of another process; none where its recording cannot be read.
    pub(super) fn read(
        run: &Run,
        process: &Process,
        moment: Moment,
        room: Room,
        sources: &mut Sources,
    ) -> Option<View> {
        let (profile, _) = process.read().ok()?;
        Some(View::compute(run, process, &profile, moment, room, sources))
    }

    fn compute(
        run: &Run,
        process: &Process,
        profile: &Profile,
        moment: Moment,
        room: Room,
        sources: &mut Sources,
    ) -> View {
        let directory = run.directory.to_str().unwrap_or("");
        let tree = rank::tree(run, profile, moment);
        let lines = lines::lines(&tree);
        let weight = tree.weight();
        let grown = profile.at(moment).growth();
        View {
            pid: profile.facts.pid,
            name: process.name(),
            moment,
            when: words::moment(moment, run),
            stem: None,
            weight,
            rank: tree.rank(),
            facts: profile.facts.clone(),
            sites: sites(&tree, &lines, grown.as_ref(), sources, directory),
            growth_since: grown.map(|grown| (grown.since, grown.since)),
            listings: listing::listings(&lines, weight.requested.bytes, sources, directory),
            graph: Graph::of(&tree.condensed(), room, sources, directory),
            together: 0,
        }
    }

    /// All that was held, by rank.
    pub(in crate::report) fn ranked(&self) -> Tally {
        self.weight.by(self.rank)
    }

    /// `process 12 (load.py)`, or how many processes.
    pub(in crate::report) fn who(&self) -> String {
        match self.together {
            0 => format!("process {} ({})", self.pid, self.name),
            count => format!("{count} processes together"),
        }
    }

    /// How far its numbers are to be trusted.
    pub(in crate::report) fn precision(&self) -> String {
        if self.facts.exact {
            return "Every allocation was recorded.".to_owned();
        }
        format!(
            "Blocks of {} and more were recorded one by one; of smaller ones a sample was taken every {} on average ({} \
             samples in all). ± is one standard deviation of what that leaves uncertain: the true number lies within it \
             two times out of three, and within twice as much 19 times out of 20.",
            Bytes(self.facts.large_bytes),
            Bytes(self.facts.sample_interval),
            self.facts.samples
        )
    }
}

/// Those that allocated the most themselves, and the user's own that hold the most with all they called.
fn sites(
    tree: &CallTree,
    lines: &[LineTotals],
    grown: Option<&Grown>,
    sources: &mut Sources,
    directory: &str,
) -> Vec<ListedSite> {
    let smallest = tree.all().bytes / SMALL;
    let of_call: HashMap<Call, &LineTotals> = lines.iter().map(|line| (line.call, line)).collect();
    let largest = tree.sites(SITES).into_iter();
    let mut chosen: Vec<CallSite> = largest.filter(|site| site.held.requested.bytes >= smallest).collect();
    let is_own = |line: &&LineTotals| line.call.is_own();
    let large = lines.iter().filter(|line| line.total.bytes >= smallest);
    let mut with_calls: Vec<&LineTotals> = large.filter(is_own).collect();
    with_calls.sort_by(|a, b| b.total.bytes.cmp(&a.total.bytes).then_with(|| a.call.cmp(&b.call)));
    for line in with_calls.into_iter().take(SITES) {
        if !chosen.iter().any(|site| site.call == line.call) {
            chosen.push(CallSite::of_own(line.call, line.own));
        }
    }
    let mut code = |call: &Call| sources.line(call.file, call.line).unwrap_or_default();
    let sites = chosen.into_iter().map(|site| ListedSite {
        place: site.call.short(directory),
        is_import: site.call.is_import(),
        code: code(&site.call),
        callers: site
            .callers
            .iter()
            .take(CALLERS)
            .map(|(call, held)| ListedCaller {
                place: call.short(directory),
                code: code(call),
                held: *held,
            })
            .collect(),
        held: site.held,
        total: of_call.get(&site.call).map_or(site.held.requested, |line| line.total),
        growth: grown.map(|grown| grown.site(&site.call)),
    });
    let mut sites: Vec<ListedSite> = sites.collect();
    sort(&mut sites, tree.rank());
    sites
}

/// The largest first, by rank; those that hold the same stay in their order, so that the culprit is the first.
pub(super) fn sort(sites: &mut [ListedSite], rank: Rank) {
    sites.sort_by_key(|site| Reverse(site.ranked(rank)));
}
