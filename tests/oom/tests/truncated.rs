//! "A recording that is truncated, removed or replaced while the job runs costs the recording, never the job."

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use oom::{Job, Outcome, Python, Running, fil_profile};

const WAYS: [&str; 6] = ["half", "nothing", "overwritten", "removed", "replaced", "a folder"];

#[test]
fn a_job_that_truncates_its_own_recording_ends_as_without_us() {
    Python::each_of(Python::kinds(), |python| {
        for how in WAYS {
            let job = Job::python(python, "outlives_recording.py").arg(how);
            let alone = job.clone().unwatched().run();
            assert_eq!(alone.status, Some(7), "{how}: {alone}");
            let watched = job.run();
            assert_eq!(watched.status, Some(7), "{how}: {watched}");
            assert_eq!(watched.text(), alone.text(), "{how}");
            assert_eq!(watched.job_stderr(), "", "{how}");
        }
    });
}

fn recordings(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).expect("the run folder is there").flatten();
    let files = files.map(|entry| entry.path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "recording"))
        .collect()
}

fn harm(path: &Path, how: &str) {
    let open = || File::options().write(true).open(path).expect("the recording is there");
    match how {
        "half" => open().set_len(path.metadata().expect("it is there").len() / 2),
        "nothing" => open().set_len(0),
        "overwritten" => File::create(path).map(|_| ()),
        "removed" => fs::remove_file(path),
        "replaced" => fs::write(path.with_extension("other"), "another's")
            .and_then(|()| fs::rename(path.with_extension("other"), path)),
        "a folder" => fs::remove_file(path).and_then(|()| fs::create_dir(path)),
        other => panic!("{other}"),
    }
    .expect("it can be done");
}

/// By another process, while threads that have every signal blocked allocate.
#[test]
fn somebody_else_s_truncation_meets_threads_that_block_the_signal() {
    for how in WAYS {
        for threads in ["0", "4"] {
            let mut running = Job::c("outlives_recording.c").arg(threads).start();
            running.wait_for_stdout("holding");
            let run = running.wait_for_file("fil-result/latest");
            let files = recordings(&run);
            assert!(!files.is_empty(), "{how}: nothing is recorded in {}", run.display());
            files.iter().for_each(|file| harm(file, how));
            fs::write(running.folder().join("harmed"), "").expect("the folder is writable");
            let outcome = running.finish();
            assert_eq!(outcome.status, Some(7), "{how}, {threads} threads: {outcome}");
            assert_eq!(outcome.text(), "holding\ndone\n", "{how}, {threads} threads");
        }
    }
}

/// What a program says of SIGBUS, and how it ends of one of its own.
#[test]
fn a_sigbus_that_is_not_ours_does_what_it_does_without_us() {
    let code = "
import faulthandler, mmap, os, signal, sys
how, kept = sys.argv[1], [bytearray(1 << 20) for _ in range(5)]
print(signal.getsignal(signal.SIGBUS), flush=True)
if how == 'faulthandler':
    faulthandler.enable()
if how == 'handled':
    seen = []
    signal.signal(signal.SIGBUS, lambda number, frame: seen.append(number))
    os.kill(os.getpid(), signal.SIGBUS)
    print(seen, callable(signal.getsignal(signal.SIGBUS)), flush=True)
    print(callable(signal.signal(signal.SIGBUS, signal.SIG_DFL)), flush=True)
if how == 'ignored':
    signal.signal(signal.SIGBUS, signal.SIG_IGN)
    os.kill(os.getpid(), signal.SIGBUS)
    print(os.system('kill -BUS $$; echo still here'), flush=True)
    print(signal.signal(signal.SIGBUS, signal.SIG_DFL) == signal.SIG_IGN, flush=True)
if how == 'sent':
    os.kill(os.getpid(), signal.SIGBUS)
with open('mapped', 'wb+') as file:
    file.write(b'x' * 8192)
    file.flush()
    mapped = mmap.mmap(file.fileno(), 8192)
    os.truncate('mapped', 0)
    mapped[0]";
    Python::each_of(Python::kinds(), |python| {
        for how in ["default", "faulthandler", "handled", "ignored", "sent"] {
            let job = Job::code(python, code).arg(how);
            let alone = job.clone().unwatched().run();
            assert_eq!(alone.signal, Some(Signal::SIGBUS as i32), "{how}: {alone}");
            let watched = job.run();
            assert_eq!(watched.signal, alone.signal, "{how}: {watched}");
            assert_eq!(watched.text(), alone.text(), "{how}");
            // In the message of `faulthandler` the thread's number is another each time; from 3.14 on there is the C stack, with our handler
            // in it.
            let is_same = |line: &&str| !line.contains("thread 0x") && !line.trim_start().starts_with("Binary file ");
            let lines = |text: &str| text.lines().filter(is_same).count();
            assert_eq!(
                lines(&watched.job_stderr()),
                lines(&alone.job_stderr()),
                "{how}: {watched}"
            );
        }
    });
}

/// What is no regular file, and what waiting for it would cost: its other end may never come, and it may never end.
const NO_FILES: [&str; 5] = ["a pipe", "a link to a pipe", "a device", "a folder", "a socket"];

fn put(what: &str, path: &Path) {
    let pipe = |path: &Path| mkfifo(path, Mode::S_IRWXU).map_err(std::io::Error::from);
    match what {
        "a pipe" => pipe(path),
        "a link to a pipe" => {
            let pipe_there = path.with_extension("pipe");
            pipe(&pipe_there).and_then(|()| symlink(&pipe_there, path))
        }
        "a device" => symlink("/dev/zero", path),
        "a folder" => fs::create_dir(path),
        "a socket" => UnixListener::bind(path).map(|_| ()),
        other => panic!("{other}"),
    }
    .expect("it can be made");
}

/// Asks for a report in both ways, and lets the job end.
fn ask_and_end(mut running: Running, run: &Path, what: &str) -> Outcome {
    running.signal(running.pid(), Signal::SIGUSR2);
    let mut snapshot = Command::new(fil_profile())
        .arg("snapshot")
        .arg(run)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it can be run");
    running.wait_for(&format!("end of the snapshot with {what}"), |_| {
        snapshot.try_wait().expect("it is our child")
    });
    fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
    let outcome = running.finish();
    assert_eq!(outcome.status, Some(4), "{what}: {outcome}");
    assert_eq!(outcome.text(), "holding\ndone\n", "{what}: {outcome}");
    assert_eq!(outcome.job_stderr(), "", "{what}: {outcome}");
    outcome
}

fn waiting() -> (Running, PathBuf) {
    let mut running = Job::python(Python::any(), "waits.py").arg("go-on").start();
    running.wait_for_stdout("holding");
    let run = running.wait_for_file("fil-result/latest");
    let run = run.canonicalize().expect("it leads to the run folder");
    (running, run)
}

/// The line that says what is wrong with a file, up to the reason.
fn refusal(file: &Path) -> String {
    format!("=fil-profile= cannot read {}: ", file.display())
}

#[test]
fn nobody_waits_for_what_is_put_in_the_place_of_a_recording() {
    for what in NO_FILES {
        let (running, run) = waiting();
        let files = recordings(&run);
        assert!(!files.is_empty(), "{what}: nothing is recorded in {}", run.display());
        for file in &files {
            fs::remove_file(file).expect("it is ours");
            put(what, file);
        }
        let outcome = ask_and_end(running, &run, what);
        for file in &files {
            assert!(outcome.stderr.contains(&refusal(file)), "{what}: {outcome}");
        }
        assert!(outcome.stderr.contains("no recording can be read"), "{what}: {outcome}");
    }
}

#[test]
fn nobody_waits_for_what_is_put_beside_the_recordings_or_in_the_place_of_another_file() {
    for what in NO_FILES {
        let (running, run) = waiting();
        for name in [
            "1-0.recording",
            "2-0.measured",
            "profile.fil",
            ".index.html.1.unfinished",
        ] {
            put(what, &run.join(name));
        }
        for name in [
            "run.json",
            "lock",
            "timeline.csv",
            "unrecorded.json",
            "view.json",
            "message-pipe",
            "index.html",
        ] {
            // Not all of them are there yet.
            let _ = fs::remove_file(run.join(name));
            put(what, &run.join(name));
        }
        let outcome = ask_and_end(running, &run, what);
        let planted = run.join("1-0.recording");
        assert!(outcome.stderr.contains(&refusal(&planted)), "{what}: {outcome}");
        // What is true of the run is known all the same.
        assert!(outcome.stderr.contains("ended with status 4"), "{what}: {outcome}");
        assert!(outcome.stderr.contains("waits.py:6 (<module>)"), "{what}: {outcome}");
    }
}
