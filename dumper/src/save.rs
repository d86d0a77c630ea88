//! The only writer of files: each is complete under its name, or not there at all.
//!
//! A file is there for everybody as soon as it has its name, whoever is killed then, and the recording too: the kernel keeps
//! what was written, and puts it on disk within half a minute. So nothing is waited for: a disk takes tens of
//! milliseconds for each file, and the user is waiting for his job to start, or for what comes after it. Only if the
//! machine itself goes down in that half minute is something lost. [`keep`] is for what must not be even then: the run of a job that
//! ran out of memory, or comes close to it, on a machine that may be the next to go.

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
    written.map_err(|reason| {
        // There may be nothing to remove; the reason for that is the one to report.
        let _ = fs::remove_file(&unfinished);
        Error::write(&path, reason)
    })?;
    Ok(path)
}

/// Writes the file that the user has named; into one that is no regular file, such as a pipe, as it stands.
///
/// # Errors
///
/// It cannot be written, or `write` says so.
pub fn save_as(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    let is_other = fs::metadata(path).is_ok_and(|about| !about.is_file());
    let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| !is_other) else {
        let written = File::create(path).and_then(|mut file| write(&mut file));
        return written.map_err(|reason| Error::write(path, reason));
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    save(folder.unwrap_or(Path::new(".")), name, write).map(drop)
}

/// Puts the files of a folder on disk, and their names.
///
/// # Errors
///
/// One of them cannot be. The others are nevertheless.
pub fn keep(folder: &Path) -> Result<(), Error> {
    let entries = fs::read_dir(folder).map_err(|reason| Error::read(folder, reason))?;
    let files = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut kept = Ok(());
    for path in files.map(|file| file.path()) {
        match File::open(&path).and_then(|file| file.sync_all()) {
            // One that has been replaced or removed meanwhile.
            Err(reason) if reason.kind() == ErrorKind::NotFound => {}
            Err(reason) => kept = kept.and(Err(Error::write(&path, reason))),
            Ok(()) => {}
        }
    }
    // Not every file system can do that with a folder.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    kept
}

fn write_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(128 * 1024, create(path)?);
    write(&mut out)?;
    out.flush()
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
    fn what_is_no_regular_file_is_written_to_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let write = |out: &mut dyn Write| out.write_all(b"text");
        save_as(Path::new("/dev/null"), write).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let path = folder.path().join("a.txt");
        save_as(&path, write).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"text");
        let error = save_as(folder.path(), write).unwrap_err().to_string();
        assert!(error.starts_with("cannot write"), "{error}");
    }

    #[test]
    fn a_folder_is_kept_with_all_that_can_be() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), "a.txt", |out| out.write_all(b"first")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
        keep(folder.path()).unwrap();
        assert!(keep(&folder.path().join("none")).is_err());
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
