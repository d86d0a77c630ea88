//! The report as a page: one file that needs no other, what happened first.

mod bar;
mod chart;
mod data;
mod graph;
mod head;
mod holders;
mod lines;
mod listing;
mod phases;
mod policy;
mod rows;
mod together;
pub(super) mod view;

use std::cmp::Reverse;
use std::io::{self, Write};

use askama::Template;

use super::account::Account;
use super::format::{About, Beside, Format, Input, Needs};
use super::hints::{self, Clues, Hint};
use super::holders::hints as of_holders;
use super::{Occasion, choice, family, verdict};
use crate::label::{command_line, printable};
use crate::process::Process;
use crate::profile::{Facts, Moment, State};
use crate::source::Sources;
use crate::units::{Bytes, Seconds};

use bar::Bar;
use chart::Chart;
use head::{CulpritLine, Figure, LimitBar, Verdict};
use holders::HoldersPart;
use phases::PhaseRow;
use rows::{EventRow, ProcessRow, ViewPart};
use view::View;

/// Views of processes beside those that the pictures show.
const OTHER_VIEWS: usize = 8;

/// The page.
pub(super) struct Html;

impl Format for Html {
    fn about(&self) -> About {
        About::new("html", ".html", Needs::Run, "index.html")
    }

    fn write(&self, input: &Input, out: &mut dyn Write) -> io::Result<()> {
        write(out, input.account, &mut input.sources.borrow_mut(), input.beside)
    }
}

/// Writes the page, with links to the files beside it.
fn write(out: &mut dyn Write, account: &Account, sources: &mut Sources, beside: Option<Beside>) -> io::Result<()> {
    let run = account.run;
    let shown = [&account.out_of_memory, &account.peak].into_iter().flatten();
    let mut views: Vec<View> = shown.map(|shown| View::of_shown(run, shown, sources)).collect();
    if beside.is_none() {
        views.iter_mut().for_each(|view| view.stem = None);
    }
    if account.occasion == Occasion::Ended {
        views.extend(others(account, &views, sources));
    }
    let at_the_end: Vec<&View> = views.iter().filter(|view| view.moment == Moment::Live).collect();
    if at_the_end.len() > 1
        && let Some(all) = View::together(&at_the_end)
    {
        views.insert(0, all);
    }
    let running = running(account);
    let hints = views.first().map(|view| {
        let held: Vec<u64> = running.iter().map(|process| process.facts.live_bytes).collect();
        hints::hints(&Clues::of(view, account.judged(), account.timeline, &held))
    });
    let held_by = account.foremost().and_then(|shown| shown.held_by.as_ref());
    let hints = hints
        .into_iter()
        .flatten()
        .chain(held_by.map(of_holders).unwrap_or_default());
    let chart = Chart::of(account);
    let any = |what: fn(&Facts) -> bool| account.listed.iter().any(|listed| what(&listed.facts));
    let page = Page {
        policy: policy::POLICY,
        style: policy::STYLE,
        title: head::title(account),
        verdict: account.judged().map(head::verdict),
        culprit: account.foremost().and_then(|shown| head::culprit(shown, sources)),
        limit: head::limit(account),
        figures: head::figures(account, views.first()),
        story: head::story(account),
        hints: hints.collect(),
        concerns: rows::concerns(account),
        chart: chart.as_ref().map(Chart::words),
        phases: phases::phases(account),
        ledger: Bar::of(account),
        views: views.iter().map(|view| rows::view(view, account)).collect(),
        processes: account
            .listed
            .iter()
            .map(|listed| rows::process(listed, account.judged()))
            .collect(),
        holders: holders::part_of(account),
        has_ranks: any(|facts| facts.rank.is_some()),
        has_heirs: any(|facts| facts.inherited_bytes > 0),
        has_failures: any(|facts| facts.failures > 0),
        folded: rows::folded(&account.folded),
        family: family::sentences(account),
        process_tree: beside.is_some_and(|beside| beside.process_tree),
        events: account.listed.iter().flat_map(rows::events).collect(),
        command: printable(&command_line(&run.command)).into_owned(),
        directory: account.directory.to_owned(),
        host: run.host.clone(),
        started: head::date_and_time(&run.started),
        duration: run.ending.as_ref().map(|ending| Seconds(ending.seconds).to_string()),
        python: head::python(account),
        version: run.version.clone(),
        has_files: beside.is_some(),
        limits: limits(account),
        identity: run
            .identity
            .iter()
            .map(|(name, value)| (name, printable(value).into_owned()))
            .collect(),
    };
    page.write_into(&mut { &mut *out })?;
    out.write_all(b"<script type=\"application/json\" id=\"data\">")?;
    data::write(out, &views, chart.as_ref())?;
    out.write_all(b"</script>\n<script type=\"module\">")?;
    out.write_all(policy::SCRIPT.as_bytes())?;
    out.write_all(b"</script>\n</body>\n</html>\n")
}

/// Everything is text that the template escapes, but for the style.
#[derive(Template)]
#[template(path = "page/page.html")]
struct Page<'a> {
    policy: &'static str,
    style: &'static str,
    title: String,
    verdict: Option<Verdict>,
    culprit: Option<CulpritLine>,
    limit: Option<LimitBar>,
    figures: Vec<Figure>,
    story: Vec<String>,
    hints: Vec<Hint>,
    concerns: Vec<String>,
    chart: Option<String>,
    phases: Vec<PhaseRow>,
    ledger: Option<Bar>,
    views: Vec<ViewPart>,
    holders: Option<HoldersPart>,
    processes: Vec<ProcessRow>,
    /// Whether any of them has a rank, inherited memory, or a failed allocation.
    has_ranks: bool,
    has_heirs: bool,
    has_failures: bool,
    folded: Option<String>,
    family: Vec<String>,
    process_tree: bool,
    events: Vec<EventRow>,
    command: String,
    directory: String,
    host: String,
    started: String,
    duration: Option<String>,
    python: Option<String>,
    version: String,
    /// Whether the other files of the report lie beside it.
    has_files: bool,
    limits: Vec<String>,
    identity: Vec<(&'a String, String)>,
}

/// The processes that ran, or did not come to say that they ended, when the run was over.
fn running<'a>(account: &Account<'a>) -> Vec<&'a Process> {
    let replaced = choice::replaced(account.processes);
    let processes = account.processes.iter().zip(replaced);
    processes
        .filter(|(process, is_replaced)| process.facts.state == State::Running && !is_replaced)
        .map(|(process, _)| process)
        .collect()
}

/// What other processes held: when the job was killed, those that ran then; else each at its peak.
fn others(account: &Account, shown: &[View], sources: &mut Sources) -> Vec<View> {
    let moment = match shown.first().map(|view| view.moment) {
        Some(Moment::Live) => Moment::Live,
        _ => Moment::Peak,
    };
    let candidates = match moment {
        Moment::Live => running(account),
        _ => account.processes.iter().collect(),
    };
    let held = |process: &Process| match moment {
        Moment::Live => process.facts.live_bytes,
        _ => process.facts.peak_bytes,
    };
    let is_shown = |process: &Process| {
        let same = |view: &&View| view.pid == process.facts.pid && view.facts.started_ns == process.facts.started_ns;
        shown.iter().filter(same).any(|view| view.moment == moment)
    };
    let mut others: Vec<&Process> = candidates
        .into_iter()
        .filter(|process| held(process) > 0 && !is_shown(process))
        .collect();
    others.sort_by_key(|process| Reverse(held(process)));
    let views = others
        .into_iter()
        .take(OTHER_VIEWS)
        .filter_map(|process| View::read(account.run, process, moment, view::SPARSE, sources));
    views.filter(|view| view.weight.requested.bytes > 0).collect()
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
