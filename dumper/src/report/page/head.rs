//! The top of the page: what died and why, which line held the memory, and the figures to know.

use super::rows::{self, EvidenceRow, OtherRow};
use super::view::View;
use crate::label::printable;
use crate::outcome::{Kind, Outcome};
use crate::profile::{Moment, Rank};
use crate::report::account::{Account, Shown};
use crate::report::site::NamedChargedLine;
use crate::report::summary::LEAST_SHARE;
use crate::report::{Occasion, verdict, words};
use crate::source::Sources;
use crate::units::{Bytes, Seconds};

/// Lines that are listed, the culprit among them, as many as in the log.
const CHARGED_LINES: usize = 5;

/// The verdict and what it rests on.
pub(super) struct Verdict {
    pub(super) sentence: String,
    /// How it looks: something died, something was wrong, or all was well.
    pub(super) class: &'static str,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) evidence: Vec<EvidenceRow>,
    pub(super) others: Vec<OtherRow>,
}

/// The line that held the most, as a sentence with its place at the beginning.
pub(super) struct CulpritLine {
    pub(super) place: String,
    /// Where in libraries that was, or which line imports the most; empty if it held most itself.
    pub(super) inside: String,
    /// Whether it holds enough to be named alone.
    pub(super) stands_out: bool,
    /// The line that a reader can change.
    pub(super) code: String,
    pub(super) held: String,
    /// Width of the bar, of 1000.
    pub(super) part: u64,
    /// Those that follow it.
    pub(super) next: Vec<ChargedRow>,
}

/// A line that held much.
pub(super) struct ChargedRow {
    pub(super) held: String,
    pub(super) share: String,
    /// Width of its bar, of 100.
    pub(super) percent: u64,
    pub(super) place: String,
    pub(super) inside: String,
    pub(super) code: String,
}

/// What was held, beside the limit.
pub(super) struct LimitBar {
    /// Width of what was held, of 1000.
    pub(super) part: u64,
    pub(super) words: String,
}

/// A number to know, with what it is.
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) note: String,
}

pub(super) fn title(account: &Account) -> String {
    match (&account.out_of_memory, &account.peak) {
        (Some(shown), _) => format!("{} ran out of memory", shown.process.name()),
        (None, Some(shown)) => format!("Memory of {}", shown.process.name()),
        (None, None) => "No memory was recorded".to_owned(),
    }
}

pub(super) fn verdict(outcome: &Outcome) -> Verdict {
    let facts = [
        ("process", outcome.process.as_ref().map(verdict::process)),
        ("signal", outcome.signal.map(words::signal_name)),
        ("sent by", outcome.sender.as_ref().map(verdict::process)),
        ("status", outcome.status.map(|status| status.to_string())),
        ("limit", outcome.limit.as_ref().map(verdict::limited)),
        ("last failed request", outcome.failed_request.clone()),
        ("how sure", Some(verdict::certainty(outcome.certainty).to_owned())),
    ];
    let facts = facts
        .into_iter()
        .filter_map(|(name, fact)| Some((name, printable(&fact?).into_owned())));
    let shown = outcome.evidence.iter().filter(|evidence| !evidence.is_beside);
    Verdict {
        sentence: outcome.sentence.clone(),
        class: match outcome.kind {
            Kind::Finished | Kind::Running => "well",
            _ => "bad",
        },
        facts: facts.collect(),
        evidence: shown.map(rows::evidence).collect(),
        others: rows::others(&outcome.others),
    }
}

/// `load.py:7 (load)` `held 1.3 GiB of 1.5 GiB, 82.1 %`.
pub(super) fn culprit(shown: &Shown, sources: &mut Sources) -> Option<CulpritLine> {
    let culprit = shown.culprit()?;
    let inside = |charged: &NamedChargedLine| charged.part().unwrap_or_default();
    let rows = shown.charged.iter().take(CHARGED_LINES).skip(1);
    let rows = rows.filter(|charged| charged.share.fraction() >= LEAST_SHARE);
    let rows = rows.map(|charged| ChargedRow {
        held: Bytes(charged.ranked).to_string(),
        share: charged.share.to_string(),
        percent: (charged.share.fraction() * 100.0).round() as u64,
        code: sources.line(&charged.line.file, charged.line.line).unwrap_or_default(),
        place: charged.line.place.clone(),
        inside: charged
            .part()
            .into_iter()
            .chain(charged.beside())
            .collect::<Vec<_>>()
            .join(", "),
    });
    let next = rows.collect();
    Some(CulpritLine {
        place: culprit.line.place.clone(),
        inside: inside(culprit),
        stands_out: culprit.stands_out,
        next,
        code: sources.line(&culprit.line.file, culprit.line.line).unwrap_or_default(),
        held: format!(
            "{} of {}, {}",
            Bytes(culprit.ranked),
            Bytes(shown.ranked()),
            culprit.share
        ),
        part: (culprit.share.fraction() * 1000.0).round() as u64,
    })
}

/// What was held, what was allowed, what was asked for, and the peak. `first` is the first of the page's views.
pub(super) fn figures(account: &Account, first: Option<&View>) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut figure = |name, value: String, note: String| figures.push(Figure { name, value, note });
    let together = first.filter(|view| view.together > 0);
    let shown = account.foremost();
    if let Some(shown) = shown {
        let requested = shown.weight.requested;
        let note = match (together, requested.error()) {
            (Some(_), _) => shown.process.who(),
            (None, 0) => String::new(),
            (None, error) => format!("± {}", Bytes(error)),
        };
        let held = Bytes(shown.ranked()).to_string();
        let note = match Bytes(requested.bytes).to_string() {
            asked if shown.rank == Rank::Resident && asked != held => {
                format!("in memory, of {asked} asked for {note}").trim_end().to_owned()
            }
            _ => note,
        };
        figure(name_of(shown.moment), held, note);
    }
    if let Some(all) = together {
        figure("all processes", Bytes(all.ranked().bytes).to_string(), all.who());
    }
    let judged = account.judged();
    let limit = judged.and_then(|outcome| outcome.limit.as_ref());
    if let Some(limit) = limit.or(account.run.limits.first()) {
        let note = verdict::name(limit);
        let note = note
            .trim_start_matches([',', ' '])
            .trim_start_matches("for ")
            .to_owned();
        figure("limit", limit.amount(limit.bytes), note);
    }
    if let Some(failure) = shown.and_then(|shown| shown.facts().failure.as_ref())
        && failure.request_bytes > 0
    {
        let function = failure.function.map(|function| function.name()).unwrap_or_default();
        figure(
            "last request that failed",
            Bytes(failure.request_bytes).to_string(),
            function.to_owned(),
        );
    }
    if let (Some(_), Some(peak)) = (&account.out_of_memory, &account.peak) {
        let note = match account.processes.len() {
            0 | 1 => String::new(),
            _ => peak.process.who(),
        };
        figure("highest total", Bytes(peak.ranked()).to_string(), note);
    }
    if let Some(ending) = &account.run.ending {
        figure("ran for", Seconds(ending.seconds).to_string(), String::new());
    }
    figures
}

/// `1.4 GiB held, of 1.5 GiB of address space (ulimit -v)`; none where no limit on memory is known.
pub(super) fn limit(account: &Account) -> Option<LimitBar> {
    let judged = account.judged().and_then(|outcome| outcome.limit.as_ref());
    let limit = judged.or(account.run.limits.first())?;
    let held = account.foremost()?.ranked();
    let is_of_memory = !limit.kind.is_number() && limit.bytes > 0;
    is_of_memory.then(|| LimitBar {
        part: (held.min(limit.bytes) as f64 / limit.bytes as f64 * 1000.0).round() as u64,
        words: format!(
            "{} held; the limit is {}{}",
            Bytes(held),
            limit.amount(limit.bytes),
            verdict::name(limit)
        ),
    })
}

fn name_of(moment: Moment) -> &'static str {
    match moment {
        Moment::OutOfMemory => "held when it ran out",
        Moment::Live => "held at the end",
        Moment::Peak => "held at the peak",
    }
}

/// `2026-01-31 14:05:09 +01:00` of a time as run.json has it; anything else as it is.
pub(super) fn date_and_time(time: &str) -> String {
    let parts = (|| {
        let (date, rest) = time.split_once('T')?;
        let zone = rest.find(['+', '-', 'Z'])?;
        Some((date, rest.get(..8)?, &rest[zone..]))
    })();
    match parts {
        Some((date, clock, zone)) if time.parse::<jiff::Timestamp>().is_ok() => format!("{date} {clock} {zone}"),
        _ => printable(time).into_owned(),
    }
}

/// The version of the Python that the report is about.
pub(super) fn python(account: &Account) -> Option<String> {
    let (major, minor) = account.foremost()?.facts().python?;
    Some(format!("{major}.{minor}"))
}

pub(super) fn story(account: &Account) -> Vec<String> {
    let mut story = Vec::new();
    if let Some(shown) = &account.out_of_memory {
        let held = shown.held();
        match (shown.moment, &shown.failed) {
            (Moment::OutOfMemory, Some(failed)) => {
                story.push(format!(
                    "{failed}, with {held} in use; the request is not counted in that."
                ));
                story.extend(words::of_several(shown.facts()));
                story.push(words::aftermath(account.run));
            }
            (_, failed) => {
                let when = words::moment(shown.moment, account.run);
                let whose = match account.processes.len() {
                    0 | 1 => String::new(),
                    _ => format!(" in {}", shown.process.who()),
                };
                story.push(format!("{when}, {held} were in use{whose}."));
                story.extend(failed.as_ref().map(|failed| format!("Before that, {failed}.")));
            }
        }
    } else if let Some(shown) = &account.peak {
        let so_far = if account.occasion == Occasion::Ended {
            ""
        } else {
            " so far"
        };
        story.push(format!(
            "No allocation failed. The most memory in use{so_far} was {}.",
            shown.held()
        ));
        story.push(words::ending(account.run));
    } else {
        story.push(
            "None of the job's processes left a recording. A statically linked program cannot be watched.".into(),
        );
        story.push(words::ending(account.run));
    }
    story
}

#[cfg(test)]
mod tests {
    use super::date_and_time;

    #[test]
    fn a_time_is_shown_to_the_second_and_other_text_as_it_is() {
        assert_eq!(
            date_and_time("2026-01-31T14:05:09.123+01:00"),
            "2026-01-31 14:05:09 +01:00"
        );
        assert_eq!(date_and_time("2026-01-31T14:05:09Z"), "2026-01-31 14:05:09 Z");
        assert_eq!(date_and_time("Tuesday"), "Tuesday");
        assert_eq!(date_and_time(""), "");
    }
}
