//! `fil-profile ls`: the runs in a folder, one line each. Only `run.json` is read of each run.

use std::path::Path;

use dumper::label::{cut, printable};
use dumper::outcome::Kind;
use dumper::units::Bytes;
use dumper::{Outcome, Run};
use nix::sys::signal::Signal;

use crate::error::Error;
use crate::folder::lock::{self, SupervisorState};
use crate::folder::{find, is_usable};
use crate::terminal::paint::{PaintedLine, Tone};
use crate::terminal::say::{is_shown, say, show};

/// The width if there is no terminal.
const COLUMNS: usize = 80;
/// The width of the number: of more than 99 runs, those with more digits are wider.
const NUMBER: usize = 2;
/// The widths of the time, `2026-01-31 14:05`, of the outcome, and of the peak.
const TIME: usize = 16;
const OUTCOME: usize = 11;
const MEMORY: usize = 10;
/// The blanks between columns.
const GAP: usize = 2;

/// The texts of one line.
#[derive(Debug, PartialEq)]
struct Row {
    /// What `report` and other commands take for this run.
    number: String,
    time: String,
    command: String,
    outcome: String,
    tone: Option<Tone>,
    /// What was held at the moment that matters most: when it ran out, else at the peak.
    memory: String,
    /// How much of that the culprit held; empty where that is not known.
    share: String,
    culprit: String,
}

/// Lists the newest `last` runs in a folder, or all if that is 0.
pub fn list(path: Option<&Path>, output: &Path, last: usize) -> Result<(), Error> {
    if path.is_none() {
        let cannot = |error| Error::Report(format!("cannot list {}: {error}", output.display()));
        is_usable(output).map_err(cannot)?;
    }
    let path = path.unwrap_or(output);
    let mut runs = find::runs(path);
    let most = if last == 0 { usize::MAX } else { last };
    let columns = columns();
    let mut is_empty = true;
    for (index, run) in runs.by_ref().take(most).enumerate() {
        if is_empty {
            show(&PaintedLine::toned(
                Tone::Strong,
                Row::titles().line(columns).painted(false),
            ));
            is_empty = false;
        }
        let row = match Run::load(&run.folder) {
            Ok(about) => Row::describe(&about, lock::supervisor(&run.folder) == SupervisorState::Lives),
            Err(_) => Row::unreadable(&run.path),
        };
        show(&row.numbered(index + 1).line(columns));
    }
    if is_empty {
        return Err(Error::Report(format!("no runs in {}", path.display())));
    }
    match runs.count() {
        0 => {}
        more => say(format!("and {more} older; all of them: fil-profile ls -n 0")),
    }
    Ok(())
}

fn columns() -> usize {
    let terminal = is_shown().then(terminal_size::terminal_size).flatten();
    terminal.map_or(COLUMNS, |(width, _)| COLUMNS.max(width.0.into()))
}

impl Row {
    fn titles() -> Self {
        let [number, time, command, outcome, memory, culprit] =
            ["NR", "TIME", "COMMAND", "OUTCOME", "MEMORY", "HELD MOST"].map(str::to_owned);
        Self {
            number,
            time,
            command,
            outcome,
            tone: None,
            memory,
            share: String::new(),
            culprit,
        }
    }

    fn describe(run: &Run, is_supervised: bool) -> Self {
        let (outcome, tone) = outcome(run, is_supervised);
        let headline = run.headline.as_ref();
        let named = headline.and_then(|headline| {
            // Of a library's line, an earlier version has noted the user's own.
            let culprit = headline.from.as_ref().or(headline.culprit.as_ref())?;
            Some((format!("{:>3.0} % ", headline.share * 100.0), place(culprit).to_owned()))
        });
        let (share, culprit) = named.unwrap_or_else(|| (String::new(), "-".to_owned()));
        Self {
            number: String::new(),
            time: run.started.get(..TIME).unwrap_or(&run.started).replace('T', " "),
            command: match run.command.is_empty() {
                true => "-".to_owned(),
                false => run.short_command(),
            },
            outcome,
            tone,
            memory: headline.map_or_else(|| "-".to_owned(), |headline| Bytes(headline.peak_bytes).to_string()),
            share,
            culprit,
        }
    }

    fn unreadable(run: &Path) -> Self {
        let nothing = || "-".to_owned();
        Self {
            number: String::new(),
            time: run.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            command: nothing(),
            outcome: "unreadable".to_owned(),
            tone: Some(Tone::Bad),
            memory: nothing(),
            share: String::new(),
            culprit: nothing(),
        }
    }

    fn numbered(self, number: usize) -> Self {
        Self {
            number: number.to_string(),
            ..self
        }
    }

    /// The line for this width. Texts are escaped before they are cut, because that makes them longer.
    fn line(&self, columns: usize) -> PaintedLine {
        let number = NUMBER.max(self.number.len());
        let room = columns.saturating_sub(number + TIME + OUTCOME + MEMORY + 5 * GAP);
        let command = room * 9 / 20;
        let culprit = room - command;
        let (time, command) = (padded(&self.time, TIME), padded(&self.command, command));
        let before = format!("{:>number$}  {time}  {command}  ", self.number);
        let after = format!("  {:>MEMORY$}  {}", self.memory, self.culprit(culprit));
        // Padded before it is coloured: colour codes have no width.
        PaintedLine::plain(before)
            .and(self.tone, padded(&self.outcome, OUTCOME))
            .and(None, after.trim_end())
    }

    /// Share and place, of which the beginning is left out if it is too long: its line number stands at its end.
    fn culprit(&self, columns: usize) -> String {
        let place = &*printable(&self.culprit);
        let room = columns.saturating_sub(self.share.chars().count());
        let place = match place.chars().count() {
            length if length <= room => place.to_owned(),
            _ if self.share.is_empty() => cut(place, room).into_owned(),
            length => {
                let skipped = (length + 1).saturating_sub(room);
                format!("…{}", place.chars().skip(skipped).collect::<String>())
            }
        };
        format!("{}{place}", self.share)
    }
}

fn padded(text: &str, columns: usize) -> String {
    format!("{:columns$}", cut(&printable(text), columns))
}

/// `features.py:42` of `features.py:42 (build)`: there is no room for the function.
fn place(culprit: &str) -> &str {
    let place = culprit.strip_suffix(')').and_then(|text| text.rsplit_once(" ("));
    place.map_or(culprit, |(place, _)| place)
}

fn outcome(run: &Run, is_supervised: bool) -> (String, Option<Tone>) {
    let signal = |signal: Option<i32>| {
        let name = signal.and_then(|signal| Signal::try_from(signal).ok());
        name.map_or_else(|| "killed".to_owned(), |name| name.to_string())
    };
    let judged = run.outcome.as_ref();
    let text = match judged.map_or(Kind::Running, |outcome| outcome.kind) {
        Kind::Running if is_supervised && judged.is_some_and(Outcome::is_killed_for_memory) => "OOM, runs".to_owned(),
        Kind::Running if is_supervised => return ("running".to_owned(), None),
        Kind::Running => return ("no report".to_owned(), None),
        Kind::Unknown => return ("unknown".to_owned(), None),
        Kind::Finished => return ("ok".to_owned(), Some(Tone::Good)),
        Kind::AllocationFailedRecovered => return ("recovered".to_owned(), None),
        Kind::ExitedNonZero => match run.ending.as_ref().and_then(|ending| ending.status) {
            Some(status) => format!("status {status}"),
            None => "failed".to_owned(),
        },
        Kind::AllocationFailedFatal => "OOM".to_owned(),
        Kind::ResourceRefused => "limit".to_owned(),
        Kind::OomKilledByCgroup => "OOM cgroup".to_owned(),
        Kind::OomKilledByMachine => "OOM machine".to_owned(),
        Kind::OomKilledBySupervisor => "OOM worker".to_owned(),
        Kind::EverythingKilled => "all killed".to_owned(),
        Kind::Terminated | Kind::Crashed => signal(judged.and_then(|outcome| outcome.signal)),
    };
    (text, Some(Tone::Bad))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dumper::run::Headline;

    fn run() -> Run {
        Run {
            started: "2026-01-31T14:05:09.123+01:00".into(),
            command: vec![
                "/usr/bin/python3".into(),
                "jobs/features.py".into(),
                "--rows=1000000".into(),
            ],
            outcome: Some(Outcome {
                kind: Kind::OomKilledByCgroup,
                ..Outcome::default()
            }),
            headline: Some(Headline {
                peak_bytes: 4 << 30,
                culprit: Some("a/very/long/path/features.py:42 (build)".into()),
                from: None,
                share: 0.784,
            }),
            ..Run::default()
        }
    }

    #[test]
    fn a_run_is_a_line_of_80_columns() {
        let line = Row::describe(&run(), false).numbered(7).line(80).painted(false);
        assert_eq!(
            line,
            " 7  2026-01-31 14:05  features.py …  OOM cgroup      4.0 GiB   78 % …tures.py:42"
        );
        assert_eq!(line.chars().count(), 80);
        let wide = Row::describe(&run(), false).numbered(123).line(140).painted(false);
        assert!(wide.contains("features.py --rows=1000000") && wide.ends_with(" 78 % a/very/long/path/features.py:42"));
        let titles = Row::titles().line(80).painted(false);
        assert_eq!(titles.find("OUTCOME"), line.find("OOM").map(|at| at - "…".len() + 1));
    }

    #[test]
    fn colours_take_no_columns() {
        let plain = Row::describe(&run(), false).line(80).painted(false);
        let painted = Row::describe(&run(), false).line(80).painted(true);
        assert_ne!(plain, painted);
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), plain);
    }

    #[test]
    fn no_run_can_forge_a_row_or_command_the_terminal() {
        let hostile = "\u{1b}]0;x\u{7}\n2026 forged\u{202e}";
        let mut run = run();
        run.started = hostile.to_owned();
        run.command = vec![hostile.to_owned()];
        run.headline.as_mut().unwrap().culprit = Some(hostile.to_owned());
        for columns in [80, 300] {
            let line = Row::describe(&run, false).line(columns).painted(false);
            assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
            assert!(line.chars().count() <= columns, "{line}");
        }
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        let row = Row::describe(&Run::default(), false);
        assert_eq!(
            (&*row.command, &*row.outcome, &*row.memory, &*row.culprit),
            ("-", "no report", "-", "-")
        );
        assert_eq!(Row::describe(&Run::default(), true).outcome, "running");
    }
}
