//! A virtual environment with numpy, made once and kept below cargo's target folder.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::{Python, built};

/// The python of a virtual environment that has numpy. It stays a link: its path is what makes it that environment's.
pub fn numpy_python() -> &'static Python {
    static READY: OnceLock<Python> = OnceLock::new();
    READY.get_or_init(|| {
        let base = Python::any();
        let (major, minor, micro) = base.version;
        let folder = built::target().join(format!("numpy-{major}.{minor}.{micro}"));
        let path = folder.join("bin/python");
        if !imports_numpy(&path) {
            built::run(Command::new(&base.path).args(["-m", "venv", "--clear"]).arg(&folder));
            built::run(Command::new(&path).args(["-m", "pip", "install", "--quiet", "numpy"]));
        }
        Python {
            path,
            version: base.version,
        }
    })
}

fn imports_numpy(python: &PathBuf) -> bool {
    let output = Command::new(python).args(["-c", "import numpy"]).output();
    output.is_ok_and(|output| output.status.success())
}
