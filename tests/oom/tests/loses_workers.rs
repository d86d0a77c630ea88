//! "A process of a job that the kernel kills for memory is named while the job runs on, and at its end, however that ends."

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oom::{Cgroup, Job, MIB, Outcome, Place, Python, Report, Running, children, fil_profile, joblib_python, place};

const LIMIT: u64 = 300 * MIB;
/// A line for each process that was killed begins with this.
const TOLD: &str = "=fil-profile= the kernel killed a child of the job";

fn worker() -> Place {
    place("loses_workers.py", "WORKER")
}

fn job(way: &str, cgroup: &Cgroup) -> Job {
    Job::python(Python::any(), "loses_workers.py").arg(way).within(cgroup)
}

/// The processes that have said that they are workers that grow.
fn workers(stdout: &str) -> Vec<u64> {
    let pids = stdout.lines().filter_map(|line| line.strip_prefix("worker "));
    pids.map(|pid| pid.parse().expect("a process id")).collect()
}

fn told(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| line.starts_with(TOLD)).collect()
}

/// Waits until so many kills are told and reported, and returns the run folder.
fn wait_until_told(running: &mut Running, kills: usize) -> PathBuf {
    running.wait_for("report of a killed worker", |running| {
        let stderr = running.stderr();
        let reports = stderr.matches("the job is still running; its report so far").count();
        (told(&stderr).len() >= kills && reports > 0).then_some(())
    });
    let line = worker().to_string();
    let stderr = joined(&running.stderr());
    assert!(stderr.contains(&line), "no {line}: {running}");
    running.folder().join("fil-result/latest")
}

/// Without the breaks of long lines.
fn joined(text: &str) -> String {
    text.replace("\n=fil-profile=   ", " ")
}

fn ours(arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(fil_profile()).args(arguments).current_dir(folder).output();
    let output = output.expect("it can be run");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Everything says that the kernel killed this worker, and names its line.
#[track_caller]
fn is_blamed(outcome: &Outcome, pid: u64, end: &str) -> Report {
    let report = Report::of(outcome);
    assert_eq!(report.kind(), "oom_killed_by_cgroup", "{outcome}{report}");
    assert_eq!(report.number("/outcome/process/pid"), Some(pid), "{outcome}{report}");
    assert_eq!(report.text("/outcome/certainty"), "certain", "{outcome}{report}");
    let sentence = report.text("/outcome/sentence");
    assert!(
        sentence.contains("300.0 MiB") && sentence.contains(end),
        "{end}: {sentence}"
    );
    assert!(report.is_told_in(&outcome.stderr), "{outcome}");
    let picture = outcome.out_of_memory();
    assert!(picture.at(&worker()) > 100 * MIB, "{outcome}{picture}");
    let page = std::fs::read_to_string(outcome.file("index.html")).expect("it is UTF-8");
    assert!(
        page.contains("killed") && !page.contains("No allocation failed"),
        "{outcome}"
    );
    let listed = ours(&["ls", "fil-result"], outcome.folder());
    assert!(listed.contains("OOM cgroup"), "{listed}");
    let merged = ours(&["--no-browser", "merge", "fil-result"], outcome.folder());
    assert!(merged.contains("loses_workers.py"), "{merged}");
    report
}

#[test]
fn a_job_that_hangs_tells_of_its_killed_worker_until_a_signal_ends_it() {
    // A pool may hang at Ctrl-C, too.
    for (way, signal) in [("pool", Signal::SIGTERM), ("waits", Signal::SIGINT)] {
        let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
        let mut running = job(way, &cgroup).start();
        let run = wait_until_told(&mut running, 1);
        let stdout = String::from_utf8_lossy(&running.stdout()).into_owned();
        let pid = workers(&stdout)[0];
        assert!(run.join("out-of-memory.svg").exists(), "{running}");
        // What held the most is noted once the report is written.
        running.wait_for("line of the run with its culprit", |running| {
            let listed = ours(&["ls", "fil-result"], running.folder());
            assert!(listed.contains("OOM, runs"), "{listed}");
            listed.contains(&format!(".py:{}", worker().line)).then_some(())
        });
        let snapshot = ours(&["snapshot", run.to_str().expect("a plain name")], running.folder());
        assert!(
            joined(&snapshot).contains(&format!("process {pid})"))
                && joined(&snapshot).contains("The job is still running"),
            "{snapshot}"
        );
        assert!(snapshot.contains(&worker().to_string()), "{snapshot}");
        kill(Pid::from_raw(running.pid().as_raw()), signal).expect("it runs");
        let outcome = running.finish();
        let end = format!("The job ran on until {signal}");
        let report = is_blamed(&outcome, pid, &end);
        assert_eq!(
            report.at("/outcome/killed/0/process/pid").as_u64(),
            Some(pid),
            "{report}"
        );
        assert_eq!(told(&outcome.stderr).len(), 1, "{outcome}");
        let processes = report.at("/processes").as_array().cloned().unwrap_or_default();
        let state = |process: &serde_json::Value| {
            process["pid"]
                .as_u64()
                .zip(process["state"].as_str().map(str::to_owned))
        };
        let states: Vec<_> = processes.iter().filter_map(state).collect();
        assert!(states.contains(&(pid, "killed".to_owned())), "{states:?}");
    }
}

#[test]
fn a_job_that_ends_by_itself_names_the_worker_that_it_lost() {
    for (way, status) in [("executor", Some(1)), ("fork", Some(0))] {
        let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
        let outcome = job(way, &cgroup).run();
        assert_eq!(outcome.status, status, "{outcome}");
        let end = format!("The job itself ended with status {}", status.unwrap_or(-1));
        is_blamed(&outcome, workers(&outcome.text())[0], &end);
    }
}

#[test]
fn workers_of_joblib_are_named() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let victim = Job::python(joblib_python(), "loses_workers.py").arg("joblib");
    let outcome = victim.within(&cgroup).run();
    assert_eq!(outcome.status, Some(1), "{outcome}");
    let report = Report::of(&outcome);
    assert_eq!(report.kind(), "oom_killed_by_cgroup", "{outcome}{report}");
    let pid = report.number("/outcome/process/pid").expect("it is named");
    assert!(workers(&outcome.text()).contains(&pid), "{outcome}{report}");
}

#[test]
fn of_two_killed_workers_each_is_named() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let mut running = job("two", &cgroup).start();
    wait_until_told(&mut running, 2);
    kill(Pid::from_raw(running.pid().as_raw()), Signal::SIGTERM).expect("it runs");
    let outcome = running.finish();
    let pids = workers(&outcome.text());
    let report = is_blamed(&outcome, pids[0], "2 children of the job");
    let killed = report.at("/outcome/killed").as_array().cloned().unwrap_or_default();
    let killed: Vec<_> = killed.iter().filter_map(|one| one["process"]["pid"].as_u64()).collect();
    assert_eq!(killed, pids, "{report}");
    for pid in pids {
        assert!(
            joined(&outcome.stderr).contains(&format!("process {pid})")),
            "{outcome}"
        );
    }
}

#[test]
fn of_many_killed_workers_a_few_are_told_and_all_are_counted() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let outcome = job("many", &cgroup).run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    is_blamed(&outcome, workers(&outcome.text())[0], "12 children of the job");
    assert!((1..=5).contains(&told(&outcome.stderr).len()), "{outcome}");
}

#[test]
fn a_worker_that_is_killed_in_a_cgroup_of_its_own_is_named_with_the_limit_there() {
    let Some(cgroup) = Cgroup::unlimited() else { return };
    let inner = cgroup.child("inner");
    inner.write("memory.limit_in_bytes", LIMIT);
    let outcome = job("cgroup", &cgroup).arg(inner.folder().join("cgroup.procs")).run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let report = is_blamed(&outcome, workers(&outcome.text())[0], "ended with status 0");
    assert_eq!(report.text("/outcome/limit/path"), inner.name(), "{report}");
}

#[test]
fn the_recording_of_a_killed_worker_is_not_folded_away() {
    let Some(cgroup) = Cgroup::limited(100 * MIB) else {
        return;
    };
    let outcome = job("before-many", &cgroup).run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let report = Report::of(&outcome);
    let pid = workers(&outcome.text())[0];
    assert_eq!(report.number("/outcome/process/pid"), Some(pid), "{outcome}{report}");
    assert!(outcome.out_of_memory().at(&worker()) > 20 * MIB, "{outcome}");
}

/// The kernel kills our processes beside the job first, and then a worker.
#[test]
fn kills_of_our_own_processes_do_not_count() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let mut running = job("when-told", &cgroup).arg("go-on").start();
    running.wait_for_stdout("waiting");
    let supervisor = running.supervisor();
    let probe = running.wait_for("signal probe", |running| {
        let name = |pid: &Pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let mut members = children(running.pid()).into_iter();
        members.find(|pid| name(pid).trim_end() == "signal-probe")
    });
    for pid in [supervisor, probe] {
        std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000").expect("it may be raised");
    }
    std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
    let outcome = running.finish();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let kills = cgroup.kills();
    let report = Report::of(&outcome);
    assert!(kills > 1, "nobody of ours was killed: {outcome}{report}");
    let evidence = report.at("/outcome/evidence").as_array().cloned().unwrap_or_default();
    let of_cgroup = |item: &&serde_json::Value| {
        let source = item["source"].as_str().unwrap_or_default();
        source.ends_with("memory.oom_control") && item["after"].is_u64()
    };
    let counted = evidence.iter().find(of_cgroup).map(|item| item["after"].as_u64());
    assert_eq!(counted, Some(Some(kills)), "{outcome}{report}");
    assert_eq!(
        report.at("/outcome/killed").as_array().map(Vec::len),
        Some(1),
        "{report}"
    );
}

/// The kernel kills some of four workers that copy what they inherited, by nothing but its reference counts.
#[test]
fn copies_of_what_workers_inherited_are_told_with_the_line_of_their_parent() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let victim = Job::python(Python::any(), "copies_what_it_inherits.py").arg("go-on");
    let mut running = victim.within(&cgroup).start();
    running.wait_for_stdout("lost");
    let line = place("copies_what_it_inherits.py", "INHERITED").to_string();
    running.wait_for("report of a killed worker", |running| {
        running
            .stderr()
            .contains("the job is still running; its report so far")
            .then_some(())
    });
    std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
    let outcome = running.finish();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let report = Report::of(&outcome);
    let text = outcome.text();
    let lost: Vec<u64> = text
        .lines()
        .filter_map(|line| line.strip_prefix("lost ")?.parse().ok())
        .collect();
    let killed = report.at("/outcome/killed").as_array().cloned().unwrap_or_default();
    let killed: Vec<_> = killed.iter().filter_map(|one| one["process"]["pid"].as_u64()).collect();
    assert!(
        !lost.is_empty() && killed.iter().all(|pid| lost.contains(pid)),
        "{outcome}{report}"
    );
    assert_eq!(killed.len(), lost.len(), "{outcome}{report}");
    let log = joined(&outcome.stderr);
    assert!(
        log.contains("which held the most at") && log.contains(&line),
        "{outcome}"
    );
    // What those that were not killed say that they have of their own; they may have had more while all were there.
    let private = text
        .lines()
        .filter_map(|line| line.strip_prefix("private ")?.split_once(' '));
    let private = private.filter(|(pid, _)| !lost.iter().any(|lost| lost.to_string() == *pid));
    let copied: u64 = private.filter_map(|(_, bytes)| bytes.parse::<u64>().ok()).sum();
    let told = log
        .split(" processes hold ")
        .last()
        .and_then(|told| told.split(' ').next()?.parse::<f64>().ok());
    let told = (told.expect("a number of MiB") * MIB as f64) as u64;
    assert!((copied * 9 / 10..=LIMIT).contains(&told), "{told} {copied} {outcome}");
}
