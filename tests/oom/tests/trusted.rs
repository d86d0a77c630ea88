//! "A report shows lines of this machine's files for runs of your own alone": and for others only where `--trust` or `--source` says so.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use oom::{Job, Python, fil_profile};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A comment in the line that holds the memory.
const MARKER: &str = "a word that no report makes up";
/// All that show lines of source files in their text.
const FORMATS: [&str; 3] = ["html", "svg", "svg-reversed"];

/// A run with its script, and a copy of its run folder that holds the recordings alone: it has no lines of source files.
struct Place {
    folder: TempDir,
    script: TempDir,
}

impl Place {
    fn new() -> Self {
        let script = tempfile::tempdir().expect("a temporary folder can be made");
        let path = script.path().join("job.py");
        fs::write(&path, format!("kept = bytearray(20 << 20)  # {MARKER}\n")).expect("it is ours");
        let outcome = Job::script(Python::any(), &path).option("--keep-recording").run();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        let run = outcome.run_folder();
        let folder = outcome.into_folder();
        let copy = folder.path().join("copy");
        fs::create_dir(&copy).expect("it is ours");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o700)).expect("it is ours");
        fs::copy(run.join("run.json"), copy.join("run.json")).expect("it is ours");
        copy_recordings(&run, &copy);
        Self { folder, script }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn fil_profile(&self, arguments: &[&str]) -> Output {
        let output = Command::new(fil_profile())
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .expect("it can be run");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output
    }

    fn shows(&self, arguments: &[&str]) -> bool {
        is_marked(&self.fil_profile(arguments).stdout)
    }
}

fn copy_recordings(from: &Path, to: &Path) {
    let mut count = 0;
    for entry in fs::read_dir(from).expect("it is there") {
        let path = entry.expect("it can be listed").path();
        if path.extension().is_some_and(|ending| ending == "recording") {
            fs::copy(&path, to.join(path.file_name().expect("it has one"))).expect("it is ours");
            count += 1;
        }
    }
    assert!(count > 0, "{} has no recording", from.display());
}

fn is_marked(text: &[u8]) -> bool {
    text.windows(MARKER.len()).any(|part| part == MARKER.as_bytes())
}

#[test]
fn a_document_on_a_foreign_folder_shows_lines_of_local_files_only_if_it_is_trusted() {
    let place = Place::new();
    for format in FORMATS {
        let export = ["report", "copy", "--format", format];
        assert!(!place.shows(&export), "{format}");
        assert!(place.shows(&[&export[..], &["--trust"]].concat()), "{format}");
    }
}

#[test]
fn whoever_names_a_folder_of_source_files_sees_these_and_no_others() {
    let place = Place::new();
    let there = place.script.path().to_str().expect("it is UTF-8");
    for (folder, shown) in [(there, true), ("copy", false)] {
        for trust in [&[][..], &["--trust"]] {
            let export = ["report", "copy", "--format", "html", "--source", folder];
            assert_eq!(place.shows(&[&export[..], trust].concat()), shown, "{folder} {trust:?}");
        }
    }
    for (options, shown) in [(&[][..], false), (&["--source", there][..], true)] {
        place.fil_profile(&[&["diff", "copy", "copy", "-o", "diff.svg"][..], options].concat());
        let drawn = fs::read(place.path("diff.svg")).expect("just written");
        assert_eq!(is_marked(&drawn), shown, "diff {options:?}");
        let into = if shown { "with" } else { "without" };
        place.fil_profile(&[&["-o", into, "merge", "copy"][..], options].concat());
        let mut merged = fs::read_dir(place.path(into)).expect("just made");
        let merged = merged.next().expect("one folder").expect("it can be listed").path();
        let drawn = fs::read(merged.join("merged.svg")).expect("just written");
        assert_eq!(is_marked(&drawn), shown, "merge {options:?}");
    }
}

#[test]
fn the_folder_of_a_report_on_a_foreign_run_is_no_folder_of_a_run_of_ones_own() {
    let place = Place::new();
    place.fil_profile(&["-o", "made", "report", "copy"]);
    let made = place.path("made/report-of-copy");
    let page = fs::read(made.join("index.html")).expect("just written");
    assert!(!is_marked(&page), "the first report");

    // Whatever comes to lie in it later, as from the foreign folder, is as foreign as that.
    copy_recordings(&place.path("copy"), &made);
    let mut facts: Value =
        serde_json::from_slice(&fs::read(made.join("run.json")).expect("just written")).expect("it is JSON");
    let inode = fs::metadata(&made).expect("it is there").ino();
    assert_eq!(
        facts["made_in"]["inode"],
        json!(inode),
        "it is made here, so that the next report finds it"
    );
    facts["report_written"] = json!(false);
    facts["outcome"] = Value::Null;
    fs::write(made.join("run.json"), facts.to_string()).expect("it is ours");
    fs::write(made.join("lock"), "vm\nboot\n1\n1\nlocked\n").expect("it is ours");
    let before = all(&made);

    for format in FORMATS {
        assert!(
            !place.shows(&["report", "made/report-of-copy", "--format", format]),
            "{format}"
        );
    }
    place.fil_profile(&["-o", "again", "report", "made/report-of-copy"]);
    let again = fs::read(place.path("again/report-of-report-of-copy/index.html")).expect("just written");
    assert!(!is_marked(&again), "the second report");
    place.fil_profile(&["-o", "again", "snapshot", "made/report-of-copy"]);
    let started = place.fil_profile(&["-o", "made", "--no-browser", "run", "true"]);
    let said = String::from_utf8_lossy(&started.stderr);
    assert!(!said.contains("ended without a report"), "{said}");
    assert_eq!(all(&made), before, "nothing in it has been changed");
}

/// The names and sizes of all that is in a folder.
fn all(folder: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(folder).expect("it is there");
    let mut found: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("it can be listed");
            (entry.path(), entry.metadata().expect("it is there").len())
        })
        .collect();
    found.sort();
    found
}
