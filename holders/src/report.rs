//! What is told of a process, and as JSON. Names of variables, attributes and types, never a value and never the key of a dict.

use serde::Serialize;

/// Who holds the memory of a process.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// `now` or `core`.
    pub moment: String,
    /// The number of the process.
    pub pid: Option<u64>,
    /// Its command line.
    pub command: String,
    /// Bytes of its private memory that are resident, if that is known: what variables hold is part of it.
    pub private_bytes: Option<u64>,
    /// The version of Python.
    pub python: String,
    /// How many objects were looked at.
    pub visits: u64,
    /// How many times memory was read, and how many bytes of it.
    pub reads: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Bytes that some variable holds.
    pub covered_bytes: u64,
    /// The standard error of that.
    pub covered_error_bytes: u64,
    /// Bytes of `covered_bytes` in blocks behind pointers of types that are not known: they may be shared with others.
    pub supposed_bytes: u64,
    /// Whether something was left out since there was too much of it.
    pub is_cut: bool,
    /// The threads, the oldest first.
    pub threads: Vec<Thread>,
    /// The variables that hold most, the largest share first.
    pub variables: Vec<Variable>,
    /// The types, by the bytes of their objects that variables hold.
    pub types: Vec<TypeRow>,
}

/// A thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Thread {
    /// Its name, as in `frame.thread`.
    pub name: String,
    /// Its frames, the innermost first.
    pub frames: Vec<FrameRow>,
}

/// A frame of a thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FrameRow {
    /// The source file.
    pub file: String,
    /// The line that runs.
    pub line: u32,
    /// The function.
    pub function: String,
}

/// Where a variable belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// The source file.
    pub file: String,
    /// The line that runs; 0 for a global of a module.
    pub line: u32,
    /// The function; `<module>` for a global.
    pub function: String,
    /// The thread; empty for a global.
    pub thread: String,
}

/// What a variable is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VariableKind {
    /// Of a function that runs.
    Local,
    /// Of a module, or an attribute of a class.
    #[default]
    Global,
    /// Of the interpreter.
    Other,
}

/// What a variable holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Variable {
    /// Where it belongs.
    pub frame: Frame,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: VariableKind,
    /// The type of its object.
    #[serde(rename = "type")]
    pub type_name: String,
    /// How many items that has, if it is a container.
    pub length: Option<u64>,
    /// The type of most of them.
    pub item_type: Option<String>,
    /// Its share: what several hold is split between them.
    pub bytes: u64,
    /// The standard error of that.
    pub error_bytes: u64,
    /// What would be freed if this alone went away.
    pub exclusive_bytes: u64,
    /// How many objects it holds, by shares.
    pub objects: u64,
    /// The steps to where most of it is.
    pub path: Vec<String>,
    /// The type of what is there.
    pub path_type: String,
    /// Its parts, each after the one above it; the first is the variable.
    pub tree: Vec<Part>,
    /// Who allocated what it holds, by the numbers of those who have recorded that; the largest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<Site>,
}

/// All that is reached from a variable in the same steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its place in the list of the part above it; the first is its own.
    pub parent: usize,
    /// The step from there, as in `path`; empty if it has no name.
    pub step: String,
    /// The type of what was found there first.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its bytes with those of all parts below it.
    pub bytes: u64,
    /// How many objects it is, without those below it.
    pub objects: u64,
}

/// A place that allocated blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Site {
    /// Its number.
    pub site: u32,
    /// Bytes in its blocks.
    pub bytes: u64,
}

/// A type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TypeRow {
    /// Its name.
    pub name: String,
    /// Bytes of its objects, with the blocks that each has for itself.
    pub bytes: u64,
    /// How many.
    pub objects: u64,
}

impl Report {
    /// As JSON, ended by a newline.
    pub fn json(&self) -> String {
        // Numbers, texts and lists have no way to fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
