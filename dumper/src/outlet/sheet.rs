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

/// What ends a cell in a table that another country's spreadsheet expects. Quotation marks around our cell do not prevent that: the
/// spreadsheet sees them in the middle of its own. A TAB is never in a cell.
const SEPARATORS: [char; 2] = [';', '|'];

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

/// The text as a cell: with an apostrophe before everything in it that a spreadsheet would compute, at its beginning and behind what
/// a spreadsheet may take for the end of a cell.
fn cell_text(text: &str) -> Cow<'_, str> {
    let shown = printable(text);
    // Before it was made visible: TAB and CR are blanks to a spreadsheet.
    let begins = is_formula(text) || text.starts_with(char::is_control);
    let mut parts = shown.split_inclusive(SEPARATORS);
    if !begins && !parts.any(is_formula) {
        return shown;
    }
    let mut cell = String::with_capacity(shown.len() + 8);
    for (number, part) in shown.split_inclusive(SEPARATORS).enumerate() {
        if is_formula(part) || begins && number == 0 {
            cell.push('\'');
        }
        cell.push_str(part);
    }
    Cow::Owned(cell)
}

/// The text of a cell, without the apostrophes that [`cell_text`] put there.
pub(crate) fn text_of_cell(cell: &str) -> String {
    let text = |part| match str::strip_prefix(part, '\'') {
        Some(text) if is_formula(text) => text,
        _ => part,
    };
    cell.split_inclusive(SEPARATORS).map(text).collect()
}

/// Whether a spreadsheet would compute it, also where it would find the formula only behind blanks or quotation marks.
fn is_formula(text: &str) -> bool {
    let is_skipped = |character: char| character.is_whitespace() || matches!(character, '"' | '\'' | '`');
    text.trim_start_matches(is_skipped).starts_with(FORMULA)
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
    fn a_text_has_no_formula_where_another_character_separates_cells() {
        for (text, cell) in [
            ("f;=1+41;x", "f;'=1+41;x"),
            ("a|@SUM(A1)", "a|'@SUM(A1)"),
            ("=1;=2; =3;\"-4", "'=1;'=2;' =3;'\"-4"),
            ("f;\t=1", "f;\\t=1"),
            ("a;b|c", "a;b|c"),
            ("';'=1", "';''=1"),
        ] {
            assert_eq!(cell_text(text), cell);
        }
        let mut table = Vec::new();
        let mut sheet = Sheet::new(&mut table, &["file", "function", "bytes"]).unwrap();
        let hostile = ["a;=cmd|' /C calc'!A0;b.py", "f;=1+41;\"x", "x\t=1,y;\u{ff1d}2|+3"];
        for text in hostile {
            sheet
                .put(&[Cell::Text(text), Cell::Text(text), Cell::Change(-3)])
                .unwrap();
        }
        sheet.finish().unwrap();
        for separator in b",;\t|" {
            let mut reader = csv::ReaderBuilder::new()
                .delimiter(*separator)
                .flexible(true)
                .from_reader(&table[..]);
            for row in reader.records() {
                for cell in row.unwrap().iter().filter(|cell| *cell != "-3") {
                    assert!(!cell.trim_start_matches([' ', '"']).starts_with(FORMULA), "{cell}");
                }
            }
        }
    }

    #[test]
    fn the_text_of_a_cell_is_what_was_given() {
        for text in [
            "f;=1+41;x",
            "'=1",
            "''=1",
            "=1;'=2|-3",
            "';'",
            "'quoted';'=1",
            "plain",
            "",
        ] {
            assert_eq!(text_of_cell(&cell_text(text)), text);
        }
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
