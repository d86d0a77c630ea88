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
        (&["run", "--exact", "job.py"], 2, "cannot run job.py"),
        (&["run", "--exat", "true"], 2, "--exat"),
        (&["run", "missing-program"], 127, "missing-program"),
        (&["run", "./missing"], 127, "./missing"),
        (&["run", "./text"], 126, "chmod"),
        (&["--mistake", "run", "true"], 2, "--mistake"),
        (&["--exact"], 2, "run job.py"),
        (&["-o"], 2, "--output"),
        (&["job.py"], 2, "fil-profile run job.py"),
        (&["--exact", "job.py", "a b"], 2, "fil-profile --exact run job.py 'a b'"),
        (
            &["rum", "job.py", "--rows=1"],
            2,
            "did you mean: fil-profile run job.py --rows=1",
        ),
        (&["--exat", "run", "true"], 2, "did you mean --exact?"),
        (&["diff"], 2, "OLD and NEW are missing; fil-profile help diff"),
        (&["diff", "1"], 2, "NEW is missing"),
        (&["merge"], 2, "DIR... is missing"),
        (&["snapshot"], 2, "PID|DIR is missing"),
        (&["inspect"], 2, "PID|CORE|RUN is missing"),
        (&["help", "dif"], 2, "did you mean: fil-profile help diff"),
        (&["report", "1"], 1, "cannot report on 1: "),
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
    for (args, shown) in [
        (&[][..], "fil-profile ls  "),
        (&["-h"], "fil-profile ls  "),
        (&["--help"], "--sample-interval"),
        (&["help"], "--sample-interval"),
        (&["run", "-h"], "--sample-interval"),
        (&["--exact", "run", "--help"], "fil-profile run [OPTIONS] SCRIPT"),
        (&["help", "run"], "fil-profile run [OPTIONS] SCRIPT"),
        (&["run", "--exact", "--help"], "fil-profile run [OPTIONS] SCRIPT"),
        (&["help", "diff"], "fil-profile diff 2 1"),
        (&["diff", "1", "--help"], "fil-profile diff 2 1"),
        (&["ls", "-h"], "--output"),
        (&["help", "python"], "interpreter"),
    ] {
        let outcome = place.run(args);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(outcome.stdout.contains(shown), "{args:?}: {}", outcome.stdout);
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

#[test]
fn options_may_follow_a_command_and_have_defaults_in_the_environment() {
    let place = Place::with_library();
    for args in [
        &["-o", "elsewhere", "run", "true", "-o", "x"][..],
        &["run", "-o", "elsewhere", "true", "-o", "x"],
        &["run", "--exact", "--output=elsewhere", "sh", "-c", "exit $#", "sh"],
    ] {
        let outcome = place.run(args);
        assert_eq!(
            (outcome.status, outcome.stdout.as_str()),
            (Some(0), ""),
            "{args:?}: {outcome:?}"
        );
    }
    for args in [
        &["ls", "-o", "elsewhere"][..],
        &["-o", "elsewhere", "ls"],
        &["ls", "elsewhere"],
    ] {
        assert_eq!(place.run(args).stdout.lines().count(), 4, "{args:?}");
    }
    assert!(!place.path("fil-result").exists());

    let with_defaults = |defaults: &str, args: &[&str]| {
        let output = place
            .command(args)
            .env("FIL_PROFILE_OPTIONS", defaults)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (status, _, said) = with_defaults("--exact -o 'a folder'", &["run", "true"]);
    assert_eq!((status, said.as_str()), (Some(0), ""));
    assert!(place.path("a folder").is_dir());
    // What is typed wins.
    let (status, listed, _) = with_defaults("-o missing", &["-o", "elsewhere", "ls"]);
    assert_eq!((status, listed.lines().count()), (Some(0), 4));
    for (wrong, named) in [
        ("'", "quotation mark"),
        ("run true", "run is not an option"),
        ("--exat", "--exat"),
    ] {
        let (status, _, said) = with_defaults(wrong, &["run", "true"]);
        assert_eq!((status, said.lines().count()), (Some(2), 1), "{wrong}: {said}");
        assert!(said.contains("FIL_PROFILE_OPTIONS") && said.contains(named), "{said}");
    }
}

#[test]
fn a_project_has_default_options_that_the_command_line_and_the_environment_override() {
    let place = Place::with_library();
    let project = place.path("pyproject.toml");
    fs::write(&project, "[tool.fil-profile]\noutput = \"mine\"\nverbose = true\n").unwrap();
    let run = |args: &[&str]| assert_eq!(place.run(args).status, Some(0), "{args:?}");
    run(&["run", "true"]);
    assert!(place.path("mine").is_dir());
    run(&["-o", "typed", "run", "true"]);
    assert!(place.path("typed").is_dir());
    let status = place
        .command(&["run", "true"])
        .env("FIL_PROFILE_OUTPUT", "set")
        .status();
    assert!(status.unwrap().success() && place.path("set").is_dir());
    std::os::unix::fs::symlink("/", place.path("link")).unwrap();
    fs::write(&project, "[tool.fil-profile]\noutput = \"link/tmp\"\n").unwrap();
    let linked = place.run(&["run", "true"]);
    assert!(
        linked.status == Some(0) && linked.stderr.contains("no link"),
        "{linked:?}"
    );
    fs::write(&project, "[tool.fil-profile]\nstash = \"lots\"\n").unwrap();
    let wrong = place.run(&["run", "true"]);
    assert_eq!((wrong.status, wrong.stderr.lines().count()), (Some(0), 1), "{wrong:?}");
    assert!(
        wrong.stderr.contains("pyproject.toml") && wrong.stderr.contains("16MiB"),
        "{wrong:?}"
    );
    run(&["--version"]);
    run(&["help", "run"]);
}

#[test]
fn shells_and_man_can_read_the_command_line() {
    let place = Place::without_library();
    for (shell, marker) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef fil-profile"),
        ("fish", "complete -c fil-profile"),
    ] {
        let outcome = place.run(&["completions", shell]);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(
            outcome.stdout.contains(marker) && outcome.stdout.contains("fail-above"),
            "{shell}"
        );
    }
    for (args, marker) in [
        (&["man"][..], ".TH fil-profile 1"),
        (&["man", "diff"], ".TH fil-profile-diff 1"),
    ] {
        let outcome = place.run(args);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(
            outcome.stdout.contains(marker) && outcome.stdout.contains(r"fail\-above"),
            "{args:?}: {}",
            outcome.stdout
        );
    }
}
