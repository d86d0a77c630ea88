//! A few lines for the log of a job that is close to a limit, or has lost a process to it: they may be the last that anybody sees of it.

use super::family::FEW_COPIES;
use super::line::Line;
use super::site::NamedChargedLine;
use super::{choice, verdict, words};
use crate::ledger::Ledger;
use crate::outcome::Killed;
use crate::process::Process;
use crate::profile::Moment;
use crate::rank;
use crate::run::Run;
use crate::units::Bytes;

/// Lines of code that are listed.
const LISTED: usize = 5;

/// That a limit is close, and which lines hold the most of the process that holds the most. The limit is that of
/// the run's outcome if it has one, as long as the job runs, else the smallest one in force at the start.
pub fn near_limit(run: &Run, processes: &[Process]) -> Vec<Line> {
    let current = run.outcome.as_ref().and_then(|outcome| outcome.limit.as_ref());
    let close = match current.or(run.limits.first()) {
        Some(limit) => {
            let usage = limit.usage.map(|usage| format!("{} in use of ", Bytes(usage)));
            let (usage, name) = (usage.unwrap_or_default(), verdict::name(limit));
            format!("Close to the limit: {usage}{}{name}", Bytes(limit.bytes))
        }
        None => "Close to the limit".to_owned(),
    };
    let mut lines = vec![Line::Verdict(close)];
    let Some(process) = choice::largest_running(processes) else {
        return lines;
    };
    let directory = run.directory.to_str().unwrap_or("");
    let who = format!("Process {} ({})", process.facts.pid, process.name());
    match process.read() {
        Ok((profile, _)) => {
            let tree = rank::tree(run, &profile, Moment::Live);
            let held = words::held(&tree.weight(), tree.rank());
            lines.push(Line::Held(format!("{who} holds {held}, most of it at")));
            let charged = tree.charged_lines(LISTED);
            let named = charged.iter().map(|charged| NamedChargedLine::new(charged, directory));
            lines.extend(named.map(|charged| Line::Charged(Box::new(charged))));
        }
        Err(error) => lines.push(Line::Plain(format!(
            "{who} holds {}; its callstacks are not to be had: {error}",
            Bytes(process.facts.live_bytes)
        ))),
    }
    lines
}

/// What a process held that was killed while the job ran on: what it allocated, and what it had copied of its parent's memory. Of a
/// process without a recording, what was seen of it.
pub fn charged_to(run: &Run, processes: &[Process], killed: &Killed) -> Vec<Line> {
    let pid = killed.process.pid;
    let directory = run.directory.to_str().unwrap_or("");
    let of_pid = |pid: u32| processes.iter().filter(move |process| process.facts.pid == pid);
    let holds = |process: &Process, moment: Moment| {
        let (profile, _) = process.read().ok()?;
        let tree = rank::tree(run, &profile, moment);
        let culprit = tree
            .charged_lines(1)
            .first()
            .map(|charged| NamedChargedLine::new(charged, directory));
        Some((words::held(&tree.weight(), tree.rank()), culprit))
    };
    let mut lines = Vec::new();
    let recorded = of_pid(pid).max_by_key(|process| process.generation());
    if recorded.is_none() && killed.resident_bytes > 0 {
        lines.push(Line::Held(format!(
            "It had no recording of its own. When it was last seen, {} of it were resident, with what it shared with others.",
            Bytes(killed.resident_bytes)
        )));
    }
    if let Some((held, culprit)) = recorded.and_then(|process| holds(process, Moment::Live)) {
        let most = culprit.map(|culprit| format!(", of which {} at {}", culprit.share, culprit.place()));
        lines.push(Line::Held(format!("It held {held}{}.", most.unwrap_or_default())));
    }
    let own = recorded.and_then(|process| Some((process.facts.ppid, Ledger::copied(&process.measurements().latest?))));
    let copied = own.or_else(|| {
        processes.iter().find_map(|parent| {
            let forks = parent.measurements().forks;
            let fork = forks.into_iter().find(|fork| fork.pid == pid)?;
            Some((parent.facts.pid, fork.copied_bytes))
        })
    });
    if let Some((parent, copied)) = copied.filter(|(_, copied)| *copied >= FEW_COPIES) {
        let parents = of_pid(parent).max_by_key(|process| process.facts.peak_bytes);
        let place = parents.and_then(|process| holds(process, Moment::Peak)?.1);
        let place = place.map_or(String::new(), |culprit| {
            format!(", which held the most at {}", culprit.place())
        });
        let copied = Bytes(copied);
        lines.push(Line::Held(format!(
            "It held {copied} of copies of what it inherited from process {parent}{place}."
        )));
    }
    lines
}
