//! The report as a page: what happened, where the memory was, and how far to trust it.

mod rows;

use std::io::{self, Write};

use askama::Template;

use super::account::{Account, Shown};
use super::{Occasion, family, verdict, words};
use crate::call_tree::Moment;
use crate::label::printable;
use crate::outcome::Outcome;
use crate::recording::Facts;
use crate::source::Sources;
use crate::units::Bytes;

use rows::{EventRow, EvidenceRow, OtherRow, ProcessRow, SiteRow};

/// Writes the page.
pub(super) fn write(out: &mut dyn Write, account: &Account, sources: &mut Sources) -> io::Result<()> {
    let run = account.run;
    let page = Page {
        title: title(account),
        verdict: account.judged().map(verdict),
        story: story(account),
        concerns: rows::concerns(account),
        moments: moments(account, sources),
        processes: account.listed.iter().map(rows::process).collect(),
        folded: rows::folded(&account.folded),
        family: family::sentences(account),
        process_tree: account.process_tree.is_some(),
        events: account.listed.iter().flat_map(rows::events).collect(),
        command: printable(&run.command.join(" ")).into_owned(),
        directory: account.directory.to_owned(),
        host: run.host.clone(),
        started: run.started.clone(),
        version: run.version.clone(),
        limits: limits(account),
        identity: run
            .identity
            .iter()
            .map(|(name, value)| (name, printable(value).into_owned()))
            .collect(),
    };
    page.write_into(&mut { out })
}

/// Everything is text that the template escapes.
#[derive(Template)]
#[template(path = "index.html")]
struct Page<'a> {
    title: String,
    verdict: Option<Verdict>,
    story: Vec<String>,
    concerns: Vec<String>,
    moments: Vec<MomentSection>,
    processes: Vec<ProcessRow>,
    folded: Option<String>,
    family: Vec<String>,
    process_tree: bool,
    events: Vec<EventRow>,
    command: String,
    directory: String,
    host: String,
    started: String,
    version: String,
    limits: Vec<String>,
    identity: Vec<(&'a String, String)>,
}

struct Verdict {
    sentence: String,
    facts: Vec<(&'static str, String)>,
    evidence: Vec<EvidenceRow>,
    others: Vec<OtherRow>,
}

struct MomentSection {
    heading: String,
    stem: &'static str,
    note: String,
    sites: Vec<SiteRow>,
    precision: String,
}

fn title(account: &Account) -> String {
    match (&account.out_of_memory, &account.peak) {
        (Some(shown), _) => format!("{} ran out of memory", shown.process.name()),
        (None, Some(shown)) => format!("Memory of {}", shown.process.name()),
        (None, None) => "No memory was recorded".to_owned(),
    }
}

fn verdict(outcome: &Outcome) -> Verdict {
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
    Verdict {
        sentence: outcome.sentence.clone(),
        facts: facts.collect(),
        evidence: outcome.evidence.iter().map(rows::evidence).collect(),
        others: rows::others(&outcome.others),
    }
}

fn story(account: &Account) -> Vec<String> {
    let mut story = Vec::new();
    if let Some(shown) = &account.out_of_memory {
        let held = words::with_error(shown.total);
        match (shown.moment, &shown.failed) {
            (Moment::OutOfMemory, Some(failed)) => {
                story.push(format!(
                    "{failed}, with {held} in use; the request is not counted in that."
                ));
                if shown.facts.failures > 1 {
                    story.push(format!(
                        "It was the last of {} allocations that failed.",
                        shown.facts.failures
                    ));
                }
                story.push(words::aftermath(account.run));
            }
            (_, failed) => {
                let when = words::moment(shown.moment, account.run);
                story.push(format!("{when}, {held} were in use."));
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
            words::with_error(shown.total)
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

fn moments(account: &Account, sources: &mut Sources) -> Vec<MomentSection> {
    let mut section = |shown: &Shown| MomentSection {
        heading: format!(
            "{}: {}",
            words::moment(shown.moment, account.run),
            words::with_error(shown.total)
        ),
        stem: shown.stem(),
        note: match account.processes.len() {
            0 | 1 => String::new(),
            _ => format!("Of process {} ({}).", shown.facts.pid, shown.process.name()),
        },
        sites: rows::sites(shown, sources),
        precision: precision(&shown.facts),
    };
    let shown = [&account.out_of_memory, &account.peak].into_iter().flatten();
    shown.map(&mut section).collect()
}

fn precision(facts: &Facts) -> String {
    if facts.exact {
        return "Every allocation was recorded.".to_owned();
    }
    format!(
        "Blocks of {} and more were recorded one by one; of smaller ones a sample was taken every {} on average ({} \
         samples in all). ± is one standard deviation of what that leaves uncertain: the true number lies within it two \
         times out of three, and within twice as much 19 times out of 20.",
        Bytes(facts.large_bytes),
        Bytes(facts.sample_interval),
        facts.samples
    )
}

fn limits(account: &Account) -> Vec<String> {
    let run = account.run;
    if !run.limits.is_empty() {
        return run.limits.iter().map(verdict::limited).collect();
    }
    let limit = |limit: Option<u64>, name: &str| limit.map(|bytes| format!("{name} {}", Bytes(bytes)));
    let limits = [
        limit(run.address_space_limit, "address space (ulimit -v)"),
        limit(run.data_limit, "data (ulimit -d)"),
    ];
    limits.into_iter().flatten().collect()
}
