//! The rows of the page's tables.

use std::collections::HashMap;

use super::listing::Listing;
use super::view::{ListedSite, View};
use crate::label::{command_line, cut, printable};
use crate::outcome::{Evidence, Other, Outcome};
use crate::process::Process;
use crate::profile::{Rank, State};
use crate::report::account::{Account, Concern, Listed};
use crate::report::holders::HeldBy;
use crate::report::words;
use crate::units::{self, Bytes, Seconds, Share};

/// Variables that are named of a call site.
const KEEPERS: usize = 3;
/// Others in the control group that are listed, the largest.
const LISTED_OTHERS: usize = 20;
/// Characters of a command line.
const COMMAND: usize = 200;

/// One view, in words.
pub(super) struct ViewPart {
    pub(super) heading: String,
    /// What it is called among the others.
    pub(super) label: String,
    /// What its pictures are called; empty where there are none.
    pub(super) stem: &'static str,
    pub(super) has_resident: bool,
    pub(super) by_resident: bool,
    /// `since 12.3 s`; empty where growth is not known.
    pub(super) growth_since: String,
    /// What that means.
    pub(super) growth: String,
    pub(super) sites: Vec<SiteRow>,
    pub(super) listings: Vec<Listing>,
    pub(super) precision: String,
}

/// Numbers stand beside the words, to sort by.
pub(super) struct SiteRow {
    pub(super) own: u64,
    pub(super) own_shown: String,
    pub(super) error: String,
    pub(super) share: String,
    /// Width of its bar, of 100.
    pub(super) percent: u64,
    pub(super) resident: u64,
    pub(super) resident_shown: String,
    pub(super) growth: i64,
    pub(super) growth_shown: String,
    pub(super) growth_error: String,
    pub(super) total: u64,
    pub(super) total_shown: String,
    pub(super) blocks: u64,
    pub(super) blocks_shown: String,
    pub(super) average: u64,
    pub(super) average_shown: String,
    pub(super) place: String,
    /// For whom it holds this, in short; empty if it is a line of the user's own.
    pub(super) caller: String,
    /// The variables that keep what it allocated, as far as that is known.
    pub(super) kept_by: String,
    /// Each of them, if they are several.
    pub(super) callers: Vec<CallerRow>,
    pub(super) code: String,
}

pub(super) struct CallerRow {
    pub(super) held: String,
    pub(super) place: String,
    pub(super) code: String,
}

pub(super) struct ProcessRow {
    pub(super) pid: u32,
    pub(super) rank: String,
    pub(super) command: String,
    pub(super) python: String,
    pub(super) peak: String,
    pub(super) inherited: String,
    pub(super) failures: String,
    pub(super) state: String,
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

pub(super) fn view(view: &View, account: &Account) -> ViewPart {
    let held_by = account.foremost().and_then(|shown| shown.held_by.as_ref());
    let held_by = held_by.filter(|held| held.pid == view.pid && view.together == 0);
    let (held, exactly) = (Bytes(view.ranked().bytes), words::held(&view.weight, view.rank));
    ViewPart {
        heading: match account.processes.len() {
            0 | 1 => format!("{}: {exactly}", view.when),
            _ => format!("{}: {}, {exactly}", view.when, view.who()),
        },
        label: match account.processes.len() {
            0 | 1 => format!("{}, {held}", view.when),
            _ => format!("{}: {}, {held}", view.when, view.who()),
        },
        stem: view.stem.unwrap_or_default(),
        has_resident: view.graph.has_resident(),
        by_resident: view.rank == Rank::Resident && view.graph.has_resident(),
        growth_since: since(view).map(|since| format!("since {since}")).unwrap_or_default(),
        growth: since(view).map(|since| growth(view, &since)).unwrap_or_default(),
        sites: view
            .sites
            .iter()
            .map(|held| SiteRow {
                kept_by: held_by.map(|variables| kept_by(held, variables)).unwrap_or_default(),
                ..site(held, view.rank, view.ranked().bytes)
            })
            .collect(),
        listings: view.listings.clone(),
        precision: view.precision(),
    }
}

/// `kept by fleet in main() at sensors.py:74`.
fn kept_by(site: &ListedSite, variables: &HeldBy) -> String {
    let places = std::iter::once(&site.place).chain(site.callers.iter().map(|caller| &caller.place));
    let mut keepers: Vec<String> = Vec::new();
    for keeper in places.flat_map(|place| variables.keepers(place)) {
        if keepers.len() < KEEPERS && !keepers.contains(&keeper) {
            keepers.push(keeper);
        }
    }
    match keepers.is_empty() {
        true => String::new(),
        false => format!("kept by {}", keepers.join("; ")),
    }
}

fn since(view: &View) -> Option<String> {
    let (first, last) = view.growth_since?;
    let [first, last] = [first, last].map(|seconds| Seconds(seconds).to_string());
    Some(match first == last {
        true => first,
        false => format!("{first} to {last}"),
    })
}

fn growth(view: &View, since: &str) -> String {
    match view.together {
        0 => format!("Growth is what a line holds more than when the process had run for {since}."),
        _ => format!(
            "Growth is what a line holds more than earlier, in the processes of which that is known: each is compared with when it had itself run for a while, {since}."
        ),
    }
}

/// `all` is what everything holds, by rank.
fn site(site: &ListedSite, rank: Rank, all: u64) -> SiteRow {
    let share = Share::of(site.ranked(rank), all);
    let blocks = site.held.requested.whole_blocks();
    let average = site.held.requested.bytes.checked_div(blocks).unwrap_or(0);
    let growth = site.growth.unwrap_or_default();
    let shown = |bytes: u64| match bytes {
        0 => String::new(),
        bytes => Bytes(bytes).to_string(),
    };
    SiteRow {
        own: site.held.requested.bytes,
        own_shown: shown(site.held.requested.bytes),
        error: error(site.held.requested.error()),
        share: match site.held.requested.bytes {
            0 => String::new(),
            _ => share.to_string(),
        },
        percent: (share.fraction() * 100.0).round() as u64,
        resident: site.held.resident.unwrap_or(0),
        resident_shown: match site.held.resident {
            Some(bytes) if site.held.requested.bytes > 0 => Bytes(bytes).to_string(),
            _ => String::new(),
        },
        growth: growth.bytes,
        growth_shown: match (growth.bytes, site.held.requested.bytes) {
            (0, 0) => String::new(),
            (bytes, _) => signed(bytes),
        },
        growth_error: error(growth.error()),
        total: site.total.bytes,
        total_shown: shown(site.total.bytes),
        blocks,
        blocks_shown: match blocks {
            0 => String::new(),
            blocks => grouped(blocks),
        },
        average,
        average_shown: shown(average),
        place: site.place.clone(),
        caller: for_lines(site),
        kept_by: String::new(),
        callers: match site.callers.len() {
            0 | 1 => Vec::new(),
            _ => site
                .callers
                .iter()
                .map(|caller| CallerRow {
                    held: Bytes(caller.held.by(rank).bytes).to_string(),
                    place: caller.place.clone(),
                    code: caller.code.clone(),
                })
                .collect(),
        },
        code: site.code.clone(),
    }
}

/// `for load.py:7 (load)`, or `for 5 lines of yours`.
fn for_lines(site: &ListedSite) -> String {
    let word = if site.is_import { "from" } else { "for" };
    match &site.callers[..] {
        [] => String::new(),
        [caller] => format!("{word} {}", caller.place),
        callers => format!("{word} {} lines of yours", callers.len()),
    }
}

fn error(bytes: u64) -> String {
    match bytes {
        0 => String::new(),
        bytes => format!("± {}", Bytes(bytes)),
    }
}

fn signed(bytes: i64) -> String {
    let size = Bytes(bytes.unsigned_abs());
    match bytes {
        0 => "0".to_owned(),
        1.. => format!("+{size}"),
        _ => format!("−{size}"),
    }
}

pub(super) fn process(listed: &Listed, outcome: Option<&Outcome>) -> ProcessRow {
    let facts = &listed.facts;
    // What the recording itself cannot say.
    let judged = outcome.filter(|outcome| outcome.process.as_ref().is_some_and(|process| process.pid == facts.pid));
    let signal = judged
        .and_then(|outcome| outcome.signal)
        .filter(|_| facts.state == State::Running);
    ProcessRow {
        pid: facts.pid,
        rank: facts.rank.map(|rank| rank.to_string()).unwrap_or_default(),
        command: command(&command_line(&facts.command)),
        python: facts
            .python
            .map(|(major, minor)| format!("{major}.{minor}"))
            .unwrap_or_default(),
        peak: Bytes(facts.peak_bytes).to_string(),
        inherited: match facts.inherited_bytes {
            0 => String::new(),
            bytes => Bytes(bytes).to_string(),
        },
        failures: match facts.failures {
            0 => String::new(),
            failures => failures.to_string(),
        },
        state: match signal {
            Some(signal) => format!("ended by {}", words::signal_name(signal)),
            None => listed.state.to_owned(),
        },
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
        resident: Bytes(units::sum(folded.iter().map(|other| other.resident_bytes))).to_string(),
        command: format!("and {} more", folded.len()),
    });
    rows.chain(rest).collect()
}

/// One line for each concern; one for many processes that have the same.
pub(super) fn concerns(account: &Account) -> Vec<String> {
    let mut told: Vec<(String, &Concern, usize)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for concern in &account.concerns {
        let sentence = concern.sentence();
        match places.get(&sentence) {
            Some(place) => told[*place].2 += 1,
            None => {
                places.insert(sentence.clone(), told.len());
                told.push((sentence, concern, 1));
            }
        }
    }
    let lines = told
        .into_iter()
        .map(|(sentence, concern, times)| match (concern.process, times) {
            (None, _) => sentence,
            (Some(_), 1) if account.processes.len() == 1 => sentence,
            (Some(process), 1) => format!("Process {}: {sentence}", process.facts.pid),
            (Some(_), times) => format!("{times} processes: {sentence}"),
        });
    lines.collect()
}

/// `1 234 567`, with spaces that do not break.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join("\u{202f}")
}

fn command(command: &str) -> String {
    cut(&printable(command), COMMAND).into_owned()
}
