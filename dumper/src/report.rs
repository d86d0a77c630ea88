//! The report files of a run, and what there is to say about it.

mod account;
mod choice;
mod diff;
mod drawing;
mod export;
mod family;
mod flamegraph;
mod folded;
mod hints;
mod json;
mod ledger;
pub(crate) mod merged;
mod near_limit;
mod own_lines;
mod page;
mod pictures;
mod pprof;
mod process_tree;
mod speedscope;
mod stacks;
mod summary;
mod table;
mod verdict;
mod words;

use std::path::PathBuf;

use crate::error::Error;
use crate::folder::Folder;
use crate::label::printable;
use crate::process::Process;
use crate::run::{Headline, Run};
use crate::source::Sources;
use crate::timeline;
use crate::unrecorded::Unrecorded;

use account::Account;
use pictures::{Pictures, save_or_note};

pub use diff::{Diff, Side};
pub use export::{Format, Subject, export};
pub use near_limit::near_limit;

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

/// The files that were written, and what to say.
#[derive(Clone, Debug)]
pub struct Written {
    /// `out-of-memory.svg`, if an allocation failed or a process was killed for its memory.
    pub out_of_memory: Option<PathBuf>,
    /// `peak-memory.svg`, if anything was recorded.
    pub peak: Option<PathBuf>,
    /// `index.html`, where it is if it could be written.
    pub index: PathBuf,
    /// Lines for the job's log.
    pub summary: Vec<String>,
    /// A line for each file that could not be written.
    pub failed: Vec<String>,
    /// The most that fits a line; none if nothing was recorded.
    pub headline: Option<Headline>,
    /// What was read of source files, for the bundle.
    pub(crate) sources: Sources,
}

/// Longest message that Kubernetes takes, in bytes.
const LONGEST_MESSAGE: usize = 4095;

/// Writes the report of a run into `folder`: `out-of-memory.*` of the process that was killed for its memory or whose
/// failed allocation came last, `peak-memory.*` of the one with the highest peak, `index.html` and `report.json`.
/// `unreadable` is what [`load`](crate::process::load) could not read, and is only named. A run's `timeline.csv` is
/// looked for in `folder`.
///
/// A file that cannot be written is no reason to go without the others.
///
/// # Errors
///
/// A recording cannot be read any more.
pub fn write(
    folder: &Folder,
    run: &Run,
    processes: &[Process],
    unreadable: &[Error],
    occasion: Occasion,
) -> Result<Written, Error> {
    let mut pictures = Pictures {
        folder,
        sources: Sources::of(run, processes),
        views: Vec::new(),
        failed: Vec::new(),
    };
    let mut account = Account::of(run, processes, unreadable, occasion, Some(&mut pictures))?;
    // Neither are those that are known by a count alone.
    account.unrecorded = Unrecorded::load(folder).unwrap_or_default();
    account.find_inheritance();
    account.process_tree = process_tree::draw(&mut pictures, &account);
    // A timeline less is no reason to lose the rest.
    let timeline = timeline::load(folder).unwrap_or_default();
    let Pictures {
        mut sources,
        views,
        mut failed,
        ..
    } = pictures;
    save_or_note(folder, &mut failed, "report.json", |out| {
        json::write(out, &account, &timeline)
    });
    save_or_note(folder, &mut failed, "index.html", |out| {
        page::write(out, &account, views, &timeline, &mut sources)
    });
    let mut summary = summary::lines(&account);
    if run.text && occasion == Occasion::Ended {
        summary.extend(own_lines::lines(&account, &mut sources));
    }
    let headline = account.headline();
    let path = |shown: Option<account::Shown>| shown.and_then(|shown| shown.picture);
    Ok(Written {
        out_of_memory: path(account.out_of_memory),
        peak: path(account.peak),
        index: folder.path().join("index.html"),
        summary,
        failed: failed.iter().map(Error::to_string).collect(),
        headline,
        sources,
    })
}

/// The lines for the log of a report that cannot be written, on a full disk for instance.
pub fn summary(run: &Run, processes: &[Process], occasion: Occasion) -> Vec<String> {
    match Account::of(run, processes, &[], occasion, None) {
        Ok(account) => summary::lines(&account),
        Err(error) => vec![error.to_string()],
    }
}

/// The verdict and the call sites that held the most, in fewer than 4096 bytes: for the message that Kubernetes keeps of
/// a container that has ended. Needs no report to have been written.
pub fn termination_message(run: &Run, processes: &[Process]) -> String {
    let lines = summary(run, processes, Occasion::Ended);
    let mut message = String::new();
    for line in lines {
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
