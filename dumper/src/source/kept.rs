//! Lines of source files that a bundle has kept: as they were when the job ran, on a machine that may not have them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::label::cut;

/// Bytes of text that are kept in all.
const LARGEST_SUM: usize = 4 << 20;
/// Characters of a line that are kept.
const LONGEST_LINE: usize = 200;

/// Lines by file and number, as they stand in their files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptLines {
    files: BTreeMap<String, BTreeMap<u32, String>>,
    #[serde(skip)]
    bytes: usize,
}

impl KeptLines {
    /// Whether anything of this file was kept: then no other source is asked, since the file may have changed.
    pub(super) fn has(&self, file: &str) -> bool {
        self.files.contains_key(file)
    }

    /// A line, if it was kept.
    pub(super) fn get(&self, file: &str, line: u32) -> Option<&str> {
        self.files.get(file)?.get(&line).map(String::as_str)
    }

    /// Keeps a line, unless there is no room left.
    pub(super) fn keep(&mut self, file: &str, line: u32, text: &str) {
        let text = cut(text, LONGEST_LINE);
        if self.bytes + text.len() > LARGEST_SUM {
            return;
        }
        if !self.files.contains_key(file) {
            self.bytes += file.len();
            self.files.insert(file.to_owned(), BTreeMap::new());
        }
        let lines = self.files.get_mut(file);
        if let Some(std::collections::btree_map::Entry::Vacant(place)) = lines.map(|lines| lines.entry(line)) {
            self.bytes += text.len();
            place.insert(text.into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_keeps_no_more_text_than_there_is_room_for() {
        let mut kept = KeptLines::default();
        let long = "x".repeat(1000);
        for line in 1..100_000 {
            kept.keep("a.py", line, &long);
        }
        assert_eq!(kept.get("a.py", 1).map(|text| text.chars().count()), Some(LONGEST_LINE));
        assert!(kept.bytes <= LARGEST_SUM && kept.get("a.py", 99_999).is_none());
        assert!(kept.has("a.py") && !kept.has("b.py"));
    }
}
