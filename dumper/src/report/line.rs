//! What is said in the job's log, as data, and the one place that makes text of it.

use std::path::PathBuf;

use super::site::NamedChargedLine;
use crate::units::{self, Bytes};

/// Columns of a terminal that the log's prefix leaves.
pub(super) const COLUMNS: usize = 80 - "=fil-profile= ".len();
/// Columns before a call site's place.
const BEFORE_PLACE: usize = 20;
/// What the second and later text lines of a sentence begin with.
const INDENT: &str = "  ";

/// One thing that the log says. A sentence is without its line breaks.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// What became of the job, or that a limit is near.
    Verdict(String),
    /// The limit that was hit, or was the nearest.
    Limit(String),
    /// Something that the verdict rests on.
    Evidence(String),
    /// An allocation that failed, and what became of the program then.
    Failure(String),
    /// How much memory was in use.
    Held(String),
    /// A line that held some of it; the first of several is the culprit.
    Charged(Box<NamedChargedLine>),
    /// A variable that kept some of it alive.
    HeldBy(String),
    /// Who has what the limit counts.
    Ledger(String),
    /// The most that was held in each phase that the job has named.
    Phases(String),
    /// Other processes: in the control group, or not seen.
    Others(String),
    /// Something that makes the report less than it should be.
    Concern(String),
    /// A row of a table, whose columns stay as they are.
    Row(String),
    /// A flame graph that was written, and where.
    Wrote(PathBuf),
}

impl Line {
    /// The lines of text for a log of 80 columns, without the log's prefix.
    pub fn text(&self) -> Vec<String> {
        match self {
            Line::Verdict(sentence)
            | Line::Failure(sentence)
            | Line::Held(sentence)
            | Line::HeldBy(sentence)
            | Line::Ledger(sentence)
            | Line::Phases(sentence)
            | Line::Others(sentence)
            | Line::Concern(sentence) => wrapped(sentence),
            Line::Limit(limit) => wrapped(&format!("Limit: {limit}")),
            Line::Evidence(evidence) => wrapped(&format!("- {evidence}")),
            Line::Charged(charged) => charged_text(charged),
            Line::Row(row) => vec![row.clone()],
            Line::Wrote(path) => vec![format!("Wrote memory usage flamegraph to {}", path.display())],
        }
    }
}

/// The text of several.
pub fn text(lines: &[Line]) -> Vec<String> {
    lines.iter().flat_map(Line::text).collect()
}

/// `81.8 %    1.2 GiB  load.py:7 (load)`, and on a line of its own in what it is, where there is no room for that. Of a place that is
/// too long for a line, the end is shown.
fn charged_text(charged: &NamedChargedLine) -> Vec<String> {
    let before = format!("{:>7} {:>10}  ", charged.share, Bytes(charged.ranked));
    let whole = charged.place();
    let below = |text: String| format!("{:BEFORE_PLACE$}{text}", "");
    let mut lines = match whole.chars().count() <= COLUMNS - BEFORE_PLACE {
        true => vec![before + &whole],
        false => {
            let place = end_of(&charged.line.place, COLUMNS - BEFORE_PLACE);
            let part = charged.part().map(|part| {
                let (word, part) = part.split_once(' ').unwrap_or(("", &part));
                let part = end_of(part, COLUMNS - BEFORE_PLACE - word.len() - 1);
                below(format!("{word} {part}"))
            });
            [before + &place].into_iter().chain(part).collect()
        }
    };
    lines.extend(charged.beside().map(below));
    lines
}

fn end_of(text: &str, columns: usize) -> String {
    let length = text.chars().count();
    match length <= columns {
        true => text.to_owned(),
        false => format!("…{}", text.chars().skip(length + 1 - columns).collect::<String>()),
    }
}

/// The text in lines that fit the log of a terminal, as far as its words do; all but the first are indented. A number
/// stays with its unit.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let is_fresh = line.is_empty() || line == INDENT;
        let unit = words
            .peek()
            .filter(|next| units::UNITS.contains(next) && is_number(word));
        let width = word.chars().count() + unit.map_or(0, |unit| 1 + unit.len());
        if !is_fresh && line.chars().count() + 1 + width > COLUMNS {
            lines.push(std::mem::replace(&mut line, INDENT.to_owned()));
        }
        if !line.is_empty() && line != INDENT {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

fn is_number(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Tally, Weight};
    use crate::report::site::NamedLine;
    use crate::units::Share;

    #[test]
    fn lines_fit_a_terminal_unless_a_word_does_not() {
        let path = format!("/sys/fs/cgroup/{}", "slurm/".repeat(20));
        let text = format!("{} in {path} and on", "one two three ".repeat(12));
        let lines = wrapped(&text);
        assert!(lines.len() > 3);
        for line in &lines {
            assert!(line.chars().count() <= COLUMNS || line.trim() == path, "{line}");
        }
        assert!(lines[1].starts_with("  one") || lines[1].starts_with("  two") || lines[1].starts_with("  three"));
        assert_eq!(
            lines.join(" ").split_whitespace().collect::<Vec<_>>(),
            text.split_whitespace().collect::<Vec<_>>()
        );
        assert_eq!(wrapped(""), [""]);
    }

    #[test]
    fn a_number_stays_with_its_unit() {
        let text = format!("{} 569.2 MiB", "x".repeat(COLUMNS - 6));
        assert_eq!(wrapped(&text)[1], "  569.2 MiB");
    }

    #[test]
    fn a_site_takes_a_second_line_rather_than_more_columns_than_there_are() {
        let line = |place: &str| NamedLine {
            place: place.to_owned(),
            ..NamedLine::default()
        };
        let lines = |place, part: Option<&str>, more| {
            let charged = NamedChargedLine {
                line: line(place),
                is_own: true,
                is_import: false,
                part: part.map(|part| (line(part), more)),
                held: Weight {
                    requested: Tally::of_bytes(1 << 30),
                    resident: None,
                },
                ranked: 1 << 30,
                share: Share::of(1, 1),
                stands_out: true,
            };
            Line::Charged(Box::new(charged)).text()
        };
        assert_eq!(
            lines("load.py:7 (load)", None, 0),
            ["100.0 %    1.0 GiB  load.py:7 (load)"]
        );
        assert_eq!(
            lines("load.py:7 (load)", Some("numpy/numeric.py:235 (ones)"), 2),
            [
                "100.0 %    1.0 GiB  load.py:7 (load)",
                "                    in numpy/numeric.py:235 (ones) and 2 more"
            ]
        );
        let deep = format!("{}load.py:7 (load)", "folder/".repeat(20));
        for line in lines(&deep, Some(&deep), 0) {
            assert_eq!(line.chars().count(), COLUMNS, "{line}");
            assert!(line.ends_with("/load.py:7 (load)"), "{line}");
        }
    }

    #[test]
    fn of_what_imports_hold_it_is_told_how_much_is_in_memory() {
        let mib = 1 << 20;
        let mut charged = NamedChargedLine {
            line: NamedLine {
                place: "[importing modules]".to_owned(),
                ..NamedLine::default()
            },
            is_own: false,
            is_import: true,
            part: None,
            held: Weight {
                requested: Tally::of_bytes(78 * mib),
                resident: Some(14 * mib),
            },
            ranked: 78 * mib,
            share: Share::of(1, 2),
            stands_out: true,
        };
        assert_eq!(charged.beside().unwrap(), "of which 14.0 MiB are in memory");
        charged.ranked = 14 * mib;
        assert_eq!(charged.beside().unwrap(), "asked for 78.0 MiB");
        (charged.ranked, charged.held.resident) = (78 * mib, None);
        assert_eq!(charged.beside(), None);
    }
}
