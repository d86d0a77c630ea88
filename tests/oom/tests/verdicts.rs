//! "What is said of a death is what docs/verdicts.md says": every row there, by a job that dies so.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use oom::{Cgroup, Job, MIB, Outcome, Python, Running, announce, dask_python, workspace};

/// So much may be in the job's cgroup, in which `fil-profile` is too.
const LIMIT: u64 = 150 * MIB;

fn job(way: &str) -> Job {
    Job::python(Python::any(), "deaths.py").arg(way)
}

fn limited(way: &str, limit: &str) -> Job {
    let script = format!("ulimit {limit} && exec \"$@\"");
    job(way).launched_by(["bash", "-c", &script, "bash"])
}

/// The sentence of the page for such a job.
#[track_caller]
fn promised(row: &str) -> String {
    let page = std::fs::read_to_string(workspace().join("docs/verdicts.md")).expect("it is there");
    let start = format!("| {row} | ");
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(&*start)?.strip_suffix(" |"));
    masked(line.unwrap_or_else(|| panic!("no row {row:?}")))
}

/// What was said first, until a line that does not go on with it.
fn said(outcome: &Outcome) -> String {
    let begins = |line: &&str| {
        ["The ", "A child ", "nothing was recorded"]
            .iter()
            .any(|word| line.starts_with(word))
    };
    let lines = outcome.our_lines();
    let mut lines = lines.iter().skip_while(|line| !begins(line));
    let first = lines.next().copied().unwrap_or_default().to_owned();
    let more = lines.take_while(|line| line.starts_with("  "));
    masked(&more.fold(first, |text, line| text + " " + line.trim_start()))
}

/// Without what differs from run to run: commands and process ids, lines, sizes, counts, and paths but those of the kernel.
fn masked(text: &str) -> String {
    let mut rest = text;
    let mut done = String::new();
    // `(COMMAND, process 12)`, and `process 12 (COMMAND)`.
    while let Some((before, after)) = rest.split_once(", process ") {
        let open = before
            .rfind(if before.contains(" job (") { " job (" } else { "(" })
            .unwrap_or(0);
        let open = open + before[open..].find('(').unwrap_or(0);
        done += &before[..open];
        done += "(PROCESS)";
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    done += rest;
    let words = done.split(' ').map(|word| {
        let core = word.trim_start_matches('(');
        match core {
            _ if core.contains(".py:") => "LINE".to_owned(),
            _ if core.starts_with('/') && !core.starts_with("/dev") && !core.starts_with("/proc") => "PATH".to_owned(),
            _ if core.starts_with(|first: char| first.is_ascii_digit()) => "N".to_owned(),
            "KiB" | "MiB" | "GiB" | "TiB" | "B" => "SIZE".to_owned(),
            _ => word.to_owned(),
        }
    });
    let words: Vec<String> = words.collect();
    // `LINE (function)`.
    let mut text = String::new();
    let mut after_line = false;
    for word in words {
        let is_function = after_line && word.starts_with('(');
        if is_function {
            text += &word[word.find(')').map_or(word.len(), |end| end + 1)..];
        } else {
            text += " ";
            text += &word;
        }
        after_line = word == "LINE";
    }
    text.trim().to_owned()
}

#[track_caller]
fn is_as_promised(row: &str, outcome: &Outcome) {
    assert_eq!(said(outcome), promised(row), "{row}: {outcome}");
}

#[test]
fn memory_is_refused() {
    let limit = "-Sv 400000";
    is_as_promised(
        "grows until `ulimit -v` refuses a request",
        &limited("grow", limit).run(),
    );
    is_as_promised(
        "grows until `ulimit -d` refuses a request",
        &limited("grow", "-Sd 400000").run(),
    );
    is_as_promised("asks for more than the whole limit", &limited("too_large", limit).run());
    is_as_promised("catches MemoryError and goes on", &limited("caught", limit).run());
    is_as_promised(
        "catches MemoryError, and fails of something else later",
        &limited("caught_then_fails", limit).run(),
    );
}

#[test]
fn of_two_refusals_the_second_is_fatal() {
    let outcome = limited("refused_twice", "-Sv 400000").run();
    is_as_promised("survives a refusal, and at once dies of another one", &outcome);
    let text = outcome.text() + &outcome.stderr;
    assert!(text.contains("refused 380.0 MiB"), "{outcome}");
    // What is shown is of that moment too: nothing of the first one is held any more.
    assert!(outcome.out_of_memory().total() < 90 * MIB, "{outcome}");
}

#[test]
fn a_child_is_refused() {
    let row = "has a child that dies of a refused request, and goes on";
    let outcome = limited("child_refused", "-Sv 400000").run();
    is_as_promised(row, &outcome);
    // What it has inherited is its parent's, and not free.
    let free = outcome.text();
    assert!(!free.contains("% of that is free in malloc's heaps"), "{outcome}");
}

#[test]
fn a_job_hangs_after_a_refusal() {
    let mut running = limited("hangs_after", "-Sv 400000").launched_by(["setsid"]).start();
    running.wait_for_stdout("waiting");
    // Told at once, with the place and the limit.
    running.wait_for("line on the refusal", |running| {
        let stderr = running.stderr();
        (stderr.contains("address space") && stderr.contains("the job goes on")).then_some(())
    });
    let outcome = terminate(running, "timeout");
    is_as_promised("is refused a request, then hangs, and is ended by `timeout`", &outcome);
}

#[test]
fn memory_error_without_an_allocation() {
    let outcome = job("no_request").run();
    is_as_promised("asks Python for `[0] * 2**60`, or raises MemoryError itself", &outcome);
}

#[test]
fn the_request_is_the_problem() {
    let outcome = job("impossible").run();
    is_as_promised("asks for more than the machine has", &outcome);
    // What was held explains nothing.
    let held = outcome.our_lines().into_iter().filter(|line| line.contains(" % "));
    assert_eq!(held.count(), 0, "{outcome}");
    is_as_promised(
        "asks for a negative size (in C), and uses the NULL",
        &job("negative").run(),
    );
}

#[test]
fn mappings() {
    is_as_promised("has as many mappings as the kernel allows", &job("mappings").run());
}

#[test]
fn huge_pages() {
    is_as_promised("asks for more huge pages than there are", &job("huge_pages").run());
}

#[test]
fn threads_of_the_user() {
    if !geteuid().is_root() {
        announce("left out: the limit on processes of a user who has none yet, for only root may become one");
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    // The target folder may be below a home that is closed to others.
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let open = |path: &Path| {
        let everybody = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(path, everybody).expect("it is ours");
    };
    open(folder.path());
    let program = oom::c_program("threads_until_refused.c");
    let copy = |from: &Path| {
        let to = folder.path().join(from.file_name().expect("a file"));
        std::fs::copy(from, &to).expect("the folder is writable");
        open(&to);
        to
    };
    let [fil_profile, _, program] = [oom::fil_profile(), oom::preload(), &program].map(copy);
    let user = ["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups"].map(std::ffi::OsStr::new);
    let words = [
        fil_profile.as_os_str(),
        "-o".as_ref(),
        folder.path().as_os_str(),
        "run".as_ref(),
        program.as_os_str(),
    ];
    let script = ["bash", "-c", "ulimit -u 200 && exec \"$@\"", "bash"].map(std::ffi::OsStr::new);
    let outcome = Job::words(script.into_iter().chain(user).chain(words))
        .unwatched()
        .run();
    is_as_promised("starts more threads than `ulimit -u` allows", &outcome);
}

/// Words that move a process into a cgroup that allows so many processes, which is removed with the folder that is returned.
fn few_processes(most: u32) -> Option<(tempfile::TempDir, [String; 4])> {
    let hierarchy = Path::new("/sys/fs/cgroup/pids");
    if !geteuid().is_root() || !hierarchy.join("cgroup.procs").exists() {
        announce("left out: the limit on processes of a cgroup, for only root may set one, and only in version 1 here");
        return None;
    }
    let folder = tempfile::Builder::new()
        .prefix("fil-profile-test-")
        .tempdir_in(hierarchy)
        .expect("root may make one");
    std::fs::write(folder.path().join("pids.max"), most.to_string()).expect("it is a cgroup");
    let script = format!("echo $$ > '{}/cgroup.procs' && exec \"$@\"", folder.path().display());
    Some((folder, ["/bin/sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()]))
}

/// tempfile would remove the files in it, of which the kernel has none removed.
fn remove(cgroup: tempfile::TempDir) {
    std::fs::remove_dir(cgroup.keep()).expect("its processes have ended");
}

#[test]
fn threads_and_processes() {
    for (way, row) in [
        ("threads", "starts more threads than its cgroup allows"),
        ("forks", "forks more processes than its cgroup allows"),
        // By vfork(2): the counter of the cgroup tells, or a fork that Python tries next.
        ("programs", "forks more processes than its cgroup allows"),
    ] {
        let Some((cgroup, words)) = few_processes(150) else {
            return;
        };
        let outcome = job(way).launched_by(words).run();
        remove(cgroup);
        let said = said(&outcome);
        match way {
            "programs" => assert!(
                said.contains("N processes and threads in PATH (pids.max) was used up"),
                "{outcome}"
            ),
            _ => is_as_promised(row, &outcome),
        }
    }
}

#[test]
fn locked_memory() {
    if !geteuid().is_root() {
        return is_as_promised(
            "locks more memory than `ulimit -l` allows",
            &limited("locked", "-l 64").run(),
        );
    }
    // To root no such limit applies, unless it gives the right away.
    let drop = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"];
    let outcome = limited("locked", "-l 64").launched_by(drop).run();
    is_as_promised("locks more memory than `ulimit -l` allows", &outcome);
}

/// In a mount namespace of its own, where the file system for shared memory has 64 MiB.
fn little_shared_memory(way: &str) -> Option<Outcome> {
    if !geteuid().is_root() {
        announce("left out: a small /dev/shm, for only root may mount one");
        return None;
    }
    let script = "mount -t tmpfs -o size=64m tmpfs /dev/shm && exec \"$@\"";
    Some(job(way).launched_by(["unshare", "-m", "sh", "-c", script, "sh"]).run())
}

#[test]
fn shared_memory_is_full() {
    for (way, row) in [
        (
            "shared_memory",
            "fills `/dev/shm` through a mapping (a DataLoader's \"Bus error\")",
        ),
        ("shared_memory_in_a_worker", "has a worker that fills it"),
        ("shared_memory_reserved", "reserves more than there is in `/dev/shm`"),
        ("shared_memory_written", "writes a file until `/dev/shm` is full"),
    ] {
        let Some(outcome) = little_shared_memory(way) else {
            return;
        };
        is_as_promised(row, &outcome);
    }
}

#[test]
fn another_file_system_in_memory_is_full() {
    if !geteuid().is_root() {
        announce("left out: a small file system in memory, for only root may mount one");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let script = "mount -t tmpfs -o size=64m tmpfs \"$0\" && export FULL=\"$0\" && exec \"$@\"";
    let folder = folder.path().to_str().expect("a plain name");
    let outcome = job("full_file_system")
        .launched_by(["unshare", "-m", "sh", "-c", script, folder])
        .run();
    let said = said(&outcome).replace(folder, "PATH");
    assert_eq!(said, promised("writes a file until another tmpfs is full"), "{outcome}");
}

#[test]
fn the_kernel_kills() {
    for (way, row) in [
        ("grow", "reaches the limit of its cgroup"),
        ("worker", "has a worker that reaches it"),
    ] {
        let Some(cgroup) = Cgroup::limited(LIMIT) else { return };
        is_as_promised(row, &job(way).within(&cgroup).run());
    }
}

#[test]
fn a_process_of_the_job_kills() {
    is_as_promised("ends a worker itself", &job("watchdog").run());
    // A pool ends its workers whenever it ends itself, so that is no reason.
    let outcome = job("pool").run();
    is_as_promised("ends with an exception of another kind", &outcome);
}

#[test]
fn the_nanny_of_dask_kills() {
    let outcome = Job::python(dask_python(), "deaths.py").arg("dask").run();
    is_as_promised("has a worker that dask's nanny ends for its memory", &outcome);
    // dask sends a script's functions to its workers as code, which then has no file.
    let held = outcome.out_of_memory().in_function("loads");
    assert!(held > 100 * MIB, "{held}: {outcome}");
}

/// Sends SIGTERM by a program with this name. It lives until the end: who has ended cannot be asked for its name.
fn terminate(running: Running, name: &str) -> Outcome {
    let mut shell = Command::new("bash")
        .arg0(name)
        .stdin(Stdio::piped())
        .spawn()
        .expect("there is bash");
    let script = format!("kill -TERM {}\n", running.pid());
    let stdin = shell.stdin.as_mut().expect("it is piped");
    stdin.write_all(script.as_bytes()).expect("it reads");
    let outcome = running.finish();
    drop(shell.stdin.take());
    let _ = shell.wait();
    outcome
}

#[test]
fn signals() {
    let mut running = job("waits").launched_by(["setsid"]).start();
    running.wait_for_stdout("waiting");
    is_as_promised("gets `kill` from a shell", &terminate(running, "bash"));

    // A limit on processor time is one of each process: what its children have used is not the job's.
    for job in [job("waits"), limited("children_compute", "-t 2")] {
        let mut running = job.start();
        running.wait_for_stdout("waiting");
        let pid = running.job();
        running.signal(pid, Signal::SIGKILL);
        let outcome = running.finish();
        // Elsewhere on this machine the kernel may have killed for memory meanwhile, which is said then.
        if !said(&outcome).contains("at work on this machine") {
            is_as_promised("gets `kill -9`", &outcome);
        }
    }
    is_as_promised("reaches `ulimit -t`", &limited("computes", "-St 1").run());
    is_as_promised(
        "reaches the hard limit of `ulimit -t`",
        &limited("computes", "-t 1").run(),
    );
}

#[test]
fn a_worker_is_killed_from_outside_or_crashes() {
    let mut running = job("loses_worker").launched_by(["setsid"]).start();
    let worker = running.wait_for("worker", |running| {
        let stdout = String::from_utf8_lossy(&running.stdout()).into_owned();
        let mut lines = stdout.lines();
        lines.find_map(|line| line.strip_prefix("worker ")?.parse::<i32>().ok())
    });
    // Only what a sample has seen is known of a process that has ended.
    running.wait_for("sample of the worker", |running| {
        let timeline = running.folder().join("fil-result/latest/timeline.csv");
        let timeline = std::fs::read_to_string(timeline).ok()?;
        timeline.contains(&format!("{worker}:")).then_some(())
    });
    running.signal(nix::unistd::Pid::from_raw(worker), Signal::SIGKILL);
    running.wait_for_stdout("waiting");
    running.wait_for("line on the worker", |running| {
        running.stderr().contains("killed by SIGKILL").then_some(())
    });
    let outcome = terminate(running, "bash");
    if !said(&outcome).contains("at work on this machine") {
        is_as_promised("has a worker that gets `kill -9`, and waits for it", &outcome);
    }
    is_as_promised("has a worker that crashes, and fails", &job("worker_crashes").run());
}

#[test]
fn memory_has_nothing_to_do_with_it() {
    is_as_promised("crashes", &job("crashes").run());
    let outcome = job("recurses").run();
    // In a container the kernel's log has other process ids, or is closed.
    match said(&outcome).contains("end of its stack") || std::fs::File::open("/dev/kmsg").is_ok() {
        true => is_as_promised(
            "recurses until its stack is full (where we may read the kernel's log)",
            &outcome,
        ),
        false => announce("left out: a stack that is full, for the kernel's log cannot be read here"),
    }
    let outcome = job("no_module").run();
    is_as_promised("ends with an exception of another kind", &outcome);
    // Kills and limits of others say nothing about it.
    assert!(
        !outcome.stderr.contains("OOM killer") && !outcome.stderr.contains("the kernel notified"),
        "{outcome}"
    );
}

#[test]
fn a_job_with_an_environment_of_its_own() {
    let clean = |options: &[&str]| {
        let script = oom::victim("deaths.py");
        let words = [
            "env".as_ref(),
            "-i".as_ref(),
            Python::any().path.as_os_str(),
            script.as_os_str(),
            "works".as_ref(),
        ];
        let job = Job::words(words);
        options.iter().fold(job, |job, option| job.option(option)).run()
    };
    let outcome = clean(&[]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let told = outcome
        .our_lines()
        .into_iter()
        .find(|line| line.starts_with("nothing was recorded: "));
    let told = told.unwrap_or_else(|| panic!("not a word on it: {outcome}"));
    let row = "is started with an environment of its own (`env -i`, `sudo`, `su`)";
    let reason = |text: &str| text.rsplit_once(": ").map(|(_, reason)| reason.to_owned());
    assert_eq!(reason(told), reason(&promised(row)), "{outcome}");
    let outcome = clean(&["--require"]);
    assert_eq!(outcome.status, Some(2), "{outcome}");
}
