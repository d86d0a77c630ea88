//! "A job killed by the kernel in a memory cgroup leaves the same report as one whose malloc failed, with the verdict."

use nix::sys::signal::Signal;
use oom::{Cgroup, Job, MIB, OnOom, Outcome, Place, Python, Report, announce, assert_close, place};

const LIMIT: u64 = 300 * MIB;

/// The job died of the kernel's SIGKILL, `fil-profile` died of the same, and report and verdict say what is true.
#[track_caller]
fn is_reported(outcome: &Outcome, here: &Place, limit: &Cgroup) -> Report {
    let report = is_judged(outcome, limit);
    let (bytes, error) = report.held_at(here);
    let truth = outcome.truth();
    let allowed = (truth / 20).max(4 * error);
    assert!(
        bytes.abs_diff(truth) < allowed,
        "{bytes} reported, {truth} true, {allowed} allowed: {outcome}"
    );
    let picture = outcome.out_of_memory();
    // It shows what the limit counts, if that was measured.
    let shown = report.ranked_at(here);
    assert!(picture.at(here).abs_diff(shown) <= 1, "{picture}{report}");
    // Of a block that is being filled, only a part is there; but pages are counted only if they were when four fifths of the limit
    // were in use, of which all else has less than 50 MiB.
    assert!(
        (LIMIT * 4 / 5 - 50 * MIB..=truth + allowed).contains(&shown),
        "{report}"
    );
    let named = outcome.our_lines().iter().any(|line| line.contains(&here.to_string()));
    assert!(named, "no line of ours names {here}: {outcome}");
    report
}

#[track_caller]
fn is_judged(outcome: &Outcome, limit: &Cgroup) -> Report {
    assert_eq!(outcome.signal, Some(Signal::SIGKILL as i32), "{outcome}");
    let report = Report::of(outcome);
    blames(&report, outcome, &limit.name());
    report
}

#[track_caller]
fn blames(report: &Report, outcome: &Outcome, limit: &str) {
    assert_eq!(report.kind(), "oom_killed_by_cgroup", "{outcome}{report}");
    assert_eq!(report.text("/outcome/certainty"), "certain", "{outcome}{report}");
    assert_eq!(report.number("/outcome/signal"), Some(9), "{report}");
    assert_eq!(report.text("/outcome/limit/kind"), "cgroup_v1", "{report}");
    assert_eq!(report.text("/outcome/limit/path"), limit, "{report}");
    assert_eq!(report.number("/outcome/limit/bytes"), Some(LIMIT), "{report}");
    let evidence = report.at("/outcome/evidence").as_array().cloned().unwrap_or_default();
    let counted = |piece: &serde_json::Value| piece["before"].as_u64() < piece["after"].as_u64();
    assert!(evidence.iter().any(counted), "no counter has moved: {report}");
    // What the kernel has notified of.
    let has_notified = |source: &str| {
        let of = |key: &str, item: &serde_json::Value| item[key].as_str().unwrap_or_default().to_owned();
        let is_it = |item: &serde_json::Value| {
            of("source", item).ends_with(source) && of("says", item).contains("the kernel notified")
        };
        evidence.iter().any(is_it)
    };
    for file in ["memory.usage_in_bytes", "memory.oom_control"] {
        assert!(has_notified(file), "nothing came of {file}: {report}");
    }
    // On stderr it is told in the same words, by name and size.
    let verdict = report.text("/outcome/sentence");
    assert!(
        report.is_told_in(&outcome.stderr),
        "the verdict is not told: {outcome}{report}"
    );
    assert!(verdict.contains(limit) && verdict.contains("300.0 MiB"), "{verdict}");
}

#[test]
fn steady_growth() {
    Python::each(|python| {
        let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
        let outcome = Job::python(python, "steady_arrays.py").within(&cgroup).run();
        is_reported(&outcome, &place("steady_arrays.py", "HERE"), &cgroup);
        assert!(
            outcome.text().lines().count() > 200,
            "we took too much of the room: {outcome}"
        );
    });
}

#[test]
fn one_block_far_larger_than_what_is_left_filled_at_once() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let job = Job::python(Python::any(), "fills_at_once.py").arg("1000");
    let outcome = job.within(&cgroup).run();
    is_reported(&outcome, &place("fills_at_once.py", "HERE"), &cgroup);
}

#[test]
fn small_objects_only() {
    for (kind, marker) in [("dict", "DICT"), ("tuple", "TUPLE")] {
        let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
        let job = Job::python(Python::any(), "small_objects.py").arg(kind);
        is_reported(&job.within(&cgroup).run(), &place("small_objects.py", marker), &cgroup);
    }
}

#[test]
fn growth_in_a_thread() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let outcome = Job::python(Python::any(), "thread_growth.py").within(&cgroup).run();
    is_reported(&outcome, &place("thread_growth.py", "HERE"), &cgroup);
}

#[test]
fn a_shell_sees_the_status_of_a_killed_job() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let shell = ["/bin/sh", "-c", "\"$@\"; echo status $?", "sh"];
    let job = Job::python(Python::any(), "steady_arrays.py").within(&cgroup);
    let outcome = job.launched_by(shell).run();
    assert!(outcome.text().ends_with("status 137\n"), "{outcome}");
}

#[test]
fn a_limit_further_up() {
    let Some(parent) = Cgroup::limited(LIMIT) else { return };
    let between = parent.child("between");
    let leaf = between.child("leaf");
    let outcome = Job::python(Python::any(), "steady_arrays.py").within(&leaf).run();
    is_reported(&outcome, &place("steady_arrays.py", "HERE"), &parent);
}

/// As `docker run --memory` sets it: memory, and memory and swap together, have the same limit, which the kernel tries first.
#[test]
fn a_limit_on_memory_and_swap_together() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    if !cgroup.folder().join("memory.memsw.limit_in_bytes").exists() {
        announce("left out: a limit on memory and swap together, for this kernel does not count swap");
        return;
    }
    cgroup.write("memory.memsw.limit_in_bytes", LIMIT);
    let outcome = Job::python(Python::any(), "steady_arrays.py").within(&cgroup).run();
    let report = is_reported(&outcome, &place("steady_arrays.py", "HERE"), &cgroup);
    // The kernel lets a process that it has killed have a few pages more.
    let most = cgroup.number("memory.memsw.max_usage_in_bytes");
    assert!((LIMIT..LIMIT + MIB / 16).contains(&most), "{most}: {outcome}");
    let evidence = report.at("/outcome/evidence").to_string();
    // Some kernels, 6.18 among them, count no charge that failed, of memory neither.
    match cgroup.number("memory.memsw.failcnt") {
        0 => announce("left out: the counter of memory and swap, which this kernel leaves at 0"),
        _ => assert!(evidence.contains("the limit of memory and swap was met"), "{report}"),
    }
    assert!(
        evidence.contains("memory.memsw.usage_in_bytes"),
        "nothing came of it: {report}"
    );
}

/// As Docker shows it: the container's own cgroup is mounted as if it were the root.
#[test]
fn a_limit_seen_through_a_private_mount() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let bind = format!(
        "mount --make-rprivate / && mount --bind '{}' /sys/fs/cgroup/memory && exec \"$@\"",
        cgroup.folder().display()
    );
    let job = Job::python(Python::any(), "steady_arrays.py");
    let job = job.launched_by(["unshare", "-m", "/bin/sh", "-c", &bind, "sh"]);
    let outcome = job.within(&cgroup).run();
    is_reported(&outcome, &place("steady_arrays.py", "HERE"), &cgroup);
}

#[test]
fn a_limit_seen_from_a_cgroup_namespace() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let mount = "mount --make-rprivate / && umount /sys/fs/cgroup/memory && mount -t cgroup -o memory own /sys/fs/cgroup/memory && exec \"$@\"";
    let job = Job::python(Python::any(), "steady_arrays.py");
    let job = job.launched_by(["unshare", "-m", "-C", "/bin/sh", "-c", mount, "sh"]);
    let outcome = job.within(&cgroup).run();
    assert_eq!(outcome.signal, Some(Signal::SIGKILL as i32), "{outcome}");
    blames(&Report::of(&outcome), &outcome, "/");
    outcome.out_of_memory();
}

#[test]
fn a_child_that_is_killed_while_the_job_ends_well_is_said_aloud() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let outcome = Job::python(Python::any(), "child_is_killed.py").within(&cgroup).run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert!(outcome.text().ends_with("signal 9\n"), "{outcome}");
    let report = Report::of(&outcome);
    assert_eq!(report.kind(), "oom_killed_by_cgroup", "{outcome}{report}");
    assert_eq!(report.at("/outcome/process/is_child").as_bool(), Some(true), "{report}");
    assert!(report.is_told_in(&outcome.stderr), "{outcome}{report}");
    let held = outcome.out_of_memory().at(&place("child_is_killed.py", "CHILD"));
    assert_close(held, outcome.truth(), 5.0, &outcome);
}

#[test]
fn on_oom_exit_ends_the_job_before_the_kernel_does() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let job = Job::python(Python::any(), "grows_slowly.py")
        .arg("220")
        .arg("0.01")
        .on_oom(OnOom::Exit);
    let outcome = job.within(&cgroup).run();
    assert_eq!(outcome.status, Some(53), "{outcome}");
    assert_eq!(cgroup.kills(), 0, "{outcome}");
    let report = Report::of(&outcome);
    assert_eq!(report.kind(), "allocation_failed_fatal", "{outcome}{report}");
    let held = outcome.out_of_memory().at(&place("grows_slowly.py", "HERE"));
    assert_close(held, outcome.truth(), 5.0, &outcome);
}

#[test]
fn on_oom_exit_ends_a_block_that_is_filled_at_once_before_the_kernel_does() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let job = Job::python(Python::any(), "fills_at_once.py").arg("1000");
    let outcome = job.on_oom(OnOom::Exit).within(&cgroup).run();
    assert_eq!((outcome.status, cgroup.kills()), (Some(53), 0), "{outcome}");
    let report = Report::of(&outcome);
    assert_eq!(report.kind(), "allocation_failed_fatal", "{outcome}{report}");
    assert_eq!(report.text("/outcome/limit/path"), cgroup.name(), "{report}");
    let here = place("fills_at_once.py", "HERE");
    let (asked, _) = report.held_at(&here);
    assert_close(asked, 1000 * MIB, 1.0, &outcome);
    // As far as it has been filled, if that was measured.
    let shown = outcome.out_of_memory().at(&here);
    assert!(shown.abs_diff(report.ranked_at(&here)) <= 1, "{outcome}{report}");
    assert!(shown >= LIMIT * 4 / 5 - 50 * MIB, "{outcome}{report}");
    // A block that is too large is told as what it is.
    assert!(outcome.stderr.contains("asked for 1000.0 MiB, and only "), "{outcome}");
    assert!(!outcome.stderr.contains("Close to the limit"), "{outcome}");
}

#[test]
fn what_comes_close_to_the_limit_is_told_and_left_alone() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let usage = cgroup.folder().join("memory.usage_in_bytes");
    let job = Job::python(Python::any(), "comes_close.py").arg(usage);
    let job = job.arg((LIMIT - 8 * MIB).to_string()).arg("go-on");
    let mut running = job.within(&cgroup).start();
    running.wait_for("word about the limit", |job| {
        job.stderr().contains("Close to the limit").then_some(())
    });
    let here = place("comes_close.py", "HERE").to_string();
    running.wait_for("line that holds it", |job| job.stderr().contains(&here).then_some(()));
    running.wait_for_file("fil-result/latest/index.html");
    std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
    let outcome = running.finish();
    assert_eq!((outcome.status, cgroup.kills()), (Some(0), 0), "{outcome}");
    assert!(!outcome.has("out-of-memory.svg"), "{outcome}");
    assert_eq!(Report::of(&outcome).kind(), "finished", "{outcome}");
}
