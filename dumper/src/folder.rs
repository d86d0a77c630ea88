//! A folder that is open, by which everything in it is reached: one name at a time, and never through a link.
//!
//! Hazard: a run folder may be somebody else's, or be exchanged for something else while it is used. Its path is therefore
//! resolved once. What is read in it are regular files of bounded size: opening a pipe would wait for its other end, a device may
//! never end, and a sparse file of a few blocks can fill all memory.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::ops::Deref;
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
    /// Whether this is the same folder, for all that is known.
    pub fn is(&self, other: &Birth) -> bool {
        // One machine that has a network's file system may know a time that another does not.
        let differs = self.ns.zip(other.ns).is_some_and(|(one, other)| one != other);
        self.inode == other.inode && !differs
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
    /// There is something of this name, or it cannot be made, or what has been made is somebody else's a moment later.
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

/// Where a file is: its path, for messages, and the open folder by which it is reached. What comes from a bundle has a path alone.
#[derive(Clone, Debug)]
pub struct Place {
    folder: Option<Folder>,
    path: PathBuf,
}

impl Place {
    /// Of a file in a folder.
    pub fn within(folder: &Folder, name: impl AsRef<OsStr>) -> Place {
        Place {
            path: folder.path.join(name.as_ref()),
            folder: Some(folder.clone()),
        }
    }

    /// Of a file that the user has named.
    ///
    /// # Errors
    ///
    /// Its folder cannot be opened.
    pub fn of(path: &Path) -> io::Result<Place> {
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::other("not the name of a file"))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = Folder::open(folder.unwrap_or(Path::new(".")))?;
        Ok(Place {
            folder: Some(folder.called(folder.path.clone())),
            path: path.with_file_name(name),
        })
    }

    /// The folder; none where there is no such file.
    pub fn folder(&self) -> Option<&Folder> {
        self.folder.as_ref()
    }

    /// Its name in the folder.
    pub fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// Opens the file for reading: a regular one, of at most so many bytes.
    ///
    /// # Errors
    ///
    /// As of [`Folder::file`].
    pub fn file(&self, most: u64) -> io::Result<File> {
        self.reach()?.file(self.name(), most)
    }

    /// Removes the file.
    ///
    /// # Errors
    ///
    /// It cannot be done.
    pub fn remove(&self) -> io::Result<()> {
        self.reach()?.remove(self.name())
    }

    /// The folder, or that there is none.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn reach(&self) -> io::Result<&Folder> {
        self.folder.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Deref for Place {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for Place {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// Of what is nowhere but in a bundle.
impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Place {
        Place { folder: None, path }
    }
}

impl From<String> for Place {
    fn from(path: String) -> Place {
        PathBuf::from(path).into()
    }
}

impl From<&str> for Place {
    fn from(path: &str) -> Place {
        PathBuf::from(path).into()
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Place) -> bool {
        self.path == other.path
    }
}

impl Eq for Place {}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Place) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Place) -> Ordering {
        self.path.cmp(&other.path)
    }
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path.hash(state);
    }
}
