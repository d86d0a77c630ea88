//! The Pythons of this machine: pyenv's, those on PATH and those of `scripts/new-pythons`, CPython 3.6 to 3.15, of which some are
//! free-threaded.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::{announce, workspace};

/// The minor versions that are supported.
const MINORS: std::ops::RangeInclusive<u32> = 6..=15;
/// Those of which there are free-threaded builds here.
const FREE_THREADED: [u32; 2] = [14, 15];

/// Why a test of threads without Python needs the global interpreter lock.
pub const NOBODY_WAITS: &str =
    "there, a thread without Python counts for no line, since nothing says which thread waits for it";

/// An interpreter that works.
#[derive(Clone, Debug)]
pub struct Python {
    /// Of the executable itself, not of a link or a shim.
    pub path: PathBuf,
    /// Major, minor, micro.
    pub version: (u32, u32, u32),
    /// Threads run at the same time: there is no global interpreter lock.
    pub is_free_threaded: bool,
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, micro) = self.version;
        let suffix = if self.is_free_threaded { "t" } else { "" };
        write!(f, "Python {major}.{minor}.{micro}{suffix} ({})", self.path.display())
    }
}

impl Python {
    /// All that were found, oldest first; at least one.
    pub fn all() -> &'static [Python] {
        static FOUND: LazyLock<Vec<Python>> = LazyLock::new(find);
        assert!(
            !FOUND.is_empty(),
            "no CPython from 3.6 to 3.15 was found in pyenv or on PATH"
        );
        &FOUND
    }

    /// The one for promises that have nothing to do with the version: the `python3` of PATH, where it is supported.
    pub fn any() -> &'static Python {
        let default = ask(Path::new("python3"));
        let same = |python: &&Python| default.as_ref().is_some_and(|default| default.path == python.path);
        Python::all().iter().find(same).unwrap_or(&Python::all()[0])
    }

    /// Whether it is one of [`Python::kinds`].
    pub fn is_kind(&self) -> bool {
        Python::kinds().into_iter().any(|kind| kind.path == self.path)
    }

    /// This value of `PYTHONMALLOC`, or the one closest to it that this Python knows.
    pub fn allocator<'a>(&self, name: &'a str) -> &'a str {
        match name {
            "malloc" | "pymalloc" if self.is_free_threaded => "mimalloc",
            "malloc_debug" | "pymalloc_debug" if self.is_free_threaded => "mimalloc_debug",
            _ => name,
        }
    }

    /// For promises in which the version makes little difference: the oldest, 3.11, from which on frames are no objects, the newest and
    /// the newest free-threaded one. With `OOM_TESTS_LONG=1`, all.
    pub fn kinds() -> Vec<&'static Python> {
        let all = Python::all();
        if std::env::var_os("OOM_TESTS_LONG").is_some() {
            return all.iter().collect();
        }
        let with_lock = || all.iter().filter(|python| !python.is_free_threaded);
        let oldest = with_lock().next();
        let first_of_frames = with_lock().find(|python| python.version.1 >= 11);
        let newest = with_lock().next_back();
        let newest_free = all.iter().rfind(|python| python.is_free_threaded);
        let mut kinds: Vec<&Python> = [oldest, first_of_frames, newest, newest_free]
            .into_iter()
            .flatten()
            .collect();
        kinds.dedup_by_key(|python| &python.path);
        kinds
    }

    /// The free-threaded ones.
    pub fn free_threaded() -> Vec<&'static Python> {
        Python::all().iter().filter(|python| python.is_free_threaded).collect()
    }

    /// Those with the global interpreter lock; says why the others are left out.
    pub fn with_gil(why: &str) -> Vec<&'static Python> {
        for python in Python::free_threaded() {
            announce(&format!("Not tested with {python}: {why}."));
        }
        Python::all().iter().filter(|python| !python.is_free_threaded).collect()
    }

    /// Runs a test with each Python to the end, then fails if it failed with any, naming them.
    #[track_caller]
    pub fn each(test: impl Fn(&Python)) {
        Python::each_of(Python::all(), test);
    }

    /// As [`Python::each`], with these.
    #[track_caller]
    pub fn each_of<'a>(pythons: impl IntoIterator<Item = &'a Python>, test: impl Fn(&Python)) {
        let mut failed = Vec::new();
        for python in pythons {
            println!("--- {python}");
            if catch_unwind(AssertUnwindSafe(|| test(python))).is_err() {
                failed.push(python.to_string());
            }
        }
        assert!(failed.is_empty(), "failed with {}", failed.join(", "));
    }
}

fn find() -> Vec<Python> {
    let mut found = BTreeMap::new();
    for candidate in candidates() {
        if let Some(python) = ask(&candidate) {
            found.insert((python.version, python.is_free_threaded, python.path.clone()), python);
        }
    }
    let is_found = |minor: u32, free_threaded: bool| {
        let mut keys = found.keys();
        keys.any(|(version, is_free_threaded, _)| version.1 == minor && *is_free_threaded == free_threaded)
    };
    for minor in FREE_THREADED.into_iter().filter(|minor| !is_found(*minor, true)) {
        announce(&format!(
            "No free-threaded CPython 3.{minor} was found; nothing is tested with it: scripts/new-pythons prepares it."
        ));
    }
    for minor in MINORS.filter(|minor| !is_found(*minor, false)) {
        let hint = if minor > 13 {
            ": scripts/new-pythons prepares it"
        } else {
            ""
        };
        announce(&format!(
            "No CPython 3.{minor} was found; nothing is tested with it{hint}."
        ));
    }
    // While one works on a version: `OOM_TESTS_PYTHONS=3.14,3.15t`.
    if let Ok(wanted) = std::env::var("OOM_TESTS_PYTHONS") {
        announce(&format!("Only Python {wanted} is tested: OOM_TESTS_PYTHONS says so."));
        found.retain(|(version, is_free_threaded, _), _| {
            let suffix = if *is_free_threaded { "t" } else { "" };
            wanted
                .split(',')
                .any(|wanted| wanted == format!("3.{}{suffix}", version.1))
        });
    }
    found.into_values().collect()
}

fn candidates() -> Vec<PathBuf> {
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    let versions = pyenv.and_then(|root| std::fs::read_dir(root.join("versions")).ok());
    let installed = versions.into_iter().flatten().flatten();
    let mut candidates: Vec<_> = installed.map(|entry| entry.path().join("bin/python3")).collect();
    for folder in std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()) {
        candidates.push(folder.join("python3"));
        candidates.extend(MINORS.map(|minor| folder.join(format!("python3.{minor}"))));
    }
    let prepared = workspace().join("target/new-pythons");
    candidates.extend([14, 15].map(|minor| prepared.join(format!("usr/bin/python3.{minor}"))));
    candidates
        .extend(FREE_THREADED.map(|minor| prepared.join(format!("free-threaded/3.{minor}/bin/python3.{minor}t"))));
    candidates.retain(|path| path.exists());
    candidates
}

/// What an interpreter says of itself; `None` where it does not start (a shim of a version that is not selected) or is
/// not one of the supported.
fn ask(path: &Path) -> Option<Python> {
    let code = "import os, sys; print(sys.implementation.name, *sys.version_info[:3], int('free-threading' in sys.version), \
                os.path.realpath(sys.executable))";
    let output = Command::new(path).args(["-c", code]).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    let mut words = answer.trim_end().splitn(6, ' ');
    let name = words.next()?;
    let mut number = || words.next()?.parse().ok();
    let version = (number()?, number()?, number()?);
    let is_free_threaded = number()? == 1;
    let supported = name == "cpython" && version.0 == 3 && MINORS.contains(&version.1);
    supported.then_some(Python {
        path: words.next()?.into(),
        version,
        is_free_threaded,
    })
}
