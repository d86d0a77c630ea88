//! One moment of one process as the page shows it: a graph, a table and the source.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::graph::{Graph, Room};
use super::lines::{self, Line};
use super::listing::{self, Listing};
use super::weight;
use crate::call_tree::{CallTree, Grown, Moment};
use crate::label::Call;
use crate::process::Process;
use crate::rank::Rank;
use crate::recording::{Facts, Growth, Tally};
use crate::report::account::Shown;
use crate::report::words;
use crate::run::Run;
use crate::source::Sources;
use crate::units::{Bytes, Share};

/// Call sites that are listed for what they allocated themselves, and as many again for all they called.
const SITES: usize = 100;
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
    /// All that was asked for.
    pub(in crate::report) total: Tally,
    /// The sum of what lines are ranked by.
    pub(in crate::report) ranked: u64,
    /// Whether that is what is in memory.
    pub(in crate::report) is_by_resident: bool,
    pub(in crate::report) facts: Facts,
    pub(in crate::report) graph: Graph,
    pub(in crate::report) sites: Vec<Site>,
    /// How long the process had run at the moment that growth is counted from, in seconds: of several the least and the most; none if
    /// there is none.
    pub(in crate::report) growth_since: Option<(f64, f64)>,
    pub(in crate::report) listings: Vec<Listing>,
    pub(in crate::report) culprit: Option<Culprit>,
    /// How many processes it is of, if not of one.
    pub(in crate::report) together: usize,
}

/// A line that holds memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::report) struct Site {
    pub(in crate::report) place: String,
    /// For a library's line, the line of the user's own code that it holds the most for.
    pub(in crate::report) caller: String,
    pub(in crate::report) code: String,
    pub(in crate::report) own: Tally,
    pub(in crate::report) total: Tally,
    pub(in crate::report) resident: Option<u64>,
    pub(in crate::report) growth: Option<Growth>,
}

/// The line of the user's own code that holds the most, for itself or through libraries.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct Culprit {
    pub(in crate::report) place: String,
    pub(in crate::report) code: String,
    pub(in crate::report) bytes: u64,
}

impl View {
    /// A moment that has pictures, without its graph.
    pub(in crate::report) fn of(run: &Run, shown: &Shown, tree: &CallTree, sources: &mut Sources) -> View {
        let mut view = View::begin(run, shown.process, &shown.facts, shown.moment, tree, sources);
        view.stem = Some(shown.stem());
        if shown.rank == Rank::Resident {
            view.rank_by_resident();
        }
        view
    }

    /// Those that hold the same stay in their order.
    pub(super) fn rank_by_resident(&mut self) {
        self.is_by_resident = true;
        self.sites.sort_by_key(|site| Reverse(site.resident));
    }

    /// A moment that has no pictures; none where the recording cannot be read.
    pub(in crate::report) fn read(
        run: &Run,
        process: &Process,
        moment: Moment,
        room: Room,
        sources: &mut Sources,
    ) -> Option<View> {
        let (recording, _) = process.read().ok()?;
        let rank = Rank::of(run, moment, recording.measured(moment));
        let tree = CallTree::of(&recording, moment).ranked_by(rank);
        let mut view = View::begin(run, process, &recording.facts, moment, &tree, sources);
        if rank == Rank::Resident {
            view.rank_by_resident();
        }
        view.draw(&tree.condensed(), room, run, sources);
        Some(view)
    }

    /// Adds the graph, of a condensed tree.
    pub(in crate::report) fn draw(&mut self, condensed: &CallTree, room: Room, run: &Run, sources: &mut Sources) {
        self.graph = Graph::of(condensed, room, sources, run.directory.to_str().unwrap_or(""));
    }

    fn begin(
        run: &Run,
        process: &Process,
        facts: &Facts,
        moment: Moment,
        tree: &CallTree,
        sources: &mut Sources,
    ) -> View {
        let directory = run.directory.to_str().unwrap_or("");
        let lines = lines::lines(tree);
        let all = weight::requested_totals(tree)[0];
        let grown = tree.growth(moment);
        View {
            pid: facts.pid,
            name: process.name(),
            moment,
            when: words::moment(moment, run),
            stem: None,
            total: all,
            ranked: tree.total().bytes,
            is_by_resident: false,
            facts: facts.clone(),
            graph: Graph::default(),
            sites: sites(tree, &lines, grown.as_ref(), sources, directory),
            growth_since: grown.map(|grown| (grown.since, grown.since)),
            listings: listing::listings(&lines, all.bytes, sources, directory),
            culprit: lines::culprit(&lines).map(|line| Culprit {
                place: line.call.short(directory),
                code: sources.line(line.call.file, line.call.line).unwrap_or_default(),
                bytes: line.caused,
            }),
            together: 0,
        }
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

impl Culprit {
    /// `81.8 %` of a whole.
    pub(in crate::report) fn share(&self, whole: u64) -> String {
        Share::of(self.bytes, whole).to_string()
    }
}

/// Those that allocated the most themselves, and the user's own that hold the most with all they called.
fn sites(tree: &CallTree, lines: &[Line], grown: Option<&Grown>, sources: &mut Sources, directory: &str) -> Vec<Site> {
    let smallest = tree.total().bytes / SMALL;
    let of_call: HashMap<Call, &Line> = lines.iter().map(|line| (line.call, line)).collect();
    let mut chosen: Vec<(Call, Option<Call>, Tally)> = tree
        .hottest(SITES)
        .into_iter()
        .filter(|hot| hot.held.bytes >= smallest)
        .map(|hot| (hot.call, hot.on_behalf_of, hot.held))
        .collect();
    let is_own = |line: &&Line| !line.call.is_library() && !line.call.file.is_empty();
    let large = lines.iter().filter(|line| line.total.bytes >= smallest);
    let mut with_calls: Vec<&Line> = large.filter(is_own).collect();
    with_calls.sort_by(|a, b| b.total.bytes.cmp(&a.total.bytes).then_with(|| a.call.cmp(&b.call)));
    for line in with_calls.into_iter().take(SITES) {
        if !chosen.iter().any(|(call, ..)| *call == line.call) {
            chosen.push((line.call, None, line.own));
        }
    }
    let sites = chosen.into_iter().map(|(call, caller, own)| {
        let line = of_call.get(&call);
        Site {
            place: call.short(directory),
            caller: caller.map(|caller| caller.short(directory)).unwrap_or_default(),
            code: sources.line(call.file, call.line).unwrap_or_default(),
            own,
            total: line.map(|line| line.total).unwrap_or_default(),
            resident: line.and_then(|line| line.resident),
            growth: grown.map(|grown| grown.of(&call)),
        }
    });
    let mut sites: Vec<Site> = sites.collect();
    sites.sort_by_key(|site| Reverse((site.own.bytes, site.total.bytes)));
    sites
}
