//! The report as a page: what happened, where the memory was, and how far to trust it.

use std::io::{self, Write};

use askama::Template;

use super::{Findings, Occasion, Shown, summary, words};
use crate::label::{cut, printable};
use crate::process::Process;
use crate::recording::{Event, Recording, State};
use crate::source::Sources;
use crate::units::{Bytes, Share};

/// Writes the page.
pub(super) fn write(out: &mut dyn Write, findings: &Findings, sources: &mut Sources) -> io::Result<()> {
    let page = Page {
        title: title(findings),
        story: story(findings),
        moments: moments(findings, sources),
        processes: findings.processes.iter().map(process).collect(),
        events: findings
            .processes
            .iter()
            .flat_map(|process| events(findings, process))
            .collect(),
        concerns: findings.processes.iter().flat_map(concerns).collect(),
        command: printable(&findings.run.command.join(" ")).into_owned(),
        directory: findings.directory.to_owned(),
        host: findings.run.host.clone(),
        started: findings.run.started.clone(),
        version: findings.run.version.clone(),
        limits: limits(findings),
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

fn title(findings: &Findings) -> String {
    match (&findings.out_of_memory, &findings.peak) {
        (Some(shown), _) => format!("{} ran out of memory", shown.process.name()),
        (None, Some(shown)) => format!("Memory of {}", shown.process.name()),
        (None, None) => "No memory was recorded".to_owned(),
    }
}

fn story(findings: &Findings) -> Vec<String> {
    let mut story = Vec::new();
    if let Some(shown) = &findings.out_of_memory {
        let recording = &shown.process.recording;
        if let Some(failure) = &recording.failure {
            let failed = words::failed(recording, failure, findings.directory);
            let held = summary::with_error(shown.total);
            story.push(format!(
                "A {failed}, with {held} in use. What it asked for is not part of that."
            ));
        }
        if recording.failures > 1 {
            story.push(format!(
                "It was the last of {} allocations that failed.",
                recording.failures
            ));
        }
        story.push(words::aftermath(findings.run));
    } else if let Some(shown) = &findings.peak {
        let so_far = if findings.occasion == Occasion::Ended {
            ""
        } else {
            " so far"
        };
        story.push(format!(
            "No allocation failed. The most memory in use{so_far} was {}.",
            summary::with_error(shown.total)
        ));
        story.push(words::ending(findings.run));
    } else {
        story.push(
            "None of the job's processes left a recording. A statically linked program cannot be watched.".into(),
        );
        story.push(words::ending(findings.run));
    }
    story
}

fn moments(findings: &Findings, sources: &mut Sources) -> Vec<MomentSection> {
    let headings = [
        (&findings.out_of_memory, "out-of-memory", "When it ran out"),
        (&findings.peak, "peak-memory", "At the peak"),
    ];
    let mut sections = Vec::new();
    for (shown, stem, heading) in headings {
        if let Some(shown) = shown {
            sections.push(MomentSection {
                heading: format!("{heading}: {}", summary::with_error(shown.total)),
                stem: stem.to_owned(),
                note: match findings.processes.len() {
                    0 | 1 => String::new(),
                    _ => format!("Of process {} ({}).", shown.process.recording.pid, shown.process.name()),
                },
                sites: sites(findings, shown, sources),
                precision: precision(&shown.process.recording),
            });
        }
    }
    sections
}

fn sites(findings: &Findings, shown: &Shown, sources: &mut Sources) -> Vec<SiteRow> {
    let rows = shown.hottest.iter().map(|hot| SiteRow {
        share: Share::of(hot.held.bytes, shown.total.bytes).to_string(),
        bytes: Bytes(hot.held.bytes).to_string(),
        error: match hot.held.error() {
            0 => String::new(),
            error => format!("± {}", Bytes(error)),
        },
        blocks: hot.held.whole_blocks().to_string(),
        place: hot.call.short(findings.directory),
        caller: hot
            .on_behalf_of
            .map(|call| call.short(findings.directory))
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

fn events<'a>(findings: &'a Findings, process: &'a Process) -> impl Iterator<Item = EventRow> + 'a {
    let recording = &process.recording;
    recording.events.iter().map(|event| EventRow {
        time: since_start(recording, event),
        pid: recording.pid,
        what: words::event(event, recording, findings.directory),
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

fn limits(findings: &Findings) -> Vec<String> {
    let limit = |limit: Option<u64>, name: &str| limit.map(|bytes| format!("{name} {}", Bytes(bytes)));
    let run = findings.run;
    let limits = [
        limit(run.address_space_limit, "address space (ulimit -v)"),
        limit(run.data_limit, "data (ulimit -d)"),
    ];
    limits.into_iter().flatten().collect()
}
