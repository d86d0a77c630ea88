//! "Programs that take functions of Python's allocators and call them themselves run as without us, and are seen."

use oom::{Job, Python, announce, assert_close, nuitka_python, place};

/// The first for every Python, the others where the version may make a difference.
fn environments<'a>(python: &Python, all: &'a [&'a str]) -> &'a [&'a str] {
    if python.is_kind() { all } else { &all[..1] }
}

#[test]
fn a_context_that_is_not_ours_is_borne() {
    let here = place("other_contexts.py", "HERE");
    Python::each(|python| {
        // Not `debug`: Python's own debug hooks do not bear it.
        for environment in environments(python, &["", "malloc", "pymalloc"]) {
            let job = Job::python(python, "other_contexts.py").env("PYTHONMALLOC", python.allocator(environment));
            let alone = job.clone().unwatched().run();
            assert_eq!(alone.status, Some(0), "{environment}: {alone}");
            // Ten thousand samples, so that 5 % are five standard errors.
            let watched = job.option("--sample-interval=4KiB").run();
            assert_eq!(watched.status, Some(0), "{environment}: {watched}");
            assert_eq!(watched.text(), alone.text(), "{environment}");
            let truth = watched.truths()["HERE"];
            assert_close(watched.peak().through(&here), truth, 5.0, &watched);
        }
    });
}

/// Another layer of hooks comes and goes on top of ours.
#[test]
fn tracemalloc_may_be_started_and_stopped_meanwhile() {
    let code = "
import tracemalloc
kept = []
for start in range(20):
    tracemalloc.start()
    kept += [[start, str(i) * 20] for i in range(2000)]
    traced = tracemalloc.get_traced_memory()[0]
    assert traced > 100000, traced
    tracemalloc.stop()
    kept += [[start, str(i) * 20] for i in range(2000)]
    del kept[::2]
print(len(kept), sum(map(len, kept)))";
    Python::each(|python| {
        for environment in environments(python, &["", "debug", "malloc_debug"]) {
            let job = Job::code(python, code).env("PYTHONMALLOC", python.allocator(environment));
            let alone = job.clone().unwatched().run();
            assert_eq!(alone.status, Some(0), "{environment}: {alone}");
            let watched = job.run();
            assert_eq!(watched.status, Some(0), "{environment}: {watched}");
            assert_eq!(watched.text(), alone.text(), "{environment}");
        }
    });
}

#[test]
fn a_program_that_nuitka_compiled_runs_as_without_us() {
    if std::env::var_os("OOM_TESTS_LONG").is_none() {
        announce("Nuitka is not tried: that installs it and compiles with it, and needs OOM_TESTS_LONG=1");
        return;
    }
    let source = "
def build(count):
    return [{'name': str(number), 'more': [number] * 20} for number in range(count)]  # HERE

kept = build(50000)
print(len(kept), sum(len(one['more']) for one in kept))
raise SystemExit(7)
";
    let mut tried = 0;
    for base in Python::all().iter().filter(|python| python.version >= (3, 10, 0)) {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("program.py"), source).expect("the folder is writable");
        std::fs::write(file("imports.py"), "import program").expect("the folder is writable");
        let python = nuitka_python(base);
        let compiled = |options: &[&str]| {
            let mut nuitka = std::process::Command::new(&python.path);
            let nuitka = nuitka.args(["-m", "nuitka", "--quiet", "--assume-yes-for-downloads"]);
            let nuitka = nuitka.args(options).arg("program.py").current_dir(folder.path());
            let output = nuitka.output().expect("Nuitka can be started");
            assert!(output.status.success(), "{base}: {output:?}");
        };
        compiled(&["--output-filename=program.bin"]);
        compiled(&["--module"]);
        std::fs::remove_file(file("program.py")).expect("it was there");
        let program = Job::words([file("program.bin")]);
        let module = Job::script(&python, &file("imports.py"));
        for (what, job) in [("program", program), ("module", module)] {
            let alone = job.clone().unwatched().run();
            assert_eq!(alone.status, Some(7), "{base}, a {what}: {alone}");
            let watched = job.run();
            assert_eq!(watched.status, Some(7), "{base}, a {what}: {watched}");
            assert_eq!(watched.text(), alone.text());
            assert!(watched.peak().total() > 10 << 20, "{base}, a {what}: {watched}");
            tried += 1;
        }
    }
    announce(&format!("{tried} programs and modules compiled by Nuitka"));
    assert!(tried > 0, "there is no Python that Nuitka supports");
}
