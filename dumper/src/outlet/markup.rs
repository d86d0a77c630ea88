//! HTML and SVG: what every template does with what it is given.

use std::fmt;

use askama::filters::{Escaper, Html};

use crate::label::printable;

/// Makes a text one that a reader can see and that no browser takes for anything else. `askama.toml` names it for all templates.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Markup;

impl Escaper for Markup {
    fn write_escaped_str<W: fmt::Write>(&self, out: W, text: &str) -> fmt::Result {
        Html.write_escaped_str(out, &printable(text))
    }

    fn write_escaped_char<W: fmt::Write>(&self, out: W, character: char) -> fmt::Result {
        self.write_escaped_str(out, character.encode_utf8(&mut [0; 4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_neither_a_tag_nor_hidden() {
        let mut text = String::new();
        Markup.write_escaped_str(&mut text, "<b>\u{202e}\n\u{0}'\"&").unwrap();
        assert_eq!(text, "&#60;b&#62;\\u{202e}\\n\\u{0}&#39;&#34;&#38;");
    }
}
