//! The machine: where its files of /proc and /sys are. Tests point it at a folder.

use std::fmt::Display;
use std::path::{Path, PathBuf};

/// A machine, by the folder in which its `proc` and `sys` are.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// The machine that this process runs on.
    pub fn this() -> Self {
        Self::at(Path::new("/"))
    }

    /// One whose files are in the folder `root`.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// A file, by its absolute path on that machine.
    pub fn file(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A file in the folder of a process in /proc.
    pub fn of_process(&self, pid: impl Display, name: &str) -> PathBuf {
        self.root.join(format!("proc/{pid}/{name}"))
    }
}
