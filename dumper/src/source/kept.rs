//! Lines of source files that a bundle has kept: as they were when the job ran, on a machine that may not have them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::label::cut;

/// Bytes of text that are kept in all.
const LARGEST_SUM: usize = 4 << 20;
/// Characters of a line that are kept.
const LONGEST_LINE: usize = 200;

/// Lines by file and number, as they stand in their files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptLines {
    #[serde(deserialize_with = "files")]
    files: BTreeMap<String, BTreeMap<u32, String>>,
    #[serde(skip)]
    bytes: usize,
}

/// As many lines as are read of all files together; those after them are as if they had not been kept.
const MOST_LINES: usize = 300_000;

/// The files of a bundle.
fn files<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, BTreeMap<u32, String>>, D::Error> {
    struct Files;

    impl<'de> Visitor<'de> for Files {
        type Value = BTreeMap<String, BTreeMap<u32, String>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("lines by file and number")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let (mut files, mut left) = (BTreeMap::new(), MOST_LINES);
            while let Some(file) = entries.next_key::<String>()? {
                left = left.saturating_sub(1);
                let lines = entries.next_value_seed(Lines(&mut left))?;
                if left > 0 {
                    files.insert(file, lines);
                }
            }
            Ok(files)
        }
    }

    from.deserialize_map(Files)
}

/// The lines of one file, as many as are left.
struct Lines<'a>(&'a mut usize);

impl<'de> DeserializeSeed<'de> for Lines<'_> {
    type Value = BTreeMap<u32, String>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Lines<'_> {
    type Value = BTreeMap<u32, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lines by number")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut lines = BTreeMap::new();
        while let Some((number, text)) = entries.next_entry::<u32, String>()? {
            if let Some(left) = self.0.checked_sub(1) {
                *self.0 = left;
                lines.insert(number, text);
            }
        }
        Ok(lines)
    }
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
