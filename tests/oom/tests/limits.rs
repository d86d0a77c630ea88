//! "Where a limit leaves no room for us, the job runs as without us, and one line says so."

use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use oom::{Job, MIB, Outcome, Python, announce};

/// Status, signal and output are those of the same job alone; at most `lines` of ours.
#[track_caller]
fn is_as_alone(job: Job, lines: usize, what: &str) -> Outcome {
    let alone = job.clone().unwatched().run();
    let watched = job.run();
    let seen = |outcome: &Outcome| (outcome.status, outcome.signal, outcome.text());
    assert_eq!(seen(&watched), seen(&alone), "{what}: {watched}");
    assert_eq!(watched.job_stderr(), alone.job_stderr(), "{what}: {watched}");
    assert!(watched.our_lines().len() <= lines, "{what}: {watched}");
    watched
}

/// Words that set a limit of bash's ulimit.
fn ulimit(limit: &str) -> [String; 4] {
    let script = format!("ulimit {limit} && exec \"$@\"");
    ["bash".to_owned(), "-c".to_owned(), script, "bash".to_owned()]
}

/// Whether it was not watched, which takes one line.
#[track_caller]
fn ran_alone(outcome: &Outcome) -> bool {
    let is_told = outcome.stderr.contains("cannot record: ");
    if is_told {
        assert_eq!(outcome.our_lines().len(), 1, "{outcome}");
    }
    is_told
}

#[test]
fn open_files() {
    // The names of the files that Python then cannot open are on its stderr.
    let job = Job::code(
        Python::any(),
        "import os, socket; print(os.dup(0), socket.socket().fileno())",
    );
    let mut alone = 0;
    for most in 3..=24 {
        let limited = job.clone().launched_by(ulimit(&format!("-n {most}")));
        if most == 3 {
            // Not even the C library can be opened: the dynamic linker says so in the name of each program.
            let (plain, watched) = (limited.clone().unwatched().run(), limited.run());
            assert_eq!(watched.status, plain.status, "{watched}");
            continue;
        }
        alone += usize::from(ran_alone(&is_as_alone(limited, usize::MAX, &format!("{most} files"))));
    }
    assert!(alone > 4, "{alone}");
    // What the hard limit allows is ours to use.
    let outcome = is_as_alone(job.launched_by(ulimit("-Sn 6")), usize::MAX, "6 files, more for us");
    assert!(!ran_alone(&outcome), "{outcome}");
}

#[test]
fn memory_that_the_hard_limit_keeps_small() {
    let job = Job::words(["bash", "-c", "exit 7"]);
    for limit in ["-d 500", "-d 700", "-d 1000", "-d 4000", "-v 12000", "-v 20000"] {
        let outcome = is_as_alone(job.clone().launched_by(ulimit(limit)), 1, limit);
        assert!(outcome.status == Some(7) && ran_alone(&outcome), "{limit}: {outcome}");
    }
    // Around the size at which it starts, whether it does so or not. What it says if not has an address of its own.
    let job = Job::code(Python::any(), "raise SystemExit(7)");
    let addresses = (10_000..50_000).step_by(1000).map(|size| format!("-v {size}"));
    for limit in addresses.chain((1000..16_000).step_by(1000).map(|size| format!("-d {size}"))) {
        let limited = job.clone().launched_by(ulimit(&limit));
        let (alone, watched) = (limited.clone().unwatched().run(), limited.run());
        assert_eq!(watched.status, alone.status, "{limit}: {watched}\n{alone}");
    }
    // What the hard limit allows is ours to use.
    for limit in ["-Sv 30000", "-Sd 12000"] {
        let outcome = is_as_alone(job.clone().launched_by(ulimit(limit)), 9, limit);
        assert!(!ran_alone(&outcome), "{limit}: {outcome}");
    }
}

#[test]
fn sizes_of_files() {
    let job = Job::code(Python::any(), "print('end'); kept = bytearray(30 << 20)");
    for blocks in [0, 1, 2, 4, 8, 20, 60, 100, 130, 400] {
        is_as_alone(
            job.clone().launched_by(ulimit(&format!("-f {blocks}"))),
            20,
            &format!("{blocks} KiB"),
        );
    }
    // A signal that is not ignored, in a job whose own line on stderr would raise it.
    let job = Job::c("what_it_was_given.c").arg("/dev/null");
    for blocks in [1, 8, 100] {
        let limited = job.clone().launched_by(ulimit(&format!("-f {blocks}")));
        is_as_alone(
            limited.env("A_LARGE_VALUE", "x".repeat(10_000)),
            20,
            &format!("{blocks} KiB"),
        );
    }
}

#[test]
fn a_line_of_ours_in_the_job_raises_no_signal() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let log = folder.path().join("log");
    // Where stderr is a file that is full already, and where it is a pipe that nobody reads.
    let full = format!(
        "head -c 20000 /dev/zero > '{0}'; ulimit -f 8; exec \"$@\" 2>> '{0}'",
        log.display()
    );
    let unread = "exec 3> >(:) && wait $! && ulimit -f 8 && exec \"$@\" 2>&3";
    for script in [&full, unread] {
        let job = Job::c("what_it_was_given.c")
            .arg("/dev/null")
            .launched_by(["bash", "-c", script, "bash"]);
        is_as_alone(job, 0, script);
    }
}

/// Words that become a user who has no process yet; none, and a word on it, where that is impossible.
fn as_another_user() -> Option<Vec<String>> {
    if !geteuid().is_root() {
        announce("left out: limits on another user's processes, for only root may become one");
        return None;
    }
    let words = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"];
    Some(words.map(str::to_owned).to_vec())
}

/// A copy of the program that everybody may execute: the target folder may be below a home that is closed.
fn open_to_all(folder: &Path) -> (PathBuf, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let everybody = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder, everybody.clone()).expect("it is ours");
    let copy = |from: &Path| {
        let to = folder.join(from.file_name().expect("a file"));
        std::fs::copy(from, &to).expect("the folder is writable");
        std::fs::set_permissions(&to, everybody.clone()).expect("it is ours");
        to
    };
    copy(oom::preload());
    (copy(oom::fil_profile()), copy(&oom::c_program("forks_until_refused.c")))
}

#[test]
fn processes_of_the_user() {
    let Some(user) = as_another_user() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (program, victim) = open_to_all(folder.path());
    let words = |words: &[&str]| {
        let before = user.iter().map(String::as_str);
        Job::words(before.chain(words.iter().copied())).unwatched()
    };
    let output = folder.path().join("out");
    let (program, victim, output) = (program.to_str(), victim.to_str(), output.to_str());
    let (program, victim, output) = (program.expect("UTF-8"), victim.expect("UTF-8"), output.expect("UTF-8"));
    for limit in ["-u 3", "-u 10", "-u 40", "-u 70", "-Su 3", "-Su 10", "-Su 70"] {
        let script = format!("ulimit {limit} && exec \"$@\"");
        let limited = ["bash", "-c", &script, "bash"];
        let alone = words(&[&limited[..], &[victim]].concat()).run();
        let watched = words(&[&limited[..], &[program, "--no-browser", "-o", output, "run", victim]].concat()).run();
        assert_eq!(
            (watched.status, watched.text()),
            (alone.status, alone.text()),
            "{limit}: {watched}"
        );
        assert_eq!(ran_alone(&watched), !limit.contains('S'), "{limit}: {watched}");
    }
}

#[test]
fn processes_of_a_cgroup() {
    let folder = Path::new("/sys/fs/cgroup/pids").join(format!("fil-profile-test-{}", std::process::id()));
    if let Err(error) = std::fs::create_dir(&folder) {
        return announce(&format!("left out: pids.max of a cgroup of version 1: {error}"));
    }
    for most in [2, 10, 40, 70] {
        std::fs::write(folder.join("pids.max"), most.to_string()).expect("the cgroup is ours");
        let enter = format!("echo $$ > '{}/cgroup.procs' && exec \"$@\"", folder.display());
        let job = Job::c("forks_until_refused.c").launched_by(["sh", "-c", &enter, "sh"]);
        let outcome = is_as_alone(job, 1, &format!("{most} processes"));
        assert!(ran_alone(&outcome), "{most}: {outcome}");
    }
    std::fs::remove_dir(&folder).expect("nothing is left in it");
}

#[test]
fn the_size_of_arguments_and_environment() {
    // A quarter of the stack: what is added for the library does not fit any more (execve(2)).
    let fill = "import os, sys\n\
        env = {'PATH': os.environ['PATH']}\n\
        left = int(sys.argv[1])\n\
        while left > 0: env['V%d' % left] = 'x' * min(left, 100000); left -= 100000\n\
        try: os.execvpe(sys.argv[2], sys.argv[2:], env)\n\
        except OSError as error: sys.exit(77)";
    let python = Python::any().path.to_str().expect("UTF-8");
    let mut alone = 0;
    for bytes in (2_094_000..2_097_000).step_by(150) {
        let bytes = bytes.to_string();
        let job = Job::words(["/bin/sh", "-c", "exit 6"]).launched_by([python, "-c", fill, &bytes]);
        if job.clone().unwatched().run().status == Some(6) {
            let watched = job.run();
            // The words of our own command line take room as well.
            assert!(matches!(watched.status, Some(6 | 77)), "{bytes}: {watched}");
            alone += usize::from(ran_alone(&watched));
        }
    }
    assert!(
        alone > 0,
        "no size was one for which only our own variables were too many"
    );
}

#[test]
fn threads_and_sockets_after_an_allocation_has_failed() {
    for given_back in [20, 64] {
        let job = Job::c("goes_on_after.c")
            .arg(given_back.to_string())
            .limit_address_space(400 * MIB);
        let numbers = |outcome: &Outcome| -> Vec<u32> {
            let text = outcome.text();
            text.split_whitespace()
                .map(|word| word.parse().expect("a number"))
                .collect()
        };
        let (alone, watched) = (job.clone().unwatched().run(), job.run());
        let (before, now) = (numbers(&alone), numbers(&watched));
        assert!(before[0] > 0 && before[1] > 0, "{alone}");
        assert!(now[0] >= before[0] && now[1] >= before[1], "{alone}\n{watched}");
    }
}

#[test]
fn a_folder_that_is_gone_or_closed() {
    let python = Python::any().path.to_str().expect("UTF-8");
    let gone = "D=$(mktemp -d) && cd \"$D\" && rmdir \"$D\" && exec \"$@\"";
    for words in [
        &[python, "-c", "print(5)"][..],
        &["env", "true"],
        &["sh", "-c", "exit 3"],
        &["./missing"],
    ] {
        for environment in [None, Some("PWD")] {
            let mut launcher = vec!["sh", "-c", gone, "sh"];
            launcher.extend(environment.iter().flat_map(|name| ["env", "-u", name]));
            let job = Job::words(words).launched_by(launcher);
            let (alone, watched) = (job.clone().unwatched().run(), job.run());
            assert_eq!(
                (watched.status, watched.text()),
                (alone.status, alone.text()),
                "{words:?}: {watched}"
            );
            assert_eq!(watched.our_lines().len(), 1, "{words:?}: {watched}");
        }
    }
}
