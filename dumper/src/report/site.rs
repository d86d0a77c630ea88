//! A call site as reports name it.

use crate::label::Call;
use crate::profile::{CallSite, CallTree, ChargedLine, Growth, Tally, Weight};
use crate::units::{self, Bytes, Share};

/// Callers that are named of a call site.
const CALLERS: usize = 100;

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
    /// Whether it is of the user's own code.
    pub is_own: bool,
    /// If it is not: the places of the lines of the user's own code that it held this for, the largest first.
    pub callers: Vec<(String, Weight)>,
    /// What it held.
    pub held: Weight,
    /// The share of the bytes that rank it in the total.
    pub share: Share,
    /// How much more it holds than at an earlier moment; none if no such moment is known.
    pub growth: Option<Growth>,
}

/// A line of the user's own code with all that libraries held for it; also what no such line is behind, and what imports hold.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedChargedLine {
    /// The line.
    pub line: NamedLine,
    /// Whether it is of the user's own code.
    pub is_own: bool,
    /// Whether it is what imports hold.
    pub is_import: bool,
    /// The library's line that it held the most in, or of imports the line that imports the most; and how many more there are. None if it
    /// held most itself.
    pub part: Option<(NamedLine, usize)>,
    /// What was held.
    pub held: Weight,
    /// How many bytes, by the rank of the run.
    pub ranked: u64,
    /// The share of these bytes in the total, by the same rank.
    pub share: Share,
    /// Whether that is enough to be named alone.
    pub stands_out: bool,
}

/// A line of the user's own code, as the table on the terminal shows it.
pub(crate) struct OwnLine {
    pub(crate) file: String,
    /// The path as a reader wants it.
    pub(crate) name: String,
    pub(crate) line: u32,
    /// What it held, by the rank of the run.
    pub(crate) held: Tally,
}

impl OwnLine {
    /// All of a moment, by file and line; paths are shown relative to `directory`.
    pub(crate) fn all(tree: &CallTree, directory: &str) -> Vec<OwnLine> {
        let charged = tree.charged_lines(usize::MAX).into_iter();
        let own = charged.filter(|charged| charged.is_own);
        let lines = own.map(|ChargedLine { call, ranked, .. }| OwnLine {
            file: call.file.to_owned(),
            name: file_name(call, directory),
            line: call.line,
            held: ranked,
        });
        let mut lines: Vec<OwnLine> = lines.collect();
        lines.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        lines
    }
}

/// The path as a reader wants it, without a line.
fn file_name(call: Call, directory: &str) -> String {
    let whole = Call {
        line: 0,
        function: "f",
        ..call
    };
    whole.short(directory).trim_end_matches(" (f)").to_owned()
}

impl NamedLine {
    pub(crate) fn new(call: &Call, directory: &str) -> NamedLine {
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
        let callers = site.callers.iter().take(CALLERS);
        NamedSite {
            line: NamedLine::new(&site.call, directory),
            is_own: site.call.is_own(),
            callers: callers.map(|(call, held)| (call.short(directory), *held)).collect(),
            held: site.held,
            share: site.share,
            growth: None,
        }
    }
}

impl NamedChargedLine {
    /// Names who holds something; paths are shown relative to `directory`.
    pub(crate) fn new(charged: &ChargedLine, directory: &str) -> NamedChargedLine {
        let in_parts = units::sum(charged.parts.iter().map(|(_, held)| held.requested.bytes));
        let is_told = charged.is_import || in_parts > charged.held.requested.bytes / 2;
        let part = charged.parts.first().filter(|_| is_told);
        NamedChargedLine {
            line: NamedLine::new(&charged.call, directory),
            is_own: charged.is_own,
            is_import: charged.is_import,
            part: part.map(|(call, _)| (NamedLine::new(call, directory), charged.parts.len() - 1)),
            held: charged.held,
            ranked: charged.ranked.bytes,
            share: charged.share,
            stands_out: charged.stands_out(),
        }
    }

    /// `in numpy/_core/numeric.py:235 (ones) and 2 more`.
    pub(crate) fn part(&self) -> Option<String> {
        let (part, more) = self.part.as_ref()?;
        let word = if self.is_import { "from" } else { "in" };
        Some(match more {
            0 => format!("{word} {}", part.place),
            more => format!("{word} {} and {more} more", part.place),
        })
    }

    /// `load.py:7 (load), in numpy/_core/numeric.py:235 (ones)`.
    pub(crate) fn place(&self) -> String {
        match self.part() {
            Some(part) => format!("{}, {part}", self.line.place),
            None => self.line.place.clone(),
        }
    }

    /// What is worth saying beside what ranks it: `asked for 1.0 GiB`, or of imports `of which 14.0 MiB are in memory`.
    pub(crate) fn beside(&self) -> Option<String> {
        let requested = self.held.requested.bytes;
        let is_less = |bytes: u64| bytes < requested - requested / 10;
        let resident = self.held.resident.filter(|_| self.is_import);
        match resident.filter(|bytes| is_less(*bytes)) {
            _ if is_less(self.ranked) => Some(format!("asked for {}", Bytes(requested))),
            Some(resident) => Some(format!("of which {} are in memory", Bytes(resident))),
            None => None,
        }
    }
}
