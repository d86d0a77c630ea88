//! "The ledger says what the limit counts, and at least 95 % of it has a name; where no line of code is to blame, it says what is."

use nix::sys::signal::Signal;
use oom::{
    Cgroup, HugePages, Job, MIB, Outcome, Python, Report, allocators_python, announce, assert_close, place,
    torch_python,
};

/// At least so much of what the limit counts has a name.
const EXPLAINED: f64 = 0.95;

#[test]
fn what_lies_free_between_small_objects_is_named() {
    for (how, slack, least) in [("python", "arena_slack", 100 * MIB), ("c", "heap_slack", 80 * MIB)] {
        let job = Job::python(Python::any(), "fragmented.py").arg(how);
        let mut running = job.start();
        running.wait_for_stdout("holding");
        let seen = running.snapshot();
        std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
        let outcome = running.finish();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        announce(&format!(
            "ten million objects, every second freed ({how}):\n{}",
            seen.report.ledger_table()
        ));
        assert!(seen.report.ledger(slack) >= least, "{seen:#?} {outcome}");
        assert!(seen.explained() >= EXPLAINED, "{seen:#?} {outcome}");
    }
}

#[test]
fn a_job_that_is_killed_while_it_is_fragmented_is_told_so() {
    let Some(cgroup) = Cgroup::limited(500 * MIB) else {
        return;
    };
    let job = Job::python(Python::any(), "fragmented.py").arg("python").arg("grow");
    let outcome = job.within(&cgroup).run();
    assert_eq!(outcome.signal, Some(Signal::SIGKILL as i32), "{outcome}");
    let report = Report::of(&outcome);
    announce(&format!("killed when fragmented:\n{}", report.ledger_table()));
    // Five million times 32 bytes, and of each of the five million objects of 24 bytes that are left the 8 that they are rounded up by.
    let free = report.ledger("arena_slack");
    assert_close(free, 5_000_000 * (32 + 8), 5.0, &report);
    assert!(report.explained() >= EXPLAINED, "{outcome}{report}");
    let told = outcome.our_lines().join(" ");
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("% of that is free in the arenas of Python's own allocator. It is no object's, but between objects that are."),
        "{outcome}"
    );
    let page = std::fs::read_to_string(outcome.file("index.html")).expect("it is UTF-8");
    assert!(page.contains("free in the arenas of Python"), "{page}");
}

#[test]
fn a_job_killed_in_a_cgroup_has_a_ledger_of_the_cgroup() {
    let Some(cgroup) = Cgroup::limited(300 * MIB) else {
        return;
    };
    // On a busy machine the measurement close to the limit may come too late for one that grows as fast as it can: then an older one
    // is there, which says how old it is.
    let job = Job::python(Python::any(), "grows_slowly.py").arg("150").arg("0.02");
    let outcome = job.within(&cgroup).run();
    assert_eq!(outcome.signal, Some(Signal::SIGKILL as i32), "{outcome}");
    let report = Report::of(&outcome);
    announce(&format!("killed at 300 MiB:\n{}", report.ledger_table()));
    assert_eq!(report.text("/ledger/counts"), "resident", "{report}");
    assert!(report.explained() >= EXPLAINED, "{outcome}{report}");
    let total = report.number("/ledger/total_bytes").unwrap_or(0);
    assert!(total >= 240 * MIB, "{total} of 300 MiB: {outcome}{report}");
    let told = outcome.our_lines().join(" ");
    let told: Vec<_> = told.split_whitespace().collect();
    assert!(told.join(" ").contains("% explained (measured"), "{outcome}");
}

#[test]
fn page_cache_that_a_job_has_filled_is_no_line_s_and_told_apart() {
    let Some(cgroup) = Cgroup::limited(300 * MIB) else {
        return;
    };
    let code = "import os, time\nkept = bytearray(30 << 20)\nwith open('large', 'wb') as file:\n    \
                for _ in range(100): file.write(bytes(1 << 20))\nprint('holding', flush=True)\n\
                while not os.path.exists('go-on'): time.sleep(0.01)";
    let mut running = Job::code(Python::any(), code).within(&cgroup).start();
    running.wait_for_stdout("holding");
    let seen = running.snapshot();
    let stat = std::fs::read_to_string(cgroup.folder().join("memory.stat")).expect("every cgroup has it");
    std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
    let outcome = running.finish();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let report = &seen.report;
    announce(&format!("100 MiB written to a file:\n{}", report.ledger_table()));
    // The kernel may have taken some of it back, and says how much is left.
    let cache = stat.lines().find_map(|line| line.strip_prefix("total_cache "));
    let cache: u64 = cache.and_then(|bytes| bytes.parse().ok()).expect("a number");
    assert!(cache >= 50 * MIB, "{stat}");
    // Who was charged for what is mapped of libraries nobody says: it counts for them as long as there is cache to be it.
    let mapped = ["libraries", "files", "own"].map(|line| report.ledger(line));
    let apart = report.ledger("page_cache");
    let least = cache - mapped.iter().sum::<u64>() - MIB;
    assert!((least..=cache + MIB).contains(&apart), "{apart} of {cache}: {report}");
    assert!(report.number("/moment/bytes") < Some(50 * MIB), "{report}");
    assert!(seen.explained() >= EXPLAINED, "{seen:#?} {outcome}");
}

#[test]
fn huge_pages_that_the_limit_does_not_count_are_beside_its_ledger() {
    let Some(cgroup) = Cgroup::limited(300 * MIB) else {
        return;
    };
    let _set_aside = match HugePages::set_aside(8) {
        Ok(pages) => pages,
        Err(why) => return announce(&format!("left out: huge pages in a cgroup, for {why}")),
    };
    let mut running = Job::c("kinds_of_memory.c").arg("huge").within(&cgroup).start();
    running.wait_for_stdout("}");
    running.wait_for_file("fil-result/latest");
    let seen = running.snapshot();
    let used = cgroup.number("memory.usage_in_bytes");
    std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
    let outcome = running.finish();
    let report = &seen.report;
    announce(&format!("16 MiB in huge pages:\n{}", report.ledger_table()));
    assert_eq!(report.apart("hugetlb"), 16 * MIB, "{seen:#?} {outcome}");
    assert_eq!(report.ledger("mappings"), 0, "{seen:#?} {outcome}");
    assert!(
        report.number("/ledger/total_bytes") <= Some(used + 4 * MIB),
        "{used} {seen:#?}"
    );
    // Of so little, what the kernel charges ahead is a large part.
    let unexplained = report.at("/ledger/unexplained_bytes").as_i64().expect("a number");
    assert!(unexplained.unsigned_abs() <= MIB, "{seen:#?} {outcome}");
}

#[test]
fn a_job_that_ran_out_of_address_space_has_a_ledger_of_that() {
    Python::each(|python| {
        let job = Job::python(python, "steady_arrays.py").limit_address_space(300 * MIB);
        let outcome = job.run();
        let report = Report::of(&outcome);
        assert_eq!(report.text("/ledger/counts"), "address_space", "{report}");
        assert_eq!(
            report.text("/ledger/measured/occasion"),
            "when an allocation failed",
            "{outcome}{report}"
        );
        assert!(
            report.explained() >= EXPLAINED,
            "{python}: {outcome}{}",
            report.ledger_table()
        );
        let total = report.number("/ledger/total_bytes").unwrap_or(0);
        assert_close(total, 300 * MIB, 10.0, &report);
    });
}

/// A job that asks for much more than it touches; what is in memory was measured when it had filled 265 MiB. One that fills as fast as it
/// can may be killed before anybody has come to measure it.
fn measured_at_265_mib(change: impl Fn(Job) -> Job) -> Outcome {
    let job = Job::python(Python::any(), "untouched.py").arg("265").arg("go-on");
    let mut running = change(job).start();
    running.wait_for_stdout("waiting");
    running.wait_for_file("fil-result/latest");
    running.snapshot();
    std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
    running.finish()
}

#[test]
fn what_is_never_touched_ranks_behind_what_is_where_the_limit_counts_pages() {
    let Some(cgroup) = Cgroup::limited(300 * MIB) else {
        return;
    };
    let filled = place("untouched.py", "FILLED");
    let untouched = place("untouched.py", "UNTOUCHED");
    let outcome = measured_at_265_mib(|job| job.within(&cgroup));
    assert_eq!(outcome.signal, Some(Signal::SIGKILL as i32), "{outcome}");
    let report = Report::of(&outcome);
    assert_eq!(report.text("/moment/ranked_by"), "resident", "{outcome}{report}");
    let picture = outcome.out_of_memory();
    assert!(picture.at(&untouched) <= MIB, "{picture}");
    assert!(picture.at(&filled) >= 265 * MIB, "{picture}");
    let (asked, _) = report.held_at(&untouched);
    assert_eq!(asked / MIB, 1000, "{report}");

    let outcome = measured_at_265_mib(|job| job.within(&cgroup).option("--rank=requested"));
    assert!(outcome.out_of_memory().at(&untouched) >= 1000 * MIB, "{outcome}");

    // Address space counts what is asked for.
    let outcome = measured_at_265_mib(|job| job.limit_address_space(1300 * MIB));
    let picture = outcome.out_of_memory();
    assert!(picture.at(&untouched) >= 1000 * MIB, "{picture}");
    let report = Report::of(&outcome);
    let resident = report.number("/moment/resident_bytes");
    assert!(resident.is_some_and(|bytes| bytes < 320 * MIB), "{report}");
}

/// It installs the packages from PyPI, so only under OOM_TESTS_LONG=1.
#[test]
fn of_real_programs_nearly_all_has_a_name() {
    if std::env::var_os("OOM_TESTS_LONG").is_none() {
        announce(
            "no ledgers of pandas, scikit-learn, PyArrow, Polars and PyTorch: that installs them, and needs OOM_TESTS_LONG=1",
        );
        return;
    }
    let installed = ["pandas", "sklearn", "arrow", "polars"].map(|name| (name, Some(allocators_python())));
    for (name, python) in installed.into_iter().chain([("torch", torch_python())]) {
        let Some(python) = python else {
            announce(&format!("no ledger of {name}: it is not installed here"));
            continue;
        };
        // What comes and goes while it is measured is in one look and not in the next: of three, the one in the middle.
        let mut reports = [(); 3].map(|()| {
            let outcome = Job::python(python, &format!("program_{name}.py")).run();
            assert_eq!(outcome.status, Some(0), "{outcome}");
            Report::of(&outcome)
        });
        reports.sort_by(|a, b| a.explained().total_cmp(&b.explained()));
        let report = &reports[1];
        announce(&format!("{name}:\n{}", report.ledger_table()));
        assert!(report.explained() >= EXPLAINED, "{name}: {}", report.ledger_table());
    }
}
