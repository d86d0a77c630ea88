//! "A report tells which variables kept the memory alive: at a failed allocation, at the end of a job that was killed, and in a snapshot.
//! It tells names, and never a value."

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use oom::{Job, MIB, Outcome, Python, Report, Running, assert_close, fil_profile, place};
use serde_json::Value;

const VICTIM: &str = "held_by.py";
/// More than it holds, and less than it asks for.
const LIMIT: u64 = 600 * MIB;
/// How far off a variable may be, in percent.
const PERCENT: f64 = 10.0;

/// Holders are known from 3.7 on, of builds with the interpreter's lock.
fn each(test: impl Fn(&Python)) {
    Python::each(|python| {
        if python.is_free_threaded || python.version < (3, 7, 0) {
            oom::announce(&format!("who holds what is not known of {python}"));
        } else {
            test(python);
        }
    });
}

fn job(python: &Python, way: &str) -> Job {
    Job::python(python, VICTIM).arg(way).option("--keep-recording")
}

fn runs_out(python: &Python) -> Outcome {
    job(python, "fails").limit_address_space(LIMIT).run()
}

/// A job that waits, and at which the supervisor has looked while it held nearly all: it looks again after growth of a twentieth.
fn waits(python: &Python) -> Running {
    let mut running = job(python, "waits").start();
    running.wait_for_stdout("_results");
    running.wait_for("look at all that it holds", |job| {
        let latest = fs::read_dir(job.folder().join("fil-result/latest/")).ok()?;
        let path = latest
            .flatten()
            .map(|entry| entry.path())
            .find(|path| is_holders(path))?;
        let known: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (known["latest"]["live_bytes"].as_u64()? > 118 * MIB).then_some(())
    });
    running
}

fn is_holders(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "holders")
}

/// What the job has said that it holds.
fn truth(outcome: &Outcome) -> Value {
    let text = String::from_utf8_lossy(&outcome.stdout).into_owned();
    serde_json::from_str(text.lines().next().unwrap_or_default()).unwrap_or_else(|error| panic!("{error}: {outcome}"))
}

/// Whether the two variables come first, with what they hold.
fn assert_told(holders: &Value, truth: &Value) {
    for (index, name) in ["fleet", "_results"].into_iter().enumerate() {
        let variable = &holders["variables"][index];
        assert_eq!(variable["name"], name, "{holders}");
        let truth = truth[name].as_u64().expect("it is a number");
        assert_close(variable["bytes"].as_u64().expect("so is this"), truth, PERCENT, holders);
    }
    let fleet = &holders["variables"][0];
    assert_eq!(
        (&fleet["kind"], &fleet["type"]),
        (&"local".into(), &"list".into()),
        "{fleet}"
    );
    assert_eq!(fleet["frame"]["function"], "main", "{fleet}");
    assert_eq!(fleet["path"][1], ".spectra", "{fleet}");
    assert_eq!(holders["variables"][1]["kind"], "global", "{holders}");
    // The line of the victim's own that allocated it.
    let spectra = place(VICTIM, "SPECTRA");
    let site = &fleet["sites"][0];
    assert_eq!(site["line"].as_u64(), Some(spectra.line.into()), "{fleet}");
    assert!(
        site["file"].as_str().is_some_and(|file| file.ends_with(VICTIM)),
        "{fleet}"
    );
    let of_spectra = |row: &&Value| row["name"] == "bytearray";
    let types = holders["types"].as_array().expect("a list");
    let bytes = types.iter().find(of_spectra).and_then(|row| row["bytes"].as_u64());
    assert_close(
        bytes.unwrap_or(0),
        truth["fleet"].as_u64().unwrap_or(0),
        PERCENT,
        holders,
    );
}

/// All files of a run, the bundle unpacked.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(folder)
        .expect("it can be read")
        .flatten()
        .map(|entry| entry.path());
    let read = paths.filter(|path| path.is_file()).map(|path| {
        let bytes = fs::read(&path).expect("it can be read");
        let bytes = match path.extension().is_some_and(|extension| extension == "fil") {
            true => {
                let mut unpacked = Vec::new();
                let mut packed = flate2::read::GzDecoder::new(&bytes[12..]);
                packed.read_to_end(&mut unpacked).expect("it is gzip");
                unpacked
            }
            false => bytes,
        };
        (path, bytes)
    });
    read.collect()
}

#[test]
fn a_failed_allocation_tells_who_holds_what_and_never_a_value() {
    each(|python| {
        let outcome = runs_out(python);
        assert_eq!(outcome.status, Some(1), "{outcome}");
        assert!(outcome.job_stderr().trim_end().ends_with("MemoryError"), "{outcome}");
        let report = Report::of(&outcome);
        let holders = report.at("/holders");
        assert_told(holders, &truth(&outcome));
        assert_eq!(
            (&holders["stopped"], &holders["age_ms"]),
            (&true.into(), &0.into()),
            "{holders}"
        );
        let log = outcome.our_lines().join(" ");
        let log = log.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(log.contains("Held by: fleet in main() at"), "{outcome}");
        assert!(log.contains("Held by: _results, global in"), "{outcome}");
        assert!(log.contains("list of 200 Machine"), "{outcome}");
        assert!(log.matches("Held by").count() <= 3, "{outcome}");
        let page = fs::read_to_string(outcome.file("index.html")).expect("it is UTF-8");
        assert!(
            page.contains("Who holds it") && page.contains("kept by fleet in main()"),
            "{outcome}"
        );
        assert!(outcome.has("holders.svg"), "{outcome}");
        let files = files(&outcome.run_folder());
        assert!(files.iter().any(|(path, _)| is_holders(path)), "{outcome}");
        for (path, bytes) in files {
            let secret = bytes.windows(8).any(|bytes| bytes == b"plum-jam");
            assert!(!secret, "{} has a value", path.display());
        }
    });
}

#[test]
fn a_job_that_is_killed_out_of_the_blue_has_the_holders_of_before() {
    each(|python| {
        let mut running = waits(python);
        let job = running.job();
        running.signal(job, Signal::SIGKILL);
        let outcome = running.finish();
        assert_eq!(outcome.signal, Some(9), "{outcome}");
        let report = Report::of(&outcome);
        let holders = report.at("/holders");
        assert_told(holders, &truth(&outcome));
        assert_eq!(holders["stopped"], false, "{holders}");
        assert!(holders["age_ms"].is_i64(), "{holders}");
    });
}

#[test]
fn a_snapshot_and_a_bundle_have_them_too() {
    let python = Python::any();
    let mut running = waits(python);
    let job = running.job();
    let taken = std::process::Command::new(fil_profile())
        .args(["snapshot", &job.to_string()])
        .output()
        .expect("it can be run");
    assert!(taken.status.success(), "{taken:?}");
    let run = running.folder().join("fil-result/latest");
    let snapshot = fs::read_dir(&run)
        .expect("it can be read")
        .flatten()
        .map(|entry| entry.path());
    let snapshot = snapshot
        .into_iter()
        .find(|path| path.to_string_lossy().contains("snapshot-"));
    let report = Report::load(&snapshot.expect("there is a snapshot").join("report.json"));
    assert_eq!(report.text("/holders/moment"), "for this snapshot", "{report}");
    let inspect = || {
        let mut inspect = std::process::Command::new(fil_profile());
        inspect
            .args(["inspect", "latest", "--json", "-"])
            .current_dir(running.folder());
        inspect.output().expect("it can be run")
    };
    let inspected = inspect();
    let of_run: Value =
        serde_json::from_slice(&inspected.stdout).unwrap_or_else(|error| panic!("{error}: {inspected:?}"));
    assert_eq!(of_run["pid"].as_i64(), Some(job.as_raw().into()), "{of_run}");
    // In a folder that others may write to, nobody is believed about which process it is.
    let open_to_all = fs::Permissions::from_mode(0o777);
    let private = fs::metadata(&run).expect("it is there").permissions();
    fs::set_permissions(&run, open_to_all).expect("it is ours");
    let refused = inspect();
    fs::set_permissions(&run, private).expect("it is ours");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        refused.stdout.is_empty() && said.contains("name the process by its id"),
        "{refused:?}"
    );
    running.signal(job, Signal::SIGKILL);
    let outcome = running.finish();
    assert_told(report.at("/holders"), &truth(&outcome));

    let elsewhere = tempfile::tempdir().expect("there is room");
    let bundle = elsewhere.path().join("profile.fil");
    fs::copy(outcome.file("profile.fil"), &bundle).expect("it can be copied");
    let again = std::process::Command::new(fil_profile())
        .args(["report", "--format", "json"])
        .arg(&bundle)
        .output()
        .expect("it can be run");
    let again: Value = serde_json::from_slice(&again.stdout).unwrap_or_else(|error| panic!("{error}: {again:?}"));
    assert_told(&again["holders"], &truth(&outcome));
}

#[test]
fn nobody_looks_if_that_is_not_wanted() {
    let python = Python::any();
    let outcome = job(python, "fails")
        .option("--no-holders")
        .limit_address_space(LIMIT)
        .run();
    assert_eq!(outcome.status, Some(1), "{outcome}");
    let report = Report::of(&outcome);
    assert!(report.at("/holders").is_null(), "{report}");
    assert!(!outcome.our_lines().join(" ").contains("Held by"), "{outcome}");
    assert!(!outcome.has("holders.svg"), "{outcome}");
    assert!(
        !files(&outcome.run_folder()).iter().any(|(path, _)| is_holders(path)),
        "{outcome}"
    );
}
