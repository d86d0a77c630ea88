//! The picture of many runs together.

use std::path::{Path, PathBuf};

use super::drawing::Drawing;
use super::flamegraph::{self, Caption, Labels};
use super::{folded, words};
use crate::error::Error;
use crate::folder::Folder;
use crate::profile::{CallTree, Rank};
use crate::save::save;
use crate::source::{LocalSource, Sources};

pub(crate) use super::choice::foremost;

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
    let mut labels = Labels::new(tree, &mut sources, directory.to_str().unwrap_or(""));
    let caption = Caption {
        title: match tree.rank() {
            Rank::Requested => format!("{title}: {}", words::with_error(tree.all())),
            Rank::Resident => format!("{title}: {} resident", words::with_error(tree.all())),
        },
        subtitle: String::new(),
    };
    let drawing = Drawing::by_caller(tree);
    save(folder, "merged.svg", |out| {
        flamegraph::write(out, &drawing, &mut labels, caption)
    })
}
