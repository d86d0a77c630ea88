//! The names that a recording's functions have, each once.

use std::collections::HashMap;

use super::tables::StringTable;
use crate::damage::Findings;
use crate::profile::{DAMAGED, Interner, Strings};

/// Collects the names that are in use.
pub(super) struct Resolver {
    strings: StringTable,
    known: HashMap<u32, u32>,
    /// A writer that is short of memory may write a name again.
    names: Interner,
    /// Strings do not overlap, so together they cannot be longer than their table. Without this bound a small damaged
    /// file could name the same bytes a million times.
    budget: usize,
    bad: u32,
}

impl Resolver {
    pub(super) fn new(strings: StringTable) -> Resolver {
        let mut names = Interner::default();
        names.number("");
        names.number(DAMAGED);
        let budget = strings.len();
        Resolver {
            strings,
            known: HashMap::from([(0, 0)]),
            names,
            budget,
            bad: 0,
        }
    }

    /// The number of the name that string `id` is.
    pub(super) fn resolve(&mut self, id: u32) -> u32 {
        if let Some(number) = self.known.get(&id) {
            return *number;
        }
        let text = self.strings.get(id).filter(|text| text.len() <= self.budget);
        let number = match text {
            Some(text) => {
                self.budget -= text.len();
                self.names.number(&String::from_utf8_lossy(text))
            }
            None => {
                self.bad += 1;
                1
            }
        };
        self.known.insert(id, number);
        number
    }

    /// All names that were asked for.
    pub(super) fn finish(self, found: &mut Findings) -> Strings {
        found.bad_names += self.bad;
        self.names.finish()
    }
}
