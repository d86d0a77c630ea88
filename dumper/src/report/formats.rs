//! All formats. A new one is a new file and a line in this list, from which the command line has its own.

use std::cell::RefCell;
use std::io::{self, Write};

use super::account::Account;
use super::format::{Format, Input, Needs, Subject, nothing};
use super::{csv, fil, folded, json, page, pprof, speedscope, summary, svg};
use crate::process;

/// Every format, in the order in which the command line names them.
pub const FORMATS: [&dyn Format; 10] = [
    &pprof::Pprof,
    &speedscope::Speedscope,
    &csv::Csv,
    &folded::Folded,
    &json::Json,
    &page::Html,
    &summary::Text,
    &svg::Svg,
    &svg::SvgReversed,
    &fil::Fil,
];

/// The format of this name.
pub fn format(name: &str) -> Option<&'static dyn Format> {
    FORMATS.into_iter().find(|format| format.about().name == name)
}

/// Writes one document. Those about one moment of one process show the one that `out-of-memory.*` would, else the peak.
///
/// # Errors
///
/// `out` takes no more, or nothing was recorded that the format could show.
pub fn export(out: &mut dyn Write, format: &dyn Format, subject: &Subject) -> io::Result<()> {
    let account = Account::compute(subject);
    if format.about().needs == Needs::Moment && account.foremost().is_none() {
        return Err(nothing());
    }
    let sources = RefCell::new(process::sources(subject.run, subject.processes));
    format.write(&Input::new(&account, account.foremost(), &sources, None), out)
}
