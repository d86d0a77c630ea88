//! The merged report as a few lines.

use std::collections::HashMap;

use serde::Serialize;

use super::{Enough, Spread, Task};
use crate::units::Bytes;

/// Tasks of a kind that are named.
const NAMED: usize = 8;
/// Callstacks that are listed.
const STACKS: usize = 5;

/// Tasks that ran out while the same callstack held the most.
#[derive(Debug, Serialize)]
pub(super) struct Group<'a> {
    /// The line.
    place: Option<&'a str>,
    stack: Option<&'a str>,
    tasks: Vec<&'a str>,
}

/// The largest first.
pub(super) fn groups(tasks: &[Task]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut of_stack: HashMap<Option<&str>, usize> = HashMap::new();
    for task in tasks.iter().filter(|task| task.ran_out) {
        let stack = task.stack.as_deref();
        let index = *of_stack.entry(stack).or_insert_with(|| {
            groups.push(Group {
                place: task.place.as_deref(),
                stack,
                tasks: Vec::new(),
            });
            groups.len() - 1
        });
        groups[index].tasks.push(&task.name);
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.tasks.len()));
    groups
}

/// The lines.
pub(super) fn lines(tasks: &[Task], unreadable: &[String]) -> Vec<String> {
    let ran_out: Vec<&Task> = tasks.iter().filter(|task| task.ran_out).collect();
    let mut lines = vec![match ran_out.len() {
        0 => format!("None of {} ran out of memory.", count(tasks.len(), "task")),
        _ => format!(
            "{} of {} ran out of memory: {}.",
            ran_out.len(),
            count(tasks.len(), "task"),
            named(ran_out.iter().map(|task| &*task.name))
        ),
    }];
    let groups = groups(tasks);
    match &groups[..] {
        [] => {}
        [group] if ran_out.len() > 1 => lines.push(format!(
            "All of them while the same callstack held the most, at {}.",
            group.place.unwrap_or("an unknown place")
        )),
        _ => {
            if groups.len() > 1 {
                lines.push("Not all while the same callstack held the most:".to_owned());
            }
            for group in groups.iter().take(STACKS) {
                lines.push(format!(
                    "{:>5}  {}  ({})",
                    group.tasks.len(),
                    group.place.unwrap_or("an unknown place"),
                    named(group.tasks.iter().copied())
                ));
            }
            if groups.len() > STACKS {
                lines.push(format!("And {} more callstacks.", groups.len() - STACKS));
            }
        }
    }
    if let Some(spread) = Spread::of(tasks) {
        lines.push(format!(
            "Peaks: {} to {}, half of the tasks at most {}, 95 % at most {}.",
            Bytes(spread.least),
            Bytes(spread.most),
            Bytes(spread.median),
            Bytes(spread.most_of_95_percent)
        ));
        let outliers: Vec<&Task> = tasks.iter().filter(|task| spread.is_outlier(task.peak_bytes)).collect();
        if !outliers.is_empty() {
            let named = named(
                outliers
                    .iter()
                    .map(|task| format!("{} ({})", task.name, Bytes(task.peak_bytes))),
            );
            lines.push(format!("Far from the others: {named}."));
        }
    }
    for (percent, whom) in [(95, "for 95 % of the tasks"), (100, "for all of them")] {
        if let Some(enough) = Enough::of(tasks, percent) {
            lines.push(request(enough, whom));
        }
    }
    if !unreadable.is_empty() {
        lines.push(format!("{} could not be read.", count(unreadable.len(), "run")));
    }
    lines
}

/// `Enough for all of them: 1.2 GiB (--mem=1229M).`
fn request(enough: Enough, whom: &str) -> String {
    let mebibytes = enough.bytes.div_ceil(1 << 20);
    match enough.at_least {
        false => format!("Enough {whom}: {} (--mem={mebibytes}M).", Bytes(enough.bytes)),
        true => format!(
            "Enough {whom}: at least {} (--mem={mebibytes}M); how much more those would have used that ran out is not known.",
            Bytes(enough.bytes)
        ),
    }
}

fn named<T: AsRef<str>>(names: impl ExactSizeIterator<Item = T>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let names: Vec<T> = names.take(NAMED).collect();
    let listed: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match more {
        0 => listed.join(", "),
        more => format!("{} and {more} more", listed.join(", ")),
    }
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}
