//! Jobs that end because something other than memory was refused: a thread, a process, locked memory, huge pages, room in a file system.

use dumper::outcome::{Certainty, Kind, Limit, Outcome, ProcessName};
use recording::protocol::message::Refusal;

use super::failure;
use super::observed::{Observed, Refused};
use super::words;

/// The verdict on a job that has ended badly, if the last refusal was just before its end.
pub fn verdict(observed: &Observed) -> Option<Outcome> {
    let last = observed
        .refused
        .iter()
        .rev()
        .find(|refused| failure::is_last_word(observed, refused.time_ns));
    let (sentence, process, limit) = match last {
        Some(refused) => {
            let limit = limit(observed, refused);
            (
                words::refused(observed, refused, limit.as_ref()),
                Some(refused.process.clone()),
                limit,
            )
        }
        None => unseen(observed)?,
    };
    Some(Outcome {
        kind: Kind::ResourceRefused,
        certainty: Certainty::Likely,
        sentence,
        process,
        limit,
        ..Outcome::default()
    })
}

/// A cgroup's counter tells which limit it was: nothing else would move it.
fn limit(observed: &Observed, refused: &Refused) -> Option<Limit> {
    let of_cgroup = observed.processes_refused.as_ref().map(|(limit, ..)| limit.clone());
    let is_process = matches!(refused.what, Refusal::Thread | Refusal::Process);
    of_cgroup.filter(|_| is_process).or_else(|| refused.limit.clone())
}

/// What was refused where the library does not see it: a process by vfork(2), or a write to a file.
fn unseen(observed: &Observed) -> Option<(String, Option<ProcessName>, Option<Limit>)> {
    // Where others are in the cgroup, one of them may have been refused.
    if let Some((limit, ..)) = observed.processes_refused.as_ref().filter(|_| !observed.is_shared) {
        return Some((words::processes_refused(observed, limit), None, Some(limit.clone())));
    }
    let full = observed.full.as_ref()?;
    Some((words::full(observed, full), None, Some(full.clone())))
}
