//! From real files before and after a kill to what moved, and to the verdict.

use std::fs;

use dumper::outcome::{Certainty, Kind};

use std::path::Path;

use super::*;
use crate::verdict::judge;
use crate::verdict::observed::{Ending, Observed};

/// A copy of a fixture that can change.
struct Machine(tempfile::TempDir);

impl Machine {
    fn as_in(fixture: &str) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine.becomes(fixture);
        machine
    }

    fn becomes(&self, fixture: &str) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(fixture);
        copy(&from, self.0.path());
    }

    fn evidence(&self) -> CountersAtStart {
        CountersAtStart::before(&Host::at(self.0.path()), Pid::from_raw(7))
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn verdict(counted: Counted) -> dumper::outcome::Outcome {
    judge(&Observed {
        ending: Ending::Signal(9),
        counted,
        ..Observed::default()
    })
}

#[test]
fn a_real_kill_is_found_in_the_counters_of_either_version() {
    for (before, after, path) in [
        ("v1/before", "v1/after", "/batch"),
        ("v1/cached", "v1/after", "/batch"),
        ("v2/before", "v2/after", "/job"),
    ] {
        let machine = Machine::as_in(before);
        let evidence = machine.evidence();
        machine.becomes(after);
        let counted = evidence.after();
        assert!(counted.is_whole);
        assert_eq!(counted.machine_kills.grown(), Some(1));
        let outcome = verdict(counted);
        assert_eq!(
            (outcome.kind, outcome.certainty),
            (Kind::OomKilledByCgroup, Certainty::Certain),
            "{before}"
        );
        let limit = outcome.limit.unwrap();
        assert_eq!(
            (limit.path.as_str(), limit.bytes, limit.usage),
            (path, 50 << 20, Some(50 << 20))
        );
    }
}

#[test]
fn page_cache_alone_moves_no_counter_of_kills() {
    let machine = Machine::as_in("v1/before");
    let evidence = machine.evidence();
    machine.becomes("v1/cached");
    let counted = evidence.after();
    assert!(counted.levels[1].ran_out(), "the limit was met");
    let outcome = verdict(counted);
    assert_eq!(
        (outcome.kind, outcome.certainty),
        (Kind::Terminated, Certainty::Certain)
    );
}

#[test]
fn a_cgroup_that_went_with_its_job_leaves_the_rest_of_the_evidence() {
    let machine = Machine::as_in("v2/before");
    let evidence = machine.evidence();
    machine.becomes("v2/after");
    fs::remove_dir_all(machine.0.path().join("sys/fs/cgroup/job/step")).unwrap();
    let counted = evidence.after();
    assert_eq!((counted.levels[0].after, counted.levels[0].limit), (None, None));
    let outcome = verdict(counted);
    assert_eq!(
        (outcome.kind, outcome.certainty),
        (Kind::OomKilledByCgroup, Certainty::Likely)
    );
    assert_eq!(outcome.limit.unwrap().path, "/job");
    assert!(
        outcome.evidence.iter().any(|item| item.says == "the cgroup is gone"),
        "{:#?}",
        outcome.evidence
    );

    fs::remove_dir_all(machine.0.path().join("sys")).unwrap();
    fs::remove_dir_all(machine.0.path().join("proc")).unwrap();
    let counted = evidence.after();
    assert_eq!(counted.machine_kills.grown(), None);
    assert_eq!(counted.levels[1].limit, Some(50 << 20));
    assert_eq!(verdict(counted).certainty, Certainty::Unknown);
}

#[test]
fn whoever_is_neither_of_the_job_nor_above_it_shares_its_cgroup() {
    let machine = Machine::as_in("v1/before");
    let write = |file: &str, text: &str| {
        let path = machine.0.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("proc/7/status", "Name:\tpython3\nPPid:\t6\n");
    write("proc/6/status", "Name:\tfil-profile\nPPid:\t5\n");
    write("proc/5/status", "Name:\tsh\nPPid:\t0\n");
    write("proc/7/task/70/children", "8 ");
    let procs = "sys/fs/cgroup/memory/batch/step/cgroup.procs";
    for (members, is_shared) in [("5\n6\n7\n8\n", false), ("7\n9\n", true), ("0\n7\n", true), ("", false)] {
        write(procs, members);
        assert_eq!(machine.evidence().is_shared, is_shared, "{members:?}");
    }
}

#[test]
fn a_cgroup_that_is_killed_as_a_whole_is_known_beforehand() {
    let machine = Machine::as_in("v2/before");
    assert!(!machine.evidence().is_killed_as_group);
    fs::write(machine.0.path().join("sys/fs/cgroup/job/memory.oom.group"), "1\n").unwrap();
    assert!(machine.evidence().is_killed_as_group);
}
