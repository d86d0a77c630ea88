//! The report as a few lines for the job's log.

use std::collections::HashMap;

use super::account::{Account, CallSite, Concern, Shown, What};
use super::verdict::COLUMNS;
use super::{Occasion, family, ledger, verdict, words};
use crate::call_tree::Moment;
use crate::damage::Damage;
use crate::label::printable;
use crate::outcome::Outcome;
use crate::process::Process;
use crate::rank::Rank;
use crate::units::{Bytes, Share};

/// Call sites that are listed.
const LISTED: usize = 5;
/// Phases that are listed of one process.
const PHASES: usize = 10;

/// The lines, without a prefix.
pub(super) fn lines(account: &Account) -> Vec<String> {
    let outcome = account.judged();
    let mut lines = outcome.map(verdict::lines).unwrap_or_default();
    match (&account.out_of_memory, &account.peak) {
        (Some(shown), _) => ran_out(account, shown, &mut lines),
        (None, Some(shown)) => lines.extend(sentence(&went_well(account, shown))),
        (None, None) => lines.push("No memory was recorded.".to_owned()),
    }
    let ledger = account.foremost().map(ledger::sentences).unwrap_or_default();
    lines.extend(ledger.iter().flat_map(|text| sentence(text)));
    lines.extend(phases(account).iter().flat_map(|phases| sentence(phases)));
    let company = outcome.and_then(|outcome| verdict::company(&outcome.others));
    lines.extend(company.iter().flat_map(|company| sentence(company)));
    lines.extend(family::unseen(account).iter().flat_map(|unseen| sentence(unseen)));
    lines.extend(concerns(account).iter().flat_map(|concern| sentence(concern)));
    let shown = [&account.out_of_memory, &account.peak].into_iter().flatten();
    for picture in shown.filter_map(|shown| shown.picture.as_ref()) {
        lines.push(format!("Wrote memory usage flamegraph to {}", picture.display()));
    }
    lines
}

fn sentence(sentence: &str) -> Vec<String> {
    verdict::wrapped(sentence, "  ")
}

/// Columns before a site's place.
const BEFORE_PLACE: usize = 20;

/// `81.8 %    1.2 GiB  load.py:7 (load)`, and on a line of its own what it was for, where there is no room for that. Of a place
/// that is too long for a line, the end is shown.
pub(super) fn site_lines(site: &CallSite, rank: Rank, total: u64) -> Vec<String> {
    let bytes = site.by(rank);
    let share = Share::of(bytes, total);
    let before = format!("{share:>7} {:>10}  ", Bytes(bytes));
    let mut lines = placed(site, before);
    // What is asked for and not touched is worth a line.
    if rank == Rank::Resident && bytes < site.held.bytes - site.held.bytes / 10 {
        lines.push(format!("{:BEFORE_PLACE$}asked for {}", "", Bytes(site.held.bytes)));
    }
    lines
}

fn placed(site: &CallSite, before: String) -> Vec<String> {
    let whole = place(site);
    if whole.chars().count() <= COLUMNS - BEFORE_PLACE {
        return vec![before + &whole];
    }
    let mut lines = vec![before + &end_of(&site.place, COLUMNS - BEFORE_PLACE)];
    if let Some(caller) = &site.caller {
        let from = "from ";
        let caller = end_of(caller, COLUMNS - BEFORE_PLACE - from.len());
        lines.push(format!("{:BEFORE_PLACE$}{from}{caller}", ""));
    }
    lines
}

fn end_of(text: &str, columns: usize) -> String {
    let length = text.chars().count();
    match length <= columns {
        true => text.to_owned(),
        false => format!("…{}", text.chars().skip(length + 1 - columns).collect::<String>()),
    }
}

fn ran_out(account: &Account, shown: &Shown, lines: &mut Vec<String>) {
    let is_judged = !lines.is_empty();
    match (shown.moment, &shown.failed) {
        (Moment::OutOfMemory, Some(failed)) => {
            if !account.judged().is_some_and(names_request) {
                lines.extend(sentence(&of_process(account, shown.process, failed)));
            }
            if shown.facts.failures > 1 {
                let failures = shown.facts.failures;
                lines.extend(sentence(&format!(
                    "It was the last of {failures} allocations that failed."
                )));
            }
        }
        (_, Some(failed)) => lines.extend(sentence(&format!("Before that, {failed}"))),
        (_, None) => {}
    }
    if !is_judged {
        lines.extend(sentence(&words::aftermath(account.run)));
    }
    let held = shown.held();
    let holder = match (shown.moment, account.processes.len()) {
        (Moment::Live, 2..) => format!(" in {}", shown.process.who()),
        _ => String::new(),
    };
    let colon = if shown.sites.is_empty() { "" } else { ", most of it at" };
    lines.extend(sentence(&format!("In use at that moment: {held}{holder}{colon}")));
    let sites = shown.sites.iter().take(LISTED);
    lines.extend(sites.flat_map(|site| site_lines(site, shown.rank, shown.ranked())));
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

fn went_well(account: &Account, shown: &Shown) -> String {
    let so_far = match account.occasion {
        Occasion::Ended => "",
        _ => " so far",
    };
    let mut peak = format!("Peak memory{so_far}: {}", shown.held());
    if let Some(site) = shown.sites.first() {
        let share = Share::of(site.by(shown.rank), shown.ranked());
        peak = format!("{peak}, of which {share} at {}", place(site));
    }
    of_process(account, shown.process, &peak)
}

fn place(site: &CallSite) -> String {
    match &site.caller {
        Some(caller) => format!("{}, from {caller}", site.place),
        None => site.place.clone(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Tally;

    fn site(place: &str, caller: Option<&str>) -> CallSite {
        CallSite {
            file: String::new(),
            line: 1,
            function: String::new(),
            place: place.to_owned(),
            caller: caller.map(str::to_owned),
            resident: None,
            growth: None,
            held: Tally {
                bytes: 1 << 30,
                ..Tally::default()
            },
        }
    }

    #[test]
    fn a_site_takes_a_second_line_rather_than_more_columns_than_there_are() {
        let lines = |place, caller| site_lines(&site(place, caller), Rank::Requested, site("", None).held.bytes);
        assert_eq!(
            lines("load.py:7 (load)", None),
            ["100.0 %    1.0 GiB  load.py:7 (load)"]
        );
        assert_eq!(
            lines("numpy/_core/numeric.py:235 (ones)", Some("load.py:7 (load)")),
            [
                "100.0 %    1.0 GiB  numpy/_core/numeric.py:235 (ones)",
                "                    from load.py:7 (load)"
            ]
        );
        let deep = format!("{}load.py:7 (load)", "folder/".repeat(20));
        for line in lines(&deep, Some(&deep)) {
            assert_eq!(line.chars().count(), COLUMNS, "{line}");
            assert!(line.ends_with("/load.py:7 (load)"), "{line}");
        }
    }
}
