//! The reports of a run: computed from its profiles, then written as files, documents and lines for the log.

mod account;
mod choice;
mod csv;
mod diff;
mod drawing;
mod family;
mod fil;
mod files;
mod flamegraph;
mod folded;
mod format;
mod formats;
mod hints;
pub(crate) mod holders;
mod json;
mod ledger;
mod line;
pub(crate) mod merged;
mod near_limit;
mod own_lines;
mod page;
mod pprof;
mod process_tree;
mod site;
mod speedscope;
mod stacks;
mod summary;
mod svg;
mod verdict;
mod words;

use std::path::PathBuf;

use crate::error::Error;
use crate::folder::Folder;
use crate::label::printable;
use crate::outcome::Outcome;
use crate::process::Process;
use crate::run::{Headline, Run};
use crate::source::Sources;
use crate::timeline;
use crate::unrecorded::Unrecorded;

use account::Account;

pub use diff::{Diff, Side};
pub use format::{About, Format, Input, Needs, Subject};
pub use formats::{FORMATS, export, format};
pub use line::{Layout, Line, fit, text};
pub use near_limit::{charged_to, near_limit};
pub use site::{NamedChargedLine, NamedLine};

/// Why a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The job has ended.
    Ended,
    /// Somebody asked for the peak so far.
    Requested,
    /// An allocation failed and the job is still running.
    AllocationFailed,
    /// A limit is near and the job is still running.
    NearLimit,
}

impl Occasion {
    /// The verdict to report on: there is one once the job has ended, or the kernel has killed a process of it.
    fn verdict(self, run: &Run) -> Option<&Outcome> {
        let judged = run.outcome.as_ref();
        judged.filter(|outcome| self == Self::Ended || !outcome.killed.is_empty())
    }
}

/// The files that were written, and what to say.
#[derive(Clone, Debug)]
pub struct Written {
    /// `out-of-memory.svg`, if an allocation failed or a process was killed for its memory.
    pub out_of_memory: Option<PathBuf>,
    /// `peak-memory.svg`, if anything was recorded.
    pub peak: Option<PathBuf>,
    /// `index.html`, where it is if it could be written.
    pub index: PathBuf,
    /// All that can be said in the job's log.
    pub summary: Vec<Line>,
    /// What is said there if nobody asks for more; [`fit`] makes it fit.
    pub brief: Vec<Line>,
    /// A line for each file that could not be written.
    pub failed: Vec<String>,
    /// The most that fits a line; none if nothing was recorded.
    pub headline: Option<Headline>,
    /// What was read of source files, for the bundle.
    pub sources: Sources,
}

/// Longest message that Kubernetes takes, in bytes.
const LONGEST_MESSAGE: usize = 4095;

/// Writes the report of a run into `folder`: `out-of-memory.*` of the process that was killed for its memory or whose
/// failed allocation came last, `peak-memory.*` of the one with the highest peak, `index.html` and `report.json`.
/// `unreadable` is what [`load`](crate::process::load) could not read, and is only named. A run's `timeline.csv` is
/// looked for in `folder`.
///
/// A file that cannot be written is no reason to go without the others.
pub fn write(folder: &Folder, run: &Run, processes: &[Process], unreadable: &[Error], occasion: Occasion) -> Written {
    let subject = Subject {
        run,
        processes,
        unreadable,
        // A timeline less is no reason to lose the rest; neither are the processes without a recording of their own.
        timeline: &timeline::load(folder).unwrap_or_default(),
        unrecorded: &Unrecorded::load(folder).unwrap_or_default(),
        occasion,
    };
    files::write(folder, &Account::compute(&subject))
}

/// The verdict and the call sites that held the most, in fewer than 4096 bytes: for the message that Kubernetes keeps of
/// a container that has ended. Needs no report to have been written.
pub fn termination_message(run: &Run, processes: &[Process]) -> String {
    let subject = Subject {
        run,
        processes,
        unreadable: &[],
        timeline: &[],
        unrecorded: &Unrecorded::default(),
        occasion: Occasion::Ended,
    };
    let mut message = String::new();
    for line in text(&summary::lines(&Account::compute(&subject))) {
        let line = printable(&line);
        let room = LONGEST_MESSAGE - message.len();
        if line.len() + 1 > room {
            // A message of nothing is worse than one that ends in the middle.
            if message.is_empty() {
                message.extend(
                    line.char_indices()
                        .take_while(|(at, letter)| at + letter.len_utf8() <= room)
                        .map(|(_, letter)| letter),
                );
            }
            break;
        }
        message.push_str(&line);
        message.push('\n');
    }
    message
}
