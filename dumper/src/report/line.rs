//! What is said in the job's log, as data, and the one place that makes text of it.

use std::path::PathBuf;

use super::site::NamedChargedLine;
use crate::units::{self, Bytes};

/// Columns that the prefix of a line takes.
const PREFIX: usize = "=fil-profile= ".len();
/// A place with fewer columns is of no use.
const LEAST_PLACE: usize = 12;
/// Columns of a bar, which is as long as the share of its row.
const BAR: usize = 8;
/// Parts of a column that a bar is drawn with.
const PARTS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
/// Rows of code that are left out only after variables.
const FIRST_ROWS: usize = 2;
/// Columns before a call site's place.
const BEFORE_PLACE: usize = 20;
/// What the second and later text lines of a sentence begin with.
const INDENT: &str = "  ";

/// How text is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Columns that the prefix of a line leaves.
    columns: usize,
    /// Whether rows have bars.
    has_bars: bool,
}

impl Layout {
    /// Of a log: 80 columns, plain.
    pub const LOG: Layout = Layout {
        columns: 80 - PREFIX,
        has_bars: false,
    };

    /// Of a terminal of so many columns; one of fewer than 80 breaks the lines itself.
    pub fn terminal(columns: usize) -> Layout {
        Layout {
            columns: columns.max(80) - PREFIX,
            has_bars: true,
        }
    }
}

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
    /// The same, and the place of the culprit, in one line of text.
    HeldAt(String, String),
    /// A line that held some of it; the first of several is the culprit.
    Charged(Box<NamedChargedLine>),
    /// The same in one row of text.
    Row(Box<NamedChargedLine>),
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
    /// A text whose columns stay as they are.
    Plain(String),
    /// A flame graph that was written, and where.
    Wrote(PathBuf),
    /// Where the page of the report is.
    Report(PathBuf),
}

impl Line {
    /// The lines of text, without the log's prefix.
    pub fn text(&self, layout: Layout) -> Vec<String> {
        let columns = layout.columns;
        let wrapped = |text: &str| wrapped(text, columns);
        match self {
            Line::Verdict(sentence)
            | Line::Failure(sentence)
            | Line::Held(sentence)
            | Line::HeldBy(sentence)
            | Line::Ledger(sentence)
            | Line::Phases(sentence)
            | Line::Others(sentence)
            | Line::Concern(sentence) => wrapped(sentence),
            Line::HeldAt(sentence, place) => {
                let before = format!("{sentence} at ");
                match columns.saturating_sub(before.chars().count()) {
                    0..LEAST_PLACE => wrapped(&(before + place)),
                    room => vec![before + &end_of(place, room)],
                }
            }
            Line::Limit(limit) => wrapped(&format!("Limit: {limit}")),
            Line::Evidence(evidence) => wrapped(&format!("- {evidence}")),
            Line::Charged(charged) => charged_text(charged, columns),
            Line::Row(charged) => vec![row(charged, layout)],
            Line::Plain(text) => vec![text.clone()],
            Line::Wrote(path) => vec![format!("Wrote memory usage flamegraph to {}", path.display())],
            Line::Report(path) => vec![format!("Report: {}", path.display())],
        }
    }
}

/// The text of several, for a log.
pub fn text(lines: &[Line]) -> Vec<String> {
    lines.iter().flat_map(|line| line.text(Layout::LOG)).collect()
}

/// Leaves out the last rows of code, then the last variables, until all that is said takes no more than so many lines of text. The first
/// row and the first variable stay.
pub fn fit(lines: &mut Vec<Line>, rows: usize, layout: Layout) {
    let is_row: fn(&Line) -> bool = |line| matches!(line, Line::Row(_));
    let is_variable: fn(&Line) -> bool = |line| matches!(line, Line::HeldBy(_));
    for (of_kind, least) in [(is_row, FIRST_ROWS), (is_variable, 1), (is_row, 1)] {
        while lines.iter().map(|line| line.text(layout).len()).sum::<usize>() > rows
            && lines.iter().filter(|line| of_kind(line)).count() > least
            && let Some(last) = lines.iter().rposition(of_kind)
        {
            lines.remove(last);
        }
    }
}

/// `81.8 %    1.2 GiB  load.py:7 (load)`, and behind it, where there is room, in what it is. Of a place that is too long, the end is shown.
fn row(charged: &NamedChargedLine, layout: Layout) -> String {
    let bar = match layout.has_bars {
        true => format!(" {}", bar(charged.share.fraction())),
        false => String::new(),
    };
    let before = format!("{:>7}{bar} {:>10}  ", charged.share, Bytes(charged.ranked));
    let place = end_of(
        &charged.line.place,
        layout.columns.saturating_sub(before.chars().count()),
    );
    // What imports hold it says more than from where they are.
    let part = if charged.is_import { None } else { charged.part() };
    let more = [part, charged.beside()].into_iter().flatten();
    more.fold(before + &place, |row, more| {
        let longer = format!("{row}, {more}");
        if longer.chars().count() <= layout.columns {
            longer
        } else {
            row
        }
    })
}

fn bar(fraction: f64) -> String {
    let parts = (fraction.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    let mut bar = "█".repeat(parts / 8);
    bar.extend((parts % 8).checked_sub(1).and_then(|part| PARTS.get(part)));
    format!("{bar:BAR$}")
}

/// too long for a line, the end is shown.
fn charged_text(charged: &NamedChargedLine, columns: usize) -> Vec<String> {
    let room = columns.saturating_sub(BEFORE_PLACE);
    let before = format!("{:>7} {:>10}  ", charged.share, Bytes(charged.ranked));
    let whole = charged.place();
    let below = |text: String| format!("{:BEFORE_PLACE$}{text}", "");
    let mut lines = match whole.chars().count() <= room {
        true => vec![before + &whole],
        false => {
            let place = end_of(&charged.line.place, room);
            let part = charged.part().map(|part| {
                let (word, part) = part.split_once(' ').unwrap_or(("", &part));
                let part = end_of(part, room.saturating_sub(word.len() + 1));
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
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let is_fresh = line.is_empty() || line == INDENT;
        let unit = words
            .peek()
            .filter(|next| units::UNITS.contains(next) && is_number(word));
        let width = word.chars().count() + unit.map_or(0, |unit| 1 + unit.len());
        if !is_fresh && line.chars().count() + 1 + width > columns {
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

    const COLUMNS: usize = Layout::LOG.columns;

    #[test]
    fn lines_fit_a_terminal_unless_a_word_does_not() {
        let path = format!("/sys/fs/cgroup/{}", "slurm/".repeat(20));
        let text = format!("{} in {path} and on", "one two three ".repeat(12));
        let lines = wrapped(&text, COLUMNS);
        assert!(lines.len() > 3);
        for line in &lines {
            assert!(line.chars().count() <= COLUMNS || line.trim() == path, "{line}");
        }
        assert!(lines[1].starts_with("  one") || lines[1].starts_with("  two") || lines[1].starts_with("  three"));
        assert_eq!(
            lines.join(" ").split_whitespace().collect::<Vec<_>>(),
            text.split_whitespace().collect::<Vec<_>>()
        );
        assert_eq!(wrapped("", COLUMNS), [""]);
    }

    #[test]
    fn a_number_stays_with_its_unit() {
        let text = format!("{} 569.2 MiB", "x".repeat(COLUMNS - 6));
        assert_eq!(wrapped(&text, COLUMNS)[1], "  569.2 MiB");
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
            Line::Charged(Box::new(charged)).text(Layout::LOG)
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
    fn the_place_of_a_culprit_keeps_its_end_or_has_a_line_of_its_own() {
        let at = |sentence: &str| Line::HeldAt(sentence.to_owned(), "some/folder/of/mine/job.py:4 (f)".to_owned());
        let text = |length| at(&"x".repeat(length)).text(Layout::LOG).join("|");
        assert!(
            text(30).ends_with("x at some/folder/of/mine/job.py:4 (f)"),
            "{}",
            text(30)
        );
        assert!(text(48).ends_with("x at …/job.py:4 (f)"), "{}", text(48));
        assert!(
            text(60).ends_with("x at|  some/folder/of/mine/job.py:4 (f)"),
            "{}",
            text(60)
        );
    }

    #[test]
    fn what_is_too_long_for_a_log_loses_rows_and_variables_but_for_the_first() {
        let charged = NamedChargedLine {
            line: NamedLine {
                place: "load.py:7 (load)".to_owned(),
                ..NamedLine::default()
            },
            is_own: true,
            is_import: false,
            part: None,
            held: Weight::default(),
            ranked: 1 << 20,
            share: Share::of(1, 2),
            stands_out: true,
        };
        let row = Line::Row(Box::new(charged));
        assert_eq!(row.text(Layout::LOG), [" 50.0 %    1.0 MiB  load.py:7 (load)"]);
        assert_eq!(
            row.text(Layout::terminal(0)),
            [" 50.0 % ████        1.0 MiB  load.py:7 (load)"]
        );
        let fitted = |rows| {
            let variables = ["a", "b", "c"].map(|name| Line::HeldBy(name.to_owned()));
            let mut lines: Vec<Line> = vec![row.clone(); 4].into_iter().chain(variables).collect();
            fit(&mut lines, rows, Layout::LOG);
            let count = |is: fn(&Line) -> bool| lines.iter().filter(|line| is(line)).count();
            (
                count(|line| matches!(line, Line::Row(_))),
                count(|line| matches!(line, Line::HeldBy(_))),
            )
        };
        assert_eq!(
            [10, 6, 5, 4, 3, 2, 1].map(fitted),
            [(4, 3), (3, 3), (2, 3), (2, 2), (2, 1), (1, 1), (1, 1)]
        );
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
