//! "Ctrl-C ends it, as it ends any program": a report that takes long, at the end of a run or asked for afterwards, and no half of
//! a file is left under its name.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use oom::{Folded, Job, Python, Report, Svg, announce, fil_profile, is_on_path};

/// The files of a report that are not whole yet: `.index.html.PID.unfinished`.
fn unfinished(run: &Path) -> Vec<String> {
    let files = std::fs::read_dir(run).expect("it is there").flatten();
    let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".unfinished")).collect()
}

/// Whether a process can be interrupted at a certain system call; a word on it if not.
fn can_interrupt() -> bool {
    let is_there = is_on_path("strace");
    if !is_there {
        announce("left out: reports that are interrupted, for strace is not installed here");
    }
    is_there
}

/// What strace is to do: the process gets SIGINT at the write of this number among those that it traces.
fn at_write(number: u32) -> [String; 4] {
    let inject = format!("inject=write:signal=SIGINT:when={number}");
    ["-e".to_owned(), "trace=write".to_owned(), "-e".to_owned(), inject]
}

/// Whatever file of a report is there is whole.
fn assert_none_is_torn(run: &Path) {
    let there = |name: &str| Some(run.join(name)).filter(|path| path.exists());
    there("peak-memory.prof")
        .iter()
        .for_each(|path| drop(Folded::load(path)));
    there("report.json").iter().for_each(|path| drop(Report::load(path)));
    for name in ["peak-memory.svg", "peak-memory-reversed.svg"] {
        there(name).iter().for_each(|path| drop(Svg::load(path)));
    }
    if let Some(path) = there("index.html") {
        let page = std::fs::read_to_string(&path).expect("it is UTF-8");
        assert!(page.ends_with("</html>\n"), "{}", path.display());
    }
}

/// So many callstacks that each of the three large files of their report takes many writes.
fn many_callstacks() -> Job {
    let job = Job::python(Python::any(), "distinct_stacks.py").exact();
    job.arg("300000").arg("0")
}

#[test]
fn the_report_at_the_end_of_a_run_can_be_interrupted_and_made_later() {
    if !can_interrupt() {
        return;
    }
    let mut running = many_callstacks().arg("go-on").start();
    running.wait_for_stdout("HELD");
    // It counts the writes of each process apart. The one that writes the report has more than a hundred to do for the first file and
    // less than ten before; the supervisor itself has none before the job ends but those of the memory over time.
    let log = running.folder().join("strace");
    let mut strace = Command::new("strace")
        .args(["-f", "-y", "-o"])
        .arg(&log)
        .args(at_write(60))
        .args(["-p", &running.supervisor().to_string()])
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is installed");
    // It stays open: strace has more to say.
    let mut said = BufReader::new(strace.stderr.take().expect("it is a pipe")).lines();
    let first = said.next().and_then(Result::ok).unwrap_or_default();
    if !first.contains("attached") {
        // As with yama's ptrace_scope for anybody but root.
        std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
        announce(&format!(
            "left out: a report at the end of a run that is interrupted, for strace says: {first}"
        ));
        running.finish();
        strace.wait().expect("it is ours");
        return;
    }
    std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
    let outcome = running.finish();
    said.for_each(drop);
    strace.wait().expect("it is ours");
    let log = std::fs::read_to_string(outcome.folder().join("strace")).expect("strace has written it");
    assert!(log.contains("+++ killed by SIGINT +++"), "{log}: {outcome}");
    assert_eq!(outcome.status, Some(0), "it is the job's: {outcome}");
    let run = outcome.run_folder();
    assert_eq!(
        unfinished(&run).len(),
        1,
        "it was in the middle of a file: {log}: {outcome}"
    );
    assert!(!run.join("index.html").exists(), "it was not done: {outcome}");
    assert_none_is_torn(&run);
    let made = Command::new(fil_profile()).arg("report").arg(&run).output();
    let made = made.expect("it can be run");
    assert!(made.status.success(), "{made:?}: {outcome}");
    assert!(run.join("index.html").exists(), "{outcome}");
    assert_eq!(unfinished(&run), [""; 0], "what was left is gone: {outcome}");
    assert_none_is_torn(&run);
}

#[test]
fn a_report_that_was_asked_for_can_be_interrupted_and_what_was_there_stays_whole() {
    if !can_interrupt() {
        return;
    }
    let outcome = many_callstacks().run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let run = outcome.run_folder();
    for (name, write) in [
        ("peak-memory.prof", 20),
        ("peak-memory.svg", 1),
        ("report.json", 1),
        ("index.html", 1),
        ("index.html", 3),
    ] {
        // By a shell, since it is a shell's number that people know. With `-D`, strace leaves the process the number that the file's name has.
        let script = "(file=\"$1/.$2.$(exec sh -c 'echo $PPID').unfinished\"; run=$1; shift 2; exec \"$@\" -P \"$file\" \"$0\" report \"$run\"); exit $?";
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]).arg(fil_profile()).arg(&run).arg(name);
        shell.args(["strace", "-D", "-o", "/dev/null"]).args(at_write(write));
        let ended = shell.output().expect("there is a shell");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(130), "{name}: {said}: {outcome}");
        let left = unfinished(&run);
        assert!(
            left.len() == 1 && left[0].contains(name),
            "{left:?}, and it was in the middle of {name}: {outcome}"
        );
        assert_none_is_torn(&run);
        assert!(run.join("index.html").exists(), "the older one stays: {outcome}");
    }
}
