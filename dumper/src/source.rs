//! Lines of source files, for as far as they can be had without any risk.

mod encoding;
mod kept;
mod local;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::label::{Call, cut, printable};
use crate::presentation::Presentation;

pub(crate) use kept::KeptLines;
pub use local::LocalSource;

use local::Local;

/// Bytes of text that are kept in all: a report may be written where hardly any memory is left.
const LARGEST_SUM: usize = 4 << 20;
/// Files that are looked for: of more, a report does not show lines.
const MOST_FILES: usize = 20_000;
/// Characters of a line that are shown.
const LONGEST_LINE: usize = 100;
/// Lines before and after one of the user's own that a bundle keeps with it.
const AROUND: u32 = 4;
/// Columns of indentation that are shown.
const DEEPEST_INDENTATION: usize = 60;

/// The source files of one report; each is read once, unless they are many.
#[derive(Clone, Debug)]
pub struct Sources {
    directory: PathBuf,
    local: Local,
    /// Files that have been looked for.
    asked: usize,
    /// What is known from a bundle.
    known: Option<Arc<KeptLines>>,
    files: HashMap<String, Option<Text>>,
    kept: usize,
}

/// A file's text, and where each of its lines begins and ends.
#[derive(Clone, Debug)]
struct Text {
    text: String,
    lines: Vec<(u32, u32)>,
}

impl Sources {
    /// Where no text comes with the run, what may be read of this machine is. `command` was run in `directory`, against which
    /// relative paths are resolved.
    pub(crate) fn new(directory: &Path, local: &LocalSource, command: &[String]) -> Sources {
        Sources {
            directory: directory.to_owned(),
            local: Local::of(local, directory, command),
            asked: 0,
            known: None,
            files: HashMap::new(),
            kept: 0,
        }
    }

    /// Adds what comes with the run: lines that a bundle has kept, and the texts of a notebook's cells.
    pub(crate) fn add(&mut self, known: Option<Arc<KeptLines>>, presentation: Presentation) {
        self.known = known;
        for source in presentation.sources.into_values() {
            self.files.insert(source.name, Some(Text::new(source.text)));
        }
    }

    /// A line, counted from 1, without its indentation and fit to be shown; none if it is blank or cannot be had.
    pub(crate) fn line(&mut self, file: &str, line: u32) -> Option<String> {
        let shown = shown(self.raw(file, line)?.trim());
        (!shown.is_empty()).then_some(shown)
    }

    /// Adds a line as it stands, and those around it if the user wrote them, to what a bundle keeps.
    pub(crate) fn keep(&mut self, file: &str, line: u32, kept: &mut KeptLines) {
        let call = Call {
            file,
            function: "",
            line,
        };
        let around = if call.is_library() { 0 } else { AROUND };
        for line in line.saturating_sub(around).max(1)..=line.saturating_add(around) {
            if let Some(text) = self.raw(file, line) {
                kept.keep(file, line, text.trim_end());
            }
        }
    }

    /// A line, counted from 1, with its indentation and fit to be shown; none if it cannot be had.
    pub(crate) fn row(&mut self, file: &str, line: u32) -> Option<String> {
        let code = self.raw(file, line)?.trim_end();
        let begin = code.len() - code.trim_start().len();
        let (indentation, code) = code.split_at(begin);
        let columns: usize = indentation.chars().map(|c| if c == '\t' { 4 } else { 1 }).sum();
        Some(" ".repeat(columns.min(DEEPEST_INDENTATION)) + &shown(code))
    }

    fn raw(&mut self, file: &str, line: u32) -> Option<&str> {
        if file.is_empty() || file.starts_with('<') || line == 0 {
            return None;
        }
        if let Some(known) = self.known.as_ref().filter(|known| known.has(file)) {
            return known.get(file, line);
        }
        if !self.files.contains_key(file) {
            if self.asked >= MOST_FILES {
                return None;
            }
            self.asked += 1;
            let bytes = self.local.read(&self.directory, file);
            let text = bytes.map(|bytes| Text::new(encoding::decode(bytes)));
            let size = text.as_ref().map_or(0, Text::size);
            if self.kept + size > LARGEST_SUM {
                self.files.clear();
                self.kept = 0;
            }
            self.kept += size;
            self.files.insert(file.to_owned(), text);
        }
        let text = self.files.get(file)?.as_ref()?;
        let (begin, end) = *text.lines.get(line as usize - 1)?;
        text.text.get(begin as usize..end as usize)
    }
}

fn shown(code: &str) -> String {
    // Cut first: the rest of a megabyte on one line is not worth looking at.
    let spaced = cut(code, LONGEST_LINE).replace(['\t', '\u{c}'], " ");
    cut(&printable(&spaced), LONGEST_LINE).into_owned()
}

impl Text {
    fn new(text: String) -> Text {
        let lines = lines(&text);
        Text { text, lines }
    }

    fn size(&self) -> usize {
        self.text.len() + size_of_val(&self.lines[..])
    }
}

/// Where lines begin and end, as Python counts them: after `\n`, `\r\n` or `\r`.
fn lines(text: &str) -> Vec<(u32, u32)> {
    let bytes = text.as_bytes();
    let mut lines = Vec::new();
    if !text.contains('\r') {
        let mut begin = 0;
        for (end, _) in text.match_indices('\n') {
            lines.push((begin, end as u32));
            begin = end as u32 + 1;
        }
        lines.push((begin, bytes.len() as u32));
        return lines;
    }
    let mut begin = 0;
    let mut at = 0;
    while at < bytes.len() {
        let width = match bytes[at] {
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => 2,
            b'\r' | b'\n' => 1,
            _ => {
                at += 1;
                continue;
            }
        };
        lines.push((begin, at as u32));
        at += width;
        begin = at as u32;
    }
    lines.push((begin, bytes.len() as u32));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn sources(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Sources) {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let sources = Sources::new(folder.path(), &LocalSource::ThisMachine, &[]);
        (folder, sources)
    }

    #[test]
    fn lines_are_counted_as_python_counts_them() {
        let (_folder, mut sources) = sources(&[("a.py", b"one\r\n  two\rthree\n\n\tfive\x0c = 5")]);
        assert_eq!(sources.line("a.py", 1).as_deref(), Some("one"));
        assert_eq!(sources.line("a.py", 2).as_deref(), Some("two"));
        assert_eq!(sources.line("a.py", 3).as_deref(), Some("three"));
        assert_eq!(sources.line("a.py", 4), None);
        assert_eq!(sources.line("a.py", 5).as_deref(), Some("five  = 5"));
        assert_eq!(sources.line("a.py", 6), None);
        assert_eq!(sources.line("a.py", 0), None);
        assert_eq!(sources.line("a.py", u32::MAX), None);
    }

    #[test]
    fn a_row_keeps_its_indentation_and_may_be_blank() {
        let (_folder, mut sources) = sources(&[("a.py", b"def f():\n\tif x:\n\n\t    y = 1  \n")]);
        assert_eq!(sources.row("a.py", 2).as_deref(), Some("    if x:"));
        assert_eq!(sources.row("a.py", 3).as_deref(), Some(""));
        assert_eq!(sources.row("a.py", 4).as_deref(), Some("        y = 1"));
        assert_eq!(sources.row("a.py", 6), None);
    }

    #[test]
    fn a_very_long_line_is_cut() {
        let long = format!("data = [{}]", "1, ".repeat(1_000_000));
        let (_folder, mut sources) = sources(&[("data.py", long.as_bytes())]);
        let shown = sources.line("data.py", 1).unwrap();
        assert!(shown.starts_with("data = [1, 1,") && shown.ends_with('…'));
        assert_eq!(shown.chars().count(), LONGEST_LINE);
    }

    #[test]
    fn absolute_paths_stand_for_themselves() {
        let (folder, _) = sources(&[("a.py", b"x = 1")]);
        let mut sources = Sources::new(Path::new("/nowhere"), &LocalSource::ThisMachine, &[]);
        let path = folder.path().join("a.py");
        assert_eq!(sources.line(path.to_str().unwrap(), 1).as_deref(), Some("x = 1"));
        assert_eq!(sources.line("a.py", 1), None);
    }

    #[test]
    fn what_is_not_a_readable_regular_file_has_no_lines() {
        let (folder, mut sources) = sources(&[("lib.zip", b"PK\x03\x04"), ("empty.py", b"")]);
        let fifo = folder.path().join("fifo.py");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        fs::create_dir(folder.path().join("folder.py")).unwrap();
        std::os::unix::fs::symlink("loop.py", folder.path().join("loop.py")).unwrap();
        for name in [
            "fifo.py",
            "folder.py",
            "loop.py",
            "empty.py",
            "gone.py",
            "lib.zip/pkg/mod.py",
            "a\0b.py",
        ] {
            assert_eq!(sources.line(name, 1), None, "{name}");
        }
        for name in ["<string>", "<stdin>", "", "/dev/zero", "/proc/self/maps"] {
            assert_eq!(sources.line(name, 1), None, "{name}");
        }
    }

    #[test]
    fn a_file_is_read_once() {
        let (folder, mut sources) = sources(&[("a.py", b"first")]);
        assert_eq!(sources.line("a.py", 1).as_deref(), Some("first"));
        fs::write(folder.path().join("a.py"), "second").unwrap();
        assert_eq!(sources.line("a.py", 1).as_deref(), Some("first"));
    }
}
