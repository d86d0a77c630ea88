//! Lines of text, for a terminal, a log or a program that reads lines.

use std::io::{self, Write};

use crate::label::printable;

/// Takes lines, none of which can end early, command a terminal or be seen in another order.
pub(crate) struct Lines<'a> {
    out: &'a mut dyn Write,
}

impl Lines<'_> {
    /// Lines that go to `out`.
    pub(crate) fn new(out: &mut dyn Write) -> Lines<'_> {
        Lines { out }
    }

    /// Writes one line.
    pub(crate) fn put(&mut self, line: &str) -> io::Result<()> {
        self.out.write_all(printable(line).as_bytes())?;
        self.out.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_a_line() {
        let mut text = Vec::new();
        Lines::new(&mut text)
            .put("a\n=fil-profile= all is well\u{2028}\u{1b}]0;x\u{7}")
            .unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "a\\n=fil-profile= all is well\\u{2028}\\u{1b}]0;x\\u{7}\n"
        );
    }
}
