//! Cutting text to the width of a frame, as `templates/frames.js` does it once a browser runs it.

use std::borrow::Cow;

/// A piece of fewer columns than this says nothing.
const LEAST: usize = 8;

/// The text if it fits into `room` columns, else its beginning and `..`; nothing where that would say nothing.
pub(super) fn start(text: &str, room: usize) -> Cow<'_, str> {
    match kept(text.chars(), room) {
        None => Cow::Borrowed(text),
        Some(_) if room < LEAST => Cow::Borrowed(""),
        Some(kept) => Cow::Owned(format!("{}..", text.chars().take(kept).collect::<String>())),
    }
}

/// As [`start`], but what is kept is the end of the text.
pub(super) fn end(text: &str, room: usize) -> Cow<'_, str> {
    match kept(text.chars().rev(), room) {
        None => Cow::Borrowed(text),
        Some(_) if room < LEAST => Cow::Borrowed(""),
        Some(kept) => Cow::Owned(format!(
            "..{}",
            text.chars().skip(text.chars().count() - kept).collect::<String>()
        )),
    }
}

/// How many characters fit beside the two dots, or `None` if all fit without.
fn kept(characters: impl Iterator<Item = char>, room: usize) -> Option<usize> {
    let mut width = 0;
    let mut kept = 0;
    for character in characters {
        width += columns(character);
        if width + 2 <= room {
            kept += 1;
        }
        if width > room {
            return Some(kept);
        }
    }
    None
}

/// East Asian characters and pictures are twice as wide as letters.
fn columns(character: char) -> usize {
    if character as u32 >= 0x1100 { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_only_where_it_does_not_fit() {
        assert_eq!(start("abcdefghijkl", 12), "abcdefghijkl");
        assert_eq!(start("abcdefghijkl", 11), "abcdefghi..");
        assert_eq!(end("abcdefghijkl", 11), "..defghijkl");
        assert_eq!(start("abcdefghijkl", 7), "");
        assert_eq!(start("ab", 2), "ab");
        assert_eq!(start("数数数数数", 10), "数数数数数");
        assert_eq!(start("数数数数数", 9), "数数数..");
        assert_eq!(end("", 0), "");
    }
}
