//! One flame graph of all processes: each is a frame at the root, with what it held itself on it, by what ranks it.

use std::borrow::Cow;
use std::path::PathBuf;

use super::account::Account;
use super::drawing::Drawing;
use super::flamegraph::{self, Caption, Names};
use super::pictures::{Pictures, save_or_note};
use super::{choice, folded, words};
use crate::call_tree::{CallTree, Moment};
use crate::process::Process;
use crate::rank::Rank;
use crate::recording::{Joined, State};
use crate::units::Bytes;

/// What the files are called.
const STEM: &str = "process-tree";
/// Processes that are drawn with their callstacks, those with the most memory.
const DRAWN: usize = 20;
/// Nodes of one process that are drawn: a report may be written where hardly any memory is left.
const NODES: usize = 2000;

/// Draws it, if there is more than one process to be drawn, and returns the path of the flame graph.
pub(super) fn draw(pictures: &mut Pictures, account: &Account) -> Option<PathBuf> {
    let shown = Choice::of(account);
    if shown.processes.len() < 2 {
        return None;
    }
    let mut joined = Joined::new();
    let (drawn, rest) = shown.processes.split_at(shown.processes.len().min(DRAWN));
    if !rest.is_empty() {
        let held = rest.iter().map(held).fold(0, u64::saturating_add);
        joined.hold(&format!("{} smaller processes", rest.len()), held);
    }
    let mut is_by_resident = false;
    for (process, moment) in drawn {
        // What cannot be read has been said already.
        let Ok((recording, _)) = process.read() else { continue };
        let mut one = Joined::new();
        let rank = Rank::of(account.run, *moment, recording.measured(*moment));
        is_by_resident |= rank == Rank::Resident;
        one.add(None, &CallTree::of(&recording, *moment).ranked_by(rank).condensed());
        drop(recording);
        one.shrink(NODES);
        let one = one.finish();
        joined.add(Some(&frame(process)), &CallTree::of(&one, Moment::Live));
    }
    let joined = joined.finish();
    let tree = CallTree::of(&joined, Moment::Live);
    let (folder, failed) = (pictures.folder, &mut pictures.failed);
    save_or_note(folder, failed, &format!("{STEM}.prof"), |out| folded::write(out, &tree));
    let total = match is_by_resident {
        true => {
            let asked = shown.processes.iter().map(held).fold(0, u64::saturating_add);
            format!("{} resident, of {} asked for", Bytes(tree.total().bytes), Bytes(asked))
        }
        false => words::with_error(tree.total()),
    };
    let caption = Caption {
        title: format!("Memory of {} processes, {}: {total}", shown.processes.len(), shown.when),
        subtitle: shown.note.into_owned(),
    };
    let mut names = Names::new(&tree, &mut pictures.sources, account.directory);
    let drawing = Drawing::by_caller(&tree);
    save_or_note(folder, failed, &format!("{STEM}.svg"), |out| {
        flamegraph::write(out, &drawing, &mut names, caption)
    })
}

/// Which processes are drawn, and at which moment each.
struct Choice<'a> {
    processes: Vec<(&'a Process, Moment)>,
    when: &'static str,
    note: Cow<'static, str>,
}

impl<'a> Choice<'a> {
    /// If all were ended at one time, what those held that were there until then; else each at its own peak, since recordings
    /// know no other moment in common.
    fn of(account: &Account<'a>) -> Choice<'a> {
        let replaced = choice::replaced(account.processes);
        let last = account.processes.iter().zip(replaced);
        let last: Vec<&Process> = last.filter(|(_, replaced)| !replaced).map(|(one, _)| one).collect();
        let of_job = |process: &&&Process| process.facts.ppid == account.run.supervisor;
        let was_cut = last
            .iter()
            .find(of_job)
            .is_some_and(|job| job.facts.state == State::Running);
        let at_the_end = was_cut && account.out_of_memory.is_some();
        let mut processes: Vec<_> = last
            .into_iter()
            .filter(|process| !at_the_end || process.facts.state == State::Running)
            .map(|process| (process, if at_the_end { Moment::Live } else { Moment::Peak }))
            .collect();
        processes.retain(|one| held(one) > 0);
        processes.sort_by_key(|one| std::cmp::Reverse(held(one)));
        let inherits = "What a process inherited is counted in its parent alone.";
        let (when, note) = match at_the_end {
            true => ("at the end", Cow::Borrowed(inherits)),
            false => (
                "each at its own peak",
                Cow::Owned(format!("The peaks need not have been at the same time. {inherits}")),
            ),
        };
        Choice { processes, when, note }
    }
}

fn held((process, moment): &(&Process, Moment)) -> u64 {
    match moment {
        Moment::Live => process.facts.live_bytes,
        Moment::Peak | Moment::OutOfMemory => process.facts.peak_bytes,
    }
}

/// `load.py, process 7, rank 3, inherited 1.0 GiB`
fn frame(process: &Process) -> String {
    let facts = &process.facts;
    let mut frame = format!("{}, process {}", process.name(), facts.pid);
    if let Some(rank) = facts.rank {
        frame.push_str(&format!(", rank {rank}"));
    }
    if facts.inherited_bytes > 0 {
        let inherited = Bytes(facts.inherited_bytes);
        frame.push_str(&format!(", inherited {inherited} of process {}", facts.ppid));
    }
    frame
}
