//! What is typed wrongly gets one line that names it and the way out, and a status as a shell has it.

use std::fs;

use crate::place::{PREFIX, Place};

#[test]
fn a_mistake_gets_one_line_that_names_it() {
    let place = Place::without_library();
    fs::write(place.path("text"), "#!/bin/sh\n").unwrap();
    fs::create_dir(place.path("folder")).unwrap();
    for (args, status, named) in [
        (&["run"][..], 2, "run job.py"),
        (&["run", "missing.py"], 2, "missing.py"),
        (&["run", "folder"], 2, "folder"),
        (&["run", "-m"], 2, "-m"),
        (&["run", "-c"], 2, "-c"),
        (&["run", "--exact", "job.py"], 2, "--exact run"),
        (&["run", "missing-program"], 127, "missing-program"),
        (&["run", "./missing"], 127, "./missing"),
        (&["run", "./text"], 126, "chmod"),
        (&["--mistake", "run", "true"], 2, "--mistake"),
        (&["--exact"], 2, "run job.py"),
        (&["-o"], 2, "--output"),
        (&["job.py"], 2, "fil-profile run job.py"),
        (&["--on-oom=die", "run", "true"], 2, "report, exit"),
        (&["--stash=lots", "run", "true"], 2, "16MiB"),
        (&["--sample-interval", "0", "run", "true"], 2, "--sample-interval"),
        (&["--python", "missing", "run", "-c", "1"], 2, "--python missing"),
        (&["report", "missing"], 1, "missing"),
        (&["report", "folder"], 1, "folder"),
    ] {
        let outcome = place.run(args);
        assert_eq!(outcome.status, Some(status), "{args:?}: {outcome:?}");
        assert_eq!(outcome.stdout, "", "{args:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{args:?}: {}", outcome.stderr);
        assert!(outcome.stderr.starts_with(PREFIX), "{args:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(named), "{args:?}: {}", outcome.stderr);
    }
}

#[test]
fn a_bad_variable_is_named() {
    let place = Place::without_library();
    for (name, value) in [
        ("FIL_PROFILE_STASH", "lots"),
        ("FIL_PROFILE_EXACT", "perhaps"),
        ("FIL_PROFILE_ON_OOM", "die"),
    ] {
        let output = place.command(&["run", "true"]).env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(name) && said.contains(value), "{said}");
    }
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let place = Place::with_library();
    let mut command = place.command(&["run", "sh", "-c", "echo $FIL_PROFILE_STASH $FIL_PROFILE_ON_OOM"]);
    for name in [
        "OUTPUT",
        "NO_BROWSER",
        "PYTHON",
        "ON_OOM",
        "STASH",
        "EXACT",
        "SAMPLE_INTERVAL",
    ] {
        command.env(format!("FIL_PROFILE_{name}"), "");
    }
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "16777216 report\n");
}

#[test]
fn help_goes_to_stdout() {
    let place = Place::without_library();
    for args in [
        &[][..],
        &["-h"],
        &["--help"],
        &["run", "-h"],
        &["--exact", "run", "--help"],
    ] {
        let outcome = place.run(args);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(outcome.stdout.contains("--sample-interval"), "{args:?}");
        assert!(
            outcome.stdout.lines().all(|line| line.chars().count() <= 100),
            "{}",
            outcome.stdout
        );
    }
    for option in ["-V", "--version"] {
        assert_eq!(
            place.run(&[option]).stdout,
            concat!("fil-profile ", env!("CARGO_PKG_VERSION"), "\n")
        );
    }
}
