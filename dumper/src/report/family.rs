//! What there is to say of the processes of a run beside what each held: what was inherited, what was folded, who was not seen.

use std::collections::HashMap;

use super::account::{Account, Copied};
use crate::label::{cut, printable};
use crate::process::Process;
use crate::units::Bytes;

/// Processes of a kind that are named.
const NAMED: usize = 5;
/// Characters of a command line.
const COMMAND: usize = 60;

/// One sentence for each thing, for the page.
pub(super) fn sentences(account: &Account) -> Vec<String> {
    let unrecorded = &account.unrecorded;
    let mut sentences = inherited(account);
    sentences.extend(copied(account));
    if unrecorded.folded.processes > 0 {
        let folded = &unrecorded.folded;
        let programs = folded.programs.iter();
        let programs: Vec<_> = programs
            .map(|(name, count)| format!("{count} {}", printable(name)))
            .collect();
        sentences.push(format!(
            "And {} more that ended with next to nothing to tell, none with more than {} at its peak; their recordings were \
             removed: {}.",
            folded.processes,
            Bytes(folded.highest_peak_bytes),
            programs.join(", ")
        ));
    }
    sentences.extend(unseen(account));
    if unrecorded.first_only {
        sentences.push("Only the first process was watched, as --no-children asks.".to_owned());
    }
    sentences
}

/// The processes that were not seen, in as many sentences as there are reasons.
pub(super) fn unseen(account: &Account) -> Vec<String> {
    let mut by_reason: Vec<(&str, Vec<String>)> = Vec::new();
    for unseen in &account.unrecorded.unseen {
        let who = format!(
            "{} ({}, {} resident)",
            unseen.pid,
            cut(&printable(&unseen.command), COMMAND),
            Bytes(unseen.resident_bytes)
        );
        match by_reason.iter_mut().find(|(why, _)| *why == unseen.why) {
            Some((_, who_else)) => who_else.push(who),
            None => by_reason.push((&unseen.why, vec![who])),
        }
    }
    let sentences = by_reason.into_iter().map(|(why, mut who)| {
        let more = who.len().saturating_sub(NAMED);
        who.truncate(NAMED);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let what = if who.len() == 1 { "process" } else { "processes" };
        format!("Not seen: {what} {}{more}: {}.", who.join(", "), printable(why))
    });
    let mut sentences: Vec<_> = sentences.collect();
    if account.unrecorded.unseen_more > 0 {
        sentences.push(format!(
            "Not seen: {} smaller processes.",
            account.unrecorded.unseen_more
        ));
    }
    sentences
}

/// Of each parent that forked children which are recorded, what they have in common with it.
fn inherited(account: &Account) -> Vec<String> {
    let mut children: HashMap<u32, Vec<&Process>> = HashMap::new();
    for process in account
        .processes
        .iter()
        .filter(|process| process.facts.inherited_bytes > 0)
    {
        children.entry(process.facts.ppid).or_default().push(process);
    }
    let mut children: Vec<_> = children.into_iter().collect();
    children.sort_unstable_by_key(|(parent, _)| *parent);
    let sentence = |(parent, children): (u32, Vec<&Process>)| {
        let sizes = children.iter().map(|child| child.facts.inherited_bytes);
        let (least, most) = (sizes.clone().min()?, sizes.max()?);
        let size = match Bytes(least).to_string() == Bytes(most).to_string() {
            true => Bytes(most).to_string(),
            false => format!("{} to {}", Bytes(least), Bytes(most)),
        };
        let who = match children[..] {
            [child] => format!("Process {}", child.facts.pid),
            _ => format!("{} processes", children.len()),
        };
        let place = account.inherited_from.iter().find(|(pid, _)| *pid == parent);
        let place = place.map_or(String::new(), |(_, place)| format!(" It held the most at {place}."));
        Some(format!(
            "{who} inherited {size} of process {parent} by a fork, which is in the figures of process {parent} alone.{place}"
        ))
    };
    children.into_iter().take(NAMED).filter_map(sentence).collect()
}

/// Less than that is not worth a sentence.
pub(super) const FEW_COPIES: u64 = 32 << 20;

/// Of each parent, what its children hold of copies of what {they} inherited from it.
pub(super) fn copied(account: &Account) -> Vec<String> {
    let sentence = |(parent, copied): (&u32, &Copied)| {
        let (who, they) = match copied.processes {
            1 => ("One process holds".to_owned(), "it"),
            processes => (format!("{processes} processes hold"), "they"),
        };
        let place = account.inherited_from.iter().find(|(pid, _)| pid == parent);
        let place = place.map_or(String::new(), |(_, place)| format!(", which held the most at {place}"));
        format!(
            "{who} {} of copies of what {they} inherited from process {parent}{place}: a page is copied when a process writes to it, \
             even if only to a reference count.",
            Bytes(copied.bytes)
        )
    };
    let many = account.copied.iter().filter(|(_, copied)| copied.bytes >= FEW_COPIES);
    many.take(NAMED).map(sentence).collect()
}
