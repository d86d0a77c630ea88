//! "Whoever kills the whole process group at whatever moment leaves a run that the next one reports, and nothing else."

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oom::{Chance, Job, MIB, Python, announce, fil_profile};

/// Every file and link below a folder, with links not followed.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let below = entries.map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files(&entry.path()),
        _ => vec![entry.path()],
    });
    below.flatten().collect()
}

/// Waits until no process of the group is left.
#[track_caller]
fn wait_for_the_end_of(group: Pid) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while kill(Pid::from_raw(-group.as_raw()), None) != Err(Errno::ESRCH) {
        assert!(Instant::now() < deadline, "processes of group {group} go on");
        std::thread::yield_now();
    }
}

/// Whether this is a recording that was begun: zeros stand for one that had no room, or was not whole yet.
fn is_begun(path: &Path) -> bool {
    let is_recording = path.extension().is_some_and(|kind| kind == "recording");
    is_recording && std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"OOMREC"))
}

#[test]
fn no_report_is_lost_and_nothing_stays() {
    let long = std::env::var_os("OOM_TESTS_LONG").is_some();
    let times = if long { 100 } else { 10 };
    let mut chance = Chance::new();
    // From the beginning of a run to the end of its report there is time for about so many looks at its files.
    let mut most = 2000;
    let mut reported = 0;
    for time in 0..times {
        let job = Job::python(Python::any(), "steady_arrays.py").limit_address_space(200 * MIB);
        let running = job.launched_by(["setsid"]).start();
        let output = running.folder().join("fil-result");
        let looks = chance.below(most);
        let mut done = 0;
        while done < looks && kill(running.pid(), None).is_ok() && !has_ended(running.pid()) {
            files(&output);
            done += 1;
        }
        if done < looks {
            most = most * 3 / 4;
        }
        // It may have ended just now.
        let _ = kill(Pid::from_raw(-running.pid().as_raw()), Signal::SIGKILL);
        let group = running.pid();
        let outcome = running.finish();
        wait_for_the_end_of(group);
        let begun: Vec<PathBuf> = files(&output).into_iter().filter(|file| is_begun(file)).collect();

        let mut next = Command::new(fil_profile());
        next.args(["--no-browser", "-o"]).arg(&output).args(["run", "true"]);
        let next = next.output().expect("it can be run");
        assert_eq!(next.status.code(), Some(0), "{next:?}");
        let left = files(&output);
        let is_stale = |file: &&PathBuf| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with('.') || name.ends_with("unfinished") || ["lock", "message-pipe"].contains(&&*name)
        };
        let stale: Vec<_> = left.iter().filter(is_stale).collect();
        assert!(
            stale.is_empty(),
            "time {time}, after {done} looks: {stale:?}; {outcome}\n{next:?}"
        );
        for recording in begun {
            let page = recording.with_file_name("index.html");
            assert!(
                page.exists(),
                "time {time}: no report of {}; {outcome}\n{next:?}",
                recording.display()
            );
            reported += 1;
        }
    }
    announce(&format!(
        "killed {times} times; of {reported} recordings there is a report"
    ));
}

/// Whether a process is a zombie, which the harness has yet to wait for.
fn has_ended(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

#[test]
fn a_run_that_was_killed_right_after_its_report_is_cleared_by_the_next() {
    let outcome = Job::python(Python::any(), "steady_arrays.py")
        .limit_address_space(200 * MIB)
        .run();
    let run = outcome.run_folder();
    let lock = run.join("lock");
    std::fs::write(&lock, "host\nboot\n1\n1\nlocked\n").expect("the folder is writable");
    let known = std::fs::read(run.join("run.json")).expect("it is there");
    let output = run.parent().expect("it is in the folder for results");
    let mut next = Command::new(fil_profile());
    next.args(["--no-browser", "-o"]).arg(output).args(["run", "true"]);
    let next = next.output().expect("it can be run");
    assert_eq!(next.status.code(), Some(0), "{next:?}");
    assert!(!lock.exists(), "{next:?}");
    assert_eq!(std::fs::read(run.join("run.json")).expect("it is there"), known);
}

#[test]
fn a_folder_whose_run_was_killed_before_it_began_goes_if_it_is_surely_ours() {
    let output = tempfile::tempdir().expect("a folder can be made");
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux has it");
    let folder = |second: u32, boot: &str| {
        let folder = output.path().join(format!("2026-11-30T1811{second}.507"));
        std::fs::create_dir(&folder).expect("the folder is writable");
        std::fs::write(folder.join("lock"), format!("host\n{boot}\n1\n1\nlocked\n")).expect("so is this one");
        folder
    };
    let [ours, with_more] = [10, 11].map(|second| folder(second, boot.trim()));
    let from_elsewhere = folder(12, "another-boot");
    std::fs::write(ours.join(format!(".run.json.{}.unfinished", i32::MAX)), "{").expect("it is writable");
    std::fs::write(with_more.join("thesis.txt"), "text").expect("it is writable");
    let mut next = Command::new(fil_profile());
    next.args(["--no-browser", "-o"])
        .arg(output.path())
        .args(["run", "true"]);
    let next = next.output().expect("it can be run");
    assert_eq!(next.status.code(), Some(0), "{next:?}");
    assert!(!ours.exists(), "{next:?}");
    assert!(
        with_more.join("thesis.txt").exists() && from_elsewhere.join("lock").exists(),
        "{next:?}"
    );
}
