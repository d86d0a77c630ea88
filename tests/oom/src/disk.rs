//! A small file system of its own on a loop device, that a test fills to the brim.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::{announce, built};

/// A mounted file system; unmounted with this value.
#[derive(Debug)]
pub struct Disk {
    place: TempDir,
}

impl Disk {
    /// An empty file system of that many bytes. None, and a word on it, where nothing can be mounted.
    #[track_caller]
    pub fn new(bytes: u64) -> Option<Disk> {
        let left_out = |why: &str| announce(&format!("left out: full disks, for {why}"));
        if !geteuid().is_root() {
            left_out("only root may mount one");
            return None;
        }
        if !built::is_on_path("mkfs.ext4") {
            left_out("mkfs.ext4 is not installed here (package e2fsprogs)");
            return None;
        }
        let disk = Disk {
            place: tempfile::tempdir().expect("a temporary folder can be made"),
        };
        let image = disk.place.path().join("image");
        let file = File::create(&image).expect("the temporary folder is writable");
        file.set_len(bytes).expect("a file can be sparse");
        built::run(
            Command::new("mkfs.ext4")
                .args(["-q", "-O", "^has_journal", "-m", "0"])
                .arg(&image),
        );
        std::fs::create_dir(disk.path()).expect("the temporary folder is writable");
        built::run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(disk.path()));
        Some(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.place.path().join("mounted")
    }

    /// Fills it, but for about that many bytes.
    #[track_caller]
    pub fn fill_but(&self, bytes: u64) {
        let filler = self.path().join("filler");
        let mut file = File::create(&filler).expect("an empty file has room");
        while file.write_all(&[1; 1024]).is_ok() {}
        let full = file.metadata().expect("it is open").len();
        file.set_len(full.saturating_sub(bytes)).expect("it can shrink");
    }

    /// Empties it.
    #[track_caller]
    pub fn clear(&self) {
        for entry in std::fs::read_dir(self.path()).expect("it is mounted").flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                std::fs::remove_dir_all(&path).expect("nobody uses it");
            } else {
                std::fs::remove_file(&path).expect("nobody uses it");
            }
        }
    }

    /// Allows reading only.
    #[track_caller]
    pub fn make_read_only(&self) {
        built::run(Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let path: &Path = &self.path();
        // Where it was never mounted there is nothing to undo.
        let _ = Command::new("umount").arg("--lazy").arg(path).output();
    }
}
