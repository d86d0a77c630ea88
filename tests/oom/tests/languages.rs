//! "Memory goes to the line of Python that asked for it, in whatever language and on whatever thread it is allocated."

use std::path::{Path, PathBuf};
use std::process::Command;

use oom::{Job, MIB, Outcome, Python, allocators_python, announce, assert_close, built_by, place};

/// What each line holds, against what it says.
#[track_caller]
fn is_attributed(outcome: &Outcome) {
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let peak = outcome.peak();
    announce("| way | true | ours | off |\n|---|---|---|---|");
    let truths = outcome.truths();
    for (marker, truth) in &truths {
        let here = place("languages.py", marker);
        let ours = peak.through(&here);
        let off = (ours as f64 / *truth as f64 - 1.0) * 100.0;
        announce(&format!(
            "| {marker} | {} MiB | {:.2} MiB | {off:+.2} % |",
            truth / MIB,
            ours as f64 / MIB as f64
        ));
    }
    for (marker, truth) in &truths {
        assert_close(peak.through(&place("languages.py", marker)), *truth, 2.0, outcome);
    }
}

fn way(name: &str, library: &Path) -> String {
    format!("{name}={}", library.display())
}

fn shared(source: &str, compiler: &str, flags: &[&str]) -> Option<PathBuf> {
    let built = built_by(compiler, source, flags);
    if built.is_none() {
        announce(&format!("{source} is not tried here: there is no {compiler}"));
    }
    built
}

#[test]
fn c_cpp_fortran_and_the_threads_of_openmp_and_of_a_pool() {
    let libraries = [
        ("c", shared("native_openmp.c", "gcc", &["-fopenmp"])),
        ("cpp", shared("native_cpp.cpp", "g++", &[])),
        ("fortran", shared("native_fortran.f90", "gfortran", &[])),
        ("openmp", shared("native_openmp.c", "gcc", &["-fopenmp"])),
    ];
    let ways: Vec<String> = libraries
        .iter()
        .filter_map(|(name, library)| Some(way(name, library.as_deref()?)))
        .collect();
    Python::each_of(Python::with_gil(oom::NOBODY_WAITS), |python| {
        let job = ways.iter().fold(Job::python(python, "languages.py"), Job::arg);
        is_attributed(&job.run());
    });
}

#[test]
fn cffi_and_cython() {
    if std::env::var_os("OOM_TESTS_LONG").is_none() {
        announce("cffi and Cython are not tried: that installs them from PyPI, and needs OOM_TESTS_LONG=1");
        return;
    }
    let python = allocators_python();
    let library = shared("native_openmp.c", "gcc", &["-fopenmp"]).expect("gcc is there");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let source = folder.path().join("native_cython.pyx");
    std::fs::copy(oom::victim("native_cython.pyx"), &source).expect("the folder is writable");
    let code = "from setuptools import setup; from Cython.Build import cythonize; setup(ext_modules=cythonize('native_cython.pyx'))";
    let built = Command::new(&python.path)
        .args(["-c", code, "-q", "build_ext", "--inplace"])
        .current_dir(folder.path())
        .output();
    let built = built.expect("the interpreter can be run");
    assert!(built.status.success(), "{built:?}");
    let job = Job::python(python, "languages.py").arg(way("cffi_library", &library));
    is_attributed(&job.arg(way("cython_module", folder.path())).run());
}
