//! One flame graph of all processes: each is a frame at the root, with what it held itself on it, by what ranks it.

use std::borrow::Cow;
use std::io::{self, Write};

use super::account::Account;
use super::drawing::Drawing;
use super::flamegraph::{self, Caption, Labels};
use super::{choice, words};
use crate::process::Process;
use crate::profile::{CallTree, Join, Moment, Profile, Rank, State};
use crate::rank;
use crate::source::Sources;
use crate::units::{self, Bytes};

/// Processes that are drawn with their callstacks, those with the most memory.
const DRAWN: usize = 20;
/// Nodes of one process that are drawn: a report may be written where hardly any memory is left.
const NODES: usize = 2000;

/// All processes as one profile.
pub(super) struct ProcessTree<'a> {
    profile: Profile,
    rank: Rank,
    /// What all of them asked for, by their recordings' headers.
    asked: u64,
    directory: &'a str,
    choice: Choice<'a>,
}

impl<'a> ProcessTree<'a> {
    /// None if there is not more than one process to be drawn.
    pub(super) fn compute(account: &Account<'a>) -> Option<ProcessTree<'a>> {
        let choice = Choice::of(account);
        if choice.processes.len() < 2 {
            return None;
        }
        let mut joined = Join::new();
        let (drawn, rest) = choice.processes.split_at(choice.processes.len().min(DRAWN));
        if !rest.is_empty() {
            joined.hold(&format!("{} smaller processes", rest.len()), sum(rest));
        }
        let mut rank = Rank::Requested;
        for (process, moment) in drawn {
            // What cannot be read has been said already.
            let Ok((profile, _)) = process.read() else { continue };
            let tree = rank::tree(account.run, &profile, *moment).condensed();
            if tree.rank() == Rank::Resident {
                rank = Rank::Resident;
            }
            let mut one = Join::new();
            one.add(None, &tree);
            one.shrink(NODES, tree.rank());
            joined.add(Some(&frame(process)), &one.finish().at(Moment::Live).by(tree.rank()));
        }
        Some(ProcessTree {
            profile: joined.finish(),
            rank,
            asked: sum(&choice.processes),
            directory: account.directory,
            choice,
        })
    }

    /// Its call tree. If one of the processes is ranked by what is in memory, all are.
    pub(super) fn tree(&self) -> CallTree<'_> {
        self.profile.at(Moment::Live).by(self.rank)
    }

    /// Writes the flame graph.
    pub(super) fn draw(&self, out: &mut dyn Write, sources: &mut Sources) -> io::Result<()> {
        let tree = self.tree();
        let total = match self.rank {
            Rank::Resident => format!(
                "{} resident, of {} asked for",
                Bytes(tree.all().bytes),
                Bytes(self.asked)
            ),
            Rank::Requested => words::with_error(tree.all()),
        };
        let Choice { processes, when, note } = &self.choice;
        let caption = Caption {
            title: format!("Memory of {} processes, {when}: {total}", processes.len()),
            subtitle: note.clone().into_owned(),
        };
        let mut labels = Labels::new(&tree, sources, self.directory);
        flamegraph::write(out, &Drawing::by_caller(&tree), &mut labels, caption)
    }
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

fn sum(processes: &[(&Process, Moment)]) -> u64 {
    units::sum(processes.iter().map(held))
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
