//! Reading the small files of /proc and /sys/fs/cgroup. Every number that is missing, or is no number, is `None`: a file may
//! be of another kernel, forbidden, or gone with its process or cgroup.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// No number is longer, with the line's end.
const NUMBER_BYTES: usize = 32;
/// What one read takes in. The kernel writes most of these files anew for each read, so there should be few.
const READ_BYTES: usize = 8 << 10;

/// The text of a file, at most `most` bytes of it. What is not UTF-8 is replaced.
pub fn text(path: &Path, most: usize) -> Option<String> {
    let mut bytes = Vec::with_capacity(most.min(READ_BYTES));
    File::open(path).ok()?.take(most as u64).read_to_end(&mut bytes).ok()?;
    Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// The one number that a file consists of.
pub fn number(path: &Path) -> Option<u64> {
    let mut bytes = [0; NUMBER_BYTES];
    let length = File::open(path).ok()?.read(&mut bytes).ok()?;
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

/// As [`value`], of a line in kibibytes: in bytes.
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
