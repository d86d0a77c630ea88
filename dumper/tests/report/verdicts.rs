//! What the verdict on a run does to its report: which moment is shown, and what is said.

use std::fs;
use std::mem::offset_of;
use std::path::Path;

use dumper::outcome::{Kind, Limit, LimitKind, Outcome, ProcessName};
use dumper::report::{self, Occasion, Written};
use dumper::{Run, process};
use recording::{AllocFunction, Header};

use crate::builder::{Builder, Held, STARTED_NS};
use crate::job;

/// A process that holds `live` bytes now, twice as much at its peak, and 1 byte when an allocation failed, if one did.
fn recorded(pid: u32, live: u64, runs: bool, failed: bool) -> Vec<u8> {
    let exact = |bytes| Held { bytes, variance: 0 };
    let mut job = Builder::new(pid, &["python3", &format!("job{pid}.py")]);
    if runs {
        job.running();
    }
    let node = job.stack(&[(&format!("job{pid}.py"), 1, "f")]);
    job.site(node, exact(live), exact(2 * live), exact(1));
    if failed {
        job.failed(AllocFunction::Malloc, 4096, node, STARTED_NS + u64::from(pid));
    }
    job.bytes()
}

fn run(kind: Kind, pid: Option<u32>) -> Run {
    let outcome = Outcome {
        kind,
        process: pid.map(|pid| ProcessName {
            pid,
            ..ProcessName::default()
        }),
        ..Outcome::default()
    };
    Run {
        outcome: Some(outcome),
        ..Run::default()
    }
}

/// What `out-of-memory.prof` says, if there is one.
fn shown(run: &Run, recordings: &[Vec<u8>], occasion: Occasion) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let written = job::report(folder.path(), run, recordings, occasion);
    let path = folder.path().join("out-of-memory.prof");
    assert_eq!(written.out_of_memory.is_some(), path.exists());
    assert!(written.peak.is_some());
    fs::read_to_string(path).ok()
}

fn live(pid: u32, bytes: u64) -> Option<String> {
    Some(format!("job{pid}.py:1 (f) {bytes}\n"))
}

#[test]
fn a_job_that_was_killed_for_its_memory_shows_what_was_live_in_its_victim() {
    let recordings = [
        recorded(1, 100, true, false),
        recorded(2, 500, true, false),
        recorded(3, 900, false, false),
    ];
    for kind in [Kind::OomKilledByCgroup, Kind::OomKilledByMachine] {
        assert_eq!(shown(&run(kind, Some(1)), &recordings, Occasion::Ended), live(1, 100));
        // Not recorded, or not known: the one that held the most of those that did not end by themselves.
        assert_eq!(shown(&run(kind, Some(77)), &recordings, Occasion::Ended), live(2, 500));
        assert_eq!(shown(&run(kind, None), &recordings, Occasion::Ended), live(2, 500));
    }
}

#[test]
fn where_everything_was_killed_the_process_that_held_the_most_is_shown() {
    let recordings = [recorded(1, 100, true, false), recorded(2, 500, true, false)];
    let killed = run(Kind::EverythingKilled, Some(1));
    assert_eq!(shown(&killed, &recordings, Occasion::Ended), live(2, 500));
}

#[test]
fn a_process_that_was_made_to_leave_shows_what_was_live_unless_an_allocation_failed() {
    let left = run(Kind::AllocationFailedFatal, Some(1));
    let recordings = [recorded(1, 100, false, false), recorded(2, 500, true, false)];
    assert_eq!(shown(&left, &recordings, Occasion::Ended), live(1, 100));
    let recordings = [recorded(1, 100, false, true), recorded(2, 500, true, false)];
    assert_eq!(shown(&left, &recordings, Occasion::Ended), live(1, 1));
}

#[test]
fn a_job_that_ended_otherwise_shows_only_its_peak() {
    let recordings = [recorded(1, 100, true, false)];
    for kind in [
        Kind::Running,
        Kind::Finished,
        Kind::ExitedNonZero,
        Kind::Crashed,
        Kind::Terminated,
        Kind::Unknown,
    ] {
        assert_eq!(
            shown(&run(kind, Some(1)), &recordings, Occasion::Ended),
            None,
            "{kind:?}"
        );
    }
}

#[test]
fn a_failed_allocation_is_shown_however_the_job_ended() {
    let recordings = [recorded(1, 100, true, true), recorded(2, 100, true, true)];
    for kind in [Kind::Finished, Kind::Crashed, Kind::Unknown, Kind::Running] {
        assert_eq!(
            shown(&run(kind, None), &recordings, Occasion::Ended),
            live(2, 1),
            "{kind:?}"
        );
    }
    for kind in [Kind::AllocationFailedFatal, Kind::AllocationFailedRecovered] {
        assert_eq!(shown(&run(kind, Some(1)), &recordings, Occasion::Ended), live(1, 1));
        assert_eq!(shown(&run(kind, Some(77)), &recordings, Occasion::Ended), live(2, 1));
    }
    // What it was killed of comes after what it survived.
    let killed = run(Kind::OomKilledByCgroup, Some(1));
    assert_eq!(shown(&killed, &recordings, Occasion::Ended), live(1, 100));
}

#[test]
fn a_signal_near_a_limit_is_a_kill_for_memory() {
    let recordings = [recorded(1, 100, true, false)];
    let mut run = run(Kind::Terminated, Some(1));
    let outcome = run.outcome.as_mut().unwrap();
    outcome.signal = Some(15);
    outcome.limit = Some(Limit {
        kind: LimitKind::CgroupV2,
        bytes: 1000,
        usage: Some(990),
        ..Limit::default()
    });
    assert_eq!(shown(&run, &recordings, Occasion::Ended), live(1, 100));
}

#[test]
fn as_long_as_the_job_runs_nobody_has_been_killed() {
    let recordings = [recorded(1, 100, true, false)];
    let killed = run(Kind::OomKilledByCgroup, Some(1));
    for occasion in [Occasion::NearLimit, Occasion::Requested, Occasion::AllocationFailed] {
        assert_eq!(shown(&killed, &recordings, occasion), None);
    }
    let failed = [recorded(1, 100, true, true)];
    assert_eq!(shown(&Run::default(), &failed, Occasion::NearLimit), live(1, 1));
}

#[test]
fn of_a_process_that_ran_another_program_the_last_recording_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    for (number, live) in [(0, 300), (9, 200), (10, 100)] {
        let path = folder.path().join(format!("5-{number}.recording"));
        fs::write(path, recorded(5, live, number == 10, false)).unwrap();
    }
    let killed = run(Kind::OomKilledByCgroup, Some(5));
    let written = job::report(folder.path(), &killed, &[], Occasion::Ended);
    assert!(written.out_of_memory.is_some());
    let shown = fs::read_to_string(folder.path().join("out-of-memory.prof")).unwrap();
    assert_eq!(Some(shown), live(5, 100));
}

#[test]
fn a_program_that_made_way_for_another_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (number, live) in [(0, 900), (1, 100)] {
        let path = folder.path().join(format!("5-{number}.recording"));
        fs::write(path, recorded(5, live, true, false)).unwrap();
    }
    let killed = run(Kind::OomKilledByCgroup, None);
    let written = job::report(
        folder.path(),
        &killed,
        &[recorded(6, 200, true, false)],
        Occasion::Ended,
    );
    let shown = fs::read_to_string(folder.path().join("out-of-memory.prof")).unwrap();
    assert_eq!(Some(shown), live(6, 200));
    assert!(
        fs::read_to_string(written.index)
            .unwrap()
            .contains("<td class=\"state\">ran another program</td>")
    );
}

#[test]
fn a_request_that_the_verdict_names_is_not_told_twice() {
    let told = |failed_request: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut run = run(Kind::AllocationFailedFatal, Some(1));
        let outcome = run.outcome.as_mut().unwrap();
        outcome.sentence = "The job was refused 4.0 KiB by malloc at job1.py:1 (f), and ended of that.".into();
        outcome.failed_request = Some(failed_request.into());
        let written = job::report(folder.path(), &run, &[recorded(1, 100, true, true)], Occasion::Ended);
        job::said(&written)
            .join("\n")
            .contains("malloc of 4.0 KiB failed at job1.py:1 (f)")
    };
    assert!(!told("4.0 KiB by malloc at job1.py:1 (f)"));
    assert!(told("something else"));
}

fn killed(folder: &Path) -> Written {
    job::report(folder, &job::killed_run(folder), &[job::killed()], Occasion::Ended)
}

#[test]
fn the_log_begins_with_the_verdict_its_limit_and_three_lines_of_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let summary = job::said(&killed(folder.path()));
    let verdict: Vec<&str> = summary[..3].iter().map(|line| line.trim()).collect();
    assert_eq!(
        verdict.join(" "),
        "The kernel killed process 4711 (python3 oom.py) for want of memory: the cgroup \
         /slurm/uid_1000/job_42/step_0/task_0 had reached its limit."
    );
    assert_eq!(summary.iter().filter(|line| line.starts_with("- ")).count(), 3);
    let at = |start: &str| summary.iter().position(|line| line.starts_with(start)).unwrap();
    assert!(at("Limit: 512.0 MiB for the cgroup") < at("- the process ended by SIGKILL (waitpid)"));
    assert!(at("- the process") < at("In use at that moment: 428.0 MiB"));
    assert!(at("In use") < at("Also in the cgroup: 2 processes with 27.0 MiB"));
    assert!(at("Also in") < at("Wrote memory usage flamegraph to "));
}

#[test]
fn the_brief_log_is_the_verdict_the_lines_and_where_the_report_is() {
    let folder = tempfile::tempdir().unwrap();
    let lines = job::said_briefly(&killed(folder.path()));
    assert!(lines.len() <= 10, "{lines:#?}");
    assert!(lines[0].starts_with("The kernel killed process 4711"), "{lines:#?}");
    assert_eq!(
        lines.last().unwrap(),
        &format!("Report: {}/index.html", folder.path().display())
    );
    let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
    assert!(
        has("In use at that moment: 428.0 MiB") && has("Limit: 512.0 MiB"),
        "{lines:#?}"
    );
    assert!(!has("- ") && !has("Wrote "), "{lines:#?}");
}

#[test]
fn of_a_job_that_ended_for_a_reason_of_its_own_the_log_has_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run(Kind::ExitedNonZero, Some(1));
    run.outcome.as_mut().unwrap().sentence = "It ended with status 2.".into();
    let written = job::report(folder.path(), &run, &[recorded(1, 100, false, false)], Occasion::Ended);
    assert_eq!(
        job::said_briefly(&written),
        [format!("Report: {}/index.html", folder.path().display())]
    );
}

#[test]
fn the_log_fits_a_terminal_of_80_columns_where_names_allow() {
    let folder = tempfile::tempdir().unwrap();
    for line in job::said(&killed(folder.path())) {
        let width = "=fil-profile= ".len() + line.chars().count();
        let longest = line.split(' ').map(|word| word.chars().count()).max().unwrap();
        // A call site takes one line.
        assert!(width <= 80 || line.contains(" % ") || longest > 40, "{width}: {line}");
    }
}

#[test]
fn a_run_that_went_well_needs_no_verdict_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run(Kind::Finished, Some(1));
    run.outcome.as_mut().unwrap().sentence = "It ended with status 0.".into();
    let written = job::report(folder.path(), &run, &[recorded(1, 100, false, false)], Occasion::Ended);
    assert!(
        job::said(&written)[0].starts_with("Peak memory: 200 B"),
        "{:?}",
        job::said(&written)
    );
    assert!(
        fs::read_to_string(written.index)
            .unwrap()
            .contains("It ended with status 0.")
    );
}

#[test]
fn the_page_has_all_evidence_and_everybody_in_the_cgroup() {
    let folder = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(killed(folder.path()).index).unwrap();
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not in {page}"));
    assert!(at("for want of memory") < at("the limit was met, if only by page cache"));
    assert!(at("memory.failcnt") < at("/usr/bin/rsync -a in out"));
    // The graph comes before what only a few readers ask for.
    assert!(at("for want of memory") < at("428.0 MiB held; the limit is 512.0 MiB"));
    assert!(at("the limit is 512.0 MiB") < at("<h3>When it was killed: 428.0 MiB"));
    assert!(at("<h3>When it was killed: 428.0 MiB") < at("Before that, mmap of 8.0 GiB failed at"));
    assert!(at("<dt>signal</dt><dd>SIGKILL</dd>") < at("memory.failcnt"));
    assert!(page.contains("<dt>SLURM_JOB_ID</dt><dd><code>42</code></dd>"));
}

#[test]
fn markup_in_a_verdict_is_text() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run(Kind::Crashed, Some(1));
    run.outcome.as_mut().unwrap().sentence = "</p><script>alert(1)</script>".into();
    run.identity.insert("POD_NAME".into(), "<b>".into());
    let written = job::report(folder.path(), &run, &[recorded(1, 100, true, false)], Occasion::Ended);
    let page = fs::read_to_string(written.index).unwrap();
    assert!(!page.contains("<script>") && !page.contains("<b>"));
}

#[test]
fn near_a_limit_the_log_gets_the_call_sites_of_the_largest_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = job::killed_run(folder.path());
    fs::write(folder.path().join("1-0.recording"), recorded(1, 7 << 20, true, false)).unwrap();
    fs::write(
        folder.path().join("2-0.recording"),
        recorded(2, 900 << 20, false, false),
    )
    .unwrap();
    fs::write(folder.path().join("4711-0.recording"), job::killed()).unwrap();
    let (processes, _) = process::load(&crate::job::opened(folder.path())).unwrap();
    let lines = report::text(&report::near_limit(&run, &processes));
    assert_eq!(
        lines,
        [
            "Close to the limit: 511.0 MiB in use of 512.0 MiB for the cgroup",
            "  /slurm/uid_1000/job_42/step_0/task_0 (v1)",
            "Process 4711 (oom.py) holds 428.0 MiB ± 1.7 MiB, most of it at",
            " 89.7 %  384.0 MiB  oom.py:7 (load)",
            "                    in numpy/_core/numeric.py:235 (ones)",
            " 10.3 %   44.0 MiB  oom.py:12 (index_rows)",
        ]
    );
    run.outcome = None;
    assert!(
        report::text(&report::near_limit(&run, &processes))[0]
            .starts_with("Close to the limit: 512.0 MiB for the cgroup")
    );
    assert_eq!(
        report::text(&report::near_limit(&Run::default(), &[])),
        ["Close to the limit"]
    );
}

#[test]
fn a_termination_message_has_the_verdict_and_the_call_sites_and_is_never_too_long() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = job::killed_run(folder.path());
    fs::write(folder.path().join("4711-0.recording"), job::killed()).unwrap();
    let (processes, _) = process::load(&crate::job::opened(folder.path())).unwrap();
    let message = report::termination_message(&run, &processes);
    assert!(message.starts_with("The kernel killed process 4711"));
    assert!(message.contains("384.0 MiB  oom.py:7 (load)"));
    assert!(message.ends_with('\n') && message.len() < 4096);

    let outcome = run.outcome.as_mut().unwrap();
    outcome.evidence[0].says = "größer ".repeat(600);
    let cut = report::termination_message(&run, &processes);
    assert!(cut.len() < 4096 && cut.len() > 4000 && cut.ends_with('\n'));
    run.outcome.as_mut().unwrap().sentence = "数".repeat(5000);
    let cut = report::termination_message(&run, &processes);
    assert_eq!(cut, "数".repeat(1365));
}

#[test]
fn what_there_is_to_say_needs_no_folder_that_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = job::killed_run(folder.path());
    let mut summary = job::said(&killed(folder.path()));
    summary.retain(|line| !line.starts_with("Wrote "));
    let (processes, _) = process::load(&crate::job::opened(folder.path())).unwrap();
    let gone = folder.path().join("none");
    fs::create_dir(&gone).unwrap();
    let opened = crate::job::opened(&gone);
    fs::remove_dir(&gone).unwrap();
    let written = report::write(&opened, &run, &processes, &[], Occasion::Ended);
    assert!(!written.failed.is_empty() && written.out_of_memory.is_none());
    assert_eq!(job::said(&written), summary);
}

#[test]
fn reports_of_other_versions_and_torn_headers_are_no_victims() {
    let folder = tempfile::tempdir().unwrap();
    let mut torn = recorded(1, 100, true, false);
    torn.truncate(offset_of!(Header, ring));
    fs::write(folder.path().join("1-0.recording"), torn).unwrap();
    let killed = run(Kind::OomKilledByCgroup, Some(1));
    let written = job::report(
        folder.path(),
        &killed,
        &[recorded(2, 500, true, false)],
        Occasion::Ended,
    );
    assert!(written.out_of_memory.is_some());
    let shown = fs::read_to_string(folder.path().join("out-of-memory.prof")).unwrap();
    assert_eq!(Some(shown), live(2, 500));
}
