//! JSON: for programs as given, for the page's script as a reader may see it.
#![expect(clippy::disallowed_methods, reason = "everything else writes JSON through this file")]

use std::io::{self, Write};

use recording::is_hidden;
use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

/// Writes a value. A JSON parser gets every string as it was given; in the text, characters that control a terminal or reorder a line
/// are escaped as JSON allows.
pub(crate) fn to_json(out: &mut dyn Write, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    Ok(serde_json::to_writer(ForPrograms(out), value)?)
}

/// The same, a value on each line.
///
/// # Errors
///
/// `out` takes no more.
pub fn to_json_pretty(out: &mut dyn Write, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    Ok(serde_json::to_writer_pretty(ForPrograms(out), value)?)
}

/// Writes a value into a script element of the page: every string is as a reader may see it, and none can end the element.
pub(crate) fn to_page(out: &mut dyn Write, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    Ok(value.serialize(&mut Serializer::with_formatter(out, ForPage))?)
}

/// Takes JSON in pieces of whole characters, as serde_json writes it, and escapes what is hidden; only strings have any of that.
struct ForPrograms<'a>(&'a mut dyn Write);

impl Write for ForPrograms<'_> {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(json).map_err(io::Error::other)?;
        let is_escaped = |character| is_hidden(character) && character != '\n';
        each(&mut self.0, text, is_escaped, |out, character| {
            let mut units = [0; 2];
            let units = character.encode_utf16(&mut units).iter();
            units.copied().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
        })?;
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

struct ForPage;

impl Formatter for ForPage {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        // `<` and its like mean the same in another way of writing; what no reader may see is written out for him.
        each(
            out,
            fragment,
            |c| is_hidden(c) || matches!(c, '<' | '>' | '&'),
            |out, character| match character {
                '<' | '>' | '&' => write!(out, "\\u{:04x}", character as u32),
                _ => write!(out, "\\{}", character.escape_default()),
            },
        )
    }

    fn write_char_escape<W: Write + ?Sized>(&mut self, out: &mut W, escape: CharEscape) -> io::Result<()> {
        let character = match escape {
            CharEscape::Quote => return out.write_all(b"\\\""),
            CharEscape::ReverseSolidus => return out.write_all(b"\\\\"),
            CharEscape::Solidus => return out.write_all(b"/"),
            CharEscape::Backspace => '\u{8}',
            CharEscape::FormFeed => '\u{c}',
            CharEscape::LineFeed => '\n',
            CharEscape::CarriageReturn => '\r',
            CharEscape::Tab => '\t',
            CharEscape::AsciiControl(byte) => byte.into(),
        };
        write!(out, "\\{}", character.escape_default())
    }
}

/// Writes a text, and instead of each character that is `special` what `write` makes of it.
fn each<W: Write + ?Sized>(
    out: &mut W,
    text: &str,
    special: impl Fn(char) -> bool,
    write: impl Fn(&mut W, char) -> io::Result<()>,
) -> io::Result<()> {
    let mut rest = text;
    while let Some((at, character)) = rest.char_indices().find(|(_, character)| special(*character)) {
        out.write_all(&rest.as_bytes()[..at])?;
        write(out, character)?;
        rest = &rest[at + character.len_utf8()..];
    }
    out.write_all(rest.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::printable;

    const ALL: &str = "a\"b\\c/\0\n\t\u{8}\u{c}\r\u{1b}\u{7f}\u{9b}\u{202e}\u{e0041}\u{1f600}ü</script><!--&";

    #[test]
    fn a_program_gets_what_was_given_and_a_terminal_no_command() {
        for is_pretty in [false, true] {
            let mut text = Vec::new();
            match is_pretty {
                false => to_json(&mut text, &[ALL, "x"]).unwrap(),
                true => to_json_pretty(&mut text, &[ALL, "x"]).unwrap(),
            }
            let text = String::from_utf8(text).unwrap();
            assert!(!text.contains(|c| is_hidden(c) && c != '\n'), "{text:?}");
            assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [ALL, "x"]);
        }
    }

    #[test]
    fn the_page_gets_what_a_reader_may_see_and_no_end_of_the_element() {
        let mut text = Vec::new();
        to_page(&mut text, &ALL).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(
            !text.contains(|c| is_hidden(c) || matches!(c, '<' | '>' | '&')),
            "{text:?}"
        );
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), printable(ALL));
    }
}
