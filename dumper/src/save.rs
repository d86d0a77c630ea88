//! The only writer of files: each is complete under its name, or not there at all.
//!
//! A file is visible as soon as it has its name, even if its writer is killed then: the kernel keeps what was written, and puts it on
//! disk within half a minute. So nothing is waited for: a disk takes tens of
//! milliseconds for each file, and the user is waiting for his job to start, or for what comes after it. Only if the
//! machine itself goes down in that half minute is something lost. [`keep`] is for what must not be even then: the run of a job that
//! ran out of memory, or comes close to it, on a machine that may be the next to go.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, fcntl_setfl, flock, openat};
use rustix::io::Errno;

use crate::error::Error;
use crate::folder::{Folder, Place};

/// What the name of a file ends in that is not whole yet.
const UNFINISHED: &str = ".unfinished";

/// Writes `folder/name` by what `write` puts out, readable by its owner only, and replaces an older one of that name.
pub(crate) fn save(
    folder: &Folder,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<PathBuf, Error> {
    let path = folder.path().join(name);
    match replace(folder, name, write) {
        Ok(()) => Ok(path),
        Err(reason) => Err(Error::write(&path, reason)),
    }
}

/// The same, without a word on where.
///
/// # Errors
///
/// It cannot be written, or `write` says so.
pub fn replace(folder: &Folder, name: &str, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let unfinished = format!(".{name}.{}{UNFINISHED}", std::process::id());
    let written = create(folder, &unfinished).and_then(|file| {
        write_whole(&file, write)?;
        folder.rename(&unfinished, name)
    });
    // There may be nothing to remove; the reason for that is the one to report.
    written.inspect_err(|_| drop(folder.remove(&unfinished)))
}

/// Writes the file that the user has named; into one that is no regular file, such as a pipe, as it stands.
///
/// # Errors
///
/// It cannot be written, or `write` says so.
pub fn save_as(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    let failed = |reason| Error::write(path, reason);
    if let Some(mut file) = open_to_write_into(path).map_err(failed)? {
        return write(&mut file).map_err(failed);
    }
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| failed(io::Error::other("the name of a file must be UTF-8")))?;
    let place = Place::of(path).map_err(failed)?;
    place
        .reach()
        .and_then(|folder| replace(folder, name, write))
        .map_err(failed)
}

/// Opens what is written into as it stands: a pipe, a device, or a stream that this process has already. None for a file that is
/// replaced.
///
/// Hazard: in a folder of several users, the name can lead to another file at any moment. So the open file is looked at, not the name,
/// and a regular file that the name leads to is not touched.
fn open_to_write_into(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat(CWD, path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NXIO) => return Err(io::Error::other("a pipe that nobody reads yet, or a socket")),
        // It is missing, or it cannot be written to but replaced, as a program that runs. Replacing says what else is wrong.
        Err(_) => return Ok(None),
    };
    if file.metadata()?.is_file() && !is_stream(path) {
        return Ok(None);
    }
    // From here on, a full pipe is waited for.
    fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(Some(file))
}

/// Whether the name stands for an open file of this process. Such a name is no place for another file.
fn is_stream(path: &Path) -> bool {
    let is_in = |folder: &str| path.parent() == Some(Path::new(folder));
    is_in("/dev/fd") || is_in("/proc/self/fd") || path == "/dev/stdout" || path == "/dev/stderr"
}

/// Puts the files of a folder on disk, and their names.
///
/// # Errors
///
/// One of them cannot be. The others are nevertheless.
pub fn keep(folder: &Folder) -> Result<(), Error> {
    let entries = folder.entries().map_err(|reason| Error::read(folder.path(), reason))?;
    let mut kept = Ok(());
    for entry in entries.into_iter().filter(|entry| entry.may_be_file) {
        match folder.file(&entry.name, u64::MAX) {
            // One that has been replaced or removed meanwhile, or is no file after all.
            Err(_) => {}
            Ok(file) => {
                let path = || folder.path().join(&entry.name);
                kept = kept.and(file.sync_all().map_err(|reason| Error::write(&path(), reason)));
            }
        }
    }
    folder.sync();
    kept
}

/// Removes files that were not whole yet when their writer was ended. `is_writing` says whether the process that a file is named
/// for may still be writing it; on a file system with locks, it is asked only about files that are not locked.
pub fn remove_unfinished(folder: &Folder, is_writing: impl Fn(i32, &File) -> bool) {
    for entry in folder.entries().unwrap_or_default() {
        let name = entry.name.to_str().unwrap_or_default();
        let writer = name.strip_suffix(UNFINISHED).filter(|name| name.starts_with('.'));
        let Some(pid) = writer.and_then(|name| name.rsplit_once('.')?.1.parse().ok()) else {
            continue;
        };
        let Ok(file) = folder.file(name, u64::MAX) else {
            continue;
        };
        let is_locked = matches!(
            flock(&file, FlockOperation::NonBlockingLockExclusive),
            Err(rustix::io::Errno::WOULDBLOCK)
        );
        if !is_locked && !is_writing(pid, &file) {
            let _ = folder.remove(name);
        }
    }
}

fn write_whole(file: &File, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(128 * 1024, file);
    write(&mut out)?;
    out.flush()
}

/// Locked for as long as it is open: a process id says nothing to another container or machine, a lock does.
fn create(folder: &Folder, name: &str) -> io::Result<File> {
    let file = match folder.create(name) {
        // Left behind by a process that had the same id and died while writing.
        Err(reason) if reason.kind() == ErrorKind::AlreadyExists => {
            folder.remove(name).and_then(|()| folder.create(name))?
        }
        other => other?,
    };
    // Not every file system has locks.
    let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn open(path: &Path) -> Folder {
        Folder::open(path).unwrap()
    }

    #[test]
    fn a_file_is_replaced_whole_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        save(&open(folder.path()), "a.txt", |out| out.write_all(b"first")).unwrap();
        let path = save(&open(folder.path()), "a.txt", |out| out.write_all(b"second")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        save(&open(folder.path()), "a.txt", |out| out.write_all(b"first")).unwrap();
        let error = save(&open(folder.path()), "a.txt", |out| {
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
    fn a_name_that_leads_elsewhere_meanwhile_changes_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("thesis"), "precious").unwrap();
        std::os::unix::fs::symlink("/dev/null", path("null")).unwrap();
        std::os::unix::fs::symlink("thesis", path("link")).unwrap();
        std::os::unix::fs::symlink("/dev/null", path("out")).unwrap();
        let is_done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            // What another user does who may write to the folder.
            scope.spawn(|| {
                while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                    for name in ["link", "null"] {
                        fs::hard_link(path(name), path("new")).unwrap();
                        fs::rename(path("new"), path("out")).unwrap();
                        let _ = fs::remove_file(path("new"));
                    }
                }
            });
            for _ in 0..3000 {
                save_as(&path("out"), |out| out.write_all(b"text")).unwrap();
            }
            is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(fs::read_to_string(path("thesis")).unwrap(), "precious");
    }

    #[test]
    fn a_pipe_without_a_reader_is_an_error_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        Folder::open(folder.path()).unwrap().make_pipe("pipe").unwrap();
        let write = |out: &mut dyn Write| out.write_all(b"text");
        let error = save_as(&path, write).unwrap_err().to_string();
        assert!(
            error.ends_with("pipe: a pipe that nobody reads yet, or a socket"),
            "{error}"
        );
        let mut reader = Folder::open(folder.path()).unwrap().pipe("pipe").unwrap();
        save_as(&path, write).unwrap();
        let mut read = [0; 4];
        io::Read::read_exact(&mut reader, &mut read).unwrap();
        assert_eq!(&read, b"text");
    }

    #[test]
    fn a_stream_of_this_process_is_written_to_and_its_name_stays() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "before ").unwrap();
        let log = File::options().append(true).open(&path).unwrap();
        for stream in ["/proc/self/fd", "/dev/fd"] {
            let stream = Path::new(stream).join(log.as_raw_fd().to_string());
            save_as(&stream, |out| out.write_all(b"text")).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "before texttext");
    }

    #[test]
    fn a_folder_is_kept_with_all_that_can_be() {
        let folder = tempfile::tempdir().unwrap();
        save(&open(folder.path()), "a.txt", |out| out.write_all(b"first")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
        keep(&open(folder.path())).unwrap();
    }

    #[test]
    fn what_an_earlier_process_left_unfinished_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(format!(".a.txt.{}.unfinished", std::process::id()));
        fs::write(&left, "half").unwrap();
        save(&open(folder.path()), "a.txt", |out| out.write_all(b"whole")).unwrap();
        assert!(!left.exists());
    }
}
