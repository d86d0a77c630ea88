//! The victims' sources, and the lines in them that a report has to name.

use std::fmt;
use std::path::PathBuf;

/// A line of a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name, without its folder.
    pub file: String,
    /// From 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The path of a victim's source.
pub fn victim(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("victims").join(name);
    assert!(path.exists(), "there is no victim {}", path.display());
    path
}

/// The one line of a victim that ends in the comment `# marker`.
pub fn place(name: &str, marker: &str) -> Place {
    let source = std::fs::read_to_string(victim(name)).expect("victims are UTF-8");
    let ending = format!("# {marker}");
    let mut lines = source.lines().zip(1..).filter(|(text, _)| text.ends_with(&ending));
    let (_, line) = lines.next().unwrap_or_else(|| panic!("no `{ending}` in {name}"));
    assert!(lines.next().is_none(), "more than one `{ending}` in {name}");
    Place {
        file: name.to_owned(),
        line,
    }
}
