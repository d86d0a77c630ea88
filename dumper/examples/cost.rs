//! What a report costs: `cost` makes up recordings of 300 to 1,000,000 stacks and measures a report of each, in a process of its
//! own; `cost make STACKS FILE` and `cost report FILE FOLDER` are its steps. To be run with `--release`.

#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../tests/report/builder.rs"]
mod builder;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use builder::{Builder, Held};
use dumper::folder::Place;
use dumper::report::{self, Occasion};
use dumper::units::Bytes;
use dumper::{Folder, Run, Unrecorded, bundle, process};
use recording::AllocFunction;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", stacks, file] => {
            std::fs::write(file, make(stacks.parse().expect("a number"))).expect("a writable file")
        }
        ["report", file, folder] => report(Path::new(file), Path::new(folder)),
        [] => all(),
        _ => eprintln!("usage: cost | cost make STACKS FILE | cost report FILE FOLDER"),
    }
}

/// Reports on recordings of all sizes.
fn all() {
    let folder = tempfile::tempdir().expect("room for temporary files");
    let file = folder.path().join("1-0.recording");
    for stacks in [300, 3000, 100_000, 1_000_000] {
        std::fs::write(&file, make(stacks)).expect("room for a recording");
        println!("{stacks} stacks");
        let mut report = Command::new(std::env::current_exe().expect("/proc"));
        let status = report.arg("report").args([&file, &folder.path().to_owned()]).status();
        assert!(status.expect("a process").success());
    }
}

/// Stacks of 5 to 35 frames that share their outer frames as those of a program do.
fn make(stacks: u32) -> Vec<u8> {
    let mut job = Builder::new(1, &["python3", "job.py"]);
    // A linear congruential generator is random enough, and the same everywhere.
    let mut state = 12345u64;
    let mut random = |below: u32| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((state >> 33) as u32) % below
    };
    let mut nodes = vec![job.stack(&[("/home/ada/job/job.py", 1, "<module>")])];
    let mut depths = vec![1];
    let mut failing = 0;
    for _ in 0..stacks {
        let mut from = random(nodes.len() as u32) as usize;
        while depths[from] > 30 {
            from = random(nodes.len() as u32) as usize;
        }
        let mut node = nodes[from];
        let more = 1 + random(3);
        for _ in 0..more {
            let file = format!(
                "/home/ada/venv/lib/python3.11/site-packages/package{}/module.py",
                random(200)
            );
            node = job.node(node, &file, random(400), &format!("function_{}", random(2000)));
        }
        nodes.push(node);
        depths.push(depths[from] + more);
        let bytes = 1u64 << (10 + random(16));
        let held = |bytes: u64| Held {
            bytes,
            variance: bytes << 12,
        };
        job.site(node, held(bytes / 2), held(bytes), held(bytes - bytes / 8));
        failing = node;
    }
    job.failed(AllocFunction::Malloc, 1 << 30, failing, builder::STARTED_NS + 1);
    job.bytes()
}

fn report(file: &Path, folder: &Path) {
    let start = Instant::now();
    let processes = [process::read(&Place::of(file).expect("a folder")).expect("a recording")];
    let read = start.elapsed();
    let opened = Folder::open(folder).expect("a folder");
    report::write(&opened, &Run::default(), &processes, &[], Occasion::Ended);
    let all = start.elapsed();
    let bundle = bundle::write(&opened, &Run::default(), &processes, &[], &Unrecorded::default(), None)
        .expect("a writable folder");
    let bundled = start.elapsed() - all;
    let bundle = std::fs::metadata(bundle.path).map_or(0, |about| about.len());
    let entries = std::fs::read_dir(folder).expect("a readable folder").flatten();
    let reports = entries.filter(|entry| entry.path() != file);
    let written: u64 = reports.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!(
        "  headers in {read:.1?}, all in {all:.1?}, a bundle of {} in {bundled:.1?}, {} written, at most {} resident",
        Bytes(bundle),
        Bytes(written),
        most.unwrap_or("unknown").trim()
    );
}
