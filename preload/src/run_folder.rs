//! The run folder, opened anew each time: no descriptor of ours is left in the job.
//!
//! Hazard: a user who can write to its parent folder can replace it by a link or another folder. So the supervisor passes its
//! inode, and nothing is made in any other folder.

use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use recording::protocol::RunInode;

use crate::sys::{Errno, File};

static IS_KNOWN: AtomicBool = AtomicBool::new(false);
static DEVICE: AtomicU64 = AtomicU64::new(0);
static INODE: AtomicU64 = AtomicU64::new(0);

/// Says which folder it is. Called once, before the program's own code runs.
pub fn expect(RunInode { device, inode }: RunInode) {
    DEVICE.store(device, Relaxed);
    INODE.store(inode, Relaxed);
    IS_KNOWN.store(true, Relaxed);
}

/// Opens a file in the folder; fails if that is not the expected one.
pub fn open(folder: &CStr, name: &CStr, flags: i32) -> Result<File, Errno> {
    let expected = RunInode {
        device: DEVICE.load(Relaxed),
        inode: INODE.load(Relaxed),
    };
    open_if(IS_KNOWN.load(Relaxed).then_some(expected), folder, name, flags)
}

fn open_if(expected: Option<RunInode>, folder: &CStr, name: &CStr, flags: i32) -> Result<File, Errno> {
    // The folder that a Python program names itself may be reached by a link.
    let follow = expected.map_or(0, |_| libc::O_NOFOLLOW);
    let folder = File::open(folder, libc::O_PATH | libc::O_DIRECTORY | follow)?;
    if let Some(expected) = expected
        && !folder
            .identity()
            .is_some_and(|(device, inode)| expected.is_of(device, inode))
    {
        return Err(Errno(libc::ESTALE));
    }
    folder.open_within(name, flags | libc::O_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, symlink};

    const NEW: i32 = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;

    fn c(path: &std::path::Path) -> CString {
        CString::new(path.as_os_str().as_bytes()).unwrap()
    }

    #[test]
    fn nothing_is_made_in_another_folder_than_the_one_that_is_expected() {
        let place = tempfile::tempdir().unwrap();
        let [run, other, link] = ["run", "other", "link"].map(|name| place.path().join(name));
        std::fs::create_dir(&run).unwrap();
        std::fs::create_dir(&other).unwrap();
        let about = std::fs::metadata(&run).unwrap();
        let expected = Some(RunInode {
            device: about.dev(),
            inode: about.ino(),
        });
        let open = |folder: &CStr, name: &CStr, flags| open_if(expected, folder, name, flags);
        assert!(open(&c(&run), c"1-0.recording", NEW).is_ok());
        assert_eq!(open(&c(&other), c"1-0.recording", NEW).err(), Some(Errno(libc::ESTALE)));
        let anywhere = Some(RunInode {
            device: 0,
            inode: about.ino(),
        });
        assert!(open_if(anywhere, &c(&run), c"1-0.recording", libc::O_RDWR).is_ok());
        assert!(open_if(anywhere, &c(&other), c"1-0.recording", NEW).is_err());
        symlink(&run, &link).unwrap();
        assert!(open(&c(&link), c"1-1.recording", NEW).is_err());
        symlink(other.join("planted"), run.join("1-2.recording")).unwrap();
        assert!(open(&c(&run), c"1-2.recording", libc::O_RDWR | libc::O_CREAT).is_err());
        // Exchanged while the job runs.
        std::fs::rename(&run, place.path().join("away")).unwrap();
        symlink(&other, &run).unwrap();
        assert!(open(&c(&run), c"1-3.recording", NEW).is_err());
        assert_eq!(std::fs::read_dir(&other).unwrap().count(), 0);
    }
}
