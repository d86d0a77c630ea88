//! How reports name a line of a function.

use std::borrow::Cow;
use std::fmt::Write;

use recording::is_hidden;

use crate::origin::{IMPORTING, Origin, library_part};

/// Characters of a path or of a function's name. A picture repeats them for each frame, and no path that a reader can use is longer.
const LONGEST_PART: usize = 500;

/// What stands for a file's name that is empty.
const NO_FILE: &str = "[no file]";

/// The words of a command as one would type them into a shell: with quotation marks where they are needed.
pub fn command_line(words: &[String]) -> String {
    // As Python's shlex.quote: `--rows=1000` needs none.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    let quoted = |word: &String| match !word.is_empty() && word.chars().all(is_plain) {
        true => word.clone(),
        // A zero byte, which no shell can pass on, is only in files that somebody has changed.
        false => shlex::try_quote(word).map_or_else(|_| word.clone(), Cow::into_owned),
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// One line of one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call<'a> {
    /// The file's path as Python gives it; empty for made-up functions such as `[No Python stack]`.
    pub file: &'a str,
    /// The function's name.
    pub function: &'a str,
    /// Line, from 1; 0 where there is none.
    pub line: u32,
}

impl Call<'_> {
    /// `file:line (function)` with the path as Python gives it.
    pub fn exact(&self) -> String {
        self.with_file(self.file_or_none(self.file))
    }

    /// `file:line (function)` with the path cut as far as a reader can spare it: relative to `directory`, or to the
    /// folder that Python imported it from.
    pub fn short(&self, directory: &str) -> String {
        self.with_file(self.file_or_none(short_path(self.file, directory)))
    }

    /// The path of the file as [`short`](Self::short) shows it; empty for made-up functions.
    pub fn short_file(&self, directory: &str) -> Cow<'_, str> {
        match printable(self.file_or_none(short_path(self.file, directory))) {
            Cow::Borrowed(file) => Cow::Borrowed(file),
            Cow::Owned(file) => Cow::Owned(file),
        }
    }

    /// Whether it belongs to Python or to an installed package rather than to the user's own program.
    pub fn is_library(&self) -> bool {
        matches!(
            Origin::of(self.file, self.function),
            Origin::Library | Origin::Importer | Origin::Launcher
        )
    }

    /// Whether it stands for all frames of an import.
    pub(crate) fn is_import(&self) -> bool {
        self.file.is_empty() && self.function == IMPORTING
    }

    /// Whether it is a line of the user's own code, or of text that may be generated.
    pub(crate) fn is_own(&self) -> bool {
        matches!(Origin::of(self.file, self.function), Origin::Own | Origin::Text)
    }

    /// A function that Python has no file's name for still has a line; a made-up one has none.
    fn file_or_none<'a>(&self, file: &'a str) -> &'a str {
        match file {
            "" if self.line > 0 => NO_FILE,
            file => file,
        }
    }

    fn with_file(&self, file: &str) -> String {
        let function = if self.function.is_empty() {
            "[unnamed]"
        } else {
            &*cut(self.function, LONGEST_PART)
        };
        let file = &*cut_start(file, LONGEST_PART);
        let mut label = String::with_capacity(file.len() + function.len() + 16);
        if file.is_empty() {
            label.push_str(&printable(function));
            return label;
        }
        label.push_str(&printable(file));
        // Writing to a string cannot fail.
        let _ = match self.line {
            0 => write!(label, " ({})", printable(function)),
            line => write!(label, ":{line} ({})", printable(function)),
        };
        label
    }
}

/// The text with every character written as in Rust (`\n`, `\u{202e}`) that has no glyph of its own, commands a terminal or
/// reorders the text around it. What is left is allowed in XML and takes one line. A text that this has returned is not changed
/// by it any more.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_hidden(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// The text, cut to at most `limit` characters with a `…` at its end.
pub fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    match text.char_indices().nth(limit) {
        None => Cow::Borrowed(text),
        Some(_) => {
            let end = text
                .char_indices()
                .nth(limit.saturating_sub(1))
                .map_or(text.len(), |(end, _)| end);
            Cow::Owned(format!("{}…", &text[..end]))
        }
    }
}

/// The text, cut to at most `limit` characters with a `…` at its beginning.
fn cut_start(text: &str, limit: usize) -> Cow<'_, str> {
    match text.char_indices().rev().nth(limit) {
        None => Cow::Borrowed(text),
        Some(_) => {
            let begin = text.char_indices().rev().nth(limit.saturating_sub(2));
            Cow::Owned(format!("…{}", begin.map_or("", |(begin, _)| &text[begin..])))
        }
    }
}

fn short_path<'a>(file: &'a str, directory: &str) -> &'a str {
    if let Some(part) = library_part(file) {
        return part;
    }
    let is_inside = !directory.is_empty() && file.len() > directory.len() + 1;
    let inside = file
        .strip_prefix(directory)
        .filter(|_| is_inside)
        .and_then(|rest| rest.strip_prefix('/'));
    inside.or(file.strip_prefix("./")).unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'a>(file: &'a str, function: &'a str, line: u32) -> Call<'a> {
        Call { file, function, line }
    }

    #[test]
    fn a_command_can_be_typed_as_it_is_shown() {
        let words = ["sh", "-c", "exit 9", "--rows=1,2", "it's", "", "a\nb"].map(str::to_owned);
        let shown = command_line(&words);
        assert!(shown.starts_with("sh -c 'exit 9' --rows=1,2 \"it's\" ''"), "{shown}");
        assert_eq!(shlex::split(&shown).unwrap(), words);
    }

    #[test]
    fn a_label_is_as_short_as_a_reader_can_spare() {
        let short = |file| call(file, "f", 3).short("/home/ada/work");
        assert_eq!(short("/home/ada/work/jobs/load.py"), "jobs/load.py:3 (f)");
        assert_eq!(short("/home/ada/worker/load.py"), "/home/ada/worker/load.py:3 (f)");
        assert_eq!(
            short("/venv/lib/python3.11/site-packages/numpy/_core/numeric.py"),
            "numpy/_core/numeric.py:3 (f)"
        );
        assert_eq!(short("/usr/lib/python3.11/json/decoder.py"), "json/decoder.py:3 (f)");
        assert_eq!(short("./load.py"), "load.py:3 (f)");
        assert_eq!(short("<string>"), "<string>:3 (f)");
        assert_eq!(call("/a.py", "f", 3).short(""), "/a.py:3 (f)");
    }

    #[test]
    fn made_up_functions_have_neither_file_nor_line() {
        assert_eq!(call("", "[No Python stack]", 0).exact(), "[No Python stack]");
        assert_eq!(call("", "", 0).exact(), "[unnamed]");
        assert_eq!(call("", "heavy", 8).exact(), "[no file]:8 (heavy)");
        assert_eq!(call("a.py", "f", 0).exact(), "a.py (f)");
    }

    #[test]
    fn characters_without_a_glyph_are_escaped_and_others_left_alone() {
        assert_eq!(printable("größe 数 🎉 שלום"), "größe 数 🎉 שלום");
        assert_eq!(
            printable("a\nb\u{1b}[31m\u{202e}\u{ffff}"),
            "a\\nb\\u{1b}[31m\\u{202e}\\u{ffff}"
        );
    }

    #[test]
    fn nothing_that_hides_commands_or_reorders_is_left_and_twice_is_as_once() {
        let hidden = "\0\t\r\u{7f}\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200d}\u{200e}\u{2028}\u{202a}\u{2066}\u{2069}\u{feff}\u{e0041}";
        for character in hidden.chars() {
            let text = format!("a{character}b");
            let shown = printable(&text);
            assert!(shown.is_ascii() && shown.contains('\\'), "{shown}");
            assert_eq!(printable(&shown), shown);
        }
    }

    #[test]
    fn libraries_are_told_from_the_users_own_code() {
        assert!(call("/venv/lib/python3.11/site-packages/numpy/x.py", "f", 1).is_library());
        assert!(call("/usr/lib/python3.11/json/decoder.py", "f", 1).is_library());
        assert!(call("<frozen importlib._bootstrap>", "f", 1).is_library());
        assert!(!call("/home/ada/load.py", "f", 1).is_library());
        assert!(!call("load.py", "f", 1).is_library());
        assert!(call("/usr/lib64/python3.9/json/decoder.py", "f", 1).is_library());
        assert!(!call("/home/ada/lib/python3-jobs/load.py", "f", 1).is_library());
    }

    #[test]
    fn what_is_cut_ends_in_an_ellipsis_and_keeps_to_the_limit() {
        assert_eq!(cut("größer", 6), "größer");
        assert_eq!(cut("größer", 4), "grö…");
        assert_eq!(cut_start("größer", 6), "größer");
        assert_eq!(cut_start("größer", 4), "…ßer");
        let long = "ö".repeat(4000);
        assert!(call(&long, &long, 1).exact().chars().count() < 2 * LONGEST_PART + 10);
    }
}
