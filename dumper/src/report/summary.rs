//! What the report says in the job's log.

use std::collections::HashMap;
use std::io::{self, Write};

use super::account::{Account, Concern, Shown, What};
use super::format::{About, Format, Input, Needs};
use super::holders::HeldBy;
use super::line::{Line, text};
use super::{Occasion, family, ledger, verdict, words};
use crate::damage::Damage;
use crate::label::printable;
use crate::outcome::{Kind, Outcome};
use crate::outlet::Lines;
use crate::process::Process;
use crate::profile::{Moment, Rank};
use crate::units::{self, Bytes};

/// Lines of code that are listed.
const LISTED: usize = 5;
/// What is less than this part of what the job held does not matter beside it.
const MUCH: u64 = 10;
/// Of all that was held: a line of code with less than that is left out of what is brief.
pub(super) const LEAST_SHARE: f64 = 0.01;
/// What is said before the lines if the first of them holds little.
const NOTHING_STANDS_OUT: &str = "; no line stands out, the largest are";
/// A request that is so many times as large as what was held, and so little that nobody looks for it.
const BESIDE: u64 = 100;
/// See [`BESIDE`].
const LITTLE: u64 = 16 << 20;
/// Phases that are listed of one process.
const PHASES: usize = 10;

/// The lines for the log, as a document.
pub(super) struct Text;

impl Format for Text {
    fn about(&self) -> About {
        About::new("text", ".txt", Needs::Run, "The lines of the log")
    }

    fn write(&self, input: &Input, out: &mut dyn Write) -> io::Result<()> {
        let mut out = Lines::new(out);
        text(&lines(input.account)).iter().try_for_each(|line| out.put(line))
    }
}

/// The lines, but for the files that are written.
pub(super) fn lines(account: &Account) -> Vec<Line> {
    let outcome = account.judged();
    let mut lines = outcome.map(verdict::lines).unwrap_or_default();
    match (&account.out_of_memory, &account.peak) {
        (Some(shown), _) => ran_out(account, shown, &mut lines),
        (None, Some(shown)) => lines.extend(peak(account, shown)),
        (None, None) => lines.push(Line::Held("No memory was recorded.".to_owned())),
    }
    let foremost = account.foremost().filter(|shown| !is_beside_the_request(shown));
    let held_by = foremost.and_then(|shown| shown.held_by.as_ref());
    let held_by = held_by.map(HeldBy::lines).unwrap_or_default();
    lines.extend(held_by.into_iter().map(Line::HeldBy));
    let ledger = foremost.map(ledger::sentences).unwrap_or_default();
    lines.extend(ledger.into_iter().map(Line::Ledger));
    lines.extend(phases(account).into_iter().map(Line::Phases));
    let company = company(account, |_, _| true).into_iter();
    let others = company.chain(family::copied(account)).chain(family::unseen(account));
    lines.extend(others.map(Line::Others));
    lines.extend(concerns(account).into_iter().map(Line::Concern));
    lines
}

/// What fits ten lines: what happened, who asked for the memory, and who holds it. Of a run that went well, how much it was and where. What
/// is wrong with the recording is always said. The files are left out.
pub(super) fn brief(account: &Account) -> Vec<Line> {
    let outcome = account.judged();
    let mut lines = outcome.map(verdict::brief).unwrap_or_default();
    match (&account.out_of_memory, &account.peak) {
        (Some(shown), _) => {
            if lines.is_empty() {
                let failed = shown.failed.as_ref().filter(|_| shown.moment == Moment::OutOfMemory);
                let failed = failed.map(|failed| of_process(account, shown.process, failed));
                lines.extend(failed.map(Line::Failure));
                lines.push(Line::Failure(words::aftermath(account.run)));
            }
            lines.push(held(account, shown));
            if !is_beside_the_request(shown) {
                let rows = shown.charged.iter().take(LISTED).enumerate();
                let rows = rows.filter(|(at, charged)| *at == 0 || charged.share.fraction() >= LEAST_SHARE);
                lines.extend(rows.map(|(_, charged)| Line::Row(Box::new(charged.clone()))));
                let held_by = shown.held_by.as_ref().map(HeldBy::lines).unwrap_or_default();
                lines.extend(held_by.into_iter().map(Line::HeldBy));
            }
        }
        // Memory has nothing to do with it.
        _ if lines.is_empty() && outcome.is_some_and(|outcome| outcome.kind == Kind::ExitedNonZero) => {}
        (None, Some(shown)) => lines.push(brief_peak(account, shown)),
        (None, None) => lines.push(Line::Held("No memory was recorded.".to_owned())),
    }
    lines.extend(phases(account).into_iter().map(Line::Phases));
    let company = company(account, |resident, held| resident >= held / MUCH);
    let others = company
        .into_iter()
        .chain(family::copied(account))
        .chain(family::unseen(account));
    lines.extend(others.map(Line::Others));
    lines.extend(concerns(account).into_iter().map(Line::Concern));
    lines
}

fn brief_peak(account: &Account, shown: &Shown) -> Line {
    // In one line there is no room for what was asked for.
    let is_less = shown.rank == Rank::Resident && shown.ranked() < shown.weight.requested.bytes;
    let held = match is_less {
        true => format!("{} in memory", Bytes(shown.ranked())),
        false => shown.held(),
    };
    let peak = format!("Peak memory{}: {held}", so_far(account));
    let said = |what: &str| of_process(account, shown.process, &format!("{peak}{what}"));
    match shown.culprit() {
        Some(culprit) if culprit.stands_out => {
            let place = culprit.line.place.clone();
            Line::HeldAt(said(&format!(", {}", culprit.share)), place)
        }
        Some(_) => Line::Held(said("; no line stands out")),
        None => Line::Held(said("")),
    }
}

fn so_far(account: &Account) -> &'static str {
    match account.occasion {
        Occasion::Ended => "",
        _ => " so far",
    }
}

/// Other processes in the control group, if what they have in memory matters beside what the job held.
fn company(account: &Account, matters: impl Fn(u64, u64) -> bool) -> Option<String> {
    let others = &account.judged()?.others;
    let resident = units::sum(others.iter().map(|other| other.resident_bytes));
    let held = account.foremost().map_or(0, |shown| shown.weight.requested.bytes);
    verdict::company(others).filter(|_| matters(resident, held))
}

fn ran_out(account: &Account, shown: &Shown, lines: &mut Vec<Line>) {
    let is_judged = !lines.is_empty();
    match (shown.moment, &shown.failed) {
        (Moment::OutOfMemory, Some(failed)) => {
            if !account.judged().is_some_and(names_request) {
                lines.push(Line::Failure(of_process(account, shown.process, failed)));
            }
            lines.extend(words::of_several(shown.facts()).map(Line::Failure));
        }
        (_, Some(failed)) => lines.push(Line::Failure(format!("Before that, {failed}"))),
        (_, None) => {}
    }
    if !is_judged {
        lines.push(Line::Failure(words::aftermath(account.run)));
    }
    lines.push(held(account, shown));
    lines.extend(listed(shown).filter(|_| !is_beside_the_request(shown)));
}

/// How much was in use, before the lines that held it.
fn held(account: &Account, shown: &Shown) -> Line {
    let whose = match (shown.moment, account.processes.len()) {
        (Moment::Live, 2..) => format!(" in {}", shown.process.who()),
        _ => String::new(),
    };
    let colon = match shown.culprit().filter(|_| !is_beside_the_request(shown)) {
        None => "",
        Some(culprit) if culprit.stands_out => ", most of it at",
        Some(_) => NOTHING_STANDS_OUT,
    };
    Line::Held(format!("In use at that moment: {}{whose}{colon}", shown.held()))
}

fn listed(shown: &Shown) -> impl Iterator<Item = Line> {
    let charged = shown.charged.iter().take(LISTED).cloned();
    charged.map(|charged| Line::Charged(Box::new(charged)))
}

/// Whether what was held is next to nothing beside the request that failed: then it explains nothing.
fn is_beside_the_request(shown: &Shown) -> bool {
    let request = shown
        .facts()
        .failure
        .as_ref()
        .filter(|_| shown.moment == Moment::OutOfMemory);
    let held = shown.weight.requested.bytes;
    request.is_some_and(|request| held < LITTLE && request.request_bytes / BESIDE >= held)
}

/// Whether the verdict says in its sentence which request failed.
fn names_request(outcome: &Outcome) -> bool {
    let request = outcome.failed_request.as_deref().filter(|request| !request.is_empty());
    request.is_some_and(|request| outcome.sentence.contains(request))
}

/// `Peak by phase: load 1.2 GiB, fit 3.4 GiB`, of each process that has named any.
fn phases(account: &Account) -> Vec<String> {
    let mut told = Vec::new();
    for process in account.processes {
        let phases = process.facts.phases();
        let phases = phases.map(|(name, bytes)| format!("{} {}", printable(name), Bytes(bytes)));
        let mut phases: Vec<String> = phases.collect();
        let more = phases.len().saturating_sub(PHASES);
        if more > 0 {
            phases.truncate(PHASES);
            phases.push(format!("and {more} more in report.json"));
        }
        if !phases.is_empty() {
            let sentence = format!("Peak by phase: {}", phases.join(", "));
            told.push(of_process(account, process, &sentence));
        }
    }
    told.truncate(LISTED);
    told
}

fn peak(account: &Account, shown: &Shown) -> Vec<Line> {
    let mut peak = format!("Peak memory{}: {}", so_far(account), shown.held());
    let mut lines = Vec::new();
    match shown.culprit() {
        None => {}
        Some(culprit) if culprit.stands_out => {
            peak = format!("{peak}, of which {} at {}", culprit.share, culprit.place());
            let imports = shown
                .charged
                .iter()
                .find(|charged| charged.is_import && charged.stands_out);
            if let Some(imports) = imports {
                if !culprit.is_import {
                    peak = format!("{peak}; {} {}", imports.line.place, Bytes(imports.ranked));
                }
                let beside = imports.beside().map(|beside| format!(", {beside}"));
                peak.push_str(&beside.unwrap_or_default());
            }
        }
        Some(_) => {
            peak.push_str(NOTHING_STANDS_OUT);
            lines.extend(listed(shown));
        }
    }
    lines.insert(0, Line::Held(of_process(account, shown.process, &peak)));
    lines
}

/// Each concern once, however many processes it is about.
fn concerns(account: &Account) -> Vec<String> {
    let mut told: Vec<(String, &Process, usize)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut damaged: Option<&Process> = None;
    for concern in &account.concerns {
        // What could not be read has been said where that was tried.
        let Some(process) = concern.process.filter(|_| is_worth_a_line(concern, account)) else {
            continue;
        };
        if matches!(concern.what, What::Damage(_)) {
            // Of what is wrong with one recording, the first says enough.
            if damaged.is_some_and(|damaged| std::ptr::eq(damaged, process)) {
                continue;
            }
            damaged = Some(process);
        }
        let sentence = concern.sentence();
        match places.get(&sentence) {
            Some(place) => told[*place].2 += 1,
            None => {
                places.insert(sentence.clone(), told.len());
                told.push((sentence, process, 1));
            }
        }
    }
    let lines = told.into_iter().map(|(sentence, process, processes)| match processes {
        1 => of_process(account, process, &sentence),
        _ => format!("{processes} processes: {sentence}"),
    });
    lines.collect()
}

fn is_worth_a_line(concern: &Concern, account: &Account) -> bool {
    match &concern.what {
        // One sample is nothing, and what changes while it is read does not add up.
        What::Damage(Damage::SampleInFlight) => false,
        What::Damage(Damage::SumsDiffer { .. }) => account.occasion == Occasion::Ended,
        What::Damage(_) | What::Trouble(_) => true,
    }
}

/// Says which process it was, where there are several.
fn of_process(account: &Account, process: &Process, sentence: &str) -> String {
    match account.processes.len() {
        0 | 1 => sentence.to_owned(),
        _ => format!("{}: {sentence}", process.who()),
    }
}
