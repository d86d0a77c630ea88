//! The rows of the page's tables.

use crate::label::{cut, printable};
use crate::outcome::{Evidence, Other};
use crate::process::Process;
use crate::recording::State;
use crate::report::account::{Account, Concern, Listed, Shown};
use crate::source::Sources;
use crate::units::{Bytes, Share};

/// Call sites that are listed.
const LISTED_SITES: usize = 20;
/// Call sites below one part in this many of the total are not listed.
const SMALL: u64 = 1000;
/// Others in the control group that are listed, the largest.
const LISTED_OTHERS: usize = 20;
/// Characters of a command line.
const COMMAND: usize = 200;

pub(super) struct SiteRow {
    pub(super) share: String,
    pub(super) bytes: String,
    pub(super) error: String,
    pub(super) blocks: String,
    pub(super) place: String,
    pub(super) caller: String,
    pub(super) code: String,
}

pub(super) struct ProcessRow {
    pub(super) pid: u32,
    pub(super) command: String,
    pub(super) python: String,
    pub(super) peak: String,
    pub(super) failures: String,
    pub(super) state: &'static str,
}

pub(super) struct EventRow {
    pub(super) time: String,
    pub(super) pid: u32,
    pub(super) what: String,
}

pub(super) struct EvidenceRow {
    pub(super) says: String,
    pub(super) source: String,
    pub(super) before: String,
    pub(super) after: String,
}

pub(super) struct OtherRow {
    pub(super) pid: String,
    pub(super) resident: String,
    pub(super) command: String,
}

pub(super) fn sites(shown: &Shown, sources: &mut Sources) -> Vec<SiteRow> {
    let total = shown.ranked();
    let sites = shown.sites.iter().take(LISTED_SITES);
    let rows = sites
        .take_while(|site| site.by(shown.rank) >= total / SMALL)
        .map(|site| SiteRow {
            share: Share::of(site.by(shown.rank), total).to_string(),
            bytes: Bytes(site.by(shown.rank)).to_string(),
            error: match site.held.error() {
                0 => String::new(),
                error => format!("± {}", Bytes(error)),
            },
            blocks: site.held.whole_blocks().to_string(),
            place: site.place.clone(),
            caller: site.caller.clone().unwrap_or_default(),
            code: sources.line(&site.file, site.line).unwrap_or_default(),
        });
    rows.collect()
}

pub(super) fn process(listed: &Listed) -> ProcessRow {
    let facts = &listed.facts;
    ProcessRow {
        pid: facts.pid,
        command: command(&facts.command.join(" ")),
        python: facts
            .python
            .map(|(major, minor)| format!("{major}.{minor}"))
            .unwrap_or_default(),
        peak: Bytes(facts.peak_bytes).to_string(),
        failures: match facts.failures {
            0 => String::new(),
            failures => failures.to_string(),
        },
        state: listed.state,
    }
}

/// The processes that have no row of their own, in one line.
pub(super) fn folded(processes: &[&Process]) -> Option<String> {
    let highest = processes.iter().map(|process| process.facts.peak_bytes).max()?;
    let ended = processes.iter().filter(|process| process.facts.state == State::Ended);
    Some(format!(
        "And {} more, of which {} ended by themselves; none had more than {} at its peak.",
        processes.len(),
        ended.count(),
        Bytes(highest)
    ))
}

pub(super) fn events<'a>(listed: &'a Listed) -> impl Iterator<Item = EventRow> + use<'a> {
    let facts = &listed.facts;
    facts.events.iter().zip(&listed.events).map(|(event, what)| EventRow {
        time: format!("{:.3} s", event.time_ns.saturating_sub(facts.started_ns) as f64 / 1e9),
        pid: facts.pid,
        what: what.clone(),
    })
}

pub(super) fn evidence(evidence: &Evidence) -> EvidenceRow {
    let count = |count: Option<u64>| count.map(|count| count.to_string()).unwrap_or_default();
    EvidenceRow {
        says: printable(&evidence.says).into_owned(),
        source: printable(&evidence.source).into_owned(),
        before: count(evidence.before),
        after: count(evidence.after),
    }
}

/// The largest first.
pub(super) fn others(others: &[Other]) -> Vec<OtherRow> {
    let mut largest: Vec<&Other> = others.iter().collect();
    largest.sort_by_key(|other| std::cmp::Reverse(other.resident_bytes));
    let (listed, folded) = largest.split_at(largest.len().min(LISTED_OTHERS));
    let rows = listed.iter().map(|other| OtherRow {
        pid: other.pid.to_string(),
        resident: Bytes(other.resident_bytes).to_string(),
        command: command(&other.command),
    });
    let rest = (!folded.is_empty()).then(|| OtherRow {
        pid: String::new(),
        resident: Bytes(
            folded
                .iter()
                .map(|other| other.resident_bytes)
                .fold(0, u64::saturating_add),
        )
        .to_string(),
        command: format!("and {} more", folded.len()),
    });
    rows.chain(rest).collect()
}

/// One line for each concern; one for many processes that have the same.
pub(super) fn concerns(account: &Account) -> Vec<String> {
    let mut told: Vec<(String, &Concern, usize)> = Vec::new();
    for concern in &account.concerns {
        let sentence = concern.sentence();
        match told.iter_mut().find(|(known, ..)| *known == sentence) {
            Some((_, _, times)) => *times += 1,
            None => told.push((sentence, concern, 1)),
        }
    }
    let lines = told
        .into_iter()
        .map(|(sentence, concern, times)| match (concern.process, times) {
            (None, _) => sentence,
            (Some(process), 1) => format!("Process {}: {sentence}", process.facts.pid),
            (Some(_), times) => format!("{times} processes: {sentence}"),
        });
    lines.collect()
}

fn command(command: &str) -> String {
    cut(&printable(command), COMMAND).into_owned()
}
