//! The names in a profile, each once.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::bounded::{self, NAMES};

/// Bytes of a name.
const LONGEST: usize = 4 * recording::MAX_STRING_BYTES;

/// Names by a number of their own; 0 is the empty name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Strings {
    text: String,
    /// Where each name ends, and the next one begins.
    #[serde(deserialize_with = "bounded::list::<_, _, NAMES>")]
    ends: Vec<usize>,
}

impl Strings {
    /// The name with this number.
    pub(crate) fn get(&self, number: u32) -> &str {
        let number = number as usize;
        let begin = number.checked_sub(1).and_then(|before| self.ends.get(before).copied());
        let end = self.ends.get(number).copied();
        end.and_then(|end| self.text.get(begin.unwrap_or(0)..end)).unwrap_or("")
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all of them.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Whether each begins where the one before it ends, and none is longer than what a recording's longest can become where its bytes
    /// are not UTF-8.
    pub(crate) fn are_sound(&self) -> bool {
        let mut begin = 0;
        self.ends.iter().all(|end| {
            let length = end.checked_sub(begin);
            begin = *end;
            length.is_some_and(|length| length <= LONGEST)
        })
    }

    /// For each name, its place in their order.
    pub(crate) fn places(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_unstable_by_key(|number| self.get(*number));
        let mut places = vec![0; order.len()];
        for (number, place) in order.into_iter().zip(0..) {
            places[number as usize] = place;
        }
        places
    }

    /// Adds a name, and returns its number.
    pub(crate) fn add(&mut self, name: &str) -> u32 {
        self.text.push_str(name);
        self.ends.push(self.text.len());
        self.ends.len() as u32 - 1
    }
}

/// Strings that are collected, each once.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    strings: Strings,
    numbers: HashMap<String, u32>,
}

impl Interner {
    /// The number of a text.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.strings.add(text);
        self.numbers.insert(text.to_owned(), number);
        number
    }

    /// The texts by their numbers.
    pub(crate) fn strings(&self) -> &Strings {
        &self.strings
    }

    /// The texts, to which no more are added.
    pub(crate) fn finish(self) -> Strings {
        self.strings
    }
}
