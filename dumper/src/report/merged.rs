//! What of a run goes into a report of many, and the picture of that.

use std::path::{Path, PathBuf};

use super::drawing::Drawing;
use super::flamegraph::{self, Caption, Names};
use super::{Occasion, choice, folded, words};
use crate::call_tree::{CallTree, Moment};
use crate::error::Error;
use crate::folder::Folder;
use crate::process::Process;
use crate::run::Run;
use crate::save::save;
use crate::source::{LocalSource, Sources};

/// The process and the moment that the run's own report would show first.
pub(crate) fn moment<'a>(run: &Run, processes: &'a [Process]) -> Option<(&'a Process, Moment)> {
    let peak = || choice::peak(processes).map(|process| (process, Moment::Peak));
    choice::out_of_memory(run, processes, Occasion::Ended).or_else(peak)
}

/// Draws a tree that has been put together from many.
pub(crate) fn draw(
    folder: &Folder,
    directory: &Path,
    local: &LocalSource,
    tree: &CallTree,
    title: String,
) -> Result<PathBuf, Error> {
    save(folder, "merged.prof", |out| folded::write(out, tree))?;
    let mut sources = Sources::new(directory, local, &[]);
    let mut names = Names::new(tree, &mut sources, directory.to_str().unwrap_or(""));
    let caption = Caption {
        title: format!("{title}: {}", words::with_error(tree.total())),
        subtitle: String::new(),
    };
    let drawing = Drawing::by_caller(tree);
    save(folder, "merged.svg", |out| {
        flamegraph::write(out, &drawing, &mut names, caption)
    })
}
