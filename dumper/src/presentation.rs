//! `view.json`: how a job wants its recording shown, which the Python package writes beside it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::bounded::{self, NAMES};
use crate::folder::Folder;

use recording::protocol::files::VIEW as FILE;
/// The text of all cells of a notebook.
const MOST_BYTES: u64 = 32 << 20;

/// How a recording is to be shown; as it is, if there is no such file or it cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Presentation {
    /// A source file: what is called from it begins at the root.
    pub(crate) below: Option<String>,
    /// Sources that are in no file of their own, the cells of a notebook, by the path that Python has for them. Without `below`, a
    /// callstack with such a source in it begins there.
    #[serde(deserialize_with = "bounded::map::<_, _, _, NAMES>")]
    pub(crate) sources: BTreeMap<String, Source>,
}

/// A source that is in no file of its own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Source {
    /// What people call it.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

impl Presentation {
    /// Reads that of the recordings in a folder.
    pub(crate) fn load(folder: &Folder) -> Presentation {
        let text = folder.read(FILE, MOST_BYTES).unwrap_or_default();
        Presentation::parse(&text)
    }

    /// What the text of a `view.json` says; nothing where it is not understood.
    fn parse(text: &[u8]) -> Presentation {
        serde_json::from_slice(text).unwrap_or_default()
    }
}
