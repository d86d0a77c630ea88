//! "On aarch64 a recording says the same as on x86-64: the bytes of each line, of a thread and of a killed child, and the request that
//! failed." The library is cross-built, and runs in a CPython for aarch64 under qemu.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use oom::{MIB, Report, announce, fil_profile, place, victim, workspace};

const VICTIM: &str = "other_processor.py";

/// The library and the interpreter, or why there is none.
fn tools() -> Result<(PathBuf, PathBuf), String> {
    let made = Command::new(workspace().join("scripts/aarch64"))
        .output()
        .expect("the script can be run");
    let text = String::from_utf8_lossy(&made.stdout).into_owned();
    let mut lines = text.lines().map(PathBuf::from);
    match (made.status.success(), lines.next(), lines.next()) {
        (true, Some(library), Some(python)) => Ok((library, python)),
        _ => Err(String::from_utf8_lossy(&made.stderr).into_owned()),
    }
}

/// The reports on the recordings in a folder, by whether they are of the child.
fn reports(folder: &Path) -> BTreeMap<bool, Report> {
    let files = std::fs::read_dir(folder).expect("the folder is there");
    let recordings = files.filter_map(|file| {
        let path = file.expect("the folder can be listed").path();
        path.extension()
            .is_some_and(|extension| extension == "recording")
            .then_some(path)
    });
    let child = place(VICTIM, "CHILD");
    let report = |recording: PathBuf| {
        let json = recording.with_extension("json");
        let mut write = Command::new(fil_profile());
        write
            .args(["report", "--format", "json", "-o"])
            .arg(&json)
            .arg(&recording);
        let written = write.output().expect("fil-profile can be run");
        assert!(written.status.success(), "{written:?}");
        let report = Report::load(&json);
        (report.held_through(&child) > 0, report)
    };
    recordings.map(report).collect()
}

fn run(library: &Path, python: &Path, folder: &Path, arguments: &str) -> Output {
    // Through a shell, for its limit: the emulator passes none on to the program, and runs out of address space itself.
    let limit = if arguments.is_empty() { "unlimited" } else { "900000" };
    let output = Command::new("sh")
        .args(["-c", r#"ulimit -Sv "$1" && shift && exec "$@""#, "sh", limit])
        .arg(python)
        .arg(victim(VICTIM))
        .args(arguments.split_ascii_whitespace())
        .env("PRELOADED", library)
        .env("FIL_PROFILE_RUN", folder)
        .output();
    output.expect("a shell can be run")
}

#[test]
fn a_recording_of_aarch64_has_the_bytes_of_each_line() {
    let (library, python) = match tools() {
        Ok(tools) => tools,
        Err(why) => {
            announce(&format!("aarch64 is not tested here: {why}"));
            return;
        }
    };
    let run_in = |arguments: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let output = run(&library, &python, folder.path(), arguments);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        (stdout, output, reports(folder.path()))
    };
    let held = |report: &Report, marker: &str| report.held_through(&place(VICTIM, marker));

    let (stdout, output, found) = run_in("");
    assert!(
        output.status.success() && stdout.ends_with("MemoryError\n"),
        "{output:?}"
    );
    let (parent, child) = (&found[&false], &found[&true]);
    let objects: u64 = stdout.lines().next().unwrap_or_default().parse().expect("a size");
    for (marker, truth) in [("MAIN", 30 * MIB), ("THREAD", 40 * MIB), ("OBJECTS", objects)] {
        let (ours, most) = (held(parent, marker), if marker == "OBJECTS" { truth / 10 } else { 64 });
        announce(&format!("aarch64 {marker}: {ours} of {truth} bytes"));
        assert!(ours.abs_diff(truth) <= most, "{marker}: {ours} of {truth} {parent}");
    }
    assert_eq!(parent.number("/processes/0/failed_allocations"), Some(1), "{parent}");
    assert!(held(child, "CHILD").abs_diff(50 * MIB) <= 64, "{child}");

    let (_, output, found) = run_in("grow");
    assert!(!output.status.success(), "{output:?}");
    let parent = &found[&false];
    let largest = parent.at("/call_sites/0");
    assert_eq!(
        largest["line"].as_u64(),
        Some(u64::from(place(VICTIM, "LIMIT").line)),
        "{parent}"
    );
}
