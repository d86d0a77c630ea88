//! `view.json`: how a job wants its recording shown, which the Python package writes beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

const FILE: &str = "view.json";

/// How a recording is to be shown; as it is, if there is no such file or it cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct View {
    /// A source file: what is called from it begins at the root.
    pub(crate) below: Option<String>,
    /// Sources that are in no file of their own, the cells of a notebook, by the path that Python has for them. Without `below`, a
    /// callstack with such a source in it begins there.
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

impl View {
    /// That of the recordings in a folder.
    pub(crate) fn of(folder: &Path) -> View {
        let read = || serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok();
        read().unwrap_or_default()
    }
}
