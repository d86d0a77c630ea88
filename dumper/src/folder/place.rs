//! A file in an open folder, with the path that people know it by.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::Folder;

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
