//! The lock by which a run whose supervisor lives is told from one that ended without a report.
//!
//! The supervisor holds it for as long as it lives, so that neither a process id that has come around nor another container
//! or machine can mislead. Where a network's file system has no locks, what the file says of its holder must do.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem;

use dumper::Folder;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::folder::names::LOCK;
use crate::kernel::host::Host;
use crate::kernel::kernel_file::text;
use crate::kernel::procfs;

/// More than a holder has to say.
const MOST_BYTES: u64 = 4096;
/// No name of a machine is longer, and no id of its start.
const LINE_BYTES: usize = 256;

/// Whether somebody supervises a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervisor {
    /// It lives.
    Lives,
    /// It has ended, or never was.
    Gone,
    /// It is on another machine and cannot be asked.
    Unknown,
}

/// Makes the lock of a new run and holds it for as long as this process lives, and the processes that it forks.
pub fn hold(folder: &Folder) -> io::Result<()> {
    let mut file = folder.create(LOCK)?;
    let mut holder = Holder::this_process();
    match Flock::lock(file.try_clone()?, FlockArg::LockExclusiveNonblock) {
        // A Flock that is dropped unlocks: in a fork of this process, it would for all of us.
        Ok(lock) => mem::forget(lock),
        Err(_) => holder.is_locked = false,
    }
    file.write_all(holder.text().as_bytes())
}

/// Takes the lock that a supervisor has left behind, until this process ends. Fails where somebody else was faster.
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

/// Whether a run has a lock at all; it goes when the last report has been written.
pub fn is_there(folder: &Folder) -> bool {
    folder.has(LOCK)
}

/// Removes the lock of a run that needs no more reports.
pub fn remove(folder: &Folder) {
    let _ = folder.remove(LOCK);
}

/// Whether the supervisor of a run lives.
pub fn supervisor(folder: &Folder) -> Supervisor {
    let Ok(file) = open(folder) else {
        return Supervisor::Gone;
    };
    let holder = Holder::read(&file);
    let this = Holder::this_process();
    match (Flock::lock(file, FlockArg::LockSharedNonblock), holder) {
        (Err((_, Errno::EWOULDBLOCK)), _) => Supervisor::Lives,
        (_, None) => Supervisor::Gone,
        (Ok(_), Some(holder)) if holder.is_locked => Supervisor::Gone,
        (_, Some(holder)) if holder.boot == this.boot => match started(holder.pid) {
            Some(started) if started == holder.started => Supervisor::Lives,
            _ => Supervisor::Gone,
        },
        (_, Some(holder)) if holder.host == this.host => Supervisor::Gone,
        (_, Some(_)) => Supervisor::Unknown,
    }
}

/// Whether a run was begun since this machine was started, so that the kernel's counters go on from what they were then.
pub fn is_of_this_boot(folder: &Folder) -> bool {
    let holder = open(folder).ok().and_then(|file| Holder::read(&file));
    holder.is_some_and(|holder| holder.boot == Holder::this_process().boot)
}

fn open(folder: &Folder) -> io::Result<File> {
    // For writing too: on a network, an exclusive lock may need it.
    folder.file_to_change(LOCK, MOST_BYTES)
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    host: String,
    /// Differs each time the machine is started.
    boot: String,
    pid: u32,
    /// In clock ticks since the machine was started.
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
        assert_eq!(supervisor(&opened(&folder)), Supervisor::Gone);
        hold(&opened(&folder)).unwrap();
        assert_eq!(supervisor(&opened(&folder)), Supervisor::Lives);
        assert!(is_of_this_boot(&opened(&folder)));
        assert!(!take_over(&opened(&folder)));
        assert!(hold(&opened(&folder)).is_err());
        remove(&opened(&folder));
        assert!(!is_there(&opened(&folder)) && !is_of_this_boot(&opened(&folder)));
    }

    #[test]
    fn what_a_dead_supervisor_has_left_can_be_taken_over_once() {
        let folder = with(|_| ());
        assert_eq!(supervisor(&opened(&folder)), Supervisor::Gone);
        assert!(take_over(&opened(&folder)));
        assert!(!take_over(&opened(&folder)));
        assert_eq!(supervisor(&opened(&folder)), Supervisor::Lives);
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
        assert_eq!(seen(|_| ()), Supervisor::Lives);
        assert_eq!(seen(|holder| holder.started += 1), Supervisor::Gone);
        assert_eq!(seen(|holder| holder.boot.push('x')), Supervisor::Gone);
        assert_eq!(
            seen(|holder| {
                holder.boot.push('x');
                holder.host.push('x');
            }),
            Supervisor::Unknown
        );
    }

    #[test]
    fn a_torn_or_planted_lock_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(folder.path()), "host\nboot\n").unwrap();
        assert_eq!(supervisor(&opened(&folder)), Supervisor::Gone);
        remove(&opened(&folder));
        std::os::unix::fs::symlink("/etc/passwd", path(folder.path())).unwrap();
        assert_eq!(supervisor(&opened(&folder)), Supervisor::Gone);
        assert!(!take_over(&opened(&folder)));
    }
}
