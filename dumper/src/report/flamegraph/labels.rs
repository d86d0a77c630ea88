//! What frames are called, each line of code looked up once: in a picture, the same line is in many frames.

use std::collections::HashMap;
use std::rc::Rc;

use crate::profile::CallTree;
use crate::report::drawing::What;
use crate::source::Sources;

/// What a frame shows.
#[derive(Default)]
pub(in crate::report) struct Label {
    pub(in crate::report) label: String,
    /// The line of code; empty where it cannot be had.
    pub(in crate::report) code: String,
}

/// The names of one tree's frames.
pub(in crate::report) struct Labels<'a> {
    tree: &'a CallTree<'a>,
    sources: &'a mut Sources,
    /// Paths are shown relative to it.
    directory: &'a str,
    known: HashMap<(u32, u32), Rc<Label>>,
}

impl<'a> Labels<'a> {
    pub(in crate::report) fn new(tree: &'a CallTree<'a>, sources: &'a mut Sources, directory: &'a str) -> Labels<'a> {
        Labels {
            tree,
            sources,
            directory,
            known: HashMap::new(),
        }
    }

    /// What is known of a function's line beforehand.
    pub(in crate::report) fn know(&mut self, line: (u32, u32), name: Label) {
        self.known.insert(line, Rc::new(name));
    }

    pub(super) fn label(&mut self, what: What) -> Rc<Label> {
        let made_up = |label: &str| {
            Rc::new(Label {
                label: label.to_owned(),
                ..Label::default()
            })
        };
        let (function, line) = match what {
            What::All => return made_up("all"),
            What::Small => return made_up("(small)"),
            What::Deeper => return made_up("(deeper)"),
            What::Call { function, line } => (function, line),
        };
        let name = self.known.entry((function, line)).or_insert_with(|| {
            let call = self.tree.called(function, line);
            Rc::new(Label {
                label: call.short(self.directory),
                code: self.sources.line(call.file, line).unwrap_or_default(),
            })
        });
        Rc::clone(name)
    }
}
