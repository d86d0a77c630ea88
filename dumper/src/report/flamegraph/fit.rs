//! Cutting text to the width of a frame, as `templates/frames.js` does it once a browser runs it.

/// The text if it fits into `room` columns, else its beginning and `..`; nothing where there is no room for a letter.
pub(super) fn start(text: &str, room: usize) -> String {
    match kept(text.chars(), room) {
        None => text.to_owned(),
        Some(_) if room < 3 => String::new(),
        Some(kept) => format!("{}..", text.chars().take(kept).collect::<String>()),
    }
}

/// As [`start`], but what is kept is the end of the text.
pub(super) fn end(text: &str, room: usize) -> String {
    match kept(text.chars().rev(), room) {
        None => text.to_owned(),
        Some(_) if room < 3 => String::new(),
        Some(kept) => format!(
            "..{}",
            text.chars().skip(text.chars().count() - kept).collect::<String>()
        ),
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
        assert_eq!(start("abcdef", 6), "abcdef");
        assert_eq!(start("abcdef", 5), "abc..");
        assert_eq!(end("abcdef", 5), "..def");
        assert_eq!(start("abcdef", 2), "");
        assert_eq!(start("ab", 2), "ab");
        assert_eq!(start("数数数", 6), "数数数");
        assert_eq!(start("数数数", 5), "数..");
        assert_eq!(end("", 0), "");
    }
}
