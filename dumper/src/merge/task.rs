//! One run among many.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use serde::Serialize;

use crate::folder::Folder;
use crate::label::cut;
use crate::outcome::Kind;
use crate::process::Process;
use crate::profile::CallTree;
use crate::report::NamedChargedLine;
use crate::run::Run;
use crate::timeline;

/// What tells the tasks of one job apart, and what to call it; the first two that are there are used.
const NUMBERS: [(&str, &str); 9] = [
    ("SLURM_ARRAY_TASK_ID", "task"),
    ("JOB_COMPLETION_INDEX", "index"),
    ("PBS_ARRAY_INDEX", "task"),
    ("LSB_JOBINDEX", "task"),
    ("SGE_TASK_ID", "task"),
    ("RANK", "rank"),
    ("OMPI_COMM_WORLD_RANK", "rank"),
    ("PMI_RANK", "rank"),
    ("SLURM_PROCID", "rank"),
];

/// Characters of a text that is kept of each run: there may be thousands of runs.
const LONGEST: usize = 500;

/// What there is to say about one run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Task {
    /// Which it is: `task 3, rank 1`, or the name of its folder.
    pub name: String,
    /// The run folder.
    pub folder: String,
    /// Where it ran.
    pub host: String,
    /// The verdict's kind.
    pub kind: Kind,
    /// Whether it or a child of it ran out of memory.
    pub ran_out: bool,
    /// The most that was seen of what all of its processes held together: resident, or recorded if that was more.
    pub peak_bytes: u64,
    /// What it would have needed at least: its peak, and where it ran out, also what it asked for in vain.
    pub needed_bytes: u64,
    /// The limit that was hit, or the smallest that was in force.
    pub limit_bytes: Option<u64>,
    /// The request that failed last.
    pub failed_request: Option<String>,
    /// The line that held the most when it ran out, or at its peak: of the user's own code, and where in a library.
    pub place: Option<String>,
    /// What it held, in bytes: as many of them as were in memory, where that ranks the run's call sites.
    pub place_bytes: u64,
    /// The whole callstack of what held the most, as a number: the same for the same stack.
    pub stack: Option<String>,
    /// How long it ran.
    pub seconds: Option<f64>,
    #[serde(skip)]
    pub(super) numbers: Vec<u64>,
}

impl Task {
    pub(super) fn of(folder: &Folder, run: &Run, processes: &[Process]) -> Task {
        let outcome = run.outcome.as_ref();
        let kind = outcome.map(|outcome| outcome.kind).unwrap_or_default();
        let killed = outcome.is_some_and(|outcome| outcome.is_killed_for_memory());
        let (numbers, mut names) = numbers(&run.identity);
        if names.is_empty() {
            names = folder
                .path()
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
        }
        // What of a timeline cannot be read, the recordings make up for.
        let samples = timeline::load(folder).unwrap_or_default();
        let resident = samples.iter().map(|sample| sample.resident_bytes).max().unwrap_or(0);
        let recorded = processes
            .iter()
            .map(|process| process.facts.peak_bytes)
            .max()
            .unwrap_or(0);
        let limit = outcome
            .and_then(|outcome| outcome.limit.as_ref())
            .filter(|limit| !limit.kind.is_number())
            .or(run.limits.first());
        let peak_bytes = resident.max(recorded);
        let failures = processes.iter().filter_map(|process| process.facts.failure.as_ref());
        let asked = failures.map(|failure| failure.live_bytes.saturating_add(failure.request_bytes));
        let ran_out = killed || kind == Kind::AllocationFailedFatal;
        let used = limit.filter(|_| ran_out).and_then(|limit| limit.usage);
        let needed = asked.filter(|_| ran_out).chain(used).max().unwrap_or(0);
        Task {
            name: names,
            folder: folder.path().to_string_lossy().into_owned(),
            host: cut(&run.host, LONGEST).into_owned(),
            kind,
            ran_out,
            peak_bytes,
            needed_bytes: needed.max(peak_bytes),
            limit_bytes: limit.map(|limit| limit.bytes),
            failed_request: outcome
                .and_then(|outcome| outcome.failed_request.as_ref())
                .map(|request| cut(request, LONGEST).into_owned()),
            place: None,
            place_bytes: 0,
            stack: None,
            seconds: run.ending.as_ref().map(|ending| ending.seconds),
            numbers,
        }
    }

    /// Notes the line that its own report names, and the callstack that held the most for it.
    pub(super) fn note_culprit(&mut self, tree: &CallTree, run: &Run) {
        let directory = run.directory.to_str().unwrap_or("");
        let Some(culprit) = tree.culprit() else {
            return;
        };
        // Only to be compared with others of this process.
        let mut hasher = DefaultHasher::new();
        tree.callers(culprit.largest as usize).for_each(|node| {
            let call = tree.call(node);
            (call.file, call.function, call.line).hash(&mut hasher);
        });
        self.stack = Some(format!("{:016x}", hasher.finish()));
        let culprit = NamedChargedLine::new(&culprit, directory);
        self.place = Some(culprit.place());
        self.place_bytes = culprit.ranked;
    }

    /// In which they are listed.
    pub(super) fn order(&self) -> (&[u64], &str) {
        (&self.numbers, &self.folder)
    }
}

/// `task 3, rank 1` and the numbers alone.
fn numbers(identity: &BTreeMap<String, String>) -> (Vec<u64>, String) {
    let mut found: Vec<(&str, u64)> = Vec::new();
    for (variable, what) in NUMBERS {
        let number = identity.get(variable).and_then(|value| value.parse().ok());
        if let Some(number) = number
            && !found.iter().any(|(known, _)| *known == what)
        {
            found.push((what, number));
        }
    }
    // A task of an array that is alone in its step has rank 0, which says nothing.
    if found.len() == 2 && found[1] == ("rank", 0) && identity.get("SLURM_NTASKS").is_none_or(|tasks| tasks == "1") {
        found.pop();
    }
    let names: Vec<_> = found.iter().map(|(what, number)| format!("{what} {number}")).collect();
    (found.into_iter().map(|(_, number)| number).collect(), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_run_is_short_whatever_its_file_says() {
        let folder = tempfile::tempdir().unwrap();
        let long = || "x".repeat(8 << 20);
        let run = Run {
            host: long(),
            version: long(),
            command: vec![long()],
            identity: BTreeMap::from([("RANK".to_owned(), long()), ("POD_NAME".to_owned(), long())]),
            outcome: Some(crate::Outcome {
                failed_request: Some(long()),
                sentence: long(),
                ..crate::Outcome::default()
            }),
            ..Run::default()
        };
        let task = Task::of(&Folder::open(folder.path()).unwrap(), &run, &[]);
        let kept = serde_json::to_string(&task).unwrap().len();
        assert!(kept < 4 * LONGEST, "{kept}");
    }

    #[test]
    fn tasks_are_named_by_what_tells_them_apart() {
        let name = |variables: &[(&str, &str)]| {
            let identity = variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            numbers(&identity.collect()).1
        };
        assert_eq!(name(&[("POD_NAME", "x")]), "");
        assert_eq!(name(&[("JOB_COMPLETION_INDEX", "7")]), "index 7");
        assert_eq!(name(&[("SLURM_PROCID", "12"), ("RANK", "3")]), "rank 3");
        assert_eq!(name(&[("SLURM_ARRAY_TASK_ID", "5"), ("SLURM_PROCID", "0")]), "task 5");
        let both = [
            ("SLURM_ARRAY_TASK_ID", "5"),
            ("SLURM_PROCID", "0"),
            ("SLURM_NTASKS", "4"),
        ];
        assert_eq!(name(&both), "task 5, rank 0");
    }
}
