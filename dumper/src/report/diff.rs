//! What has become better or worse from one run to another: at the peak of the process that held the most in each.

mod lines;
mod merged;
mod picture;
mod text;

use std::cmp::Reverse;
use std::io::{self, Write};
use std::sync::Arc;

use super::choice;
use crate::error::Error;
use crate::process::{self, Process};
use crate::profile::{CallTree, Interner, Moment, Profile, Rank, Tally};
use crate::rank;
use crate::run::Run;

use lines::{CodeLine, Pairs};
use merged::Merged;

/// A change of less than one part in this many of the memory is not told.
const SMALL: u64 = 1000;

/// One of the two runs.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// What was run.
    pub run: &'a Run,
    /// Its processes.
    pub processes: &'a [Process],
}

/// The difference between two runs.
#[derive(Debug)]
pub struct Diff {
    old: About,
    new: About,
    rank: Rank,
    /// Lines of code, each with its like in the other run where there is one.
    pairs: Pairs,
    merged: Merged,
    changes: Vec<SiteChange>,
}

/// What is said of one of the runs.
#[derive(Debug)]
struct About {
    started: String,
    command: String,
    process: String,
    total: Tally,
}

/// A call site in both runs, or in one.
#[derive(Debug)]
struct SiteChange {
    /// Of its line; keys are in the order of what a reader sees of lines.
    key: u32,
    old: Tally,
    new: Tally,
}

impl SiteChange {
    fn bytes(&self) -> i128 {
        i128::from(self.new.bytes) - i128::from(self.old.bytes)
    }

    /// Whether it is more than sampling explains, which is two standard deviations, and large enough to matter beside `total`.
    fn is_real(&self, total: u64) -> bool {
        let variance = self.old.variance.saturating_add(self.new.variance);
        let error = Tally {
            variance,
            ..Tally::default()
        };
        self.bytes().unsigned_abs() > u128::from((error.error() * 2).max(total / SMALL))
    }
}

impl Diff {
    /// Compares two runs; none if nothing was recorded of one of them.
    ///
    /// # Errors
    ///
    /// A recording cannot be read.
    pub fn between(old: Side, new: Side) -> Result<Option<Diff>, Error> {
        let (Some(older), Some(newer)) = (Read::find(old)?, Read::find(new)?) else {
            return Ok(None);
        };
        // What was asked for can be compared with what was asked for alone.
        let rank = match (older.rank, newer.rank) {
            (Rank::Resident, Rank::Resident) => Rank::Resident,
            _ => Rank::Requested,
        };
        let [old_tree, new_tree] =
            [&older, &newer].map(|read| read.profile.at(Moment::Peak).by(rank).with_imports_as_one());
        let mut texts = Interner::default();
        let old_lines = lines_of(&old_tree, old, &mut texts);
        let new_lines = lines_of(&new_tree, new, &mut texts);
        let pairs = Pairs::match_lines(old_lines, new_lines, texts);
        let merged = Merged::new(&old_tree, &new_tree, &pairs);
        let mut changes: Vec<SiteChange> = merged
            .sites()
            .map(|(key, old, new)| SiteChange { key, old, new })
            .collect();
        changes.sort_by_key(|change| (Reverse(change.bytes().unsigned_abs()), change.key));
        Ok(Some(Diff {
            old: About::new(old, &older, &old_tree),
            new: About::new(new, &newer, &new_tree),
            rank,
            pairs,
            merged,
            changes,
        }))
    }

    /// Bytes at the peak of the old run, and of the new one: as many of them as were in memory, where that ranks the call sites of both.
    pub fn totals(&self) -> (u64, u64) {
        (self.old.total.bytes, self.new.total.bytes)
    }

    /// The difference in words, for a terminal of 80 columns.
    pub fn text(&self) -> Vec<String> {
        text::lines(self)
    }

    /// Writes the difference as a flame graph.
    ///
    /// # Errors
    ///
    /// `out` takes no more.
    pub fn picture(&self, out: &mut dyn Write) -> io::Result<()> {
        picture::write(out, self)
    }
}

/// The process of a run that is compared.
struct Read<'a> {
    process: &'a Process,
    profile: Arc<Profile>,
    /// What the run's own report ranks call sites by.
    rank: Rank,
}

impl<'a> Read<'a> {
    fn find(side: Side<'a>) -> Result<Option<Read<'a>>, Error> {
        let Some(process) = choice::peak(side.processes) else {
            return Ok(None);
        };
        let (profile, _) = process.read()?;
        Ok(Some(Read {
            process,
            rank: rank::choose(side.run, &profile.at(Moment::Peak)),
            profile,
        }))
    }
}

impl About {
    fn new(side: Side, read: &Read, tree: &CallTree) -> About {
        About {
            started: side.run.started.clone(),
            command: side.run.short_command(),
            process: read.process.name(),
            total: tree.all(),
        }
    }
}

/// Every line of code in a tree, with its text.
fn lines_of(tree: &CallTree, side: Side, texts: &mut Interner) -> Vec<CodeLine> {
    let directory = side.run.directory.to_str().unwrap_or("");
    let mut sources = process::sources(side.run, side.processes);
    let mut known: Vec<(u32, u32)> = tree
        .nodes()
        .iter()
        .skip(1)
        .map(|node| (node.function, node.line))
        .collect();
    known.sort_unstable();
    known.dedup();
    let mut lines = Vec::with_capacity(known.len());
    for function in known.chunk_by(|a, b| a.0 == b.0) {
        let call = tree.called(function[0].0, 0);
        let file = texts.number(&call.short_file(directory));
        let name = texts.number(call.function);
        lines.extend(function.iter().map(|id| CodeLine {
            id: *id,
            file,
            function: name,
            code: sources.line(call.file, id.1),
        }));
    }
    lines
}
