//! Of real programs, the lines that hold the most are those that memray finds, which records every allocation.
//!
//! It installs memray and the programs' packages from PyPI, so only under OOM_TESTS_LONG=1.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use oom::{Held, Job, Report, announce, memray_python, victim};

/// A line of a file.
type Line = (String, u32);

/// How many standard deviations two lines may be apart in truth and still change places: less likely than 1e-6.
const CHANCE: f64 = 5.0;

/// What each line held at the peak by memray, the largest first.
fn truth_of(program: &Path, folder: &Path) -> Vec<(Line, u64)> {
    let recording = folder.join("memray.bin");
    let run = |words: &[&str], file: &Path, other: Option<&Path>| {
        let mut command = Command::new(&memray_python().path);
        command.args(words).arg(file).args(other).envs(ENVIRONMENT);
        let output = command.output().expect("the interpreter can be run");
        assert!(output.status.success(), "{command:?}: {output:?}");
        output.stdout
    };
    let words = ["-m", "memray", "run", "--trace-python-allocators", "-q", "-o"];
    run(&words, &recording, Some(program));
    let printed = run(&[], &victim("memray_peak.py"), Some(&recording));
    let lines: Vec<(String, u32, u64)> = serde_json::from_slice(&printed).expect("a list of lines");
    let lines = lines.into_iter().map(|(file, line, bytes)| ((file, line), bytes));
    lines.filter(|(line, _)| is_compared(line)).collect()
}

/// What is imported is not: memray begins when Python and much of its library are there, and what a library takes while it is loaded
/// (OpenBLAS: 32 MiB) it does not see.
fn is_compared((file, _): &Line) -> bool {
    !file.starts_with("<frozen importlib")
}

/// One thread, and the same hashes each time: the same program twice.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("OPENBLAS_NUM_THREADS", "1"),
    ("OMP_NUM_THREADS", "1"),
    ("PYTHONHASHSEED", "0"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
];

/// What each line held at the peak by our report.
fn reported(report: &Report) -> HashMap<Line, Held> {
    let mut lines: HashMap<Line, Held> = HashMap::new();
    for site in report.at("/call_sites").as_array().into_iter().flatten() {
        let number = |name: &str| site[name].as_u64().unwrap_or_default();
        let file = site["file"].as_str().unwrap_or_default().to_owned();
        let line = u32::try_from(number("line")).expect("a line's number");
        let here = Held {
            bytes: number("bytes"),
            variance: (number("error_bytes") as f64).powi(2),
        };
        let held = lines.entry((file, line)).or_default();
        *held = held.plus(here);
    }
    lines.retain(|line, _| is_compared(line));
    lines
}

fn same_ranking(name: &str) {
    let program = victim(name);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let truth = truth_of(&program, folder.path());
    let job = ENVIRONMENT
        .iter()
        .fold(Job::script(memray_python(), &program), |job, (name, value)| {
            job.env(name, value)
        });
    let outcome = job.run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let ours = reported(&Report::of(&outcome));
    let held = |line: &Line| ours.get(line).copied().unwrap_or_default();
    announce(&format!("{name}\n| memray | ours | ± | off by ± | line |"));
    for (line, bytes) in truth.iter().take(10) {
        let ours = held(line);
        let file = Path::new(&line.0).file_name().unwrap_or_default().display();
        announce(&format!(
            "| {bytes} | {} | {:.0} | {:.1} | {file}:{} |",
            ours.bytes,
            ours.error(),
            ours.normal_score(*bytes),
            line.1
        ));
    }
    // Each of the ten against every other line: of two in the wrong order, the truth differs by less than chance explains.
    for (rank, (larger, more)) in truth.iter().take(10).enumerate() {
        for (smaller, less) in &truth[rank + 1..] {
            let (a, b) = (held(larger), held(smaller));
            let apart = (more - less) as f64;
            let error = (a.variance + b.variance).sqrt();
            assert!(
                a.bytes >= b.bytes || apart <= CHANCE * error,
                "{larger:?} holds {more}, {smaller:?} {less}; reported are {a:?} and {b:?}: {outcome}"
            );
        }
    }
    // And nothing of ours is among the ten that memray does not know.
    let least = truth[9].1;
    for (line, held) in &ours {
        let known = truth.iter().any(|(known, _)| known == line);
        let is_program = Path::new(&line.0) == program;
        assert!(
            known || !is_program || held.bytes as f64 <= least as f64 + CHANCE * held.error(),
            "{line:?}: {held:?}"
        );
    }
}

#[test]
fn the_ten_largest_lines_are_those_of_memray() {
    if std::env::var_os("OOM_TESTS_LONG").is_none() {
        announce("not compared with memray: that installs it from PyPI, and needs OOM_TESTS_LONG=1");
        return;
    }
    for program in ["program_json.py", "program_pandas.py", "program_sklearn.py"] {
        same_ranking(program);
    }
}
