//! A folder that is open, by which everything in it is reached: one name at a time, and never through a link.
//!
//! Hazard: a run folder may belong to another user, or be exchanged for something else while it is used. Its path is therefore
//! resolved once. What is read in it are regular files of bounded size: opening a pipe would wait for its other end, a device may
//! never end, and a sparse file of a few blocks can fill all memory.

mod own_way;
mod place;

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, renameat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

pub use place::Place;

/// Entries of a folder that are looked at. Nobody makes so many files in one, and what lists them has to end.
pub const MOST_ENTRIES: usize = 100_000;

/// What every file is opened with.
const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
/// Others than its owner may write to it.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// Only who owns a file in this folder may rename or remove it.
const STICKY: u32 = 0o1000;

/// An open folder. A clone is the same one.
#[derive(Clone, Debug)]
pub struct Folder {
    handle: Arc<OwnedFd>,
    path: PathBuf,
}

/// What tells a folder from a copy of it: no copy and no clone of a repository has the same inode, made at the same moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Birth {
    /// The number of its inode.
    pub inode: u64,
    /// When that was made, in nanoseconds since 1970; none where the file system does not know.
    pub ns: Option<u64>,
}

impl Birth {
    /// Whether the folder with this note is `folder`. A note without a time is not enough if the file system knows the time: the
    /// author of an archive can guess the number of an inode, but not when it is made.
    pub fn is(&self, folder: &Birth) -> bool {
        self.inode == folder.inode && (folder.ns.is_none() || self.ns == folder.ns)
    }
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// Whether it may be a folder. Not every file system says what an entry is.
    pub may_be_folder: bool,
    /// Whether it may be a regular file.
    pub may_be_file: bool,
}

impl Folder {
    /// Opens the folder that the user has named, through links if need be.
    ///
    /// # Errors
    ///
    /// It cannot be opened, or is no folder.
    pub fn open(path: &Path) -> io::Result<Folder> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = openat(CWD, path, flags, Mode::empty())?;
        Ok(Folder {
            handle: Arc::new(handle),
            // In a folder that has been removed, nothing has an absolute path.
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        })
    }

    /// Opens a folder in this one.
    ///
    /// # Errors
    ///
    /// There is none, or a link.
    pub fn folder(&self, name: impl AsRef<OsStr>) -> io::Result<Folder> {
        let name = single(name.as_ref())?;
        let handle = openat(&*self.handle, name, OFlags::DIRECTORY | SAFELY, Mode::empty());
        Ok(Folder {
            handle: Arc::new(handle.map_err(plain)?),
            path: self.path.join(name),
        })
    }

    /// Makes a folder in this one, open to its owner alone.
    ///
    /// # Errors
    ///
    /// There is something of this name, or it cannot be made, or what has been made belongs to another user a moment later.
    pub fn make(&self, name: impl AsRef<OsStr>) -> io::Result<Folder> {
        let name = single(name.as_ref())?;
        mkdirat(&*self.handle, name, Mode::RWXU)?;
        let made = self.folder(name)?;
        // Where nobody else can have exchanged it, it does not matter whom the file system takes for its owner.
        let is_ours = || Ok::<_, io::Error>(made.is_own() && made.entries()?.is_empty());
        match self.keeps_what_is_ours() || is_ours()? {
            true => Ok(made),
            false => Err(io::Error::other("somebody else has put another folder in its place")),
        }
    }

    /// Absolute; for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same folder under another name, as where it is found through a link.
    pub fn called(&self, path: PathBuf) -> Folder {
        Folder {
            handle: Arc::clone(&self.handle),
            path,
        }
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(fstat(&*self.handle)?)
    }

    /// Device and inode.
    ///
    /// # Errors
    ///
    /// The file system does not answer.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        let about = self.stat()?;
        Ok((about.st_dev, about.st_ino))
    }

    /// See [`Birth`].
    ///
    /// # Errors
    ///
    /// The file system does not answer.
    pub fn birth(&self) -> io::Result<Birth> {
        let about = File::from(self.handle.try_clone()?).metadata()?;
        let made = about.created().ok();
        let since = made.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(Birth {
            inode: about.ino(),
            ns: since.and_then(|since| u64::try_from(since.as_nanos()).ok()),
        })
    }

    /// Whether it is the user's, and nobody else can write to it.
    pub fn is_own(&self) -> bool {
        let own = |about: Stat| about.st_uid == geteuid().as_raw() && about.st_mode & WRITABLE_BY_OTHERS == 0;
        self.stat().is_ok_and(own)
    }

    /// Whether a file in it is the user's, and nobody else can write to it.
    pub fn is_own_file(&self, name: impl AsRef<OsStr>) -> bool {
        let own = |about: Metadata| about.uid() == geteuid().as_raw() && about.mode() & WRITABLE_BY_OTHERS == 0;
        let about = self.file(name, u64::MAX).and_then(|file| file.metadata());
        about.is_ok_and(own)
    }

    /// Whether nobody but the user and root can exchange what the user has in it.
    pub fn keeps_what_is_ours(&self) -> bool {
        self.stat().is_ok_and(|about| {
            let is_trusted = about.st_uid == geteuid().as_raw() || about.st_uid == 0;
            is_trusted && (about.st_mode & WRITABLE_BY_OTHERS == 0 || about.st_mode & STICKY != 0)
        })
    }

    /// Opens a regular file for reading, of at most so many bytes.
    ///
    /// # Errors
    ///
    /// There is none, it is larger, or anything else: a link, a pipe, a device, a folder.
    pub fn file(&self, name: impl AsRef<OsStr>, most: u64) -> io::Result<File> {
        self.regular(name.as_ref(), OFlags::RDONLY, most)
    }

    /// The same, for writing too.
    ///
    /// # Errors
    ///
    /// As of [`Folder::file`].
    pub fn file_to_change(&self, name: impl AsRef<OsStr>, most: u64) -> io::Result<File> {
        self.regular(name.as_ref(), OFlags::RDWR, most)
    }

    fn regular(&self, name: &OsStr, access: OFlags, most: u64) -> io::Result<File> {
        let file = openat(&*self.handle, single(name)?, access | SAFELY, Mode::empty());
        let file = File::from(file.map_err(plain)?);
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        if about.len() > most {
            return Err(io::Error::other(format!(
                "larger than the {most} bytes that such a file can have"
            )));
        }
        Ok(file)
    }

    /// Opens whatever it is, but no link and without waiting, for reading and writing.
    ///
    /// # Errors
    ///
    /// It cannot be opened, or is a link.
    pub fn pipe(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let pipe = openat(
            &*self.handle,
            single(name.as_ref())?,
            OFlags::RDWR | SAFELY,
            Mode::empty(),
        );
        let pipe = pipe.map_err(plain)?;
        match FileType::from_raw_mode(fstat(&pipe)?.st_mode) {
            FileType::Fifo => Ok(File::from(pipe)),
            _ => Err(io::Error::other("not a pipe")),
        }
    }

    /// Makes a pipe, its owner's alone.
    ///
    /// # Errors
    ///
    /// There is something of this name, or the file system has no pipes.
    pub fn make_pipe(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(rustix::fs::mknodat(
            &*self.handle,
            single(name.as_ref())?,
            FileType::Fifo,
            mode,
            0,
        )?)
    }

    /// Reads a regular file of at most so many bytes.
    ///
    /// # Errors
    ///
    /// As of [`Folder::file`].
    pub fn read(&self, name: impl AsRef<OsStr>, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // It may grow meanwhile.
        self.file(name, most)?.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Makes a file, its owner's alone.
    ///
    /// # Errors
    ///
    /// There is something of this name, or it cannot be made.
    pub fn create(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | SAFELY;
        let made = openat(&*self.handle, single(name.as_ref())?, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(File::from(made))
    }

    /// Opens a regular file to write at its end.
    ///
    /// # Errors
    ///
    /// There is none, or no regular file.
    pub fn append(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        self.regular(name.as_ref(), OFlags::WRONLY | OFlags::APPEND, u64::MAX)
    }

    /// Gives a file another name, in place of one that has it.
    ///
    /// # Errors
    ///
    /// It cannot be done.
    pub fn rename(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> io::Result<()> {
        let (from, to) = (single(from.as_ref())?, single(to.as_ref())?);
        Ok(renameat(&*self.handle, from, &*self.handle, to)?)
    }

    /// Removes a file or a link, but no folder.
    ///
    /// # Errors
    ///
    /// It cannot be done.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(unlinkat(&*self.handle, single(name.as_ref())?, AtFlags::empty())?)
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    ///
    /// It cannot be done.
    pub fn remove_folder(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(unlinkat(&*self.handle, single(name.as_ref())?, AtFlags::REMOVEDIR)?)
    }

    /// Makes a link.
    ///
    /// # Errors
    ///
    /// There is something of this name, or it cannot be made.
    pub fn link(&self, target: &Path, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(symlinkat(target, &*self.handle, single(name.as_ref())?)?)
    }

    /// Where a link leads.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn link_target(&self, name: impl AsRef<OsStr>) -> io::Result<PathBuf> {
        let target = rustix::fs::readlinkat(&*self.handle, single(name.as_ref())?, Vec::new())?;
        Ok(OsStr::from_bytes(target.as_bytes()).into())
    }

    /// Whether there is a regular file of this name.
    pub fn has_file(&self, name: impl AsRef<OsStr>) -> bool {
        let is_file = |about: Stat| FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
        self.look_at(name.as_ref()).is_ok_and(is_file)
    }

    /// Whether there is anything of this name.
    pub fn has(&self, name: impl AsRef<OsStr>) -> bool {
        self.look_at(name.as_ref()).is_ok()
    }

    /// The number of its inode, of whatever has this name.
    pub fn inode(&self, name: impl AsRef<OsStr>) -> Option<u64> {
        self.look_at(name.as_ref()).ok().map(|about| about.st_ino)
    }

    fn look_at(&self, name: &OsStr) -> io::Result<Stat> {
        Ok(statat(&*self.handle, single(name)?, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// What is in it, in no order: at most [`MOST_ENTRIES`].
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&*self.handle)?.take(MOST_ENTRIES) {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let kind = entry.file_type();
            let may_be = |wanted| kind == wanted || kind == FileType::Unknown;
            if name != b"." && name != b".." {
                entries.push(Entry {
                    name: OsStr::from_bytes(name).to_owned(),
                    may_be_folder: may_be(FileType::Directory),
                    may_be_file: may_be(FileType::RegularFile),
                });
            }
        }
        Ok(entries)
    }

    /// Puts the names in it on disk. Not every file system can do that.
    pub fn sync(&self) {
        let _ = rustix::fs::fsync(&*self.handle);
    }
}

/// A name, not a path.
fn single(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_bytes();
    match bytes.is_empty() || bytes.contains(&b'/') || bytes == b"." || bytes == b".." {
        true => Err(io::Error::other("not the name of a file")),
        false => Ok(name),
    }
}

/// `ELOOP` and `ENOTDIR` are what a link gives that is not followed.
fn plain(error: Errno) -> io::Error {
    match error {
        Errno::LOOP => io::Error::other("a link, which is not followed"),
        // A pipe without a reader, or a socket.
        Errno::NXIO => io::Error::other("not a regular file"),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn nothing_is_reached_through_a_link_or_above_the_folder() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("run")).unwrap();
        fs::write(place.path().join("secret"), "precious").unwrap();
        let run = Folder::open(&place.path().join("run")).unwrap();
        symlink("../secret", place.path().join("run/link")).unwrap();
        symlink("..", place.path().join("run/up")).unwrap();
        for name in ["link", "up/secret", "../secret", "..", ".", "", "/etc/passwd"] {
            assert!(run.read(name, 100).is_err(), "{name}");
            assert!(run.file_to_change(name, 100).is_err(), "{name}");
            assert!(run.folder(name).is_err(), "{name}");
            assert!(run.create(name).is_err(), "{name}");
        }
        assert!(run.remove("../secret").is_err() && run.rename("link", "../secret").is_err());
        assert_eq!(fs::read_to_string(place.path().join("secret")).unwrap(), "precious");
    }

    #[test]
    fn a_folder_is_the_same_wherever_its_path_leads_meanwhile() {
        let place = tempfile::tempdir().unwrap();
        let output = Folder::open(place.path()).unwrap();
        let run = output.make("run").unwrap();
        fs::rename(run.path(), place.path().join("away")).unwrap();
        fs::create_dir(place.path().join("victim")).unwrap();
        symlink("victim", place.path().join("run")).unwrap();
        run.create("a").unwrap();
        run.rename("a", "b").unwrap();
        assert!(place.path().join("away/b").exists());
        assert_eq!(fs::read_dir(place.path().join("victim")).unwrap().count(), 0);
        assert!(output.folder("run").is_err());
    }

    #[test]
    fn a_moved_folder_is_the_same_and_a_copy_or_a_new_one_of_that_name_is_not() {
        let place = tempfile::tempdir().unwrap();
        let output = Folder::open(place.path()).unwrap();
        let run = output.make("run").unwrap();
        let made = run.birth().unwrap();
        output.rename("run", "moved").unwrap();
        assert!(made.is(&output.folder("moved").unwrap().birth().unwrap()));
        let other = output.make("run").unwrap();
        assert!(!made.is(&other.birth().unwrap()));
        let unknown = Birth { ns: None, ..made };
        assert!(made.is(&unknown), "a file system that does not know the time");
        assert_eq!(unknown.is(&made), made.ns.is_none(), "a note without the time");
        let earlier = Birth {
            ns: made.ns.map(|ns| ns - 1),
            ..made
        };
        assert_eq!(made.is(&earlier), made.ns.is_none());
    }

    #[test]
    fn what_others_can_write_to_is_nobodys_own() {
        let place = tempfile::tempdir().unwrap();
        let output = Folder::open(place.path()).unwrap();
        let run = output.make("run").unwrap();
        for (mode, is_own, keeps) in [
            (0o700, true, true),
            (0o755, true, true),
            (0o770, false, false),
            (0o702, false, false),
            (0o1777, false, true),
        ] {
            fs::set_permissions(run.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!((run.is_own(), run.keeps_what_is_ours()), (is_own, keeps), "{mode:o}");
        }
    }

    #[test]
    fn a_file_may_be_as_large_as_was_said_and_no_larger() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        fs::write(place.path().join("a"), "12345").unwrap();
        assert_eq!(folder.read("a", 5).unwrap(), b"12345");
        assert!(
            folder
                .read("a", 4)
                .unwrap_err()
                .to_string()
                .contains("larger than the 4 bytes")
        );
        assert!(folder.has_file("a") && !folder.has_file("b") && !folder.has("b"));
    }
}
