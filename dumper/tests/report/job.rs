//! The job that the golden reports are about: a script that loads data until an allocation fails.

use std::collections::BTreeMap;
use std::path::Path;

use dumper::outcome::{Certainty, Evidence, Kind, Limit, LimitKind, Other, Outcome, ProcessName};
use dumper::report::{self, Occasion, Written};
use dumper::{Ending, LocalSource, Run, process};
use recording::{AllocFunction, EventKind};

use crate::builder::{Builder, Held, STARTED_NS};

pub const SCRIPT: &str = "\
import numpy as np


def load(count):
    parts = []
    for index in range(count):
        parts.append(np.ones((1024, 1024, 16)))
    return np.concatenate(parts)


def index_rows(rows):
    return {row: [row] * 8 for row in rows}


def build(depth):
    table = [bytes(100) for _ in range(1000)]
    return [table, build(depth - 1)] if depth else table


if __name__ == '__main__':
    names = index_rows(range(1_000_000))
    trees = build(50)
    data = load(12)
";

/// The bytes of its recording. It ran out at 1.5 GiB, after a peak of 1.6 GiB.
pub fn recording() -> Vec<u8> {
    let mib = |mib: f64| (mib * 1048576.0) as u64;
    let sampled = |bytes: u64| Held {
        bytes,
        variance: bytes << 16,
    };
    let exact = |bytes: u64| Held { bytes, variance: 0 };
    let gone = Held::default();
    let script = "oom.py";
    let numeric = "/home/ada/venv/lib/python3.11/site-packages/numpy/_core/numeric.py";
    let mut job = Builder::new(4711, &["/home/ada/venv/bin/python3", "oom.py"]);

    let rows = [(script, 21, "<module>"), (script, 12, "index_rows")];
    let node = job.stack(&rows);
    job.site(node, sampled(mib(70.0)), sampled(mib(70.0)), sampled(mib(70.0)));
    let node = job.stack(&[rows[0], rows[1], (script, 12, "<dictcomp>")]);
    job.site(node, gone, sampled(mib(230.5)), sampled(mib(130.5)));

    let mut recursion = vec![(script, 22, "<module>")];
    for _ in 0..50 {
        recursion.push((script, 17, "build"));
        let mut comprehension = recursion.clone();
        comprehension.extend([(script, 16, "build"), (script, 16, "<listcomp>")]);
        let node = job.stack(&comprehension);
        job.site(node, gone, sampled(mib(0.7)), sampled(mib(0.7)));
    }

    let load = [(script, 23, "<module>"), (script, 7, "load")];
    let node = job.stack(&[load[0], load[1], (numeric, 235, "ones")]);
    job.site(node, gone, exact(mib(1280.0)), exact(mib(1280.0)));
    job.earlier(2_250_000_000, mib(512.0), true);
    let append = job.stack(&load);
    job.site(append, gone, exact(mib(0.2)), exact(mib(0.2)));
    let failing = job.stack(&[load[0], (script, 8, "load")]);

    let import = [
        (script, 1, "<module>"),
        ("<frozen importlib._bootstrap>", 1027, "_find_and_load"),
    ];
    let node = job.stack(&import);
    job.site(node, sampled(mib(11.0)), sampled(mib(11.0)), sampled(mib(11.0)));
    for module in 0..40 {
        let file = format!("/home/ada/venv/lib/python3.11/site-packages/numpy/part{module}.py");
        let node = job.stack(&[import[0], import[1], (file.as_str(), 1, "<module>")]);
        job.site(node, sampled(mib(0.3)), sampled(mib(0.3)), sampled(mib(0.3)));
    }
    let node = job.stack(&[("", 0, "[No Python stack]")]);
    job.site(node, exact(mib(24.0)), exact(mib(24.0)), exact(mib(24.0)));
    job.overflow(mib(3.0));

    job.event(EventKind::PythonFound, 3 << 8 | 11, 0, 0, STARTED_NS + 2_000_000);
    job.event(EventKind::StashTaken, 0, 16 << 20, 0, STARTED_NS + 3_000_000);
    job.failed(AllocFunction::Malloc, mib(1536.0), failing, STARTED_NS + 4_250_000_000);
    job.event(EventKind::StashReleased, 0, 16 << 20, 0, STARTED_NS + 4_251_000_000);
    job.bytes()
}

/// The bytes of the recording of a job that the kernel killed: 428 MiB are live, and an allocation had failed before.
pub fn killed() -> Vec<u8> {
    let mib = |mib: u64| mib << 20;
    let exact = |bytes: u64| Held { bytes, variance: 0 };
    let mut job = Builder::new(4711, &["/home/ada/venv/bin/python3", "oom.py"]);
    job.running();
    let load = [("oom.py", 23, "<module>"), ("oom.py", 7, "load")];
    let numeric = "/home/ada/venv/lib/python3.11/site-packages/numpy/_core/numeric.py";
    let ones = job.stack(&[load[0], load[1], (numeric, 235, "ones")]);
    job.site(ones, exact(mib(384)), exact(mib(384)), exact(mib(128)));
    let rows = job.stack(&[("oom.py", 21, "<module>"), ("oom.py", 12, "index_rows")]);
    let sampled = Held {
        bytes: mib(44),
        variance: mib(44) << 16,
    };
    job.site(rows, sampled, exact(mib(60)), sampled);
    job.failed(AllocFunction::Mmap, mib(8192), ones, STARTED_NS + 2_000_000_000);
    job.u64(std::mem::offset_of!(recording::Header, arena_bytes), mib(40));
    job.u64(std::mem::offset_of!(recording::Header, own_bytes), mib(1));
    job.bytes()
}

/// The run of that job.
pub fn killed_run(folder: &Path) -> Run {
    let group = "/slurm/uid_1000/job_42/step_0/task_0";
    let limit = Limit {
        kind: LimitKind::CgroupV1,
        path: group.into(),
        bytes: 512 << 20,
        usage: Some(511 << 20),
    };
    let seen = |source: &str, says: &str, before, after| Evidence {
        source: source.into(),
        says: says.into(),
        before,
        after,
        is_beside: false,
    };
    let control = format!("/sys/fs/cgroup/memory{group}/memory.oom_control");
    let other = |pid, command: &str, mib: u64| Other {
        pid,
        command: command.into(),
        resident_bytes: mib << 20,
    };
    let outcome = Outcome {
        kind: Kind::OomKilledByCgroup,
        certainty: Certainty::Certain,
        sentence: format!(
            "The kernel killed process 4711 (python3 oom.py) for want of memory: the cgroup {group} had reached its limit."
        ),
        process: Some(ProcessName {
            pid: 4711,
            command: "python3 oom.py".into(),
            is_child: false,
        }),
        signal: Some(9),
        limit: Some(limit.clone()),
        evidence: vec![
            seen("waitpid", "the process ended by SIGKILL", None, None),
            seen(
                &control,
                "oom_kill: the OOM killer killed in this cgroup",
                Some(0),
                Some(1),
            ),
            seen(
                "/proc/vmstat",
                "oom_kill: the OOM killer killed on this machine",
                Some(3),
                Some(4),
            ),
            seen(
                &control.replace("oom_control", "failcnt"),
                "the limit was met, if only by page cache",
                Some(0),
                Some(811),
            ),
        ],
        others: vec![other(812, "/usr/bin/rsync -a in out", 24), other(800, "bash", 3)],
        ..Outcome::default()
    };
    let ending = Ending {
        signal: Some(9),
        ended: "2023-11-14T23:13:25+01:00".into(),
        seconds: 4.9,
        status: None,
    };
    Run {
        ending: Some(ending),
        outcome: Some(outcome),
        identity: BTreeMap::from([
            ("SLURM_JOB_ID".into(), "42".into()),
            ("SLURM_STEP_ID".into(), "0".into()),
        ]),
        limits: vec![Limit { usage: None, ..limit }],
        address_space_limit: None,
        ..run(folder)
    }
}

/// Puts the recordings of processes into a run folder, and writes the report of it.
pub fn report(folder: &Path, run: &Run, recordings: &[Vec<u8>], occasion: Occasion) -> Written {
    for (number, bytes) in recordings.iter().enumerate() {
        std::fs::write(folder.join(format!("{}-{number}.recording", pid(bytes))), bytes).unwrap();
    }
    let (processes, unreadable) = process::load(&opened(folder)).unwrap();
    report::write(&opened(folder), run, &processes, &unreadable, occasion)
}

fn pid(bytes: &[u8]) -> u32 {
    dumper::recording::read(bytes).unwrap().0.facts.pid
}

/// The job's run, in a folder that holds its script.
pub fn run(folder: &Path) -> Run {
    std::fs::write(folder.join("oom.py"), SCRIPT).unwrap();
    Run {
        format: 1,
        version: "0.1.0".into(),
        command: vec!["python3".into(), "oom.py".into()],
        directory: folder.to_owned(),
        host: "analytical".into(),
        started: "2023-11-14T23:13:20+01:00".into(),
        supervisor: 4710,
        address_space_limit: Some(2 << 30),
        ending: Some(Ending {
            status: Some(1),
            ended: "2023-11-14T23:13:25+01:00".into(),
            seconds: 4.9,
            signal: None,
        }),
        source: LocalSource::ThisMachine,
        ..Run::default()
    }
}

/// A folder as a report is written into it.
pub fn opened(folder: &Path) -> dumper::Folder {
    dumper::Folder::open(folder).unwrap()
}

/// The text that a run prints if nobody asks for more.
pub fn said_briefly(written: &Written) -> Vec<String> {
    let mut lines = written.brief.clone();
    report::fit(&mut lines, 10, report::Layout::LOG);
    report::text(&lines)
}

/// The text of all of a report's lines for the log, but for where the page is.
pub fn said(written: &Written) -> Vec<String> {
    let mut lines = written.summary.clone();
    assert_eq!(lines.pop(), Some(report::Line::Report(written.index.clone())));
    report::text(&lines)
}
