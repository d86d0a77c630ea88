//! "What the job sees, says and returns is as without us."

use nix::sys::signal::Signal;
use oom::{Job, Python, victim};

#[test]
fn a_job_finds_everything_as_without_us() {
    Python::each(|python| {
        let job = Job::python(python, "looks_around.py")
            .arg("--flag")
            .arg("-x")
            .arg("a b\nc")
            .stdin(b"some input");
        let alone = job.clone().unwatched().run();
        let watched = job.run();
        for (watched, alone) in watched.text().lines().zip(alone.text().lines()) {
            assert_eq!(watched, alone);
        }
        assert_eq!(watched.stdout, alone.stdout);
        assert_eq!(watched.status, alone.status);
        assert_eq!(watched.job_stderr(), alone.job_stderr());
    });
}

/// Pools of threads are as large as they are alone.
#[test]
fn a_library_starts_as_many_threads_as_without_us() {
    let code = "import numpy, os\none = numpy.ones((500, 500))\none @ one\nprint(len(os.listdir('/proc/self/task')))";
    let job = Job::code(oom::numpy_python(), code);
    let alone = job.clone().unwatched().run();
    let watched = job.run();
    assert_eq!(alone.status, Some(0), "{alone}");
    assert_eq!(watched.text(), alone.text(), "{watched}");
}

#[test]
fn debuggers_and_profilers_see_the_same_events() {
    Python::each(|python| {
        let job = Job::python(python, "traces.py");
        let alone = job.clone().unwatched().run();
        assert_eq!(alone.status, Some(0), "{alone}");
        let watched = job.exact().run();
        assert_eq!(watched.status, Some(0), "{watched}");
        assert_eq!(watched.text(), alone.text());
    });
}

#[test]
fn the_end_is_the_job_s_own() {
    for how in [
        "status=0",
        "status=1",
        "status=2",
        "status=53",
        "status=255",
        "_exit=7",
        "signal=15",
        "signal=9",
        "signal=2",
        "signal=1",
        "signal=10",
        "signal=12",
        "signal=7",
        "message",
        "exception",
        "fault",
    ] {
        let job = Job::python(Python::any(), "ends.py").arg(how);
        let alone = job.clone().unwatched().run();
        let watched = job.run();
        assert_eq!(watched.status, alone.status, "{how}: {watched}");
        assert_eq!(watched.signal, alone.signal, "{how}: {watched}");
        assert_eq!(watched.stdout, alone.stdout, "{how}");
        assert_eq!(watched.job_stderr(), alone.job_stderr(), "{how}");
    }
}

#[test]
fn the_three_ways_of_python_s_own_command_line() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(
        folder.path().join("a_module.py"),
        "import os, sys; print(__name__, sys.argv[1:], sys.path[0] in (os.getcwd(), ''))",
    )
    .expect("the folder is writable");
    Python::each(|python| {
        let job = |words: &[&str]| {
            let mut job = Job::code(python, "import sys; print(__name__, sys.argv, repr(sys.path[0]))");
            if words[0] == "-m" {
                job = Job::module(python, "a_module").env("PYTHONPATH", folder.path());
            }
            words[1..].iter().fold(job, |job, word| job.arg(word))
        };
        for words in [["-c", "-c", "--exact"], ["-m", "-o", "x"]] {
            let alone = job(&words).unwatched().run();
            let watched = job(&words).run();
            assert_eq!(watched.text(), alone.text(), "{watched}");
            assert_eq!(watched.status, Some(0), "{watched}");
        }
    });
}

#[test]
fn any_program_runs() {
    let outcome = Job::words(["sh", "-c", "echo $0 $1; exit 9", "a", "--version"]).run();
    assert_eq!(outcome.text(), "a --version\n");
    assert_eq!(outcome.status, Some(9), "{outcome}");
    let python = Python::any();
    let outcome = Job::words([
        python.path.as_os_str(),
        "-c".as_ref(),
        "import sys; print(sys.argv)".as_ref(),
        "-o".as_ref(),
    ])
    .run();
    assert_eq!(outcome.text(), "['-c', '-o']\n", "{outcome}");
}

#[test]
fn a_signal_to_the_supervisor_reaches_the_job_which_ends_as_it_likes() {
    let code = "import signal, sys, time\n\
                signal.signal(signal.SIGTERM, lambda *_: sys.exit(33))\n\
                print('ready', flush=True)\n\
                while True: time.sleep(0.01)\n";
    let mut running = Job::code(Python::any(), code).start();
    running.wait_for_stdout("ready");
    running.signal(running.pid(), Signal::SIGTERM);
    let outcome = running.finish();
    assert_eq!(outcome.status, Some(33), "{outcome}");
    outcome.peak();
}

#[test]
fn a_job_script_and_what_it_starts() {
    let python = Python::any();
    let script = victim("job.sh");
    let words = [
        script.as_os_str(),
        python.path.as_os_str(),
        "-c".as_ref(),
        "import sys; print('inner'); sys.exit(6)".as_ref(),
    ];
    let outcome = Job::words(words).run();
    assert_eq!(outcome.text(), "job script\ninner\nended with 6\n", "{outcome}");
    assert_eq!(outcome.status, Some(6), "{outcome}");
}

/// What the library looks at after the job's own call is only what it may.
#[test]
fn odd_writes_waits_and_cancelled_threads_are_as_alone() {
    // In a process with Python, whose tracebacks are read.
    let library = oom::c_library("prints_what_cannot_be_read.c");
    let code = format!(
        "import ctypes, os; os._exit(ctypes.CDLL({:?}).main())",
        library.display().to_string()
    );
    let job = Job::code(Python::any(), &code);
    let alone = job.clone().unwatched().run();
    assert_eq!(alone.status, Some(7), "{alone}");
    let watched = job.run();
    assert_eq!(watched.text(), alone.text(), "{watched}");
    assert_eq!(watched.status, Some(7), "{watched}");
}

/// Before the recording has a file, and after.
#[test]
fn a_job_that_forbids_itself_system_calls_is_not_ended_by_one_of_ours() {
    for bytes in ["1000", "4000000"] {
        let job = Job::c("locks_itself_in.c").arg(bytes);
        let alone = job.clone().unwatched().run();
        assert_eq!((alone.status, &*alone.text()), (Some(7), "refused\n"), "{alone}");
        let watched = job.run();
        assert_eq!(watched.status, Some(7), "{watched}");
        assert_eq!(watched.text(), alone.text(), "{watched}");
    }
}
