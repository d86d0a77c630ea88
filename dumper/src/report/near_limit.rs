//! A few lines for the log of a job that is close to a limit: they may be the last that anybody sees of it.

use super::line::Line;
use super::site::NamedSite;
use super::{choice, verdict, words};
use crate::process::Process;
use crate::profile::Moment;
use crate::rank;
use crate::run::Run;
use crate::units::Bytes;

/// Call sites that are listed.
const LISTED: usize = 5;

/// That a limit is close, and which call sites hold the most of the process that holds the most. The limit is that of
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
            let sites = tree.sites(LISTED);
            lines.extend(
                sites
                    .iter()
                    .map(|site| Line::Site(Box::new(NamedSite::new(site, directory)))),
            );
        }
        Err(error) => lines.push(Line::Row(format!(
            "{who} holds {}; its callstacks are not to be had: {error}",
            Bytes(process.facts.live_bytes)
        ))),
    }
    lines
}
