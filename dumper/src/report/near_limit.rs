//! A few lines for the log of a job that is close to a limit: they may be the last that anybody sees of it.

use super::summary::site_lines;
use super::{choice, verdict, words};
use crate::call_tree::{CallTree, Moment};
use crate::process::Process;
use crate::rank::Rank;
use crate::run::Run;
use crate::units::Bytes;

use super::account::CallSite;

/// Call sites that are listed.
const LISTED: usize = 5;

/// That a limit is close, and which call sites hold the most of the process that holds the most. The limit is that of
/// the run's outcome if it has one, as long as the job runs, else the smallest one in force at the start.
pub fn near_limit(run: &Run, processes: &[Process]) -> Vec<String> {
    let current = run.outcome.as_ref().and_then(|outcome| outcome.limit.as_ref());
    let mut lines = match current.or(run.limits.first()) {
        Some(limit) => {
            let name = verdict::name(limit);
            let close = match limit.usage {
                Some(usage) => format!(
                    "Close to the limit: {} in use of {}{name}",
                    Bytes(usage),
                    Bytes(limit.bytes)
                ),
                None => format!("Close to the limit: {}{name}", Bytes(limit.bytes)),
            };
            verdict::wrapped(&close, "  ")
        }
        None => vec!["Close to the limit".to_owned()],
    };
    let Some(process) = choice::largest_running(processes) else {
        return lines;
    };
    let directory = run.directory.to_str().unwrap_or("");
    let who = format!("Process {} ({})", process.facts.pid, process.name());
    match process.read() {
        Ok((recording, _)) => {
            let rank = Rank::of(run, Moment::Live, recording.measured(Moment::Live));
            let tree = CallTree::of(&recording, Moment::Live);
            let total = tree.total();
            let there = tree.resident().filter(|_| rank == Rank::Resident);
            let tree = tree.ranked_by(rank);
            let ranked = tree.total().bytes;
            let holds = format!("{who} holds {}, most of it at", words::held(total, there));
            lines.extend(verdict::wrapped(&holds, "  "));
            for hot in tree.hottest(LISTED) {
                lines.extend(site_lines(&CallSite::of(&hot, directory), rank, ranked));
            }
        }
        Err(error) => lines.push(format!(
            "{who} holds {}; its callstacks are not to be had: {error}",
            Bytes(process.facts.live_bytes)
        )),
    }
    lines
}
