//! The processes of a run in one report: the flame graph of all, what was inherited, and who has no recording.

use std::fs;
use std::mem::offset_of;
use std::path::Path;

use dumper::Unrecorded;
use dumper::report::Occasion;
use dumper::unrecorded::Unseen;
use recording::Header;

use crate::builder::{Builder, Held};
use crate::job;

const MIB: u64 = 1 << 20;

/// A process that holds `live` MiB at last and held `peak`.
fn process(pid: u32, parent: u32, line: u32, [live, peak]: [u64; 2], is_running: bool) -> Builder {
    let mut builder = Builder::new(pid, &["python3", "work.py"]);
    builder.u32(offset_of!(Header, ppid), parent);
    let node = builder.stack(&[("work.py", line, "work")]);
    let held = |mib: u64| Held {
        bytes: mib * MIB,
        variance: 0,
    };
    builder.site(node, held(live), held(peak), held(0));
    if is_running {
        builder.running();
    }
    builder
}

fn stacks(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("process-tree.prof")).unwrap();
    let mut stacks: Vec<_> = text.lines().map(str::to_owned).collect();
    stacks.sort();
    stacks
}

#[test]
fn of_a_job_that_ended_each_process_is_drawn_at_its_own_peak() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = process(8, 7, 2, [1, 40], true);
    worker.u32(offset_of!(Header, rank), 4);
    worker.u64(offset_of!(Header, inherited_bytes), 60 * MIB);
    let recordings = [process(7, 4710, 1, [0, 60], false).bytes(), worker.bytes()];
    job::report(folder.path(), &job::run(folder.path()), &recordings, Occasion::Ended);
    assert_eq!(
        stacks(folder.path()),
        [
            format!("work.py, process 7;work.py:1 (work) {}", 60 * MIB),
            format!(
                "work.py, process 8, rank 3, inherited 60.0 MiB of process 7;work.py:2 (work) {}",
                40 * MIB
            ),
        ]
    );
    let page = fs::read_to_string(folder.path().join("index.html")).unwrap();
    let sentence = "Process 8 inherited 60.0 MiB of process 7 by a fork, which is in the figures of process 7 alone. It held \
                    the most at work.py:1 (work).";
    assert!(page.contains(sentence), "{page}");
}

#[test]
fn of_a_job_that_was_killed_those_are_drawn_that_were_there() {
    let folder = tempfile::tempdir().unwrap();
    let recordings = [
        process(4711, 4710, 1, [50, 60], true).bytes(),
        process(4712, 4711, 2, [300, 310], true).bytes(),
        // It had ended before.
        process(4713, 4711, 3, [0, 500], false).bytes(),
    ];
    job::report(
        folder.path(),
        &job::killed_run(folder.path()),
        &recordings,
        Occasion::Ended,
    );
    assert_eq!(
        stacks(folder.path()),
        [
            format!("work.py, process 4711;work.py:1 (work) {}", 50 * MIB),
            format!("work.py, process 4712;work.py:2 (work) {}", 300 * MIB),
        ]
    );
}

#[test]
fn one_process_needs_no_picture_of_its_own_family() {
    let folder = tempfile::tempdir().unwrap();
    job::report(
        folder.path(),
        &job::run(folder.path()),
        &[job::recording()],
        Occasion::Ended,
    );
    assert!(!folder.path().join("process-tree.svg").exists());
}

#[test]
fn who_has_no_recording_is_on_the_page_and_who_was_not_seen_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut unrecorded = Unrecorded::default();
    for pid in [20, 21] {
        unrecorded.note(Unseen {
            pid,
            command: "busybox <sleep>".into(),
            why: "it is statically linked".into(),
            resident_bytes: 3 * MIB,
        });
    }
    (0..200).for_each(|_| unrecorded.folded.add("grep", 2 * MIB));
    unrecorded.save(&crate::job::opened(folder.path())).unwrap();
    let written = job::report(
        folder.path(),
        &job::run(folder.path()),
        &[job::recording()],
        Occasion::Ended,
    );
    let log = job::said(&written).join(" ");
    let log: Vec<&str> = log.split_whitespace().collect();
    let log = log.join(" ");
    assert!(
        log.contains("Not seen: processes 20 (busybox <sleep>, 3.0 MiB resident), 21"),
        "{log}"
    );
    assert!(log.contains(": it is statically linked."), "{log}");
    let page = fs::read_to_string(folder.path().join("index.html")).unwrap();
    assert!(page.contains("busybox &#60;sleep&#62;"), "{page}");
    assert!(
        page.contains("And 200 more that ended with next to nothing to tell"),
        "{page}"
    );
}
