//! "The report is one: who inherited what, who was not seen, whose recordings were folded, and who died."

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use oom::{Cgroup, Folded, Job, MIB, OnOom, Outcome, Python, Report, announce, assert_close, c_program, place};

fn processes(report: &Report) -> &[serde_json::Value] {
    report.at("/processes").as_array().expect("a list")
}

#[test]
fn what_a_fork_inherits_is_told_and_counted_once() {
    let outcome = Job::python(Python::any(), "fork_child.py").run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let report = Report::of(&outcome);
    let [parent, child] = processes(&report) else {
        panic!("{outcome}{report}")
    };
    let number = |process: &serde_json::Value, name: &str| process[name].as_u64().expect("a number");
    assert_eq!(number(parent, "inherited_bytes"), 0, "{report}");
    // At the fork the parent held the most that it ever did, but for what waiting and printing take.
    let (inherited, peak) = (number(child, "inherited_bytes"), number(parent, "peak_bytes"));
    assert_close(inherited, peak, 0.5, &report);
    assert_close(number(child, "peak_bytes"), 60 * MIB, 2.0, &report);
    let tree = Folded::load(&outcome.file("process-tree.prof"));
    assert_close(tree.through(&place("fork_child.py", "PARENT")), 30 * MIB, 1.0, &outcome);
    assert_close(tree.through(&place("fork_child.py", "CHILD")), 60 * MIB, 1.0, &outcome);
    let page = std::fs::read_to_string(outcome.file("index.html")).expect("it is UTF-8");
    let sentence = format!("of process {} by a fork", number(parent, "pid"));
    assert!(page.contains(&sentence), "{page}");
    assert!(page.contains(&place("fork_child.py", "PARENT").to_string()), "{page}");
}

#[test]
fn a_rank_is_that_of_the_childs_environment() {
    let code = "import os, subprocess, sys\nfor rank in '01':\n    \
                subprocess.check_call([sys.executable, '-c', 'x = bytearray(9 << 20)'], env=dict(os.environ, RANK=rank))";
    let outcome = Job::code(Python::any(), code).run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let report = Report::of(&outcome);
    let ranks: Vec<_> = processes(&report)
        .iter()
        .map(|process| process["rank"].as_u64())
        .collect();
    assert_eq!(ranks, [None, Some(0), Some(1)], "{report}");
    let tree = std::fs::read_to_string(outcome.file("process-tree.prof")).expect("it is UTF-8");
    assert!(tree.contains(", rank 0;") && tree.contains(", rank 1;"), "{tree}");
}

/// A worker that left of itself is nobody's victim, however much it held.
#[test]
fn of_two_workers_the_one_that_was_killed_is_named() {
    let Some(cgroup) = Cgroup::limited(200 * MIB) else {
        return;
    };
    let outcome = Job::python(Python::any(), "one_leaves_one_is_killed.py")
        .within(&cgroup)
        .run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let text = outcome.text();
    let victim = text
        .lines()
        .find_map(|line| line.strip_prefix("killed "))
        .expect("it says who");
    let report = Report::of(&outcome);
    assert_eq!(report.kind(), "oom_killed_by_cgroup", "{outcome}{report}");
    assert_eq!(
        report.number("/outcome/process/pid"),
        victim.parse().ok(),
        "{outcome}{report}"
    );
    let left = processes(&report).iter().filter(|process| process["state"] == "ended");
    assert_eq!(left.count(), 2, "{report}");
    assert!(
        outcome
            .out_of_memory()
            .through(&place("one_leaves_one_is_killed.py", "KILLED"))
            > 0,
        "{outcome}"
    );
}

#[test]
fn hundreds_of_children_are_bounded_in_files_while_they_come_and_at_the_end() {
    const CHILDREN: u64 = 300;
    let outcome = Job::python(Python::any(), "many_children.py")
        .arg(CHILDREN.to_string())
        .run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let seen: usize = outcome.text().trim().parse().expect("a number");
    assert!(seen <= 70, "{seen} recordings while the job ran: {outcome}");
    let report = Report::of(&outcome);
    let folded = report.number("/unrecorded/folded/processes").expect("a number");
    assert_eq!(processes(&report).len() as u64 + folded, CHILDREN + 1, "{report}");
    assert!(processes(&report).len() <= 70, "{report}");
    let highest = report
        .number("/unrecorded/folded/highest_peak_bytes")
        .expect("a number");
    assert!((2 * MIB..4 * MIB).contains(&highest), "{report}");
    let page = std::fs::read_to_string(outcome.file("index.html")).expect("it is UTF-8");
    assert!(page.contains(&format!("And {folded} more that ended")), "{page}");
}

/// Runs a program as a child, and returns why it was not seen.
fn why_unseen(how: &str, program: &Path) -> String {
    let job = Job::python(Python::any(), "waits_until_noted.py").arg(how).arg(program);
    let outcome = job.run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let text = outcome.text();
    let mut words = text.split_whitespace();
    let pid: u64 = words.next().and_then(|pid| pid.parse().ok()).expect("a pid");
    assert_eq!(words.next(), Some("7"), "the child ran as without us: {outcome}");
    let report = Report::of(&outcome);
    let unseen = report.at("/unrecorded/unseen").as_array().expect("a list");
    let unseen = unseen.iter().find(|unseen| unseen["pid"].as_u64() == Some(pid));
    let unseen = unseen.unwrap_or_else(|| panic!("{pid} is not there: {outcome}{report}"));
    assert!(unseen["resident_bytes"].as_u64() > Some(0), "{report}");
    assert!(outcome.stderr.contains("Not seen: process "), "{outcome}");
    unseen["why"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_child_with_an_environment_of_its_own_is_told_as_not_seen() {
    let why = why_unseen("clean", &c_program("reads_to_the_end.c"));
    assert!(why.contains("environment of its own"), "{why}");
}

#[test]
fn a_static_child_is_told_as_not_seen() {
    let why = why_unseen(
        "same",
        &oom::c_program_by("reads_to_the_end.c", "cc", "static", &["-static"]),
    );
    assert_eq!(why, "it is statically linked");
}

#[test]
fn a_child_of_another_libc_runs_as_without_us_and_is_told_as_not_seen() {
    if !oom::is_on_path("musl-gcc") {
        announce("left out: a child with musl, for there is no musl-gcc here (package musl-tools)");
        return;
    }
    let why = why_unseen(
        "same",
        &oom::c_program_by("reads_to_the_end.c", "musl-gcc", "musl", &[]),
    );
    assert_eq!(why, "it is linked to musl, not glibc");
}

#[test]
fn a_setuid_child_is_told_as_not_seen() {
    if !nix::unistd::geteuid().is_root() {
        announce("left out: a setuid child, for only root can make one of another user");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program: PathBuf = folder.path().join("setuid");
    std::fs::copy(c_program("reads_to_the_end.c"), &program).expect("the folder is writable");
    nix::unistd::chown(&program, Some(nix::unistd::Uid::from_raw(65534)), None).expect("root may");
    let mode = std::fs::Permissions::from_mode(0o4755);
    std::fs::set_permissions(&program, mode).expect("root may");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let why = why_unseen("same", &program);
    assert!(why.contains("setuid"), "{why}");
}

#[test]
fn without_children_only_the_first_process_is_watched() {
    for way in ["fork", "subprocess"] {
        let job = Job::python(Python::any(), "starts_child.py").arg(way);
        let outcome = job.option("--no-children").run();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        let report = Report::of(&outcome);
        assert_eq!(processes(&report).len(), 1, "{outcome}{report}");
        assert_eq!(report.at("/unrecorded/first_only").as_bool(), Some(true), "{report}");
        assert_eq!(
            outcome.peak().through(&place("starts_child.py", "CHILD")),
            0,
            "{outcome}"
        );
        assert!(!outcome.stderr.contains("Not seen"), "{outcome}");
    }
}

/// A failed allocation of a child that is not watched is not ours to end it by.
#[test]
fn without_children_a_child_that_runs_out_is_left_alone() {
    let job = Job::python(Python::any(), "fork_child_runs_out.py").limit_address_space(300 * MIB);
    let outcome = job.on_oom(OnOom::Exit).option("--no-children").run();
    assert_eq!(outcome.text(), "child 1\n", "{outcome}");
}

fn killed_child(cgroup: &Cgroup, option: Option<&str>) -> Outcome {
    let job = Job::python(Python::any(), "child_is_killed.py").within(cgroup);
    option.into_iter().fold(job, Job::option).run()
}

#[test]
fn a_child_that_was_killed_for_memory_can_make_the_job_fail() {
    let Some(cgroup) = Cgroup::limited(200 * MIB) else {
        return;
    };
    let outcome = killed_child(&cgroup, Some("--fail-on-child-oom"));
    assert_eq!(outcome.status, Some(53), "{outcome}");
    assert!(outcome.text().ends_with("signal 9\n"), "{outcome}");
    let report = Report::of(&outcome);
    assert_eq!(report.number("/outcome/status"), Some(0), "{report}");
    let pid = report.number("/outcome/process/pid").expect("it is named");
    let sentence = report.text("/outcome/sentence");
    assert!(sentence.contains(&pid.to_string()), "{report}");
    assert!(report.is_told_in(&outcome.stderr), "{outcome}");
    let outcome = killed_child(&cgroup, None);
    assert_eq!(outcome.status, Some(0), "{outcome}");
}

#[test]
fn a_child_that_left_at_a_failed_allocation_can_make_the_job_fail() {
    let job = Job::python(Python::any(), "fork_child_runs_out.py").limit_address_space(300 * MIB);
    let outcome = job.clone().on_oom(OnOom::Exit).option("--fail-on-child-oom").run();
    assert_eq!(outcome.status, Some(53), "{outcome}");
    // The child was told of it, and ended with an error because of that.
    let outcome = job.clone().option("--fail-on-child-oom").run();
    assert_eq!(outcome.status, Some(53), "{outcome}");
    let outcome = job.run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
}

#[test]
fn the_users_own_preloaded_libraries_stay_in_their_order_for_children_too() {
    let code = "import os, subprocess; subprocess.check_call(['sh', '-c', 'echo $LD_PRELOAD'])";
    let outcome = Job::code(Python::any(), code)
        .env("LD_PRELOAD", "libutil.so.1 libm.so.6")
        .run();
    let expected = format!("{}:libutil.so.1:libm.so.6\n", oom::preload().display());
    assert_eq!(outcome.text(), expected, "{outcome}");
}

#[test]
fn the_timeline_tells_the_processes_apart() {
    let outcome = Job::python(Python::any(), "waits_until_noted.py")
        .arg("clean")
        .arg(c_program("reads_to_the_end.c"))
        .env("LEAST", (20 * MIB).to_string())
        .run();
    let report = Report::of(&outcome);
    let timeline = report.at("/timeline").as_array().expect("a list");
    let shares = timeline
        .iter()
        .filter_map(|sample| sample["processes"].as_array())
        .max_by_key(|shares| shares.len());
    let shares = shares.unwrap_or_else(|| panic!("no sample has several processes: {report}"));
    assert_eq!(shares.len(), 2, "{report}");
    let resident: Vec<_> = shares.iter().map(|share| share["resident_bytes"].as_u64()).collect();
    assert!(resident[0] >= resident[1] && resident[0] >= Some(20 * MIB), "{report}");
}
