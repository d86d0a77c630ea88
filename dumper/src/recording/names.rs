//! The names in a recording, each once.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::DAMAGED;
use super::tables::Strings;
use crate::bounded::{self, NAMES};
use crate::damage::Findings;

/// Bytes of a name.
const LONGEST: usize = 4 * recording::MAX_STRING_BYTES;

/// Names by a number of their own; 0 is the empty name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Names {
    text: String,
    /// Where each name ends, and the next one begins.
    #[serde(deserialize_with = "bounded::list::<_, _, NAMES>")]
    ends: Vec<usize>,
}

/// Collects the names that are in use.
pub(super) struct Resolver {
    strings: Strings,
    known: HashMap<u32, u32>,
    /// A writer that is short of memory may write a name again.
    by_text: HashMap<String, u32>,
    names: Names,
    /// Strings do not overlap, so together they cannot be longer than their table. Without this bound a small damaged
    /// file could name the same bytes a million times.
    budget: usize,
    bad: u32,
}

impl Names {
    /// The name with this number.
    pub(super) fn get(&self, number: u32) -> &str {
        let number = number as usize;
        let begin = number.checked_sub(1).and_then(|before| self.ends.get(before).copied());
        let end = self.ends.get(number).copied();
        end.and_then(|end| self.text.get(begin.unwrap_or(0)..end)).unwrap_or("")
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all of them.
    pub(super) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Whether each begins where the one before it ends, and none is longer than what a recording's longest can become where its bytes
    /// are not UTF-8.
    pub(super) fn are_sound(&self) -> bool {
        let mut begin = 0;
        self.ends.iter().all(|end| {
            let length = end.checked_sub(begin);
            begin = *end;
            length.is_some_and(|length| length <= LONGEST)
        })
    }

    /// Adds a name that is not in the recording.
    pub(super) fn add(&mut self, name: &str) -> u32 {
        self.text.push_str(name);
        self.ends.push(self.text.len());
        self.ends.len() as u32 - 1
    }
}

impl Resolver {
    pub(super) fn new(strings: Strings) -> Resolver {
        let mut names = Names::default();
        names.add("");
        names.add(DAMAGED);
        let budget = strings.len();
        Resolver {
            strings,
            known: HashMap::from([(0, 0)]),
            by_text: HashMap::new(),
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
                let text = String::from_utf8_lossy(text).into_owned();
                let names = &mut self.names;
                *self.by_text.entry(text).or_insert_with_key(|text| names.add(text))
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
    pub(super) fn finish(self, found: &mut Findings) -> Names {
        found.bad_names += self.bad;
        self.names
    }
}
