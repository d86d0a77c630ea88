//! A call site as reports name it.

use crate::label::Call;
use crate::profile::{CallSite, Growth, Weight};
use crate::units::Share;

/// A line of a function, and how a reader gets to see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedLine {
    /// The path as Python gives it; empty for made-up functions.
    pub file: String,
    /// Line, from 1; 0 where there is none.
    pub line: u32,
    /// The function's name.
    pub function: String,
    /// `load.py:7 (load)`, with a short path.
    pub place: String,
}

/// A line that allocated, with all its callers, and what it held at the moment that the report is about.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedSite {
    /// The line.
    pub line: NamedLine,
    /// If it belongs to a library: the line of the user's own code that it held the most for.
    pub from: Option<NamedLine>,
    /// What it held.
    pub held: Weight,
    /// How many bytes it held, by the rank of the run.
    pub ranked: u64,
    /// The share of these bytes in the total, by the same rank.
    pub share: Share,
    /// How much more it holds than at an earlier moment; none if no such moment is known.
    pub growth: Option<Growth>,
}

impl NamedLine {
    fn new(call: &Call, directory: &str) -> NamedLine {
        NamedLine {
            file: call.file.to_owned(),
            line: call.line,
            function: call.function.to_owned(),
            place: call.short(directory),
        }
    }
}

impl NamedSite {
    /// Names a call site; paths are shown relative to `directory`.
    pub(crate) fn new(site: &CallSite, directory: &str) -> NamedSite {
        NamedSite {
            line: NamedLine::new(&site.call, directory),
            from: site.from.map(|from| NamedLine::new(&from, directory)),
            held: site.held,
            ranked: site.ranked.bytes,
            share: site.share,
            growth: None,
        }
    }

    /// The place of the user's own line that it held the most for.
    pub(crate) fn own_place(&self) -> Option<&str> {
        self.from.as_ref().map(|from| from.place.as_str())
    }

    /// `numpy/_core/numeric.py:235 (ones), from load.py:7 (load)`.
    pub(crate) fn place(&self) -> String {
        match self.own_place() {
            Some(from) => format!("{}, from {from}", self.line.place),
            None => self.line.place.clone(),
        }
    }
}
