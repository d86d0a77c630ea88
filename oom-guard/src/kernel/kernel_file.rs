//! Reads the small files of /proc and /sys/fs/cgroup. A number that is missing or malformed is `None`: kernels differ, and a file may be
//! forbidden, or gone with its process or cgroup.
//!
//! Opening such a file and reading it for the first time charges memory to the reader's cgroup. If that is full, the kernel may kill a
//! process. An open file keeps the kernel's buffer, so reading it again charges nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};

/// No number is longer, with the line's end.
const NUMBER_BYTES: usize = 32;
/// The size of one read. The kernel generates most of these files again for each read, so there must be few reads.
const READ_BYTES: usize = 8 << 10;

/// At most this part of the allowed number of open files is kept open.
const MOST_KEPT: u64 = 4;

thread_local! {
    static KEPT: RefCell<HashMap<PathBuf, File>> = RefCell::new(HashMap::new());
}

/// Keeps a file open from here on, if it exists and not too many are open. Later reads by its path use the open file.
pub fn keep_open(path: &Path) {
    let most = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft / MOST_KEPT);
    let Ok(file) = File::open(path) else { return };
    if file.as_raw_fd().unsigned_abs() < u32::try_from(most).unwrap_or(u32::MAX) && file.read_at(&mut [0], 0).is_ok() {
        KEPT.with_borrow_mut(|kept| kept.insert(path.to_owned(), file));
    }
}

/// Closes a file that was kept open.
pub fn let_go(path: &Path) {
    KEPT.with_borrow_mut(|kept| drop(kept.remove(path)));
}

/// Reads a file, from the one that was kept open if there is one.
fn read<T>(path: &Path, read: impl Fn(&File) -> io::Result<T>) -> Option<T> {
    let kept = KEPT.with_borrow(|kept| kept.get(path).and_then(|file| read(file).ok()));
    kept.or_else(|| read(&File::open(path).ok()?).ok())
}

/// The text of a file, at most `most` bytes of it. Bytes that are not UTF-8 are replaced.
pub fn text(path: &Path, most: usize) -> Option<String> {
    let bytes = read(path, |file| {
        let mut bytes = Vec::with_capacity(most.min(READ_BYTES));
        while bytes.len() < most {
            let length = bytes.len();
            bytes.resize(most.min(length + READ_BYTES), 0);
            let count = file.read_at(&mut bytes[length..], length as u64)?;
            bytes.truncate(length + count);
            if count == 0 {
                break;
            }
        }
        Ok(bytes)
    })?;
    Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// The one number that a file consists of.
pub fn number(path: &Path) -> Option<u64> {
    let (length, bytes) = read(path, |file| {
        let mut bytes = [0; NUMBER_BYTES];
        file.read_at(&mut bytes, 0).map(|length| (length, bytes))
    })?;
    std::str::from_utf8(&bytes[..length]).ok()?.trim().parse().ok()
}

/// The number in the line that begins with `key`, as memory.stat, vmstat, meminfo and status have them; the key is a
/// whole word, with its colon where there is one.
pub fn value(text: &str, key: &str) -> Option<u64> {
    let line = text
        .lines()
        .find(|line| line.split_ascii_whitespace().next() == Some(key))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// As [`value`], in bytes, for a line in kibibytes.
pub fn kibibytes(text: &str, key: &str) -> Option<u64> {
    value(text, key)?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_key_is_a_whole_word() {
        let text = "oom 1\noom_kill 2\nMemFree:  3 kB\noom_group_kill x\nlonely\n";
        assert_eq!(value(text, "oom_kill"), Some(2));
        assert_eq!(value(text, "oom"), Some(1));
        assert_eq!(kibibytes(text, "MemFree:"), Some(3072));
        for key in ["oom_group_kill", "lonely", "MemFree", "kill"] {
            assert_eq!(value(text, key), None, "{key}");
        }
    }

    #[test]
    fn a_file_that_is_kept_open_is_read_anew_each_time_and_without_being_opened() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "1\n").unwrap();
        keep_open(&file);
        fs::write(&file, "22\n").unwrap();
        assert_eq!((number(&file), text(&file, 10).as_deref()), (Some(22), Some("22\n")));
        fs::remove_file(&file).unwrap();
        assert_eq!(number(&file), Some(22));
        let_go(&file);
        assert_eq!(number(&file), None);
        // Longer than what one read takes in, as the kernel's own files may be.
        let long = "x".repeat(3 * READ_BYTES);
        fs::write(&file, &long).unwrap();
        keep_open(&file);
        assert_eq!(text(&file, 4 * READ_BYTES), Some(long));
    }

    #[test]
    fn a_missing_file_has_no_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        assert_eq!((number(&file), text(&file, 10)), (None, None));
        fs::write(&file, "9223372036854771712\n").unwrap();
        assert_eq!(number(&file), Some(9_223_372_036_854_771_712));
        assert_eq!(text(&file, 3).as_deref(), Some("922"));
        fs::write(&file, "max\n").unwrap();
        assert_eq!(number(&file), None);
    }
}
