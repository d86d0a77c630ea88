//! Many runs as one: which of the tasks of an array or a parallel program ran out, where, and how much would have been enough.
//!
//! Each run is looked at and let go of before the next, so that a thousand take no more memory than one and a line for each.

mod json;
mod numbers;
mod task;
mod text;

use std::path::PathBuf;

use crate::error::Error;
use crate::folder::Folder;
use crate::outlet::Lines;
use crate::process::Process;
use crate::profile::{Join, Moment, Rank};
use crate::rank;
use crate::report::Occasion;
use crate::report::merged as picture;
use crate::run::Run;
use crate::save::save;
use crate::source::LocalSource;

pub use numbers::{Enough, Spread};
pub use task::Task;

/// Nodes that are kept of all call trees together.
const NODES: usize = 40_000;

/// Runs that have been put together.
#[derive(Debug)]
pub struct Merged {
    tasks: Vec<Task>,
    /// What those held that ran out, and what the others held at their peaks.
    ran_out: Join,
    peaks: Join,
    /// By what the picture is drawn: by what is in memory if one of the runs is ranked by that.
    rank: Rank,
    unreadable: Vec<String>,
    directory: PathBuf,
    /// What may be read of this machine for all of them.
    source: Option<LocalSource>,
}

/// The files that were written, and what to say.
#[derive(Clone, Debug)]
pub struct Written {
    /// `merged.svg`.
    pub picture: PathBuf,
    /// Lines for a terminal, which are in `merged.txt` too.
    pub summary: Vec<String>,
}

impl Default for Merged {
    fn default() -> Merged {
        Merged {
            tasks: Vec::new(),
            ran_out: Join::new(),
            peaks: Join::new(),
            rank: Rank::Requested,
            unreadable: Vec::new(),
            directory: PathBuf::new(),
            source: None,
        }
    }
}

impl Merged {
    /// Nothing yet.
    pub fn new() -> Merged {
        Merged::default()
    }

    /// Adds the run in `folder`. Its `timeline.csv` is looked for there.
    pub fn add(&mut self, folder: &Folder, run: &Run, processes: &[Process]) {
        let mut task = Task::of(folder, run, processes);
        if let Some((process, moment)) = picture::foremost(run, processes, Occasion::Ended) {
            match process.read() {
                Ok((profile, _)) => {
                    let tree = rank::tree(run, &profile, moment).condensed();
                    task.note_culprit(&tree, run);
                    let joined = match task.ran_out {
                        true => &mut self.ran_out,
                        false => &mut self.peaks,
                    };
                    joined.add(None, &tree);
                    joined.shrink(NODES, tree.rank());
                    if tree.rank() == Rank::Resident {
                        self.rank = Rank::Resident;
                    }
                }
                Err(error) => self.unreadable.push(error.to_string()),
            }
        }
        // One whose files may not be read is enough: the names in the picture are from all of them.
        self.source = match self.source.take() {
            Some(source) if source != run.source => Some(LocalSource::Nothing),
            _ => Some(run.source.clone()),
        };
        if self.tasks.is_empty() {
            self.directory = run.directory.clone();
        }
        self.tasks.push(task);
    }

    /// Notes a run that cannot be read.
    pub fn miss(&mut self, why: String) {
        self.unreadable.push(why);
    }

    /// The runs so far.
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// Writes `merged.json`, `merged.txt`, `merged.svg` and `merged.prof` into `folder`.
    ///
    /// # Errors
    ///
    /// A file could not be written.
    pub fn write(mut self, folder: &Folder) -> Result<Written, Error> {
        self.tasks.sort_by(|a, b| a.order().cmp(&b.order()));
        let summary = text::lines(&self.tasks, &self.unreadable);
        save(folder, "merged.json", |out| {
            json::write(out, &self.tasks, &self.unreadable)
        })?;
        save(folder, "merged.txt", |out| {
            let mut lines = Lines::new(out);
            summary.iter().try_for_each(|line| lines.put(line))
        })?;
        let count = self.tasks.iter().filter(|task| task.ran_out).count();
        let (joined, title) = match count {
            0 => (
                self.peaks,
                format!("Memory of {} tasks, each at its peak", self.tasks.len()),
            ),
            count => (
                self.ran_out,
                format!("Memory of {count} tasks when they ran out, added up"),
            ),
        };
        let profile = joined.finish();
        let tree = profile.at(Moment::Live).by(self.rank);
        let picture = picture::draw(folder, &self.directory, &self.source.unwrap_or_default(), &tree, title)?;
        Ok(Written { picture, summary })
    }
}
