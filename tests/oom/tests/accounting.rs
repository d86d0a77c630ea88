//! "What is given back is no longer counted, however it is given back and by whom."

use oom::{Job, MIB, Python, assert_close, place};

#[test]
fn parts_of_mappings_and_mappings_over_mappings() {
    // Nearly nothing of it is ever touched.
    let outcome = Job::c("maps.c").exact().option("--rank=requested").run();
    assert_eq!(outcome.text(), "end\n", "{outcome}");
    assert_close(outcome.peak().total(), 105 * MIB, 0.5, &outcome);
}

#[test]
fn eight_threads_that_free_each_other_s_blocks() {
    for exact in [true, false] {
        let job = Job::c("storm.c");
        let outcome = if exact { job.exact() } else { job }.run();
        assert_eq!(outcome.text(), "end\n", "{outcome}");
        assert_close(outcome.out_of_memory().total(), 20 * MIB, 0.5, &outcome);
        assert!(!outcome.stderr.contains("damaged"), "{outcome}");
    }
}

#[test]
fn threads_that_allocate_while_others_fork_and_while_python_ends() {
    Python::each_of(Python::kinds(), |python| {
        // From 3.12 on, Python itself warns of forks in such a program.
        let job = Job::python(python, "threads.py").env("PYTHONWARNINGS", "ignore");
        let outcome = job.run();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        assert_eq!(outcome.text(), "end\n", "{outcome}");
        assert_eq!(outcome.job_stderr(), "", "{outcome}");
    });
}

#[test]
fn the_recording_stays_small_and_the_picture_quick_however_many_callstacks_there_are() {
    let here = place("many_stacks.py", "HERE");
    for (sites, most) in [(30_000, 9 * MIB), (300_000, 64 * MIB)] {
        let job = Job::python(Python::any(), "many_stacks.py").arg(sites.to_string());
        let outcome = job.exact().run();
        assert_eq!(outcome.text(), "end\n", "{outcome}");
        let files = std::fs::read_dir(outcome.run_folder()).expect("it is there").flatten();
        let recording = files
            .map(|file| file.path())
            .find(|path| path.extension() == Some("recording".as_ref()));
        let bytes = recording
            .and_then(|path| path.metadata().ok())
            .expect("a recording")
            .len();
        oom::announce(&format!("a recording of {sites} sites: {} MiB", bytes / MIB));
        assert!(bytes <= most, "{bytes} bytes for {sites} sites: {outcome}");
        assert_close(outcome.peak().through(&here), 30 * MIB, 2.0, &outcome);
        let picture = oom::Svg::load(&outcome.file("peak-memory.svg"));
        assert!(picture.bytes < 2 * MIB, "{} bytes: {outcome}", picture.bytes);
    }
}
