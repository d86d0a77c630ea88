//! The same recording at each of its moments, and the run's processes.

use std::fs;
use std::path::Path;

use dumper::report::Occasion;
use dumper::{Ending, Moment, Profile, Rank, Run};
use recording::{AllocFunction, EventKind, Trouble};

use crate::builder::{Builder, Held, STARTED_NS};
use crate::job;

fn held(bytes: u64) -> Held {
    Held { bytes, variance: 0 }
}

fn recording(job: Builder) -> Profile {
    let (recording, damage) = dumper::recording::read(&job.bytes()).unwrap();
    assert_eq!(damage, []);
    recording
}

fn folded(folder: &Path, name: &str) -> Vec<String> {
    fs::read_to_string(folder.join(name))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_moment_is_what_was_saved_for_it_or_what_is_live_since() {
    let mut job = Builder::new(1, &["a"]);
    let [f, g] = [("a.py", 1, "f"), ("a.py", 2, "g")].map(|call| job.stack(&[call]));
    job.site(f, held(10), held(1000), held(10));
    job.site(g, held(7), held(7), held(300));
    job.failed(AllocFunction::Malloc, 1, f, STARTED_NS);
    let recording = recording(job);
    for (moment, total, of_f) in [
        (Moment::Live, 17, 10),
        (Moment::Peak, 1007, 1000),
        (Moment::OutOfMemory, 310, 10),
    ] {
        let tree = recording.at(moment).by(Rank::Requested);
        assert_eq!(tree.all().bytes, total);
        assert_eq!(tree.own(1).bytes, of_f);
    }
}

#[test]
fn there_is_nothing_at_a_moment_that_never_was() {
    let mut job = Builder::new(1, &["a"]);
    let node = job.stack(&[("a.py", 1, "f")]);
    job.holds(node, 1000);
    let recording = recording(job);
    assert_eq!(recording.at(Moment::OutOfMemory).by(Rank::Requested).all().bytes, 0);
}

#[test]
fn tables_of_many_chunks_are_read_in_order() {
    let mut job = Builder::new(1, &["a"]);
    let mut sum = 0;
    for line in 1..20_000 {
        let file = format!("/a/rather/long/path/so/that/the/strings/need/chunks/{}.py", line % 4000);
        let node = job.stack(&[("main.py", line % 7, "main"), (file.as_str(), line, "f")]);
        job.holds(node, line.into());
        sum += u64::from(line);
    }
    let recording = recording(job);
    let tree = recording.at(Moment::Live).by(Rank::Requested);
    assert_eq!(tree.all().bytes, sum);
    for (id, node) in tree
        .nodes()
        .iter()
        .enumerate()
        .filter(|(id, _)| tree.own(*id).bytes > 0)
    {
        let call = tree.call(node);
        assert_eq!(u64::from(call.line), tree.own(id).bytes);
        assert!(call.file.ends_with(&format!("/{}.py", call.line % 4000)));
    }
}

#[test]
fn folded_stacks_are_exact_however_small_or_recursive() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = Builder::new(1, &["a"]);
    let f = ("a.py", 3, "f");
    let deep = job.stack(&[("a.py", 9, "<module>"), f, f, f]);
    job.holds(deep, 1_000_000);
    let small = job.stack(&[("a.py", 9, "<module>"), f]);
    job.holds(small, 1);
    let odd = job.stack(&[("a;b\n.py", 1, "g h")]);
    job.holds(odd, 5);
    let made_up = job.stack(&[("", 0, "[No Python stack]")]);
    job.holds(made_up, 6);
    job.overflow(7);
    job::report(folder.path(), &Run::default(), &[job.bytes()], Occasion::Ended);
    let expected = [
        "a.py:9 (<module>);a.py:3 (f) 1",
        "a.py:9 (<module>);a.py:3 (f);a.py:3 (f);a.py:3 (f) 1000000",
        "a:b\\n.py:1 (g h) 5",
        "[No Python stack] 6",
        "[not recorded apart] 7",
    ];
    assert_eq!(folded(folder.path(), "peak-memory.prof"), expected);
}

#[test]
fn the_last_process_to_fail_and_the_one_with_the_highest_peak_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut jobs = Vec::new();
    for (pid, peak, failed_at) in [
        (1, 500, Some(20)),
        (2, 100, Some(30)),
        (3, 900, None),
        (4, 50, Some(10)),
    ] {
        let mut job = Builder::new(pid, &["python3", &format!("job{pid}.py")]);
        let node = job.stack(&[(&format!("job{pid}.py"), pid, "f")]);
        job.holds(node, peak);
        if let Some(time) = failed_at {
            job.failed(AllocFunction::Mmap, 4096, node, STARTED_NS + time);
        }
        jobs.push(job.bytes());
    }
    let written = job::report(folder.path(), &Run::default(), &jobs, Occasion::Ended);
    assert_eq!(folded(folder.path(), "out-of-memory.prof"), ["job2.py:2 (f) 100"]);
    assert_eq!(folded(folder.path(), "peak-memory.prof"), ["job3.py:3 (f) 900"]);
    assert_eq!(
        job::said(&written)[0],
        "process 2 (job2.py): mmap of 4.0 KiB failed at job2.py:2 (f)"
    );
    let page = fs::read_to_string(&written.index).unwrap();
    for pid in 1..=4 {
        assert!(page.contains(&format!("python3 job{pid}.py")));
    }
}

#[test]
fn a_failed_request_is_never_part_of_what_was_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = Builder::new(1, &["a"]);
    let node = job.stack(&[("a.py", 1, "f")]);
    job.failed(AllocFunction::Malloc, 1 << 50, node, STARTED_NS);
    let written = job::report(folder.path(), &Run::default(), &[job.bytes()], Occasion::Ended);
    assert_eq!(folded(folder.path(), "out-of-memory.prof"), [""; 0]);
    let svg = fs::read_to_string(written.out_of_memory.unwrap()).unwrap();
    assert!(svg.contains("Memory at the moment it ran out: 0 B (a)"));
    assert!(svg.contains("malloc of 1.0 PiB failed at a.py:1 (f)"));
    assert!(written.peak.is_none());
}

#[test]
fn a_program_that_catches_the_failure_is_said_to_have_gone_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = Builder::new(1, &["a"]);
    let node = job.stack(&[("a.py", 1, "f")]);
    job.holds(node, 1 << 20);
    job.failed(AllocFunction::Calloc, 1 << 20, node, STARTED_NS);
    job.failed(AllocFunction::Calloc, 1 << 21, node, STARTED_NS);
    let recordings = [job.bytes()];
    let ended = Ending {
        status: Some(0),
        ..Ending::default()
    };
    let run = Run {
        ending: Some(ended),
        ..Run::default()
    };
    let summary = job::said(&job::report(folder.path(), &run, &recordings, Occasion::Ended));
    let expected = [
        "calloc of 2.0 MiB failed at a.py:1 (f)",
        "It was the last of 2 allocations that failed.",
        "The program went on, and ended with status 0.",
        "In use at that moment: 1.0 MiB, most of it at",
        "100.0 %    1.0 MiB  a.py:1 (f)",
    ];
    assert_eq!(summary[..5], expected);
    let running = job::report(folder.path(), &Run::default(), &recordings, Occasion::AllocationFailed);
    assert_eq!(job::said(&running)[2], "The program is still running.");
}

#[test]
fn beside_a_request_of_another_order_what_was_held_is_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = Builder::new(1, &["a"]);
    let node = job.stack(&[("a.py", 1, "f")]);
    job.holds(node, 1 << 20);
    job.failed(AllocFunction::Malloc, 100 << 40, node, STARTED_NS);
    let summary = job::said(&job::report(
        folder.path(),
        &Run::default(),
        &[job.bytes()],
        Occasion::Ended,
    ));
    assert!(
        summary.contains(&"In use at that moment: 1.0 MiB".to_owned()),
        "{summary:#?}"
    );
    assert!(!summary.iter().any(|line| line.contains("100.0 %")), "{summary:#?}");
}

#[test]
fn a_fine_run_needs_few_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = Builder::new(1, &["a"]);
    let node = job.stack(&[("a.py", 1, "f")]);
    job.holds(node, 3 << 20);
    let recordings = [job.bytes()];
    let written = job::report(folder.path(), &Run::default(), &recordings, Occasion::Ended);
    let picture = format!(
        "Wrote memory usage flamegraph to {}/peak-memory.svg",
        folder.path().display()
    );
    assert_eq!(
        job::said(&written),
        ["Peak memory: 3.0 MiB, of which 100.0 % at a.py:1 (f)", &picture]
    );
    let requested = job::report(folder.path(), &Run::default(), &recordings, Occasion::Requested);
    assert_eq!(
        job::said(&requested)[0],
        "Peak memory so far: 3.0 MiB, of which 100.0 % at a.py:1 (f)"
    );
}

#[test]
fn a_run_without_recordings_still_gets_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let written = job::report(folder.path(), &Run::default(), &[], Occasion::Ended);
    assert_eq!(job::said(&written), ["No memory was recorded."]);
    assert!(
        fs::read_to_string(written.index)
            .unwrap()
            .contains("A statically linked program cannot be watched")
    );
}

#[test]
fn trouble_is_told_once_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = Builder::new(1, &["a"]);
    let node = job.stack(&[("", 0, "[No Python stack]")]);
    job.holds(node, 1 << 20);
    job.trouble(Trouble::UnknownPython, 3 << 8 | 14);
    job.trouble(Trouble::UnknownPython, 3 << 8 | 14);
    job.trouble(Trouble::NewerPython, 3 << 8 | 16);
    job.trouble(Trouble::HiddenPython, 0);
    let summary = job::said(&job::report(
        folder.path(),
        &Run::default(),
        &[job.bytes()],
        Occasion::Ended,
    ));
    // Lines are broken where the terminal ends.
    let text = summary.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    for told in [
        "No Python lines: this version does not know this build of Python 3.14.",
        "Python 3.16 is newer than this version of fil-profile",
        "linked without -rdynamic and stripped of its symbols.",
    ] {
        assert_eq!(text.matches(told).count(), 1, "{told}: {text}");
    }
}

#[test]
fn a_librarys_line_is_told_with_the_users_lines_that_it_worked_for() {
    let mut job = Builder::new(1, &["a"]);
    let library = ("/v/lib/python3.11/site-packages/numpy/numeric.py", 235, "ones");
    for (line, bytes) in [(1, 100), (2, 300)] {
        let node = job.stack(&[
            ("main.py", line, "main"),
            ("/usr/lib/python3.11/functools.py", 9, "wrapper"),
            library,
        ]);
        job.holds(node, bytes);
    }
    let recording = recording(job);
    let tree = recording.at(Moment::Peak).by(Rank::Requested);
    let site = tree.sites(1).pop().unwrap();
    let callers: Vec<_> = site
        .callers
        .iter()
        .map(|(call, held)| (call.line, held.requested.bytes))
        .collect();
    assert_eq!(site.call.exact(), format!("{}:235 (ones)", library.0));
    assert_eq!((site.ranked.bytes, callers), (400, vec![(2, 300), (1, 100)]));
    let culprit = tree.culprit().unwrap();
    let (part, held) = culprit.parts[0];
    assert_eq!(
        (culprit.call.exact(), culprit.ranked.bytes),
        ("main.py:2 (main)".to_owned(), 300)
    );
    assert_eq!((part, held.requested.bytes), (site.call, 300));
}

#[test]
fn events_are_the_last_ones_in_their_order() {
    let mut job = Builder::new(1, &["a"]);
    for bytes in 1..=300 {
        job.event(EventKind::ReportRequested, 0, bytes, 0, STARTED_NS);
    }
    let (recording, _) = dumper::recording::read(&job.bytes()).unwrap();
    let bytes: Vec<u64> = recording.facts.events.iter().map(|event| event.bytes).collect();
    assert_eq!(bytes, (45..=300).collect::<Vec<u64>>());
}
