//! The report for machines: `report.json`, which `schema/report.schema.json` describes.

use std::io::{self, Write};

use serde::Serialize;

use super::account::{Account, Concern, Shown, What};
use super::choice;
use super::format::{About, Format, Input, Needs};
use super::holders::HoldersPart;
use super::site::NamedChargedLine;
use crate::allocator::Allocator;
use crate::damage::Damage;
use crate::ledger::{Apart, Counts, Entry};
use crate::outcome::{Limit, Outcome};
use crate::outlet::to_json_pretty;
use crate::process::Process;
use crate::profile::{Moment, State, Weight};
use crate::run::Run;
use crate::timeline::Sample;
use crate::unrecorded::Unrecorded;

/// Version of the format.
const FORMAT: u32 = 1;

/// The report for programs.
pub(super) struct Json;

impl Format for Json {
    fn about(&self) -> About {
        About::new("json", ".json", Needs::Run, "report.json, for programs")
    }

    fn write(&self, input: &Input, out: &mut dyn Write) -> io::Result<()> {
        let account = input.account;
        let shown = account.foremost();
        let process_tree = input.beside.is_some_and(|beside| beside.process_tree);
        let report = Report {
            format: FORMAT,
            outcome: account.run.outcome.as_ref().map(|outcome| judged(outcome, account)),
            run: RunPart::of(account.run),
            moment: shown.map(MomentPart::of),
            processes: processes(account.run, account.processes),
            unrecorded: account.unrecorded,
            process_tree: process_tree.then_some("process-tree.svg"),
            culprit: shown.and_then(Shown::culprit).map(OwnLinePart::of),
            own_lines: shown.map(own_lines).unwrap_or_default(),
            holders: shown.and_then(|shown| shown.held_by.as_ref()).map(HoldersPart::of),
            call_sites: shown.map(call_sites).unwrap_or_default(),
            timeline: account.timeline,
            ledger: shown.map(LedgerPart::of),
            trouble: concerns(account, |concern| !is_damage(concern)),
            damage: concerns(account, is_damage),
            sampling: shown.map(Sampling::of),
        };
        to_json_pretty(out, &report)?;
        out.write_all(b"\n")
    }
}

#[derive(Serialize)]
struct Report<'a> {
    format: u32,
    outcome: Option<Outcome>,
    run: RunPart<'a>,
    moment: Option<MomentPart>,
    processes: Vec<ProcessPart<'a>>,
    unrecorded: &'a Unrecorded,
    process_tree: Option<&'static str>,
    culprit: Option<OwnLinePart<'a>>,
    own_lines: Vec<OwnLinePart<'a>>,
    holders: Option<HoldersPart<'a>>,
    call_sites: Vec<CallSitePart<'a>>,
    timeline: &'a [Sample],
    ledger: Option<LedgerPart<'a>>,
    trouble: Vec<ConcernPart>,
    damage: Vec<ConcernPart>,
    sampling: Option<Sampling>,
}

/// The verdict, with the failed request that the recording knows if it names none.
fn judged(outcome: &Outcome, account: &Account) -> Outcome {
    let known = || account.out_of_memory.as_ref()?.failed.clone();
    Outcome {
        failed_request: outcome.failed_request.clone().or_else(known),
        ..outcome.clone()
    }
}

#[derive(Serialize)]
struct RunPart<'a> {
    command: &'a [String],
    directory: String,
    host: &'a str,
    started: &'a str,
    ended: Option<&'a str>,
    seconds: Option<f64>,
    identity: &'a std::collections::BTreeMap<String, String>,
    limits: &'a [Limit],
    version: &'a str,
}

impl<'a> RunPart<'a> {
    fn of(run: &'a Run) -> RunPart<'a> {
        RunPart {
            command: &run.command,
            directory: run.directory.to_string_lossy().into_owned(),
            host: &run.host,
            started: &run.started,
            ended: run.ending.as_ref().map(|ending| ending.ended.as_str()),
            seconds: run.ending.as_ref().map(|ending| ending.seconds),
            identity: &run.identity,
            limits: &run.limits,
            version: &run.version,
        }
    }
}

#[derive(Serialize)]
struct MomentPart {
    name: &'static str,
    process: u32,
    bytes: u64,
    resident_bytes: Option<u64>,
    error_bytes: u64,
    ranked_by: &'static str,
    growth_since_seconds: Option<f64>,
}

impl MomentPart {
    fn of(shown: &Shown) -> MomentPart {
        MomentPart {
            name: match shown.moment {
                Moment::Live => "end",
                Moment::Peak => "peak",
                Moment::OutOfMemory => "allocation_failed",
            },
            process: shown.facts().pid,
            bytes: shown.weight.requested.bytes,
            resident_bytes: shown.weight.resident,
            ranked_by: shown.rank.name(),
            error_bytes: shown.weight.requested.error(),
            growth_since_seconds: shown.facts().growth_since(shown.moment),
        }
    }
}

#[derive(Serialize)]
struct ProcessPart<'a> {
    pid: u32,
    parent: u32,
    command: &'a [String],
    state: &'static str,
    python: Option<String>,
    rank: Option<u32>,
    inherited_bytes: u64,
    peak_bytes: u64,
    live_bytes: u64,
    failed_allocations: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    phases: Vec<Phase<'a>>,
    recording: String,
}

/// A phase that the job has named.
#[derive(Serialize)]
struct Phase<'a> {
    name: &'a str,
    peak_bytes: u64,
}

fn processes<'a>(run: &Run, processes: &'a [Process]) -> Vec<ProcessPart<'a>> {
    let replaced = choice::replaced(processes);
    let parts = processes.iter().zip(replaced);
    parts
        .map(|(process, replaced)| ProcessPart::of(run, process, replaced))
        .collect()
}

impl<'a> ProcessPart<'a> {
    fn of(run: &Run, process: &'a Process, is_replaced: bool) -> ProcessPart<'a> {
        let facts = &process.facts;
        ProcessPart {
            pid: facts.pid,
            parent: facts.ppid,
            command: &facts.command,
            state: match facts.state {
                _ if is_replaced => "left",
                State::Running if run.killed(facts.pid).is_some() => "killed",
                State::Running => "running",
                State::Ended => "ended",
                State::Left => "left",
            },
            python: facts.python.map(|(major, minor)| format!("{major}.{minor}")),
            rank: facts.rank,
            inherited_bytes: facts.inherited_bytes,
            peak_bytes: facts.peak_bytes,
            live_bytes: facts.live_bytes,
            failed_allocations: facts.failures,
            phases: facts
                .phases()
                .map(|(name, peak_bytes)| Phase { name, peak_bytes })
                .collect(),
            recording: file_name(&process.path),
        }
    }
}

#[derive(Serialize)]
struct CallSitePart<'a> {
    process: u32,
    file: Option<&'a str>,
    line: Option<u32>,
    function: &'a str,
    is_own: bool,
    caller: Option<&'a str>,
    callers: Vec<CallerPart<'a>>,
    bytes: u64,
    resident_bytes: Option<u64>,
    error_bytes: u64,
    share: f64,
    blocks: u64,
    growth_bytes: Option<i64>,
    growth_error_bytes: Option<u64>,
}

/// A line of the job's own code, and what a call site holds for it.
#[derive(Serialize)]
struct CallerPart<'a> {
    place: &'a str,
    bytes: u64,
    resident_bytes: Option<u64>,
}

impl<'a> CallerPart<'a> {
    fn of((place, held): &'a (String, Weight)) -> CallerPart<'a> {
        CallerPart {
            place,
            bytes: held.requested.bytes,
            resident_bytes: held.resident,
        }
    }
}

/// A line of the job's own code, with all that libraries hold for it.
#[derive(Serialize)]
struct OwnLinePart<'a> {
    place: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
    function: &'a str,
    kind: &'static str,
    part: Option<&'a str>,
    bytes: u64,
    resident_bytes: Option<u64>,
    share: f64,
    stands_out: bool,
}

impl<'a> OwnLinePart<'a> {
    fn of(charged: &'a NamedChargedLine) -> OwnLinePart<'a> {
        OwnLinePart {
            place: &charged.line.place,
            file: Some(charged.line.file.as_str()).filter(|file| !file.is_empty()),
            line: Some(charged.line.line).filter(|line| *line > 0),
            function: &charged.line.function,
            kind: match (charged.is_own, charged.is_import) {
                (true, _) => "own",
                (_, true) => "imports",
                _ => "other",
            },
            part: charged.part.as_ref().map(|(part, _)| part.place.as_str()),
            bytes: charged.held.requested.bytes,
            resident_bytes: charged.held.resident,
            share: charged.share.fraction(),
            stands_out: charged.stands_out,
        }
    }
}

fn own_lines<'a>(shown: &'a Shown) -> Vec<OwnLinePart<'a>> {
    shown.charged.iter().map(OwnLinePart::of).collect()
}

fn call_sites<'a>(shown: &'a Shown) -> Vec<CallSitePart<'a>> {
    let sites = shown.sites.iter().map(|site| CallSitePart {
        process: shown.facts().pid,
        file: Some(site.line.file.as_str()).filter(|file| !file.is_empty()),
        line: Some(site.line.line).filter(|line| *line > 0),
        function: &site.line.function,
        is_own: site.is_own,
        caller: site.callers.first().map(|(place, _)| place.as_str()),
        callers: site.callers.iter().map(CallerPart::of).collect(),
        bytes: site.held.requested.bytes,
        resident_bytes: site.held.resident,
        error_bytes: site.held.requested.error(),
        share: site.share.fraction(),
        blocks: site.held.requested.whole_blocks(),
        growth_bytes: site.growth.map(|growth| growth.bytes),
        growth_error_bytes: site.growth.map(|growth| growth.error()),
    });
    sites.collect()
}

#[derive(Serialize)]
struct LedgerPart<'a> {
    tracked_bytes: u64,
    arena_bytes: u64,
    arena_slack_bytes: Option<u64>,
    stash_bytes: u64,
    own_bytes: u64,
    counts: Counts,
    total_bytes: Option<u64>,
    lines: &'a [Entry],
    apart: &'a [Apart],
    allocators: &'a [Allocator],
    unexplained_bytes: i64,
    explained: Option<f64>,
    measured: Option<MeasuredPart<'a>>,
}

#[derive(Serialize)]
struct MeasuredPart<'a> {
    occasion: &'a str,
    seconds_before_end: Option<f64>,
    took_seconds: f64,
}

impl<'a> LedgerPart<'a> {
    fn of(shown: &'a Shown) -> LedgerPart<'a> {
        let ledger = &shown.ledger;
        let kinds = shown.facts().kinds.at(shown.moment);
        let objects = kinds.of(recording::Kind::Object).bytes;
        let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
        LedgerPart {
            tracked_bytes: shown.weight.requested.bytes,
            arena_bytes: kinds.arenas,
            // A recording of an older version does not tell objects in arenas from others, and mimalloc has no arenas that are counted.
            arena_slack_bytes: (objects > 0 && kinds.arenas > 0).then(|| kinds.arenas.saturating_sub(objects)),
            stash_bytes: shown.facts().stash_bytes,
            own_bytes: shown.facts().own_bytes,
            counts: ledger.counts,
            total_bytes: ledger.total,
            lines: &ledger.lines,
            apart: &ledger.apart,
            allocators: &ledger.allocators,
            unexplained_bytes: ledger.unexplained,
            explained: ledger.explained(),
            measured: ledger.time_ns.map(|time| MeasuredPart {
                occasion: ledger.occasion.as_deref().unwrap_or_default(),
                seconds_before_end: shown.ended_ns.map(|ended| seconds(ended.saturating_sub(time))),
                took_seconds: seconds(ledger.took_ns.unwrap_or(0)),
            }),
        }
    }
}

#[derive(Serialize)]
struct ConcernPart {
    process: Option<u32>,
    recording: String,
    what: String,
}

fn concerns(account: &Account, wanted: fn(&Concern) -> bool) -> Vec<ConcernPart> {
    let concerns = account.concerns.iter().filter(|concern| wanted(concern));
    let concerns = concerns.map(|concern| ConcernPart {
        process: concern.process.map(|process| process.facts.pid),
        recording: file_name(concern.recording),
        what: concern.sentence(),
    });
    concerns.collect()
}

/// A sample in flight is what every kill may leave, and no damage.
fn is_damage(concern: &Concern) -> bool {
    match &concern.what {
        What::Damage(damage) => *damage != Damage::SampleInFlight,
        What::Trouble(_) => false,
    }
}

#[derive(Serialize)]
struct Sampling {
    interval: u64,
    exact: bool,
    error_bytes: u64,
}

impl Sampling {
    fn of(shown: &Shown) -> Sampling {
        Sampling {
            interval: shown.facts().sample_interval,
            exact: shown.facts().exact,
            error_bytes: shown.weight.requested.error(),
        }
    }
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}
