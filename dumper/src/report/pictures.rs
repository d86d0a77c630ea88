//! The files that show one moment: two flame graphs and the callstacks as text.

use std::io::{self, Write};
use std::path::PathBuf;

use super::account::Shown;
use super::drawing::Drawing;
use super::flamegraph::{self, Caption, Names};
use super::page::view::{FULL, View};
use super::{folded, words};
use crate::call_tree::{CallTree, Moment};
use crate::error::Error;
use crate::folder::Folder;
use crate::label::cut;
use crate::rank::Rank;
use crate::run::Run;
use crate::save::save;
use crate::source::Sources;
use crate::units::{Bytes, Share};

/// Characters that fit below a title.
const SUBTITLE: usize = 150;

/// Where pictures are drawn, and what with.
pub(super) struct Pictures<'a> {
    pub(super) folder: &'a Folder,
    pub(super) sources: Sources,
    /// The same for the page.
    pub(super) views: Vec<View>,
    /// What could not be written.
    pub(super) failed: Vec<Error>,
}

impl Pictures<'_> {
    /// Draws a moment, and returns the path of the flame graph.
    pub(super) fn draw(&mut self, run: &Run, shown: &Shown, tree: CallTree) -> Option<PathBuf> {
        let stem = shown.stem();
        let write = |out: &mut dyn Write| folded::write(out, &tree);
        save_or_note(self.folder, &mut self.failed, &format!("{stem}.prof"), write);

        let mut view = View::of(run, shown, &tree, &mut self.sources);
        let drawn = tree.condensed();
        view.draw(&drawn, FULL, run, &mut self.sources);
        self.views.push(view);
        let directory = run.directory.to_str().unwrap_or("");
        let mut names = Names::new(&drawn, &mut self.sources, directory);
        let mut draw = |name: String, is_reversed| {
            save_or_note(self.folder, &mut self.failed, &name, |out| {
                picture(out, run, shown, &drawn, &mut names, is_reversed)
            })
        };
        let path = draw(format!("{stem}.svg"), false);
        draw(format!("{stem}-reversed.svg"), true);
        path
    }
}

/// Writes a file, and returns its path if that could be; what went wrong goes to `failed`.
pub(super) fn save_or_note(
    folder: &Folder,
    failed: &mut Vec<Error>,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Option<PathBuf> {
    save(folder, name, write).map_err(|error| failed.push(error)).ok()
}

/// Writes one flame graph of a condensed tree.
pub(super) fn one(
    out: &mut dyn Write,
    run: &Run,
    shown: &Shown,
    drawn: &CallTree,
    sources: &mut Sources,
    is_reversed: bool,
) -> io::Result<()> {
    let mut names = Names::new(drawn, sources, run.directory.to_str().unwrap_or(""));
    picture(out, run, shown, drawn, &mut names, is_reversed)
}

fn picture(
    out: &mut dyn Write,
    run: &Run,
    shown: &Shown,
    drawn: &CallTree,
    names: &mut Names,
    is_reversed: bool,
) -> io::Result<()> {
    let ran_out = match shown.moment {
        Moment::OutOfMemory => shown.failed.clone(),
        Moment::Live => run.outcome.as_ref().map(|outcome| outcome.sentence.clone()),
        Moment::Peak => None,
    };
    let drawing = if is_reversed {
        Drawing::by_callee(drawn)
    } else {
        Drawing::by_caller(drawn)
    };
    let caption = Caption {
        title: title(shown, run),
        subtitle: subtitle(ran_out.as_deref(), is_reversed),
    };
    flamegraph::write(out, &drawing, names, caption)
}

fn subtitle(ran_out: Option<&str>, is_reversed: bool) -> String {
    let by_callee = "each line that allocated, with its callers below";
    match (ran_out, is_reversed) {
        (ran_out, false) => cut(ran_out.unwrap_or(""), SUBTITLE).into_owned(),
        (None, true) => by_callee.to_owned(),
        (Some(ran_out), true) => {
            let room = SUBTITLE - " · ".len() - by_callee.len();
            format!("{} · {by_callee}", cut(ran_out, room))
        }
    }
}

fn title(shown: &Shown, run: &Run) -> String {
    let what = match shown.moment {
        Moment::OutOfMemory => "Memory at the moment it ran out".to_owned(),
        Moment::Peak => "Memory at its peak".to_owned(),
        Moment::Live => words::moment(shown.moment, run).replace("When", "Memory when"),
    };
    let total = shown.total;
    if let (Rank::Resident, Some(resident)) = (shown.rank, shown.resident) {
        let (there, asked) = (Bytes(resident), Bytes(total.bytes));
        return format!(
            "{what}: {there} resident, of {asked} asked for ({})",
            shown.process.name()
        );
    }
    let held = match total.error() {
        error if error <= total.bytes / 1000 => words::with_error(total),
        error => format!("{} ± {}", Bytes(total.bytes), Share::of(error, total.bytes)),
    };
    format!("{what}: {held} ({})", shown.process.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sentence_is_cut_and_what_the_rows_are_is_not() {
        let sentence = "killed ".repeat(40);
        let plain = subtitle(Some(&sentence), false);
        assert!(plain.chars().count() == SUBTITLE && plain.ends_with('…'), "{plain}");
        let reversed = subtitle(Some(&sentence), true);
        assert!(reversed.chars().count() <= SUBTITLE, "{reversed}");
        assert!(reversed.contains("… · each line that allocated"), "{reversed}");
        assert!(reversed.ends_with("its callers below"), "{reversed}");
        assert_eq!(subtitle(None, false), "");
    }
}
