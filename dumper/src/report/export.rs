//! One report as one document, in the format that another tool wants, or a person.

use std::io::{self, Write};

use super::account::{Account, Shown};
use super::{Occasion, choice, folded, json, page, pictures, pprof, speedscope, summary, table};
use crate::call_tree::{CallTree, Moment};
use crate::error::Error;
use crate::outlet::Lines;
use crate::process::Process;
use crate::run::Run;
use crate::source::Sources;
use crate::timeline::Sample;
use crate::unrecorded::Unrecorded;

/// What a report can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `pprof`'s profile, gzipped.
    Pprof,
    /// JSON for speedscope.
    Speedscope,
    /// A row for each call site.
    Csv,
    /// A line for each callstack.
    Folded,
    /// `report.json`.
    Json,
    /// The page.
    Html,
    /// The lines for the log.
    Text,
    /// The flame graph, callers above callees.
    Svg,
    /// The flame graph from the allocating lines outwards.
    SvgReversed,
}

/// What a report is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What was run.
    pub run: &'a Run,
    /// Its processes.
    pub processes: &'a [Process],
    /// What could not be read of them.
    pub unreadable: &'a [Error],
    /// How much memory they had over time.
    pub timeline: &'a [Sample],
    /// Its processes that are known by a count alone.
    pub unrecorded: &'a Unrecorded,
    /// Why it is written.
    pub occasion: Occasion,
}

/// Writes one document. Those that show one moment of one process show the one that `out-of-memory.*` would, else the peak.
///
/// # Errors
///
/// `out` takes no more, or a recording can no longer be read; or nothing was recorded that the format could show.
pub fn export(out: &mut dyn Write, format: Format, subject: &Subject) -> io::Result<()> {
    let Subject { run, processes, .. } = *subject;
    let account = || {
        let account = Account::of(run, processes, subject.unreadable, subject.occasion, None);
        let mut account = account.map_err(io::Error::other)?;
        account.unrecorded = subject.unrecorded.clone();
        account.find_inheritance();
        Ok::<_, io::Error>(account)
    };
    match format {
        Format::Json => json::write(out, &account()?, subject.timeline),
        Format::Html => page::alone(out, &account()?, subject.timeline, &mut Sources::of(run, processes)),
        Format::Text => {
            let mut lines = Lines::new(out);
            summary::lines(&account()?).iter().try_for_each(|line| lines.put(line))
        }
        // It has both numbers of each callstack.
        Format::Pprof => moment(subject, |shown, tree| pprof::write(out, run, shown, &tree)),
        Format::Speedscope => ranked(subject, |shown, tree| speedscope::write(out, run, shown, &tree)),
        Format::Folded => ranked(subject, |_, tree| folded::write(out, &tree)),
        Format::Csv => ranked(subject, |shown, tree| {
            table::write(out, shown, &tree, run.directory.to_str().unwrap_or(""))
        }),
        Format::Svg | Format::SvgReversed => ranked(subject, |shown, tree| {
            let mut sources = Sources::of(run, processes);
            let is_reversed = format == Format::SvgReversed;
            pictures::one(out, run, shown, &tree.condensed(), &mut sources, is_reversed)
        }),
    }
}

/// As [`moment`], by what its pictures are drawn of.
fn ranked(subject: &Subject, write: impl FnOnce(&Shown, CallTree) -> io::Result<()>) -> io::Result<()> {
    moment(subject, |shown, tree| write(shown, tree.ranked_by(shown.rank)))
}

/// Hands out the moment that matters most.
fn moment(subject: &Subject, write: impl FnOnce(&Shown, CallTree) -> io::Result<()>) -> io::Result<()> {
    let Subject { run, processes, .. } = *subject;
    let peak = || Some((choice::peak(processes)?, Moment::Peak));
    let chosen = choice::out_of_memory(run, processes, subject.occasion).or_else(peak);
    let (process, moment) = chosen.ok_or_else(|| io::Error::other("nothing was recorded that could be shown"))?;
    let (recording, _) = process.read().map_err(io::Error::other)?;
    let shown = Shown::of(run, process, &recording, moment, None).map_err(io::Error::other)?;
    write(&shown, CallTree::of(&recording, moment))
}
