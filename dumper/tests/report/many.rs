//! Jobs of very many processes, and recordings that change while they are read.

use std::fs;
use std::fs::OpenOptions;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use dumper::report::Occasion;
use dumper::{Damage, Run, process};
use recording::{Header, Trouble};

use crate::builder::Builder;
use crate::job;

#[test]
fn hundreds_of_processes_become_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let recordings: Vec<Vec<u8>> = (1..=90)
        .map(|pid| {
            let mut job = Builder::new(pid, &["python3", &format!("worker{pid}.py")]);
            if pid == 40 {
                job.running();
            }
            job.trouble(Trouble::UnknownPython, 3 << 8 | 14);
            let node = job.stack(&[("worker.py", 1, "f")]);
            job.holds(node, u64::from(pid) << 20);
            job.bytes()
        })
        .collect();
    let written = job::report(folder.path(), &Run::default(), &recordings, Occasion::Ended);
    let summary = job::said(&written).join("\n").replace("\n  ", " ");
    let lines: Vec<&str> = summary.lines().collect();
    assert_eq!(lines.len(), 3, "{summary}");
    assert!(lines[0].starts_with("process 90 (worker90.py): Peak memory: 90.0 MiB"));
    assert_eq!(
        lines[1],
        "90 processes: No Python lines: this version does not know this build of Python 3.14."
    );
    let page = fs::read_to_string(&written.index).unwrap();
    assert!(page.contains("And 70 more, of which 70 ended by themselves; none had more than 71.0 MiB at its peak."));
    for (pid, is_listed) in [(1, false), (40, true), (71, false), (72, true), (90, true)] {
        assert_eq!(page.contains(&format!("python3 worker{pid}.py")), is_listed, "{pid}");
    }
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(report["processes"].as_array().unwrap().len(), 90);
}

#[test]
fn loading_reads_no_more_than_the_header_needs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("4711-0.recording");
    let mut file = job::recording();
    let whole = process_of(&path, &file);
    // The sites could hold anything.
    let sites = file[offset_of!(Header, chunk_kinds)..]
        .iter()
        .position(|kind| *kind == recording::Table::Sites as u8)
        .unwrap();
    let begin = recording::HEADER_BYTES + sites * recording::CHUNK_BYTES;
    file[begin..begin + recording::CHUNK_BYTES].fill(0xee);
    let process = process_of(&path, &file);
    assert_eq!(process.damage, []);
    assert_eq!(process.facts.command, whole.facts.command);
    assert_eq!(process.facts.events, whole.facts.events);
    assert_eq!(process.name(), "oom.py");
    assert!(!process.read().unwrap().1.is_empty());
}

fn process_of(path: &std::path::Path, bytes: &[u8]) -> dumper::Process {
    fs::write(path, bytes).unwrap();
    process::read(&dumper::folder::Place::of(path).unwrap()).unwrap()
}

#[test]
fn what_one_sample_in_the_making_explains_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1-0.recording");
    let mut job = Builder::new(1, &["a"]);
    job.running();
    let node = job.stack(&[("a.py", 1, "f")]);
    job.holds(node, 1000);
    let mut file = job.bytes();
    // Killed after the site was changed and before the total was.
    file[offset_of!(Header, live_bytes)] ^= 1;
    file[offset_of!(Header, sequence)] = 7;
    let written = {
        fs::write(&path, &file).unwrap();
        job::report(folder.path(), &Run::default(), &[], Occasion::Ended)
    };
    let page = fs::read_to_string(&written.index).unwrap();
    assert!(!page.contains("is damaged"), "{page}");
    assert!(page.contains("A sample was being written at that very moment"));
    assert!(!job::said(&written).iter().any(|line| line.contains("damaged")));

    file[offset_of!(Header, sequence)] = 8;
    let (_, damage) = process_of(&path, &file).read().unwrap();
    assert!(matches!(damage[..], [Damage::SumsDiffer { .. }]), "{damage:?}");
}

#[test]
fn a_recording_that_is_written_while_it_is_read_is_not_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1-0.recording");
    let mut job = Builder::new(1, &["a"]);
    job.running();
    for line in 1..5000 {
        let node = job.stack(&[("a.py", line, "f")]);
        job.holds(node, 1000);
    }
    let process = process_of(&path, &job.bytes());
    let total = process.facts.live_bytes;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            let put = |offset: usize, number: u64| file.write_all_at(&number.to_le_bytes(), offset as u64).unwrap();
            let mut sequence = 0;
            while !done.load(Ordering::Relaxed) {
                sequence += 2;
                // The sites never follow, so that only the sequence can tell why.
                put(offset_of!(Header, sequence), sequence - 1);
                put(offset_of!(Header, live_bytes), total + sequence);
                put(offset_of!(Header, live_bytes), total);
                put(offset_of!(Header, sequence), sequence);
            }
        });
        for _ in 0..50 {
            let (_, damage) = process.read().unwrap();
            let explained = damage.iter().all(|damage| *damage == Damage::SampleInFlight);
            assert!(explained, "{damage:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
}
