//! The only writer of files: each is complete under its name, or not there at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Writes `folder/name` by what `write` puts out, readable by its owner only, and replaces an older one of that name.
pub(crate) fn save(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<PathBuf, Error> {
    let path = folder.join(name);
    let unfinished = folder.join(format!(".{name}.{}.unfinished", std::process::id()));
    let written = write_whole(&unfinished, write).and_then(|()| fs::rename(&unfinished, &path));
    match written {
        Ok(()) => Ok(path),
        Err(reason) => {
            // There may be nothing to remove; the reason for that is the one to report.
            let _ = fs::remove_file(&unfinished);
            Err(Error::write(&path, reason))
        }
    }
}

fn write_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(128 * 1024, create(path)?);
    write(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn create(path: &Path) -> io::Result<File> {
    let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match create() {
        // Left behind by a process that had the same id and died while writing.
        Err(reason) if reason.kind() == ErrorKind::AlreadyExists => fs::remove_file(path).and_then(|()| create()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), "a.txt", |out| out.write_all(b"first")).unwrap();
        let path = save(folder.path(), "a.txt", |out| out.write_all(b"second")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), "a.txt", |out| out.write_all(b"first")).unwrap();
        let error = save(folder.path(), "a.txt", |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert!(error.unwrap_err().to_string().ends_with("a.txt: no more"));
        assert_eq!(fs::read(folder.path().join("a.txt")).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_an_earlier_process_left_unfinished_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(format!(".a.txt.{}.unfinished", std::process::id()));
        fs::write(&left, "half").unwrap();
        save(folder.path(), "a.txt", |out| out.write_all(b"whole")).unwrap();
        assert!(!left.exists());
    }
}
