//! The termination message of Kubernetes, which `kubectl describe pod` shows after a container has ended, even without its log.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use dumper::label::printable;

use crate::terminal::say::PREFIX;

/// Where Kubernetes looks for it unless the pod says otherwise.
const DEFAULT: &str = "/dev/termination-log";

/// As much as Kubernetes takes.
const MOST_BYTES: usize = 4096;

/// A longer file is a log of the job's, and stays as it is.
const LARGEST: u64 = 1 << 20;

/// The file that `FIL_PROFILE_TERMINATION_LOG` names, or the usual one.
pub fn file() -> PathBuf {
    let named = std::env::var_os("FIL_PROFILE_TERMINATION_LOG").filter(|value| !value.is_empty());
    named.map_or_else(|| DEFAULT.into(), PathBuf::from)
}

/// Replaces our part of the message by these lines; no lines remove it. The job's own text stays. The file is not created, and only a
/// regular file is written to.
pub fn set(path: &Path, lines: &[impl AsRef<str>]) -> io::Result<()> {
    let mut options = File::options();
    options
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut before = Vec::new();
    (&file).take(LARGEST + 1).read_to_end(&mut before)?;
    if before.len() as u64 > LARGEST {
        return Err(io::Error::other("larger than a termination message can be"));
    }
    let own = before.split_inclusive(|byte| *byte == b'\n');
    let mut message: Vec<u8> = own
        .filter(|line| !line.starts_with(PREFIX.as_bytes()))
        .flatten()
        .copied()
        .collect();
    if !lines.is_empty() && !message.is_empty() && !message.ends_with(b"\n") {
        message.push(b'\n');
    }
    for line in lines {
        let line = format!("{PREFIX}{}\n", printable(line.as_ref()));
        if message.len() + line.len() > MOST_BYTES {
            break;
        }
        message.extend_from_slice(line.as_bytes());
    }
    if message == before {
        return Ok(());
    }
    file.rewind()?;
    file.write_all(&message)?;
    file.set_len(message.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn our_part_is_replaced_and_taken_back_and_the_jobs_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "the job's own words").unwrap();
        let now = |text: &[&str]| {
            set(&path, text).unwrap();
            fs::read_to_string(&path).unwrap()
        };
        assert_eq!(
            now(&["close", "load.py:7"]),
            "the job's own words\n=fil-profile= close\n=fil-profile= load.py:7\n"
        );
        assert_eq!(now(&["killed"]), "the job's own words\n=fil-profile= killed\n");
        assert_eq!(
            now(&["a\n=fil-profile= b\u{1b}c"]),
            "the job's own words\n=fil-profile= a\\n=fil-profile= b\\u{1b}c\n"
        );
        assert_eq!(now(&[]), "the job's own words\n");
        assert_eq!(now(&[]), "the job's own words\n");
    }

    #[test]
    fn it_never_gets_longer_than_kubernetes_takes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "x".repeat(3000)).unwrap();
        set(&path, &["line of the message"; 500]).unwrap();
        let length = fs::metadata(&path).unwrap().len();
        assert!((4000..=4096).contains(&length), "{length}");
    }

    #[test]
    fn nothing_that_the_job_has_written_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for lines in [500, 2000, 200_000] {
            let job = "job line\n".repeat(lines);
            fs::write(&path, &job).unwrap();
            for ours in [&["killed", "load.py:7"][..], &[]] {
                let _ = set(&path, ours);
                assert_eq!(fs::read_to_string(&path).unwrap(), job, "{lines}");
            }
        }
        // Ours are taken back, although the job has written more behind them.
        fs::write(&path, "=fil-profile= close\n".to_owned() + &"job line\n".repeat(2000)).unwrap();
        set(&path, &["killed"]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "job line\n".repeat(2000));
    }

    #[test]
    fn only_a_regular_file_that_is_there_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        fs::write(&precious, "x").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&precious, &link).unwrap();
        let missing = folder.path().join("missing");
        for path in [link.as_path(), &missing, Path::new("/dev/null"), folder.path()] {
            assert!(set(path, &["x"]).is_err(), "{}", path.display());
        }
        assert!(!missing.exists());
        assert_eq!(fs::read_to_string(precious).unwrap(), "x");
    }
}
