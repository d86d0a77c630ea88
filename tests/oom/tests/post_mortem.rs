//! "While it waits, the supervisor is small; in the very cgroup whose limit has just been hit, the report of an ordinary job takes
//! little time and memory."
//!
//! `OOM_TESTS_LONG=1 cargo test -p oom --test post_mortem -- --nocapture` prints both, beside memray's on the same job.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oom::{Cgroup, Job, MIB, Python, announce, fil_profile, memray_python, place, victim};

const LIMIT: u64 = 300 * MIB;
/// What a report may take of a small container.
const MOST: u64 = 30 * MIB;

/// What a command took, from its start to its end.
struct Cost {
    time: Duration,
    /// The most that was resident.
    resident: u64,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = self.resident as f64 / MIB as f64;
        write!(f, "{} ms, {mib:.1} MiB", self.time.as_millis())
    }
}

/// By the text of /proc/PID/status.
fn most_resident(status: &str) -> u64 {
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = most.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// Runs a command in a cgroup with the limit that the job had.
#[track_caller]
fn cost(cgroup: &Cgroup, command: &[&str]) -> Cost {
    let [shell, flag, script, name] = cgroup.launcher();
    let began = Instant::now();
    let mut child = Command::new(shell)
        .args([&flag, &script, &name])
        .args(command)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell can be run");
    let status = format!("/proc/{}/status", child.id());
    let mut resident = 0;
    loop {
        let ended = child.try_wait().expect("it is our child");
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        resident = resident.max(most_resident(&text));
        if let Some(status) = ended {
            assert!(status.success(), "{command:?}: {status}");
            let time = began.elapsed();
            return Cost { time, resident };
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn a_supervisor_that_waits_takes_little_memory() {
    let job = Job::python(Python::any(), "waits.py").arg("go-on");
    let mut running = job.start();
    running.wait_for_stdout("holding");
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).expect("it runs");
    let most = most_resident(&status);
    assert!(most > 0 && most < 6 * MIB, "{status}");
    std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
    assert_eq!(running.finish().status, Some(4));
    println!("supervisor: {} KiB", most >> 10);
}

#[test]
fn the_report_of_a_job_that_the_kernel_killed_takes_little_memory() {
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let outcome = Job::python(Python::any(), "steady_arrays.py").within(&cgroup).run();
    let run = outcome.run_folder();
    let path = run.to_str().expect("temporary folders have plain names");
    let report = [
        fil_profile().to_str().expect("a plain name"),
        "--no-browser",
        "report",
        path,
    ];
    let ours = cost(&cgroup, &report);
    assert!(ours.resident > 0 && ours.resident < MOST, "{ours}");
    let here = place("steady_arrays.py", "HERE");
    assert!(outcome.out_of_memory().at(&here) > 200 * MIB, "{outcome}");
    println!("fil-profile report: {ours}");
}

#[test]
fn memray_on_the_same_job() {
    if std::env::var_os("OOM_TESTS_LONG").is_none() {
        announce("left out: memray on the same job, for it is only to compare with; OOM_TESTS_LONG=1 runs it");
        return;
    }
    let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = |name: &str| folder.path().join(name).to_str().expect("a plain name").to_owned();
    let (recording, page) = (path("memray.bin"), path("memray.html"));
    let python = memray_python().path.to_str().expect("a plain name");
    let job = victim("steady_arrays.py");
    let words = [python, "-m", "memray", "run", "-q", "-o", &recording];
    let outcome = Job::words(words).arg(job).unwatched().within(&cgroup).run();
    assert_eq!(outcome.signal, Some(9), "{outcome}");
    let theirs = cost(
        &cgroup,
        &[python, "-m", "memray", "flamegraph", "-o", &page, &recording],
    );
    println!("memray flamegraph: {theirs}");
    assert!(
        std::fs::metadata(page).is_ok_and(|page| page.len() > 0),
        "it has written nothing"
    );
}
