//! The report as a page: what happened, where the memory was, and how far to trust it.

use std::io::{self, Write};

use askama::Template;

use super::{Account, Occasion, Shown, summary, words};
use crate::label::{cut, printable};
use crate::process::Process;
use crate::recording::{Event, Recording, State};
use crate::source::Sources;
use crate::units::{Bytes, Share};

/// Call sites below one part in this many of the total are not listed.
const SMALL: u64 = 1000;

/// Writes the page.
pub(super) fn write(out: &mut dyn Write, account: &Account, sources: &mut Sources) -> io::Result<()> {
    let page = Page {
        title: title(account),
        story: story(account),
        moments: moments(account, sources),
        processes: account.processes.iter().map(process).collect(),
        events: account
            .processes
            .iter()
            .flat_map(|process| events(account, process))
            .collect(),
        concerns: account.processes.iter().flat_map(concerns).collect(),
        command: printable(&account.run.command.join(" ")).into_owned(),
        directory: account.directory.to_owned(),
        host: account.run.host.clone(),
        started: account.run.started.clone(),
        version: account.run.version.clone(),
        limits: limits(account),
    };
    page.write_into(&mut { out })
}

/// Everything is text that the template escapes.
#[derive(Template)]
#[template(path = "index.html")]
struct Page {
    title: String,
    story: Vec<String>,
    moments: Vec<MomentSection>,
    processes: Vec<ProcessRow>,
    events: Vec<EventRow>,
    concerns: Vec<String>,
    command: String,
    directory: String,
    host: String,
    started: String,
    version: String,
    limits: Vec<String>,
}

struct MomentSection {
    heading: String,
    stem: String,
    note: String,
    sites: Vec<SiteRow>,
    precision: String,
}

struct SiteRow {
    share: String,
    bytes: String,
    error: String,
    blocks: String,
    place: String,
    caller: String,
    code: String,
}

struct ProcessRow {
    pid: u32,
    command: String,
    python: String,
    peak: String,
    failures: String,
    state: &'static str,
}

struct EventRow {
    time: String,
    pid: u32,
    what: String,
}

fn title(account: &Account) -> String {
    match (&account.out_of_memory, &account.peak) {
        (Some(shown), _) => format!("{} ran out of memory", shown.process.name()),
        (None, Some(shown)) => format!("Memory of {}", shown.process.name()),
        (None, None) => "No memory was recorded".to_owned(),
    }
}

fn story(account: &Account) -> Vec<String> {
    let mut story = Vec::new();
    if let Some(shown) = &account.out_of_memory {
        let recording = &shown.process.recording;
        if let Some(failure) = &recording.failure {
            let failed = words::failed(recording, failure, account.directory);
            let held = summary::with_error(shown.total);
            story.push(format!(
                "{failed}, with {held} in use; the request is not counted in that."
            ));
        }
        if recording.failures > 1 {
            story.push(format!(
                "It was the last of {} allocations that failed.",
                recording.failures
            ));
        }
        story.push(words::aftermath(account.run));
    } else if let Some(shown) = &account.peak {
        let so_far = if account.occasion == Occasion::Ended {
            ""
        } else {
            " so far"
        };
        story.push(format!(
            "No allocation failed. The most memory in use{so_far} was {}.",
            summary::with_error(shown.total)
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
    let headings = [
        (&account.out_of_memory, "out-of-memory", "When it ran out"),
        (&account.peak, "peak-memory", "At the peak"),
    ];
    let mut sections = Vec::new();
    for (shown, stem, heading) in headings {
        if let Some(shown) = shown {
            sections.push(MomentSection {
                heading: format!("{heading}: {}", summary::with_error(shown.total)),
                stem: stem.to_owned(),
                note: match account.processes.len() {
                    0 | 1 => String::new(),
                    _ => format!("Of process {} ({}).", shown.process.recording.pid, shown.process.name()),
                },
                sites: sites(account, shown, sources),
                precision: precision(&shown.process.recording),
            });
        }
    }
    sections
}

fn sites(account: &Account, shown: &Shown, sources: &mut Sources) -> Vec<SiteRow> {
    let total = shown.total.bytes;
    let worth_a_row = shown.hottest.iter().take_while(|hot| hot.held.bytes >= total / SMALL);
    let rows = worth_a_row.map(|hot| SiteRow {
        share: Share::of(hot.held.bytes, total).to_string(),
        bytes: Bytes(hot.held.bytes).to_string(),
        error: match hot.held.error() {
            0 => String::new(),
            error => format!("± {}", Bytes(error)),
        },
        blocks: hot.held.whole_blocks().to_string(),
        place: hot.call.short(account.directory),
        caller: hot
            .on_behalf_of
            .map(|call| call.short(account.directory))
            .unwrap_or_default(),
        code: sources.line(hot.call.file, hot.call.line).unwrap_or_default(),
    });
    rows.collect()
}

fn precision(recording: &Recording) -> String {
    if recording.exact {
        return "Every allocation was recorded.".to_owned();
    }
    format!(
        "Blocks of {} and more were recorded one by one; of smaller ones a sample was taken every {} on average ({} \
         samples in all). ± is one standard deviation of what that leaves uncertain: the true number lies within it two \
         times out of three, and within twice as much 19 times out of 20.",
        Bytes(recording.large_bytes),
        Bytes(recording.sample_interval),
        recording.samples
    )
}

fn process(process: &Process) -> ProcessRow {
    let recording = &process.recording;
    ProcessRow {
        pid: recording.pid,
        command: cut(&printable(&recording.command.join(" ")), 200).into_owned(),
        python: recording
            .python
            .map(|(major, minor)| format!("{major}.{minor}"))
            .unwrap_or_default(),
        peak: Bytes(recording.peak_bytes).to_string(),
        failures: match recording.failures {
            0 => String::new(),
            failures => failures.to_string(),
        },
        state: match recording.state {
            State::Running => "still running, or ended by a signal",
            State::Ended => "ended",
            State::Left => "left at a failed allocation, or ran another program",
        },
    }
}

fn events<'a>(account: &'a Account, process: &'a Process) -> impl Iterator<Item = EventRow> + 'a {
    let recording = &process.recording;
    recording.events.iter().map(|event| EventRow {
        time: since_start(recording, event),
        pid: recording.pid,
        what: words::event(event, recording, account.directory),
    })
}

fn since_start(recording: &Recording, event: &Event) -> String {
    format!(
        "{:.3} s",
        event.time_ns.saturating_sub(recording.started_ns) as f64 / 1e9
    )
}

fn concerns(process: &Process) -> impl Iterator<Item = String> + '_ {
    let damage = process
        .damage
        .iter()
        .map(|damage| format!("The recording is damaged: {damage}."));
    let concerns = words::troubles(process).into_iter().chain(damage);
    concerns.map(|concern| format!("Process {}: {concern}", process.recording.pid))
}

fn limits(account: &Account) -> Vec<String> {
    let limit = |limit: Option<u64>, name: &str| limit.map(|bytes| format!("{name} {}", Bytes(bytes)));
    let run = account.run;
    let limits = [
        limit(run.address_space_limit, "address space (ulimit -v)"),
        limit(run.data_limit, "data (ulimit -d)"),
    ];
    limits.into_iter().flatten().collect()
}
