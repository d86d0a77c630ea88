//! `fil-profile ls` and `diff`: runs beside each other.

use std::fs;

use crate::documents::bundle;
use crate::place::Place;
use crate::recordings::{Recorded, leaving};

#[test]
fn runs_are_listed_with_the_newest_first() {
    let place = Place::with_library();
    place.run(&["run", "true"]);
    place.run(&["run", "sh", "-c", "exit 9"]);
    place.run(&["run", "sh", "-c", "kill -TERM $$"]);
    let outcome = place.run(&["ls"]);
    assert_eq!((outcome.status, &*outcome.stderr), (Some(0), ""), "{outcome:?}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{outcome:?}");
    for (line, words) in lines.iter().zip([
        ["NR  TIME", "COMMAND", "OUTCOME"],
        [" 1  20", "sh -c", "SIGTERM"],
        [" 2  20", "sh -c", "status 9"],
        [" 3  20", "true", "ok"],
    ]) {
        assert!(words.iter().all(|word| line.contains(word)), "{words:?}: {line}");
        assert!(line.chars().count() <= 80 && !line.contains('\u{1b}'), "{line:?}");
    }
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let place = Place::with_library();
    place.run(&["run", "false"]);
    let shown = |variable: &str| {
        let terminal = format!("{variable} script -qec '{} ls' /dev/null", place.program().display());
        let mut command = place.command_after(&terminal, &["--version"]);
        let output = command.env("TERM", "xterm").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = place.run(&["ls"]).stdout;
    let row = plain.lines().nth(1).unwrap();
    for (variable, has_colours) in [("", true), ("NO_COLOR=1", false), ("TERM=dumb", false)] {
        let shown = shown(variable);
        assert_eq!(
            shown.contains("\u{1b}[31mstatus 1") || shown.contains("\u{1b}[1m\u{1b}[31mstatus 1"),
            has_colours,
            "{variable}: {shown:?}"
        );
        assert_eq!(shown.contains(row), !has_colours, "{variable}: {shown:?}");
    }
}

#[test]
fn thousands_of_runs_are_a_screenful() {
    let place = Place::without_library();
    for number in 0..3000 {
        let folder = place.path(&format!("runs/2026-01-31T{number:06}.000"));
        fs::create_dir_all(&folder).unwrap();
        let run = format!(
            r#"{{"started": "2026-01-31T14:05:09+01:00", "command": ["python3", "job{number}.py"],
                "outcome": {{"kind": "oom_killed_by_cgroup"}},
                "headline": {{"peak_bytes": 4294967296, "culprit": "features.py:42 (build)", "share": 0.784}}}}"#
        );
        fs::write(folder.join("run.json"), run).unwrap();
    }
    let outcome = place.run(&["ls", "runs"]);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines.len(), 21);
    assert_eq!(
        lines[1],
        " 1  2026-01-31 14:05  job2999.py     OOM cgroup      4.0 GiB   78 % …tures.py:42"
    );
    assert!(outcome.said()[0].starts_with("and 2980 older"), "{outcome:?}");
    let all = place.run(&["ls", "runs", "-n", "0"]);
    assert_eq!((all.stdout.lines().count(), &*all.stderr), (3001, ""));
    // Of a folder that is no run's, and of a run that cannot be read.
    fs::create_dir(place.path("runs/notes")).unwrap();
    fs::write(place.path("runs/2026-01-31T002999.000/run.json"), "{").unwrap();
    let outcome = place.run(&["ls", "runs", "-n1"]);
    assert!(
        outcome.stdout.lines().nth(1).unwrap().contains("unreadable"),
        "{outcome:?}"
    );
}

#[test]
fn a_folder_without_runs_is_said() {
    let place = Place::without_library();
    let outcome = place.run(&["ls"]);
    assert_eq!((outcome.status, &*outcome.stdout), (Some(1), ""));
    assert_eq!(outcome.said(), ["no runs in fil-result"]);
}

#[test]
fn a_run_is_named_by_its_number_in_the_list_or_by_its_folder() {
    let place = Place::with_library();
    let recording = Recorded {
        pid: 7,
        state: recording::STATE_ENDED,
        peak_bytes: 5 << 20,
    };
    recording.save(&place.path("7.recording"));
    for name in ["earlier", "later"] {
        let script = leaving("7.recording", &format!(": {name}"));
        assert_eq!(place.run(&["run", "sh", "-c", &script]).status, Some(0));
    }
    let newest = fs::read_link(place.path("fil-result/latest")).unwrap();
    let newest = newest.to_str().unwrap().to_owned();
    let command = |what: &str| {
        let outcome = place.run(&["report", what, "--format", "json"]);
        assert_eq!(
            (outcome.status, outcome.stderr.as_str()),
            (Some(0), ""),
            "{what}: {outcome:?}"
        );
        outcome.stdout
    };
    for (what, name) in [
        ("1", "later"),
        ("2", "earlier"),
        (&newest, "later"),
        ("latest", "later"),
    ] {
        assert!(command(what).contains(name), "{what}");
    }
    assert_eq!(place.run(&["diff", "2", "1"]).status, Some(0));
    assert_eq!(place.run(&["merge", "2", &newest]).status, Some(0));
    for what in ["0", "3", "99999999999999999999999"] {
        let outcome = place.run(&["report", what]);
        assert_eq!(outcome.status, Some(1), "{what}: {outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    }
    // What exists under that name is meant.
    fs::create_dir(place.path("1")).unwrap();
    assert_eq!(
        place.run(&["report", "1"]).said(),
        ["cannot report on 1: no run in this folder"]
    );
}

#[test]
fn a_run_compared_with_itself_has_not_grown() {
    let place = Place::without_library();
    let bundle = bundle().to_str().unwrap();
    let outcome = place.run(&["diff", bundle, bundle, "--fail-above", "0%", "-o", "difference.svg"]);
    assert_eq!((outcome.status, &*outcome.stderr), (Some(0), ""), "{outcome:?}");
    assert!(outcome.stdout.starts_with("Peak memory: 1.6 GiB"), "{outcome:?}");
    assert!(
        outcome.stdout.lines().next().unwrap().ends_with("as before"),
        "{outcome:?}"
    );
    let picture = fs::read_to_string(place.path("difference.svg")).unwrap();
    assert!(picture.contains("red grew, blue shrank"));
    let wrong = place.run(&["diff", bundle, bundle, "--fail-above", "much"]);
    assert_eq!(wrong.status, Some(2));
    assert!(wrong.stderr.contains("10%"), "{wrong:?}");
    let missing = place.run(&["diff", bundle, "missing"]);
    assert_eq!(missing.status, Some(1));
    assert!(missing.stderr.contains("missing"), "{missing:?}");
}
