//! "Our lines on stderr keep nobody waiting and end nothing, wherever stderr leads."

use oom::{Job, Python};

/// A Python that makes stderr something and then executes the job. Its ends of pipes stay open.
fn with_stderr(job: Job, code: &str) -> Job {
    let python = Python::any().path.to_str().expect("UTF-8");
    let code = format!(
        "import fcntl, os, signal, sys\n\
         signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n\
         r, w = os.pipe()\n{code}\nos.dup2(w, 2)\nos.execvp(sys.argv[1], sys.argv[1:])"
    );
    job.launched_by([python, "-c", &code])
}

/// Fills the pipe, whose other end stays open but is never read.
const FULL: &str = "os.set_inheritable(r, True)\n\
    os.set_blocking(w, False)\n\
    try:\n    while True: os.write(w, bytes(4096))\n\
    except BlockingIOError: pass\n";

#[test]
fn a_pipe_that_nobody_reads() {
    for code in [
        // Which is full, and writing waits, or does not.
        &format!("{FULL}os.set_blocking(w, True)"),
        FULL,
        // Whose other end is closed.
        "os.close(r)",
        // Which is not waited for and has room.
        "os.set_inheritable(r, True); os.set_blocking(w, False)",
    ] {
        for status in ["0", "7"] {
            let job = Job::words(["sh", "-c", &format!("echo out; exit {status}")]);
            let outcome = with_stderr(job, code).run();
            assert_eq!(
                outcome.status.map(|status| status.to_string()).as_deref(),
                Some(status),
                "{code}: {outcome}"
            );
            assert_eq!(outcome.text(), "out\n", "{code}: {outcome}");
        }
    }
}

#[test]
fn a_job_finds_the_pipe_as_it_would_without_us() {
    // It dies of a pipe that is closed, or is told, as it would alone.
    for job in [
        Job::words(["sh", "-c", "echo gone >&2; echo here"]),
        Job::code(
            Python::any(),
            "import sys; print('here', flush=True); sys.stderr.write('gone\\n'); sys.stderr.flush()",
        ),
    ] {
        let job = with_stderr(job, "os.close(r)");
        let (alone, watched) = (job.clone().unwatched().run(), job.run());
        assert_eq!(
            (watched.status, watched.signal),
            (alone.status, alone.signal),
            "{watched}"
        );
        assert_eq!(watched.text(), alone.text(), "{watched}");
    }
}

#[test]
fn a_line_that_the_job_has_begun_in_a_file_stays_its_own() {
    let words = ["sh", "-c", "printf %s 'progress 50%' >&2; kill -9 $$"];
    for file in ["> file", ">> file"] {
        let script = format!("exec 2{file}; exec \"$@\"");
        let outcome = Job::words(words).launched_by(["sh", "-c", &script, "sh"]).run();
        let written = std::fs::read_to_string(outcome.folder().join("file")).expect("the shell has made it");
        let lines: Vec<_> = written.lines().collect();
        assert_eq!(lines[0], "progress 50%", "{file}: {written}");
        assert!(lines.len() > 1, "{file}: {written}");
        assert!(
            lines[1..].iter().all(|line| line.starts_with("=fil-profile= ")),
            "{file}: {written}"
        );
    }
}
