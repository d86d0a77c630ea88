//! Every trigger does the same steps in the same order, and leaves the same behind.

use std::fs;
use std::path::Path;

use recording::STATE_RUNNING;

use super::*;
use crate::terminal::local_time;
use recordings::Recorded;

#[path = "../../tests/cli/recordings.rs"]
#[expect(dead_code, reason = "only the recordings themselves are of use here")]
mod recordings;

const TRIGGERS: [Trigger; 10] = [
    Trigger::JobEnded,
    Trigger::LeftBehind,
    Trigger::Command { settles: true },
    Trigger::Command { settles: false },
    Trigger::ReadOnly { is_running: false },
    Trigger::NearLimit,
    Trigger::AllocationFailed,
    Trigger::Terminating,
    Trigger::Requested,
    Trigger::Killed,
];

/// A run that was killed, with the recording of one process.
fn killed_run(output: &Path) -> (RunFolder, Run) {
    let home = RunFolder::create(output, &local_time::now(), None).unwrap();
    let recording = Recorded {
        pid: 7,
        state: STATE_RUNNING,
        peak_bytes: 9 << 20,
    };
    recording.save(&home.path.join("7-0.recording"));
    let run = Run {
        format: 1,
        command: vec!["job".to_owned()],
        made_in: Some(home.folder.birth().unwrap()),
        ..Run::default()
    };
    run.save(&home.folder).unwrap();
    (home, run)
}

fn finish_on(trigger: Trigger, output: &Path) -> (RunFolder, Result<Finished, String>) {
    let (home, run) = killed_run(output);
    let finished = finish_again(trigger, &home, run);
    (home, finished)
}

fn finish_again(trigger: Trigger, home: &RunFolder, run: Run) -> Result<Finished, String> {
    let material = Material::load(&home.folder).unwrap();
    finish(trigger, home, &home.folder, run, &material)
}

fn files(home: &RunFolder) -> Vec<String> {
    let entries = fs::read_dir(&home.path).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn every_occasion_does_its_steps_in_the_same_order() {
    for trigger in TRIGGERS {
        let output = tempfile::tempdir().unwrap();
        let (_, finished) = finish_on(trigger, output.path());
        let steps = finished.unwrap().steps;
        assert!(steps.is_sorted(), "{trigger:?}: {steps:?}");
        let all = (0..).map_while(step).filter(|step| trigger.does(*step));
        assert_eq!(steps, all.collect::<Vec<_>>(), "{trigger:?}");
    }
}

fn step(number: u8) -> Option<Step> {
    use Step::{Bundle, Flush, Judge, Link, Notify, Prune, Save, Settle, Tell, Write};
    let all = [Judge, Save, Notify, Write, Tell, Link, Flush, Prune, Bundle, Settle];
    all.get(usize::from(number)).copied()
}

#[test]
fn whoever_finishes_a_run_leaves_the_same_behind() {
    let mut left = Vec::new();
    for trigger in &TRIGGERS[..3] {
        let output = tempfile::tempdir().unwrap();
        let (home, finished) = finish_on(*trigger, output.path());
        assert!(finished.unwrap().page.unwrap().exists(), "{trigger:?}");
        let run = Run::load(&home.folder).unwrap();
        assert!(run.report_written && run.headline.is_some(), "{trigger:?}");
        left.push((files(&home), run.outcome));
    }
    assert!(left[0].0.contains(&bundle::FILE.to_owned()), "{left:?}");
    assert!(!left[0].0.contains(&"7-0.recording".to_owned()), "{left:?}");
    assert!(left[0].1.is_some());
    assert!(left.iter().all(|one| *one == left[0]), "{left:?}");
}

/// A folder has the name of a file of the report.
#[test]
fn a_file_that_cannot_be_written_leaves_the_recordings_and_all_but_the_next_run_try_again() {
    for (trigger, is_settled) in [
        (Trigger::JobEnded, false),
        (Trigger::LeftBehind, true),
        (Trigger::Command { settles: true }, false),
    ] {
        let output = tempfile::tempdir().unwrap();
        let (home, run) = killed_run(output.path());
        fs::create_dir_all(home.path.join("report.json/in-the-way")).unwrap();
        let finished = finish_again(trigger, &home, run).unwrap();
        assert_eq!(finished.failed.len(), 1, "{trigger:?}: {finished:?}");
        let run = Run::load(&home.folder).unwrap();
        assert_eq!(run.report_written, is_settled, "{trigger:?}");
        assert!(run.outcome.is_some(), "{trigger:?}");
        assert!(files(&home).contains(&"7-0.recording".to_owned()), "{trigger:?}");
    }
}

#[test]
fn while_the_job_runs_an_incomplete_report_has_failed() {
    let output = tempfile::tempdir().unwrap();
    let (home, run) = killed_run(output.path());
    fs::create_dir_all(home.path.join("report.json/in-the-way")).unwrap();
    assert!(finish_again(Trigger::NearLimit, &home, run).is_err());
    assert!(Run::load(&home.folder).unwrap().outcome.is_none());
}

#[test]
fn without_anything_recorded_or_to_say_there_is_no_report_but_the_run_is_settled() {
    let output = tempfile::tempdir().unwrap();
    let (home, run) = killed_run(output.path());
    fs::remove_file(home.path.join("7-0.recording")).unwrap();
    let run = Run {
        outcome: Some(dumper::Outcome {
            kind: Kind::Finished,
            ..dumper::Outcome::default()
        }),
        ..run
    };
    let finished = finish_again(Trigger::LeftBehind, &home, run).unwrap();
    assert!(
        finished.page.is_none() && finished.steps == [Step::Judge, Step::Settle],
        "{finished:?}"
    );
    assert_eq!(files(&home), ["run.json"]);
    assert!(Run::load(&home.folder).unwrap().report_written);
}
