//! `fil-profile report` of a run folder, a bundle, and what is none: all files, or one document in a format of choice.

use std::fs;
use std::path::Path;

use dumper::report::FORMATS;

use crate::place::Place;
use crate::recordings::{Recorded, leaving};

/// A bundle of a job that was killed.
pub fn bundle() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../dumper/tests/fixtures/bundle-1.fil"
    ))
}

fn recorded(place: &Place) {
    let recording = Recorded {
        pid: 7,
        state: recording::STATE_ENDED,
        peak_bytes: 5 << 20,
    };
    recording.save(&place.path("7.recording"));
}

fn recordings(folder: &Path) -> usize {
    let files = fs::read_dir(folder).unwrap().flatten();
    files
        .filter(|file| file.file_name().to_string_lossy().ends_with(".recording"))
        .count()
}

#[test]
fn every_format_goes_to_a_file_and_to_stdout() {
    let place = Place::without_library();
    fs::copy(bundle(), place.path("job.fil")).unwrap();
    for format in FORMATS.map(|format| format.about().name) {
        let to_file = place.run(&["report", "job.fil", "--format", format, "-o", "document"]);
        assert_eq!(
            (to_file.status, &*to_file.stderr, &*to_file.stdout),
            (Some(0), "", ""),
            "{format}"
        );
        let document = fs::read(place.path("document")).unwrap();
        assert!(document.len() > 100, "{format}");
        for args in [
            &["report", "job.fil", "-f", format][..],
            &["report", "job.fil", "-f", format, "-o", "-"],
        ] {
            let output = place.command(args).output().unwrap();
            assert!(
                output.status.success() && output.stderr.is_empty(),
                "{format}: {output:?}"
            );
            assert!(output.stdout == document, "{format}");
        }
        fs::remove_file(place.path("document")).unwrap();
    }
    // Nothing else has been written.
    assert!(!place.path("job").exists());
    let text = place.run(&["report", "--text", "job.fil"]);
    assert!(text.stdout.starts_with("The kernel killed process 4711"), "{text:?}");
    assert!(
        text.stdout
            .lines()
            .all(|line| line.chars().count() <= 80 || line.trim().starts_with("(/sys"))
    );
}

#[test]
fn a_bundle_that_was_sent_gets_its_report_beside_it() {
    let place = Place::without_library();
    fs::copy(bundle(), place.path("of-ada.fil")).unwrap();
    for _ in 0..2 {
        let outcome = place.run(&["report", "of-ada.fil"]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        assert!(
            outcome.said()[0].starts_with("The kernel killed process 4711"),
            "{outcome:?}"
        );
        for name in [
            "index.html",
            "out-of-memory.svg",
            "report.json",
            "timeline.csv",
            "run.json",
        ] {
            assert!(place.path("of-ada").join(name).exists(), "{name}");
        }
    }
    let picture = fs::read_to_string(place.path("of-ada/out-of-memory.svg")).unwrap();
    assert!(
        picture.contains("parts.append(np.ones((1024, 1024, 16)))"),
        "its lines have not come along"
    );
    fs::rename(place.path("of-ada.fil"), place.path("nameless")).unwrap();
    let outcome = place.run(&["report", "nameless"]);
    assert_eq!(outcome.status, Some(1));
    assert!(outcome.stderr.contains("something.fil"), "{outcome:?}");
}

#[test]
fn what_cannot_be_read_is_said_in_one_line() {
    let place = Place::without_library();
    let whole = fs::read(bundle()).unwrap();
    let mut newer = whole.clone();
    newer[8] = 9;
    for (name, bytes, says) in [
        ("newer.fil", &newer[..], "version 9"),
        ("torn.fil", &whole[..whole.len() / 2], "cut off or altered"),
        ("foreign.fil", b"PK\x03\x04 something else", "not a recording"),
        ("empty.fil", b"", "not a recording"),
    ] {
        fs::write(place.path(name), bytes).unwrap();
        for args in [
            &["report", name][..],
            &["report", name, "--format", "json"],
            &["diff", name, name],
        ] {
            let outcome = place.run(args);
            assert_eq!(
                (outcome.status, &*outcome.stdout),
                (Some(1), ""),
                "{args:?}: {outcome:?}"
            );
            assert_eq!(outcome.said().len(), 1, "{outcome:?}");
            assert!(
                outcome.stderr.contains(name) && outcome.stderr.contains(says),
                "{outcome:?}"
            );
        }
    }
    let nowhere = place.run(&["report", "newer.fil", "-o", "file"]);
    assert_eq!(nowhere.status, Some(2));
    assert!(nowhere.stderr.contains("--format html -o"), "{nowhere:?}");
    fs::copy(bundle(), place.path("job.fil")).unwrap();
    let nowhere = place.run(&["report", "job.fil", "--format", "csv", "-o", "no/such/folder"]);
    assert_eq!(nowhere.status, Some(1));
    assert!(nowhere.stderr.contains("no/such/folder"), "{nowhere:?}");
}

#[test]
fn the_recordings_of_a_run_go_once_the_bundle_is_there() {
    let place = Place::with_library();
    recorded(&place);
    let script = leaving("7.recording", "exit 4");
    let mut command = place.command(&["run", "sh", "-c", &script]);
    command.env_remove("FIL_PROFILE_KEEP_RECORDING");
    assert_eq!(command.output().unwrap().status.code(), Some(4));
    let folder = place.run_folder();
    assert_eq!(recordings(&folder), 0);
    assert!(folder.join("profile.fil").is_file());

    fs::remove_file(folder.join("index.html")).unwrap();
    let folder = folder.to_str().unwrap();
    for what in [folder, &format!("{folder}/profile.fil")] {
        let outcome = place.run(&["report", what]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        assert!(Path::new(folder).join("index.html").exists());
        let json = place.run(&["report", what, "--format", "json"]).stdout;
        assert!(json.contains("\"peak_bytes\": 5242880"), "{json}");
    }
}

#[test]
fn recordings_stay_where_that_is_wished() {
    let place = Place::with_library();
    recorded(&place);
    let script = leaving("7.recording", "exit 0");
    let mut command = place.command(&["--keep-recording", "run", "sh", "-c", &script]);
    command.env_remove("FIL_PROFILE_KEEP_RECORDING");
    assert!(command.output().unwrap().status.success());
    let folder = place.run_folder();
    assert_eq!(recordings(&folder), 1);
    assert!(folder.join("profile.fil").is_file());
    // Neither does a later report take them away.
    let mut again = place.command(&["report"]);
    again.env_remove("FIL_PROFILE_KEEP_RECORDING");
    assert!(again.output().unwrap().status.success());
    assert_eq!(recordings(&folder), 1);
}

#[test]
fn a_torn_bundle_leaves_what_the_recordings_know() {
    let place = Place::with_library();
    recorded(&place);
    place.run(&["run", "sh", "-c", &leaving("7.recording", "exit 0")]);
    let bundle = place.run_folder().join("profile.fil");
    fs::write(&bundle, b"FILBNDL\0\x01\0\0\0torn").unwrap();
    let outcome = place.run(&["report"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.said()[0].contains("cut off or altered"), "{outcome:?}");
    assert!(outcome.stderr.contains("Peak memory"), "{outcome:?}");
}

#[test]
fn a_run_of_which_nothing_is_known_did_not_run_out_of_memory() {
    let place = Place::without_library();
    let run = place.path("runs/2026-01-01T000000.000");
    fs::create_dir_all(&run).unwrap();
    fs::write(run.join("run.json"), r#"{"host": "x"}"#).unwrap();
    let merged = place.run(&["merge", "runs"]);
    assert_eq!(merged.status, Some(0), "{merged:?}");
    assert!(
        merged.stderr.contains("None of 1 task ran out of memory."),
        "{merged:?}"
    );
}
