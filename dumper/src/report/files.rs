//! The files of a report: the one place that writes them into a run folder.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;

use super::account::{Account, Shown};
use super::format::{Beside, Format, Input};
use super::holders::picture;
use super::line::Line;
use super::process_tree::ProcessTree;
use super::{Occasion, Written, folded, json, own_lines, page, summary, svg};
use crate::error::Error;
use crate::folder::Folder;
use crate::process;
use crate::save::save;
use crate::source::Sources;

/// What is written of each moment, and what its name ends in behind that of the moment.
const OF_A_MOMENT: [(&dyn Format, &str); 3] = [
    (&folded::Folded, ".prof"),
    (&svg::Svg, ".svg"),
    (&svg::SvgReversed, "-reversed.svg"),
];

struct Files<'a> {
    folder: &'a Folder,
    failed: Vec<Error>,
}

/// Writes all files of a report. One that cannot be written is no reason to go without the others.
pub(super) fn write(folder: &Folder, account: &Account) -> Written {
    let sources = RefCell::new(process::sources(account.run, account.processes));
    let mut files = Files {
        folder,
        failed: Vec::new(),
    };
    let mut draw = |shown: &Option<Shown>| files.moment(account, shown.as_ref()?, &sources);
    let out_of_memory = draw(&account.out_of_memory);
    let peak = draw(&account.peak);
    if let Some((shown, held)) = account
        .foremost()
        .and_then(|shown| Some((shown, shown.held_by.as_ref()?)))
    {
        let name = shown.process.who();
        files.save("holders.svg", |out| {
            picture::draw(held, &name, out, &mut sources.borrow_mut())
        });
    }
    let process_tree = ProcessTree::compute(account).and_then(|tree| {
        let call_tree = tree.tree();
        files.save("process-tree.prof", |out| folded::write(out, &call_tree));
        files.save("process-tree.svg", |out| tree.draw(out, &mut sources.borrow_mut()))
    });
    let beside = Beside {
        process_tree: process_tree.is_some(),
    };
    let input = Input::new(account, account.foremost(), &sources, Some(beside));
    files.save("report.json", |out| json::Json.write(&input, out));
    files.save("index.html", |out| page::Html.write(&input, out));
    let mut lines = summary::lines(account);
    lines.extend([&out_of_memory, &peak].into_iter().flatten().cloned().map(Line::Wrote));
    let mut brief = summary::brief(account);
    if account.run.text && account.occasion == Occasion::Ended {
        let table = own_lines::lines(account, &mut sources.borrow_mut());
        brief.extend(table.iter().cloned());
        lines.extend(table);
    }
    let index = folder.path().join("index.html");
    [&mut brief, &mut lines]
        .into_iter()
        .for_each(|said| said.push(Line::Report(index.clone())));
    Written {
        out_of_memory,
        peak,
        index,
        summary: lines,
        brief,
        failed: files.failed.iter().map(Error::to_string).collect(),
        headline: account.headline(),
        sources: sources.into_inner(),
    }
}

impl Files<'_> {
    /// Writes what shows one moment, and returns the path of the flame graph.
    fn moment(&mut self, account: &Account, shown: &Shown, sources: &RefCell<Sources>) -> Option<PathBuf> {
        let input = Input::new(account, Some(shown), sources, Some(Beside::default()));
        let [_, picture, _] = OF_A_MOMENT
            .map(|(format, ending)| self.save(&format!("{}{ending}", shown.stem()), |out| format.write(&input, out)));
        picture
    }

    /// Writes a file, and returns its path if that could be.
    fn save(&mut self, name: &str, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Option<PathBuf> {
        save(self.folder, name, write)
            .map_err(|error| self.failed.push(error))
            .ok()
    }
}
