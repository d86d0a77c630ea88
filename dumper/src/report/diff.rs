//! What has become better or worse from one run to another: at the peak of the process that held the most in each.

mod lines;
mod merged;
mod picture;
mod text;

use std::cmp::Reverse;
use std::io::{self, Write};

use super::choice;
use crate::call_tree::{CallTree, Moment};
use crate::error::Error;
use crate::process::Process;
use crate::recording::{Recording, Tally};
use crate::run::Run;
use crate::source::Sources;

use lines::{Line, Pairs};
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
    /// Lines of code, each with its like in the other run where there is one.
    pairs: Pairs,
    merged: Merged,
    changes: Vec<Change>,
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
struct Change {
    place: String,
    /// The line that it was in the old run, if it is another one now.
    was: Option<u32>,
    old: Tally,
    new: Tally,
}

impl Change {
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
        let (Some(older), Some(newer)) = (Read::of(old)?, Read::of(new)?) else {
            return Ok(None);
        };
        let [old_tree, new_tree] = [&older, &newer].map(|read| CallTree::of(&read.recording, Moment::Peak).condensed());
        let pairs = Pairs::of(lines_of(&old_tree, old), lines_of(&new_tree, new));
        let merged = Merged::of(&old_tree, &new_tree, &pairs);
        let mut changes: Vec<Change> = merged
            .sites()
            .map(|(key, old, new)| pairs.change(key, old, new))
            .collect();
        changes.sort_by(|a, b| {
            let order = |change: &Change| Reverse(change.bytes().unsigned_abs());
            order(a).cmp(&order(b)).then_with(|| a.place.cmp(&b.place))
        });
        Ok(Some(Diff {
            old: About::of(old, &older, &old_tree),
            new: About::of(new, &newer, &new_tree),
            pairs,
            merged,
            changes,
        }))
    }

    /// Bytes at the peak of the old run, and of the new one.
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
    recording: Recording,
}

impl<'a> Read<'a> {
    fn of(side: Side<'a>) -> Result<Option<Read<'a>>, Error> {
        let Some(process) = choice::peak(side.processes) else {
            return Ok(None);
        };
        let (recording, _) = process.read()?;
        Ok(Some(Read { process, recording }))
    }
}

impl About {
    fn of(side: Side, read: &Read, tree: &CallTree) -> About {
        About {
            started: side.run.started.clone(),
            command: side.run.short_command(),
            process: read.process.name(),
            total: tree.total(),
        }
    }
}

/// Every line of code in a tree, with its text.
fn lines_of(tree: &CallTree, side: Side) -> Vec<Line> {
    let directory = side.run.directory.to_str().unwrap_or("");
    let mut sources = Sources::of(side.run, side.processes);
    let mut known: Vec<(u32, u32)> = tree
        .nodes()
        .iter()
        .skip(1)
        .map(|node| (node.function, node.line))
        .collect();
    known.sort_unstable();
    known.dedup();
    let lines = known.into_iter().map(|id| {
        let call = tree.called(id.0, id.1);
        Line {
            id,
            file: call.short_file(directory).into_owned(),
            function: call.function.to_owned(),
            label: call.short(directory),
            code: sources.line(call.file, call.line),
        }
    });
    lines.collect()
}

impl Pairs {
    fn change(&self, key: u32, old: Tally, new: Tally) -> Change {
        let pair = self.pair(key);
        Change {
            place: pair.shown().label.clone(),
            was: pair.was(),
            old,
            new,
        }
    }
}
