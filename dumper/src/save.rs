//! The only writer of files: each is complete under its name, or not there at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Writes `folder/name` by what `write` puts out, readable by its owner only, and replaces an older one of that name.
/// It is on disk when this returns.
pub(crate) fn save(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<PathBuf, Error> {
    let (path, _) = replace(folder, name, write, File::sync_all)?;
    Ok(path)
}

/// The files of one report. They are there for everybody as soon as they are written, whoever is killed then; since that
/// is what is likely to happen next, what only helps if the machine itself goes down is put off to the end.
pub(crate) struct Files {
    folder: PathBuf,
    unsynced: Vec<(PathBuf, File)>,
}

impl Files {
    pub(crate) fn new(folder: &Path) -> Files {
        Files {
            folder: folder.to_owned(),
            unsynced: Vec::new(),
        }
    }

    /// As [`save`], but the file is on disk only after [`Self::sync`].
    pub(crate) fn save(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<PathBuf, Error> {
        let (path, file) = replace(&self.folder, name, write, |_| Ok(()))?;
        self.unsynced.push((path.clone(), file));
        Ok(path)
    }

    /// As [`Self::save`], for what is large and can be had again: the kernel puts it on disk when it likes.
    pub(crate) fn save_for_now(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<PathBuf, Error> {
        let (path, _) = replace(&self.folder, name, write, |_| Ok(()))?;
        Ok(path)
    }

    /// Puts the files on disk.
    pub(crate) fn sync(self) -> Result<(), Error> {
        for (path, file) in self.unsynced {
            file.sync_all().map_err(|reason| Error::write(&path, reason))?;
        }
        // Their names. Not every file system can do that with a folder.
        let _ = File::open(&self.folder).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

fn replace(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> Result<(PathBuf, File), Error> {
    let path = folder.join(name);
    let unfinished = folder.join(format!(".{name}.{}.unfinished", std::process::id()));
    let written = write_whole(&unfinished, write).and_then(|file| {
        finish(&file)?;
        fs::rename(&unfinished, &path)?;
        Ok(file)
    });
    match written {
        Ok(file) => Ok((path, file)),
        Err(reason) => {
            // There may be nothing to remove; the reason for that is the one to report.
            let _ = fs::remove_file(&unfinished);
            Err(Error::write(&path, reason))
        }
    }
}

fn write_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<File> {
    let mut out = BufWriter::with_capacity(128 * 1024, create(path)?);
    write(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)
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
