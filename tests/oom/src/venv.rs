//! Virtual environments with a package, made once and kept below cargo's target folder.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::{Python, built};

/// The python of a virtual environment that has numpy. It stays a link: its path is what makes it that environment's.
pub fn numpy_python() -> &'static Python {
    static READY: OnceLock<Python> = OnceLock::new();
    READY.get_or_init(|| python_with("numpy"))
}

/// The python of one that has memray, to compare with.
pub fn memray_python() -> &'static Python {
    static READY: OnceLock<Python> = OnceLock::new();
    READY.get_or_init(|| python_with("memray"))
}

fn python_with(package: &str) -> Python {
    let base = Python::any();
    let (major, minor, micro) = base.version;
    let folder = built::target().join(format!("{package}-{major}.{minor}.{micro}"));
    let path = folder.join("bin/python");
    if !imports(&path, package) {
        built::run(Command::new(&base.path).args(["-m", "venv", "--clear"]).arg(&folder));
        built::run(Command::new(&path).args(["-m", "pip", "install", "--quiet", package]));
    }
    Python {
        path,
        version: base.version,
    }
}

fn imports(python: &PathBuf, package: &str) -> bool {
    let output = Command::new(python).args(["-c", &format!("import {package}")]).output();
    output.is_ok_and(|output| output.status.success())
}
