//! Opens a folder through links that nobody but the user and root has made.
//!
//! Hazard: in a folder of several users, a name can become a link at any moment, also one to a folder of the user's. So the path is
//! walked part by part, each part is opened before it is looked at, and every link on the way counts, also those behind a link.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::Folder;

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

/// What is left to walk of a path.
struct Part {
    name: OsString,
    /// A folder that only a link names is not made.
    may_make: bool,
}

impl Folder {
    /// Opens a folder. With `make`, makes it and those that it is in, where they are missing; the last one is open to its owner alone.
    ///
    /// # Errors
    ///
    /// It cannot be opened or made, or a link of another user is on the way.
    pub fn open_own_way(path: &Path, make: bool) -> io::Result<Folder> {
        let absolute = std::path::absolute(path)?;
        let mut at = open(CWD, OsStr::new("/"), OFlags::DIRECTORY)?;
        let mut way = parts(&absolute, make);
        let mut links = 0;
        while let Some(part) = way.pop() {
            let next = match open(&at, &part.name, OFlags::NOFOLLOW) {
                Err(Errno::NOENT) if part.may_make => {
                    let mode = match way.is_empty() {
                        true => Mode::RWXU,
                        false => Mode::RWXU | Mode::RWXG | Mode::RWXO,
                    };
                    match mkdirat(&at, &part.name, mode) {
                        // Another process was faster.
                        Ok(()) | Err(Errno::EXIST) => open(&at, &part.name, OFlags::NOFOLLOW)?,
                        Err(error) => return Err(error.into()),
                    }
                }
                next => next?,
            };
            let about = fstat(&next)?;
            match FileType::from_raw_mode(about.st_mode) {
                FileType::Directory => at = next,
                FileType::Symlink => {
                    links += 1;
                    if about.st_uid != 0 && about.st_uid != geteuid().as_raw() {
                        let name = Path::new(&part.name).display();
                        return Err(io::Error::other(format!("{name} is a link that another user has made")));
                    }
                    if links > MOST_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = readlinkat(&next, "", Vec::new())?;
                    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                    if target.is_absolute() {
                        at = open(CWD, OsStr::new("/"), OFlags::DIRECTORY)?;
                    }
                    way.extend(parts(&target, false));
                }
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Folder {
            handle: Arc::new(openat(&at, ".", flags, Mode::empty())?),
            path: absolute,
        })
    }
}

fn open(at: impl std::os::fd::AsFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat(at, name, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty())
}

/// The parts of a path, the last one first.
fn parts(path: &Path, may_make: bool) -> Vec<Part> {
    let names = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::new("..")),
        _ => None,
    });
    let part = |name: &OsStr| Part {
        name: name.to_owned(),
        may_make,
    };
    names.map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    #[test]
    fn what_is_missing_is_made_and_ones_own_links_are_followed() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        let opened = |name: &str, make| Folder::open_own_way(&path(name), make);
        let made = opened("a/b", true).unwrap();
        assert_eq!(made.path(), path("a/b"));
        assert_eq!(fs::metadata(path("a/b")).unwrap().permissions().mode() & 0o777, 0o700);
        symlink(path("a"), path("absolute")).unwrap();
        symlink("absolute/../absolute/b", path("relative")).unwrap();
        for name in ["a/b", "absolute/b", "relative", "a/../relative", "relative/."] {
            assert_eq!(
                opened(name, false).unwrap().identity().unwrap(),
                made.identity().unwrap(),
                "{name}"
            );
        }
        opened("relative/new", true).unwrap();
        assert!(path("a/b/new").is_dir());
    }

    #[test]
    fn what_is_no_folder_is_an_error_and_nothing_is_made_for_a_link() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::write(path("file"), "").unwrap();
        symlink("nowhere", path("dangling")).unwrap();
        symlink("loop", path("loop")).unwrap();
        for name in ["file", "file/x", "dangling", "dangling/x", "loop"] {
            assert!(Folder::open_own_way(&path(name), true).is_err(), "{name}");
        }
        assert!(Folder::open_own_way(&path("missing"), false).is_err());
        assert!(!path("nowhere").exists() && !path("missing").exists());
    }

    #[test]
    fn a_link_of_another_user_is_not_followed_also_behind_one_of_ones_own() {
        if !geteuid().is_root() {
            println!("left out: only root can make a link that is another user's");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir(path("private")).unwrap();
        symlink(path("private"), path("theirs")).unwrap();
        lchown(path("theirs"), Some(65534), Some(65534)).unwrap();
        symlink("theirs", path("own")).unwrap();
        symlink("own/deep", path("deeper")).unwrap();
        for name in ["theirs", "theirs/deep", "own", "own/deep/still", "deeper"] {
            let error = Folder::open_own_way(&path(name), true).unwrap_err().to_string();
            assert_eq!(error, "theirs is a link that another user has made", "{name}");
        }
        assert_eq!(fs::read_dir(path("private")).unwrap().count(), 0);
    }
}
