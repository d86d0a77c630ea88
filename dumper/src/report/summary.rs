//! What the report says in the job's log.

use std::collections::HashMap;
use std::io::{self, Write};

use super::account::{Account, Concern, Shown, What};
use super::format::{About, Format, Input, Needs};
use super::line::{Line, text};
use super::{Occasion, family, ledger, verdict, words};
use crate::damage::Damage;
use crate::label::printable;
use crate::outcome::Outcome;
use crate::outlet::Lines;
use crate::process::Process;
use crate::profile::Moment;
use crate::units::Bytes;

/// Call sites that are listed.
const LISTED: usize = 5;
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
        (None, Some(shown)) => lines.push(Line::Held(peak(account, shown))),
        (None, None) => lines.push(Line::Held("No memory was recorded.".to_owned())),
    }
    let ledger = account.foremost().map(ledger::sentences).unwrap_or_default();
    lines.extend(ledger.into_iter().map(Line::Ledger));
    lines.extend(phases(account).into_iter().map(Line::Phases));
    let company = outcome.and_then(|outcome| verdict::company(&outcome.others));
    lines.extend(company.into_iter().chain(family::unseen(account)).map(Line::Others));
    lines.extend(concerns(account).into_iter().map(Line::Concern));
    lines
}

fn ran_out(account: &Account, shown: &Shown, lines: &mut Vec<Line>) {
    let is_judged = !lines.is_empty();
    match (shown.moment, &shown.failed) {
        (Moment::OutOfMemory, Some(failed)) => {
            if !account.judged().is_some_and(names_request) {
                lines.push(Line::Failure(of_process(account, shown.process, failed)));
            }
            if shown.facts().failures > 1 {
                let failures = shown.facts().failures;
                lines.push(Line::Failure(format!(
                    "It was the last of {failures} allocations that failed."
                )));
            }
        }
        (_, Some(failed)) => lines.push(Line::Failure(format!("Before that, {failed}"))),
        (_, None) => {}
    }
    if !is_judged {
        lines.push(Line::Failure(words::aftermath(account.run)));
    }
    let held = shown.held();
    let holder = match (shown.moment, account.processes.len()) {
        (Moment::Live, 2..) => format!(" in {}", shown.process.who()),
        _ => String::new(),
    };
    let colon = if shown.sites.is_empty() { "" } else { ", most of it at" };
    lines.push(Line::Held(format!("In use at that moment: {held}{holder}{colon}")));
    let sites = shown.sites.iter().take(LISTED).cloned();
    lines.extend(sites.map(|site| Line::Site(Box::new(site))));
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

fn peak(account: &Account, shown: &Shown) -> String {
    let so_far = match account.occasion {
        Occasion::Ended => "",
        _ => " so far",
    };
    let mut peak = format!("Peak memory{so_far}: {}", shown.held());
    if let Some(culprit) = shown.culprit() {
        peak = format!("{peak}, of which {} at {}", culprit.share, culprit.place());
    }
    of_process(account, shown.process, &peak)
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
