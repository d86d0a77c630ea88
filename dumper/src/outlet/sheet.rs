//! Tables for spreadsheets: CSV whose text is never a formula.
#![expect(
    clippy::disallowed_methods,
    reason = "everything else writes tables through this file"
)]

use std::borrow::Cow;
use std::io::{self, Write};

use crate::label::printable;

/// What a spreadsheet takes for the beginning of a formula, in the widths that East Asian keyboards have, too.
const FORMULA: &[char] = &[
    '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', '\u{2212}',
];

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    /// What is not known.
    Nothing,
    /// A number, which stays one.
    Count(u64),
    /// A number that may be negative.
    Change(i64),
    /// Anything else.
    Text(&'a str),
}

/// Takes rows of cells.
pub(crate) struct Sheet<W: Write> {
    out: csv::Writer<W>,
}

impl<W: Write> Sheet<W> {
    /// A table that goes to `out`, with a first row of titles.
    pub(crate) fn new(out: W, titles: &[&str]) -> io::Result<Sheet<W>> {
        let mut sheet = Sheet::without_titles(out);
        sheet.out.write_record(titles)?;
        Ok(sheet)
    }

    /// Rows that go to `out`, below others that are there already.
    pub(crate) fn without_titles(out: W) -> Sheet<W> {
        Sheet {
            out: csv::Writer::from_writer(out),
        }
    }

    /// Writes one row.
    pub(crate) fn put(&mut self, row: &[Cell]) -> io::Result<()> {
        for cell in row {
            match cell {
                Cell::Nothing => self.out.write_field("")?,
                Cell::Count(number) => self.out.write_field(number.to_string())?,
                Cell::Change(number) => self.out.write_field(number.to_string())?,
                Cell::Text(text) => self.out.write_field(&*cell_text(text))?,
            }
        }
        Ok(self.out.write_record(None::<&[u8]>)?)
    }

    /// Writes what is left to write.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The text as a cell: with an apostrophe before it where a spreadsheet would compute it, also where it would find the formula only
/// behind blanks or quotation marks.
pub(crate) fn cell_text(text: &str) -> Cow<'_, str> {
    let shown = printable(text);
    let is_skipped = |character: char| character.is_whitespace() || matches!(character, '"' | '\'' | '`');
    // Before it was made visible: TAB and CR are blanks to a spreadsheet.
    let is_formula = |text: &str| text.trim_start_matches(is_skipped).starts_with(FORMULA);
    let begins_with_control = text.starts_with(char::is_control);
    match is_formula(&shown) || is_formula(text) || begins_with_control {
        true => Cow::Owned(format!("'{shown}")),
        false => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_would_be_computed_is_made_text_and_other_text_is_left_alone() {
        for formula in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            " =1",
            "\"=1",
            "'=1",
            "\t=1",
            "\r=1",
            "＝1",
            "＋1",
            "－1",
            "＠1",
            "\u{a0}=1",
            "\u{2212}1",
        ] {
            let shown = cell_text(formula);
            assert!(shown.starts_with('\''), "{formula:?} {shown}");
        }
        for text in ["load.py", "<module>", "a=b", "größe", "[damaged]", "'quoted'", "/a/-/b"] {
            assert_eq!(cell_text(text), text);
        }
        assert_eq!(cell_text("a\u{1b}[31m"), "a\\u{1b}[31m");
    }

    #[test]
    fn numbers_stay_numbers() {
        let mut text = Vec::new();
        let mut sheet = Sheet::new(&mut text, &["a", "b", "c", "d"]).unwrap();
        sheet
            .put(&[Cell::Count(7), Cell::Change(-3), Cell::Nothing, Cell::Text("=A1,\"x\"")])
            .unwrap();
        sheet.finish().unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "a,b,c,d\n7,-3,,\"'=A1,\"\"x\"\"\"\n");
    }
}
