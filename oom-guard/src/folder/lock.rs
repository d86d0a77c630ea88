//! The lock of a run: a run whose lock nobody holds has ended. If it has no report, it was left behind.
//!
//! `fil-profile` holds the lock for its whole life. Unlike a process id, a lock cannot be mistaken after the id was reused, in another
//! container, or on another machine. On a file system without locks, the text in the file says who the holder is.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem;

use dumper::Folder;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::kernel::host::Host;
use crate::kernel::kernel_file::text;
use crate::kernel::procfs;
use recording::protocol::files::LOCK;

/// More than the text about a holder has.
const MOST_BYTES: u64 = 4096;
/// More than the name of a machine, or the id of its boot, has.
const LINE_BYTES: usize = 256;

/// Whether somebody supervises a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SupervisorState {
    /// It lives.
    Lives,
    /// It has ended, or never was.
    Gone,
    /// It is on another machine and cannot be asked.
    Unknown,
}

/// Makes the lock of a new run and holds it until this process and all processes that it forks have ended.
pub fn hold(folder: &Folder) -> io::Result<()> {
    let mut file = folder.create(LOCK)?;
    let mut holder = Holder::this_process();
    match Flock::lock(file.try_clone()?, FlockArg::LockExclusiveNonblock) {
        // Dropping a Flock unlocks it, and in a forked process it would do so for all of them.
        Ok(lock) => mem::forget(lock),
        Err(_) => holder.is_locked = false,
    }
    file.write_all(holder.text().as_bytes())
}

/// Takes the lock that a supervisor has left behind, until this process ends. Returns false if another process was faster.
pub fn take_over(folder: &Folder) -> bool {
    let locked = open(folder).map(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock));
    match locked {
        Ok(Ok(lock)) => {
            mem::forget(lock);
            true
        }
        Ok(Err((_, Errno::EWOULDBLOCK))) | Err(_) => false,
        Ok(Err(_)) => true,
    }
}

/// Whether a run has a lock file at all; it is removed when the last report has been written.
pub fn is_there(folder: &Folder) -> bool {
    folder.has(LOCK)
}

/// Removes the lock of a run that needs no more reports.
pub fn remove(folder: &Folder) {
    let _ = folder.remove(LOCK);
}

/// Whether the supervisor of a run lives.
pub fn supervisor(folder: &Folder) -> SupervisorState {
    let Ok(file) = open(folder) else {
        return SupervisorState::Gone;
    };
    let holder = Holder::read(&file);
    let this = Holder::this_process();
    match (Flock::lock(file, FlockArg::LockSharedNonblock), holder) {
        (Err((_, Errno::EWOULDBLOCK)), _) => SupervisorState::Lives,
        (_, None) => SupervisorState::Gone,
        (Ok(_), Some(holder)) if holder.is_locked => SupervisorState::Gone,
        (_, Some(holder)) if holder.boot == this.boot => match started(holder.pid) {
            Some(started) if started == holder.started => SupervisorState::Lives,
            _ => SupervisorState::Gone,
        },
        (_, Some(holder)) if holder.host == this.host => SupervisorState::Gone,
        (_, Some(_)) => SupervisorState::Unknown,
    }
}

/// Whether a run began after this machine was booted, so that the kernel's counters have not been reset since.
pub fn is_of_this_boot(folder: &Folder) -> bool {
    let holder = open(folder).ok().and_then(|file| Holder::read(&file));
    holder.is_some_and(|holder| holder.boot == Holder::this_process().boot)
}

fn open(folder: &Folder) -> io::Result<File> {
    // Also for writing: on a network's file system, an exclusive lock may need that.
    folder.file_to_change(LOCK, MOST_BYTES)
}

/// The text in the lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    host: String,
    /// The id of the machine's boot, which is different each time.
    boot: String,
    pid: u32,
    /// When the process was started, in clock ticks since the machine's boot.
    started: u64,
    /// Whether the file system has locks.
    is_locked: bool,
}

impl Holder {
    fn this_process() -> Self {
        let line = |path| {
            text(&Host::this().file(path), LINE_BYTES)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let pid = std::process::id();
        Self {
            host: line("/proc/sys/kernel/hostname"),
            boot: line("/proc/sys/kernel/random/boot_id"),
            pid,
            started: started(pid).unwrap_or(0),
            is_locked: true,
        }
    }

    fn text(&self) -> String {
        let locked = if self.is_locked { "locked" } else { "not locked" };
        format!(
            "{}\n{}\n{}\n{}\n{locked}\n",
            self.host, self.boot, self.pid, self.started
        )
    }

    fn read(file: &File) -> Option<Self> {
        let mut text = String::new();
        file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut next = || lines.next();
        Some(Self {
            host: next()?.to_owned(),
            boot: next()?.to_owned(),
            pid: next()?.parse().ok()?,
            started: next()?.parse().ok()?,
            is_locked: next()? == "locked",
        })
    }
}

/// When a process was started; none if there is no such process.
fn started(pid: u32) -> Option<u64> {
    let (host, pid) = (Host::this(), i32::try_from(pid).ok()?);
    procfs::is_running(&host, pid).then(|| procfs::started(&host, pid))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn path(folder: &Path) -> PathBuf {
        folder.join(LOCK)
    }

    fn opened(folder: &tempfile::TempDir) -> Folder {
        Folder::open(folder.path()).unwrap()
    }

    fn with(change: impl FnOnce(&mut Holder)) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut holder = Holder::this_process();
        change(&mut holder);
        fs::write(path(folder.path()), holder.text()).unwrap();
        folder
    }

    #[test]
    fn a_lock_that_is_held_is_seen_by_others_and_taken_by_nobody() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(supervisor(&opened(&folder)), SupervisorState::Gone);
        hold(&opened(&folder)).unwrap();
        assert_eq!(supervisor(&opened(&folder)), SupervisorState::Lives);
        assert!(is_of_this_boot(&opened(&folder)));
        assert!(!take_over(&opened(&folder)));
        assert!(hold(&opened(&folder)).is_err());
        remove(&opened(&folder));
        assert!(!is_there(&opened(&folder)) && !is_of_this_boot(&opened(&folder)));
    }

    #[test]
    fn what_a_dead_supervisor_has_left_can_be_taken_over_once() {
        let folder = with(|_| ());
        assert_eq!(supervisor(&opened(&folder)), SupervisorState::Gone);
        assert!(take_over(&opened(&folder)));
        assert!(!take_over(&opened(&folder)));
        assert_eq!(supervisor(&opened(&folder)), SupervisorState::Lives);
    }

    #[test]
    fn without_locks_a_supervisor_is_known_by_its_process() {
        let seen = |change: fn(&mut Holder)| {
            let folder = with(|holder| {
                holder.is_locked = false;
                change(holder);
            });
            supervisor(&opened(&folder))
        };
        assert_eq!(seen(|_| ()), SupervisorState::Lives);
        assert_eq!(seen(|holder| holder.started += 1), SupervisorState::Gone);
        assert_eq!(seen(|holder| holder.boot.push('x')), SupervisorState::Gone);
        assert_eq!(
            seen(|holder| {
                holder.boot.push('x');
                holder.host.push('x');
            }),
            SupervisorState::Unknown
        );
    }

    #[test]
    fn a_torn_or_planted_lock_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(folder.path()), "host\nboot\n").unwrap();
        assert_eq!(supervisor(&opened(&folder)), SupervisorState::Gone);
        remove(&opened(&folder));
        std::os::unix::fs::symlink("/etc/passwd", path(folder.path())).unwrap();
        assert_eq!(supervisor(&opened(&folder)), SupervisorState::Gone);
        assert!(!take_over(&opened(&folder)));
    }
}
