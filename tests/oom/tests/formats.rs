//! "`fil-profile report WHAT --format …`: the report in the format of another tool", "`profile.fil` is the run in one file" and
//! "`fil-profile diff OLD NEW`: what grew and what shrank".

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use oom::{
    Folded, Job, MIB, Outcome, Python, Report, Svg, assert_close, fil_profile, go_pprof, place, read_by, read_by_schema,
};
use tempfile::TempDir;

fn fil(args: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let mut command = Command::new(fil_profile());
    command.args(args.iter().map(AsRef::as_ref));
    command.output().expect("fil-profile can be run")
}

/// A document about something, in a folder.
#[track_caller]
fn document(what: &Path, format: &str, folder: &Path) -> PathBuf {
    let file = folder.join(format);
    let output = fil(&[&"report", &what, &"--format", &format, &"-o", &file]);
    assert!(output.status.success(), "{format}: {output:?}");
    file
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

/// A job that ran out of memory, with nothing left but what everybody has.
fn ran_out() -> Outcome {
    let job = Job::python(Python::any(), "steady_arrays.py").limit_address_space(300 * MIB);
    let outcome = job.env("FIL_PROFILE_KEEP_RECORDING", "0").run();
    assert_eq!(outcome.status, Some(1), "{outcome}");
    outcome
}

#[test]
fn other_tools_find_the_culprit_and_what_it_held() {
    let outcome = ran_out();
    let run = outcome.run_folder();
    let place = place("steady_arrays.py", "HERE");
    let documents = folder();
    let total = outcome.out_of_memory().total();
    let culprit = format!("steady_arrays.py:{} (read_batch)", place.line);

    let profile = document(&run, "pprof", documents.path());
    let report = Report::of(&outcome);
    for found in [read_by("pprof", &profile), read_by_schema(&profile)]
        .into_iter()
        .flatten()
    {
        let types = [
            ["inuse_objects", "count"],
            ["inuse_space", "bytes"],
            ["resident_space", "bytes"],
        ];
        assert_eq!(found["types"], serde_json::json!(types), "{found}");
        let resident = found["sums"][2].as_u64().unwrap_or_default();
        assert!((outcome.truth()..=total).contains(&resident), "{found}");
        assert_eq!(found["sums"][1], *report.at("/moment/bytes"), "{found}");
        assert_eq!(found["sums"][2], *report.at("/moment/resident_bytes"), "{found}");
        assert_eq!(found["foremost"], "inuse_space");
        assert_eq!(found["sums"][1].as_u64(), Some(total), "{found}");
        let leaf = found["largest"][0].as_str().unwrap_or_default();
        assert!(leaf.ends_with(&culprit), "{found}");
        assert!(found["sums"][0].as_u64() >= Some(outcome.truth() / MIB), "{found}");
    }
    if let Some(top) = go_pprof(&["-top", "-lines", "-unit=b"], &profile) {
        let line = top
            .lines()
            .rfind(|line| line.contains("read_batch"))
            .expect("the culprit is there");
        assert!(line.contains(&format!("steady_arrays.py:{}", place.line)), "{top}");
        let bytes = line.trim().split("B ").next().and_then(|bytes| bytes.parse().ok());
        assert_close(bytes.expect("a number of bytes"), outcome.truth(), 2.0, &top);
        assert!(top.contains("Type: inuse_space"), "{top}");
    }

    let file = document(&run, "speedscope", documents.path());
    if let Some(found) = read_by("speedscope", &file) {
        assert_eq!(found["sums"][0].as_u64(), Some(total), "{found}");
        assert_eq!(found["end"].as_u64(), Some(total), "{found}");
        assert!(
            found["largest"][0].as_str().unwrap_or_default().ends_with(&culprit),
            "{found}"
        );
    }

    let folded = Folded::load(&document(&run, "folded", documents.path()));
    assert_close(folded.at(&place), outcome.truth(), 2.0, &outcome);
    Svg::load(&document(&run, "svg", documents.path()));
    Svg::load(&document(&run, "svg-reversed", documents.path()));
    let table = fs::read_to_string(document(&run, "csv", documents.path())).expect("just written");
    assert!(
        table.lines().nth(1).is_some_and(|row| row.contains("read_batch")),
        "{table}"
    );
}

#[test]
fn a_bundle_says_on_another_machine_what_the_run_folder_said() {
    let outcome = ran_out();
    let run = outcome.run_folder();
    let names = fs::read_dir(&run)
        .expect("it is there")
        .flatten()
        .map(|file| file.path());
    let left: Vec<PathBuf> = names
        .filter(|path| path.extension() == Some("recording".as_ref()))
        .collect();
    assert!(left.is_empty(), "{left:?}: {outcome}");
    let bundle = outcome.file("profile.fil");
    let size = fs::metadata(&bundle).expect("it is there").len();
    assert!(size < 64 << 10, "{size} bytes: {outcome}");

    let elsewhere = folder();
    let sent = elsewhere.path().join("sent.fil");
    fs::copy(&bundle, &sent).expect("there is room");
    let said = fs::read(outcome.file("out-of-memory.prof")).expect("it is there");
    let text = fs::read_to_string(document(&sent, "text", elsewhere.path())).expect("just written");
    fs::remove_dir_all(&run).expect("it is ours");
    let output = fil(&[&"report", &sent]);
    assert!(output.status.success(), "{output:?}");
    let report = elsewhere.path().join("sent");
    assert!(fs::read(report.join("out-of-memory.prof")).expect("just written") == said);
    let picture = Svg::load(&report.join("out-of-memory.svg"));
    assert!(
        picture
            .titles
            .iter()
            .any(|title| title.contains("return bytearray(SIZE)"))
    );
    // What the job's log was told, but for where the pictures are.
    for line in text.lines() {
        assert!(outcome.our_lines().contains(&line), "{line:?} is not in {outcome}");
    }
}

#[test]
fn every_line_on_stderr_fits_a_terminal_but_for_paths() {
    let outcome = ran_out();
    for line in outcome.stderr.lines().filter(|line| line.starts_with("=fil-profile= ")) {
        // A path at the end of a line is not broken, so that it can be copied.
        let words = line.rsplit_once(' ').filter(|(_, last)| last.starts_with('/'));
        let words = words.map_or(line, |(words, _)| words);
        assert!(words.chars().count() <= 80, "{line}: {outcome}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}

/// A script in a folder, run there.
fn version(folder: TempDir, source: &str) -> (Outcome, PathBuf) {
    let script = folder.path().join("job.py");
    fs::write(&script, source).expect("the temporary folder is writable");
    let outcome = Job::script(Python::any(), &script).start_in(folder).finish();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let run = outcome.run_folder();
    (outcome, run)
}

#[test]
fn a_version_that_needs_more_is_told_by_the_line_that_does() {
    let (old, old_run) = version(
        folder(),
        "def load():\n    return bytearray(64 << 20)\n\nkept = load()\n",
    );
    let old_bundle = old_run.join("profile.fil");
    let new = "import os\n\ndef load():\n    return bytearray(64 << 20)\n\ndef copy(data):\n    return bytes(data)\n\n\
               kept = load()\nmore = copy(kept)\n";
    let (new, new_run) = version(old.into_folder(), new);
    let picture = new.folder().join("difference.svg");

    let output = fil(&[&"diff", &old_bundle, &new_run, &"-o", &picture, &"--fail-above", &"10%"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("what we print is UTF-8");
    assert!(text.contains("+64.0 MiB  job.py:7 (copy)  new"), "{text}");
    assert!(!text.contains("(load)"), "it has moved and is the same: {text}");
    let said = String::from_utf8(output.stderr).expect("what we print is UTF-8");
    assert!(said.starts_with("=fil-profile= memory grew by "), "{said}");
    let shown = Svg::load(&picture).titles;
    assert!(
        shown
            .iter()
            .any(|title| title.starts_with("job.py:7 (copy)\n0 B → 64.0 MiB, new")),
        "{shown:?}"
    );

    for (old, new, allowed, status) in [
        (&old_bundle, &new_run, "200%", 0),
        (&old_bundle, &new_run, "70MiB", 0),
        (&old_bundle, &new_run, "60MiB", 3),
        (&new_run, &old_bundle, "0%", 0),
    ] {
        let output = fil(&[&"diff", old, new, &"--fail-above", &allowed]);
        assert_eq!(output.status.code(), Some(status), "{allowed}: {output:?}");
    }

    let listed = fil(&[&"ls", &new.folder().join("fil-result")]);
    let listed = String::from_utf8(listed.stdout).expect("what we print is UTF-8");
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(
        listed
            .lines()
            .nth(1)
            .is_some_and(|row| row.contains("ok") && row.ends_with("job.py:7")),
        "{listed}"
    );
}
