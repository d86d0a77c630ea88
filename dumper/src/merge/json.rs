//! The merged report for machines: `merged.json`, which `schema/merged.schema.json` describes.

use std::io::{self, Write};

use serde::Serialize;

use super::text::{Group, groups};
use super::{Enough, Spread, Task};
use crate::outlet::to_json_pretty;

/// Version of the format.
const FORMAT: u32 = 1;

pub(super) fn write(out: &mut dyn Write, tasks: &[Task], unreadable: &[String]) -> io::Result<()> {
    let spread = Spread::of(tasks);
    let is_outlier = |task: &&Task| spread.as_ref().is_some_and(|spread| spread.is_outlier(task.peak_bytes));
    let report = Report {
        format: FORMAT,
        tasks: tasks.len(),
        ran_out: tasks
            .iter()
            .filter(|task| task.ran_out)
            .map(|task| &*task.name)
            .collect(),
        stacks: groups(tasks),
        outliers: tasks.iter().filter(is_outlier).map(|task| &*task.name).collect(),
        peaks: spread.as_ref(),
        enough_for_95_percent: Enough::of(tasks, 95),
        enough_for_all: Enough::of(tasks, 100),
        runs: tasks,
        unreadable,
    };
    to_json_pretty(out, &report)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct Report<'a> {
    format: u32,
    tasks: usize,
    ran_out: Vec<&'a str>,
    stacks: Vec<Group<'a>>,
    outliers: Vec<&'a str>,
    peaks: Option<&'a Spread>,
    enough_for_95_percent: Option<Enough>,
    enough_for_all: Option<Enough>,
    runs: &'a [Task],
    unreadable: &'a [String],
}
