//! "What the job is given when it starts is what fil-profile was given."

use std::path::Path;

use nix::unistd::geteuid;
use oom::{Job, Python, announce};

/// What the victim has written of what it was given, and how it ended.
fn given(job: Job, file: &Path) -> (Option<i32>, Option<i32>, String) {
    let _ = std::fs::remove_file(file);
    let outcome = job.run();
    let bytes =
        std::fs::read(file).unwrap_or_else(|error| panic!("the victim has written nothing: {error}; {outcome}"));
    (
        outcome.status,
        outcome.signal,
        String::from_utf8_lossy(&bytes).into_owned(),
    )
}

/// Compares what a job is given by a launcher that executes it with what it is given through us.
#[track_caller]
fn is_passed_on(launcher: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (file, output) = (folder.path().join("given"), folder.path().join("out"));
    let enter = format!("cd '{}' && unset OLDPWD && exec \"$@\"", folder.path().display());
    let job = Job::c("what_it_was_given.c")
        .arg(&file)
        .arg("")
        .arg("a b\n")
        .option("-o")
        .option(output);
    let job = job.launched_by(launcher).launched_by(["sh", "-c", &enter, "sh"]);
    let alone = given(job.clone().unwatched(), &file);
    assert_eq!((alone.0, alone.1), (Some(5), None), "{launcher:?}");
    let watched = given(job, &file);
    for (watched, alone) in watched.2.lines().zip(alone.2.lines()) {
        assert_eq!(watched, alone, "{launcher:?}");
    }
    assert_eq!(watched, alone, "{launcher:?}");
}

/// A shell that does this first.
#[track_caller]
fn after(script: &str) {
    is_passed_on(&["sh", "-c", &format!("{script} exec \"$@\""), "sh"]);
}

/// A Python that does this first. It ignores SIGPIPE and SIGXFSZ, which is passed on too.
#[track_caller]
fn after_python(code: &str) {
    let python = Python::any().path.to_str().expect("UTF-8");
    let code = format!("import ctypes, os, signal, sys\n{code}\nos.execvp(sys.argv[1], sys.argv[1:])");
    is_passed_on(&[python, "-c", &code]);
}

#[test]
fn standard_streams_that_are_closed_stay_closed() {
    for streams in 0..8 {
        let close = |stream: i32| format!("exec {stream}>&-;");
        let script: String = (0..3).filter(|stream| streams >> stream & 1 == 1).map(close).collect();
        after(&script);
    }
    after("exec 5</dev/null 9>&1 2>&-;");
}

#[test]
fn signals_are_ignored_and_held_as_before() {
    after("");
    after("trap '' HUP INT QUIT TERM USR1 TSTP TTIN TTOU XFSZ PIPE;");
    for signal in ["SIGCHLD", "SIGUSR2", "SIGHUP", "SIGALRM"] {
        after_python(&format!("signal.signal(signal.{signal}, signal.SIG_IGN)"));
    }
    after_python("for name in (signal.SIGPIPE, signal.SIGXFSZ): signal.signal(name, signal.SIG_DFL)");
    after_python("signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))");
    after_python("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD, 40])");
}

#[test]
fn the_environment_keeps_its_order_and_whatever_stands_in_it() {
    is_passed_on(&["env", "-i"]);
    is_passed_on(&[
        "env",
        "-i",
        "Z=1",
        "PATH=",
        "A=\n",
        "HOME=",
        "TZ=Nowhere/Else",
        "LC_ALL=xx",
    ]);
    after_python("os.environb[b'ODD'] = b'\\xff\\xfe'");
    let twice = "execve = ctypes.CDLL(None).execve\n\
        words = [word.encode() for word in sys.argv[1:]]\n\
        array = lambda entries: (ctypes.c_char_p * (len(entries) + 1))(*entries, None)\n\
        execve(words[0], array(words), array([b'B=1', b'A=2', b'B=3', b'no value', b'=C:', b'A=2']))";
    after_python(twice);
}

#[test]
fn limits_and_whatever_else_a_process_has_are_passed_on() {
    for limit in [
        "-c 0", "-t 50", "-s 1024", "-l 0", "-i 0", "-q 0", "-f 8", "-Sf 8", "-n 40", "-Sn 30", "-Sn 9", "-n 9",
    ] {
        is_passed_on(&["bash", "-c", &format!("ulimit {limit} && exec \"$@\""), "bash"]);
    }
    after("umask 0777;");
    after("umask 0;");
    is_passed_on(&["nice", "-n", "7"]);
    is_passed_on(&["taskset", "-c", "0"]);
    after_python("open('/proc/self/oom_score_adj', 'w').write('300')");
    after_python("open('/proc/self/coredump_filter', 'w').write('1')");
    let prctl = |arguments: &str| after_python(&format!("assert ctypes.CDLL(None).prctl({arguments}) == 0"));
    prctl("29, 100000"); // PR_SET_TIMERSLACK
    prctl("1, 10"); // PR_SET_PDEATHSIG
    prctl("1, 9");
    prctl("38, 1, 0, 0, 0"); // PR_SET_NO_NEW_PRIVS
    after_python("ctypes.CDLL(None).personality(0x0040000)");
    if geteuid().is_root() {
        is_passed_on(&["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-all"]);
    } else {
        announce("left out: fewer capabilities, for only root has any");
    }
}
