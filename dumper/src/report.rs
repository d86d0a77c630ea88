//! The report files of a run, and what there is to say about it.

mod drawing;
mod flamegraph;
mod folded;
mod index;
mod summary;
mod words;

use std::path::{Path, PathBuf};

use crate::call_tree::{CallTree, Hot, Moment};
use crate::error::Error;
use crate::process::Process;
use crate::recording::Tally;
use crate::run::Run;
use crate::save::save;
use crate::source::Sources;
use crate::units::{Bytes, Share};

use drawing::Drawing;
use flamegraph::{Caption, Naming};

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
    /// `out-of-memory.svg`, if an allocation failed.
    pub out_of_memory: Option<PathBuf>,
    /// `peak-memory.svg`, if anything was recorded.
    pub peak: Option<PathBuf>,
    /// `index.html`.
    pub index: PathBuf,
    /// Lines for the job's log.
    pub summary: Vec<String>,
}

/// Call sites that the page lists.
const LISTED: usize = 20;

/// What all texts of one report are made from.
struct Account<'a> {
    run: &'a Run,
    /// Paths are shown relative to it.
    directory: &'a str,
    processes: &'a [Process],
    occasion: Occasion,
    out_of_memory: Option<Shown<'a>>,
    peak: Option<Shown<'a>>,
}

/// One moment of one process, of which there are pictures.
struct Shown<'a> {
    process: &'a Process,
    total: Tally,
    hottest: Vec<Hot<'a>>,
    /// The flame graph.
    path: PathBuf,
}

/// Writes the report of a run into `folder`: `out-of-memory.*` of the process whose failed allocation came last,
/// `peak-memory.*` of the one with the highest peak, and `index.html`.
///
/// # Errors
///
/// A file could not be written.
pub fn write(folder: &Path, run: &Run, processes: &[Process], occasion: Occasion) -> Result<Written, Error> {
    let folder = &std::path::absolute(folder).map_err(|reason| Error::write(folder, reason))?;
    let mut writer = Writer {
        folder,
        directory: run.directory.to_str().unwrap_or(""),
        sources: Sources::new(&run.directory),
    };
    let failed = processes
        .iter()
        .filter_map(|process| Some((process, process.recording.failure.as_ref()?)));
    let out_of_memory = match failed.max_by_key(|(_, failure)| failure.time_ns) {
        Some((process, _)) => Some(writer.write(process, Moment::OutOfMemory)?),
        None => None,
    };
    let recorded = processes.iter().filter(|process| process.recording.peak_bytes > 0);
    let peak = match recorded.max_by_key(|process| process.recording.peak_bytes) {
        Some(process) => Some(writer.write(process, Moment::Peak)?),
        None => None,
    };
    let directory = writer.directory;
    let account = Account {
        run,
        directory,
        processes,
        occasion,
        out_of_memory,
        peak,
    };
    let index = save(folder, "index.html", |out| {
        index::write(out, &account, &mut writer.sources)
    })?;
    let summary = summary::lines(&account);
    let path = |shown: Option<Shown>| shown.map(|shown| shown.path);
    Ok(Written {
        out_of_memory: path(account.out_of_memory),
        peak: path(account.peak),
        index,
        summary,
    })
}

struct Writer<'a> {
    folder: &'a Path,
    directory: &'a str,
    sources: Sources,
}

impl Writer<'_> {
    fn write<'p>(&mut self, process: &'p Process, moment: Moment) -> Result<Shown<'p>, Error> {
        let stem = stem(moment);
        let tree = CallTree::of(&process.recording, moment);
        save(self.folder, &format!("{stem}.prof"), |out| folded::write(out, &tree))?;

        let total = tree.total();
        let hottest = tree.hottest(LISTED);
        let drawn = tree.condensed();
        let title = title(process, moment, total);
        let failed = match &process.recording.failure {
            Some(failure) if moment == Moment::OutOfMemory => {
                words::failed(&process.recording, failure, self.directory)
            }
            _ => String::new(),
        };
        let by_callee = "each line that allocated, with its callers below";
        let subtitle = if failed.is_empty() {
            by_callee.to_owned()
        } else {
            format!("{failed} · {by_callee}")
        };
        let caption = Caption {
            title: title.clone(),
            subtitle: failed,
        };
        let path = self.draw(&format!("{stem}.svg"), &drawn, Drawing::by_caller(&drawn), caption)?;
        let caption = Caption { title, subtitle };
        self.draw(
            &format!("{stem}-reversed.svg"),
            &drawn,
            Drawing::by_callee(&drawn),
            caption,
        )?;
        Ok(Shown {
            process,
            total,
            hottest,
            path,
        })
    }

    fn draw(&mut self, name: &str, tree: &CallTree, drawing: Drawing, caption: Caption) -> Result<PathBuf, Error> {
        let naming = Naming {
            tree,
            sources: &mut self.sources,
            directory: self.directory,
        };
        save(self.folder, name, |out| {
            flamegraph::write(out, &drawing, naming, caption)
        })
    }
}

/// What the files of a moment are called.
fn stem(moment: Moment) -> &'static str {
    match moment {
        Moment::OutOfMemory => "out-of-memory",
        Moment::Peak => "peak-memory",
        Moment::Live => "memory",
    }
}

fn title(process: &Process, moment: Moment, total: Tally) -> String {
    let what = match moment {
        Moment::OutOfMemory => "Memory at the moment it ran out",
        Moment::Peak => "Memory at its peak",
        Moment::Live => "Memory now",
    };
    let held = match total.error() {
        error if error <= total.bytes / 1000 => summary::with_error(total),
        error => format!("{} ± {}", Bytes(total.bytes), Share::of(error, total.bytes)),
    };
    format!("{what}: {held} ({})", process.name())
}
