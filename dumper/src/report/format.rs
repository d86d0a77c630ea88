//! What a report can be written as: one trait, and what every format is written from.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::io::{self, Write};

use super::Occasion;
use super::account::{Account, Shown};
use crate::error::Error;
use crate::process::Process;
use crate::profile::CallTree;
use crate::run::Run;
use crate::source::Sources;
use crate::timeline::Sample;
use crate::unrecorded::Unrecorded;

/// A format of a report.
pub trait Format: Sync {
    /// What it is called, and what it is made from.
    fn about(&self) -> About;

    /// Writes one document.
    ///
    /// # Errors
    ///
    /// `out` takes no more, or a moment is needed and there is none.
    fn write(&self, input: &Input, out: &mut dyn Write) -> io::Result<()>;
}

impl fmt::Debug for dyn Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.about().name)
    }
}

/// What there is to know of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What the name of such a file ends in, with its dot.
    pub ending: &'static str,
    /// What it is made from.
    pub needs: Needs,
    /// A few words for the help of the command line.
    pub help: &'static str,
    /// Whether it is not for a terminal.
    pub is_binary: bool,
}

impl About {
    pub(super) fn new(name: &'static str, ending: &'static str, needs: Needs, help: &'static str) -> About {
        About {
            name,
            ending,
            needs,
            help,
            is_binary: false,
        }
    }

    /// The same of a format that is not for a terminal.
    pub(super) fn binary(self) -> About {
        About {
            is_binary: true,
            ..self
        }
    }
}

/// What a format is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// All that is known of a run, also where nothing was recorded.
    Run,
    /// One moment of one process.
    Moment,
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
    /// Its processes that have no recording of their own.
    pub unrecorded: &'a Unrecorded,
    /// Why it is written.
    pub occasion: Occasion,
}

/// What every format is written from.
pub struct Input<'a> {
    pub(super) account: &'a Account<'a>,
    /// Lines of source files, each file read once for all documents.
    pub(super) sources: &'a RefCell<Sources>,
    /// The other files that lie beside the document, if any do.
    pub(super) beside: Option<Beside>,
    shown: Option<&'a Shown<'a>>,
    tree: OnceCell<CallTree<'a>>,
    condensed: OnceCell<CallTree<'a>>,
}

/// The files beside a document that not every run has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beside {
    /// The flame graph of all processes.
    pub(super) process_tree: bool,
}

impl<'a> Input<'a> {
    /// For documents about this moment, or about the run as a whole.
    pub(super) fn new(
        account: &'a Account<'a>,
        shown: Option<&'a Shown<'a>>,
        sources: &'a RefCell<Sources>,
        beside: Option<Beside>,
    ) -> Input<'a> {
        Input {
            account,
            sources,
            beside,
            shown,
            tree: OnceCell::new(),
            condensed: OnceCell::new(),
        }
    }

    /// The moment that the document is about.
    pub(super) fn shown(&self) -> io::Result<&'a Shown<'a>> {
        self.shown.ok_or_else(nothing)
    }

    /// Its call tree.
    pub(super) fn tree(&self) -> io::Result<&CallTree<'a>> {
        let shown = self.shown()?;
        Ok(self.tree.get_or_init(|| shown.tree()))
    }

    /// Its call tree as pictures show it.
    pub(super) fn condensed(&self) -> io::Result<&CallTree<'a>> {
        let tree = self.tree()?;
        Ok(self.condensed.get_or_init(|| tree.clone().condensed()))
    }
}

pub(super) fn nothing() -> io::Error {
    io::Error::other("nothing was recorded that could be shown")
}
