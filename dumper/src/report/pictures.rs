//! The files that show one moment: two flame graphs and the callstacks as text.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::account::Shown;
use super::drawing::Drawing;
use super::flamegraph::{self, Caption, Names};
use super::page::view::{FULL, View};
use super::{folded, words};
use crate::call_tree::{CallTree, Moment};
use crate::error::Error;
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
    pub(super) folder: &'a Path,
    pub(super) sources: Sources,
    /// The same for the page.
    pub(super) views: Vec<View>,
}

impl Pictures<'_> {
    /// Draws a moment, and returns the path of the flame graph.
    pub(super) fn draw(&mut self, run: &Run, shown: &Shown, tree: CallTree) -> Result<PathBuf, Error> {
        let stem = shown.stem();
        let write = |out: &mut dyn Write| folded::write(out, &tree);
        save(self.folder, &format!("{stem}.prof"), write)?;

        let mut view = View::of(run, shown, &tree, &mut self.sources);
        let drawn = tree.condensed();
        view.draw(&drawn, FULL, run, &mut self.sources);
        self.views.push(view);
        let directory = run.directory.to_str().unwrap_or("");
        let mut names = Names::new(&drawn, &mut self.sources, directory);
        let mut draw = |name: String, is_reversed| {
            save(self.folder, &name, |out| {
                picture(out, run, shown, &drawn, &mut names, is_reversed)
            })
        };
        let path = draw(format!("{stem}.svg"), false)?;
        draw(format!("{stem}-reversed.svg"), true)?;
        Ok(path)
    }
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
        Moment::Live => run
            .outcome
            .as_ref()
            .map(|outcome| cut(&outcome.sentence, SUBTITLE).into_owned()),
        Moment::Peak => None,
    };
    let by_callee = "each line that allocated, with its callers below";
    let (drawing, subtitle) = match (is_reversed, ran_out) {
        (false, ran_out) => (Drawing::by_caller(drawn), ran_out.unwrap_or_default()),
        (true, Some(ran_out)) => (Drawing::by_callee(drawn), format!("{ran_out} · {by_callee}")),
        (true, None) => (Drawing::by_callee(drawn), by_callee.to_owned()),
    };
    let title = title(shown, run);
    flamegraph::write(out, &drawing, names, Caption { title, subtitle })
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
