//! "Allocators and threads that packages bring along are seen, as finely as can be, and nothing is counted twice."
//!
//! Those that install packages from PyPI do so under OOM_TESTS_LONG=1 alone.

use std::path::Path;
use std::process::Command;

use oom::{
    Job, MIB, Python, Report, Snapshot, allocators_python, announce, c_library, fil_profile, numpy_python, place,
    workspace,
};

/// Where Debian has the allocators that people put in malloc's place.
const PRELOADED: [&str; 2] = ["libjemalloc.so.2", "libtcmalloc_minimal.so.4"];

/// What is seen of a victim while it holds its memory, with its marker and what it says it holds.
fn look(python: &Python, way: &str, environment: &[(&str, &str)]) -> (Snapshot, String, u64) {
    let job = Job::python(python, "allocators.py").arg(way);
    let job = environment.iter().fold(job, |job, (name, value)| job.env(name, value));
    let mut running = job.start();
    running.wait_for_stdout("}");
    let seen = running.snapshot();
    std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
    let outcome = running.finish();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let (marker, held) = outcome.truths().pop_first().expect("it holds something");
    (seen, marker, held)
}

fn row(what: &str, seen: &Snapshot, marker: &str, held: u64) -> f64 {
    let here = place("allocators.py", marker);
    let (requested, resident) = (seen.report.held_through(&here), seen.report.resident_at(&here));
    let off = |ours: u64| (ours as f64 / held as f64 - 1.0) * 100.0;
    announce(&format!(
        "| {what} | {:.1} | {:.1} | {:+.1} % | {:.1} | {:+.1} % | {:.1} % |",
        held as f64 / MIB as f64,
        requested as f64 / MIB as f64,
        off(requested),
        resident as f64 / MIB as f64,
        off(resident),
        seen.explained() * 100.0
    ));
    off(resident)
}

/// Whether the report names the allocator in this library, and says so how it is counted.
#[track_caller]
fn is_named(seen: &Snapshot, library: &str, counted: &str) {
    let named = seen.report.at("/ledger/allocators").as_array().into_iter().flatten();
    let mut found = named.filter(|allocator| {
        let file = allocator["library"].as_str();
        file.is_some_and(|file| file.starts_with(library)) && allocator["counted"] == counted
    });
    assert!(found.next().is_some(), "{library}: {}", seen.report.at("/ledger"));
}

const HEAD: &str = "| what | held, MiB | asked for at its line | off | resident there | off | explained |\n|---|---|---|---|---|---|---|";

#[test]
fn packages_with_allocators_and_threads_of_their_own() {
    if std::env::var_os("OOM_TESTS_LONG").is_none() {
        announce(
            "PyArrow, Polars, numba, numexpr and RocksDB are not tried: that installs them, and needs OOM_TESTS_LONG=1",
        );
        return;
    }
    announce(HEAD);
    let python = allocators_python();
    let pools = [
        ("jemalloc", "arrow"),
        ("mimalloc", "arrow"),
        ("system", "arrow"),
        ("system", "arrow_table"),
    ];
    let mut off = Vec::new();
    for (pool, way) in pools {
        let (seen, marker, held) = look(python, way, &[("ARROW_DEFAULT_MEMORY_POOL", pool)]);
        if pool != "system" {
            is_named(&seen, "libarrow.so.", "mappings");
        }
        off.push((
            way,
            pool,
            row(&format!("PyArrow, {way}, {pool}"), &seen, &marker, held),
            seen.explained(),
        ));
    }
    for way in ["polars", "numba", "numexpr", "rocksdb"] {
        let (seen, marker, held) = look(python, way, &[]);
        off.push((way, "", row(way, &seen, &marker, held), seen.explained()));
        if way == "polars" {
            is_named(&seen, "_polars_runtime.abi3.so", "mappings");
        }
    }
    // OpenBLAS keeps a buffer for each of its threads, which the line that multiplies holds, too.
    let (seen, marker, held) = look(python, "blas", &[]);
    off.push(("blas", "", row("OpenBLAS", &seen, &marker, held), seen.explained()));
    let ours = seen.report.held_through(&place("allocators.py", &marker));
    assert!((held..held + 70 * MIB).contains(&ours), "{ours} of {held}");
    for (way, pool, off, explained) in off {
        assert!(off.abs() <= 15.0, "{way} {pool} is {off:.1} % off");
        assert!(explained >= 0.95, "{way} {pool}: {explained:.3} explained");
    }
}

#[test]
fn an_allocator_in_the_place_of_malloc_is_not_counted_twice() {
    announce(HEAD);
    for library in PRELOADED {
        let path = Path::new("/usr/lib/x86_64-linux-gnu").join(library);
        if !path.exists() {
            announce(&format!("| {library} is not installed here | | | | | | |"));
            continue;
        }
        let environment = [("LD_PRELOAD", path.to_str().expect("ASCII"))];
        let (seen, marker, held) = look(numpy_python(), "objects", &environment);
        let off = row(library, &seen, &marker, held);
        is_named(&seen, library, "blocks");
        assert!(off.abs() <= 5.0, "{library}: {seen:#?}");
        // The interpreter and numpy beside them; OpenBLAS asks for more than it touches.
        assert!(seen.resident() < held + 75 * MIB, "{library}: {seen:#?}");
        assert!(seen.explained() >= 0.95, "{library}: {}", seen.report.ledger_table());
    }
}

/// Holds 32 blocks of malloc's, each larger than what pymalloc gives out, in a part that is recorded.
const HOLDS: &str = "import filprofiler
def hold():
    return [bytearray(1 << 20) for _ in range(32)]
kept = filprofiler.profile(hold, 'report')
print(len(kept))";

#[test]
fn an_allocator_in_the_place_of_malloc_is_known_in_a_python_that_starts_with_recording_off() {
    let library = c_library("guarded_allocator.c");
    Python::each_of(Python::kinds(), |python| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(fil_profile());
        command.arg("--python").arg(&python.path).args(["python", "-c", HOLDS]);
        command.current_dir(folder.path()).env("LD_PRELOAD", &library);
        let output = command.env("PYTHONPATH", workspace().join("python")).output();
        let output = output.expect("fil-profile can be run");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "32\n", "{output:?}");
        assert!(output.status.success(), "{output:?}");
        let report = Report::load(&folder.path().join("report/report.json"));
        let held = report.number("/moment/bytes").expect("a number");
        oom::assert_close(held, 32 * MIB, 5.0, &report);
    });
}
