//! The Pythons of this machine: pyenv's and those on PATH, CPython 3.6 to 3.13.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// An interpreter that works.
#[derive(Clone, Debug)]
pub struct Python {
    /// Of the executable itself, not of a link or a shim.
    pub path: PathBuf,
    /// Major, minor, micro.
    pub version: (u32, u32, u32),
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, micro) = self.version;
        write!(f, "Python {major}.{minor}.{micro} ({})", self.path.display())
    }
}

impl Python {
    /// All that were found, oldest first; at least one.
    pub fn all() -> &'static [Python] {
        static FOUND: LazyLock<Vec<Python>> = LazyLock::new(find);
        assert!(
            !FOUND.is_empty(),
            "no CPython from 3.6 to 3.13 was found in pyenv or on PATH"
        );
        &FOUND
    }

    /// The one for promises that have nothing to do with the version: the `python3` of PATH, where it is supported.
    pub fn any() -> &'static Python {
        let default = ask(Path::new("python3"));
        let same = |python: &&Python| default.as_ref().is_some_and(|default| default.path == python.path);
        Python::all().iter().find(same).unwrap_or(&Python::all()[0])
    }

    /// Runs a test with each Python to the end, then fails if it failed with any, naming them.
    #[track_caller]
    pub fn each(test: impl Fn(&Python)) {
        let mut failed = Vec::new();
        for python in Python::all() {
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
            found.insert((python.version, python.path.clone()), python);
        }
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
        candidates.extend((6..=13).map(|minor| folder.join(format!("python3.{minor}"))));
    }
    candidates.retain(|path| path.exists());
    candidates
}

/// What an interpreter says of itself; `None` where it does not start (a shim of a version that is not selected) or is
/// not one of the supported.
fn ask(path: &Path) -> Option<Python> {
    let code =
        "import os, sys; print(sys.implementation.name, *sys.version_info[:3], os.path.realpath(sys.executable))";
    let output = Command::new(path).args(["-c", code]).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    let mut words = answer.trim_end().splitn(5, ' ');
    let name = words.next()?;
    let mut number = || words.next()?.parse().ok();
    let version = (number()?, number()?, number()?);
    let supported = name == "cpython" && version.0 == 3 && (6..=13).contains(&version.1);
    supported.then_some(Python {
        path: words.next()?.into(),
        version,
    })
}
