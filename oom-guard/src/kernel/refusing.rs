//! The limits at which the kernel refuses something to a process, with what the process uses of them. No process is killed at these limits.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use dumper::outcome::{Limit, LimitKind};
use nix::sys::statfs::statfs;
use nix::unistd::Pid;

use crate::kernel::cgroup::Cgroup;
use crate::kernel::headroom::Bound;
use crate::kernel::host::Host;
use crate::kernel::kernel_file::{kibibytes, number, text, value};
use crate::kernel::procfs;

/// More than the files have that are read here.
const TEXT_BYTES: usize = 16 << 10;

/// The limits at which an allocation of this process may fail.
pub fn bounds(host: &Host, pid: Pid) -> Vec<Bound> {
    let own = [mappings(host, pid), locked(host, pid), commit(host)];
    procfs::bounds(host, pid)
        .into_iter()
        .chain(own.into_iter().flatten())
        .collect()
}

fn bound(kind: LimitKind, bytes: u64, used: u64) -> Bound {
    Bound {
        kind,
        path: String::new(),
        bytes,
        used,
        swappable: 0,
    }
}

/// A line of /proc/PID/maps is a mapping.
fn mappings(host: &Host, pid: Pid) -> Option<Bound> {
    let most = number(&host.file("/proc/sys/vm/max_map_count"))?;
    let mut maps = File::open(host.of_process(pid, "maps")).ok()?;
    let mut buffer = [0; 16 << 10];
    let mut lines = 0;
    loop {
        match maps.read(&mut buffer).ok()? {
            0 => return Some(bound(LimitKind::Mappings, most, lines)),
            read => lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64,
        }
    }
}

fn locked(host: &Host, pid: Pid) -> Option<Bound> {
    let most = procfs::soft_limit(&text(&host.of_process(pid, "limits"), TEXT_BYTES)?, "Max locked memory")?;
    let used = kibibytes(&text(&host.of_process(pid, "status"), TEXT_BYTES)?, "VmLck:")?;
    Some(bound(LimitKind::LockedMemory, most, used))
}

/// With `vm.overcommit_memory` of 2 the kernel promises no more than it can keep.
fn commit(host: &Host) -> Option<Bound> {
    if number(&host.file("/proc/sys/vm/overcommit_memory")) != Some(2) {
        return None;
    }
    let machine = text(&host.file("/proc/meminfo"), TEXT_BYTES)?;
    let of = |key| kibibytes(&machine, key);
    Some(bound(LimitKind::Commit, of("CommitLimit:")?, of("Committed_AS:")?))
}

/// The huge pages that are set aside, and how many of them are in use or promised.
pub fn huge_pages(host: &Host) -> Option<Limit> {
    let machine = text(&host.file("/proc/meminfo"), TEXT_BYTES)?;
    let of = |key| value(&machine, key);
    let (total, free) = (of("HugePages_Total:")?, of("HugePages_Free:")?);
    let taken = (total - free.min(total)) + of("HugePages_Rsvd:").unwrap_or(0);
    let bytes = kibibytes(&machine, "Hugepagesize:")?;
    Some(Limit {
        kind: LimitKind::HugePages,
        path: String::new(),
        bytes: total * bytes,
        usage: Some(taken * bytes),
    })
}

/// With less than this a file system is full.
const LITTLE: u64 = 64 << 10;
/// More than a machine with many containers mounts.
const MOUNTS_BYTES: usize = 1 << 20;

/// The file system that a folder is on, and what of it is in use.
pub fn file_system(folder: &Path) -> Option<Limit> {
    let about = statfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(about.block_size().unsigned_abs());
    let (total, free) = (bytes(about.blocks()), bytes(about.blocks_free()));
    (total > 0).then(|| Limit {
        kind: LimitKind::FileSystem,
        path: mount_point(folder).display().to_string(),
        bytes: total,
        usage: Some(total.saturating_sub(free)),
    })
}

/// The file systems in memory (tmpfs) that are full and can be written to. Those of a disk may not answer, and are no memory.
pub fn full_file_systems(host: &Host) -> Vec<Limit> {
    let mounts = text(&host.file("/proc/self/mounts"), MOUNTS_BYTES).unwrap_or_default();
    let in_memory = mounts.lines().filter_map(mounted_in_memory);
    let is_full = |limit: &Limit| limit.usage.is_some_and(|usage| limit.bytes - usage < LITTLE);
    let limits = in_memory.filter_map(|path| {
        let limit = file_system(Path::new(&path))?;
        Some(Limit { path, ..limit })
    });
    limits.filter(is_full).collect()
}

/// Where a line of /proc/self/mounts has a tmpfs that is not read-only. See proc_pid_mounts(5), and getmntent(3) for the blanks.
fn mounted_in_memory(line: &str) -> Option<String> {
    let mut words = line.split(' ').skip(1);
    let (path, kind, options) = (words.next()?, words.next()?, words.next()?);
    let is_writable = !options.split(',').any(|option| option == "ro");
    (kind == "tmpfs" && is_writable).then(|| path.replace("\\040", " "))
}

/// The highest folder that is on the same file system.
fn mount_point(folder: &Path) -> &Path {
    let device = |folder: &Path| folder.metadata().map(|about| about.dev()).ok();
    let own = device(folder);
    let same = folder.ancestors().take_while(|folder| device(folder) == own);
    same.last().unwrap_or(folder)
}

/// The limits on processes and threads of the cgroups that a job is in, and how often each has refused one.
#[derive(Clone, Debug, Default)]
pub struct ProcessCounters(Vec<(PathBuf, Option<u64>)>);

/// The name of the file with such a counter.
const EVENTS: &str = "pids.events";

impl ProcessCounters {
    /// Reads them.
    pub fn read(host: &Host, pid: Pid) -> Self {
        let folders = Cgroup::folders(host, pid, "pids");
        Self(
            folders
                .into_iter()
                .map(|folder| (folder.clone(), refusals(&folder)))
                .collect(),
        )
    }

    /// The limit that has refused a process since then: its value, the file of the counter that has moved, and how.
    pub fn moved(&self) -> Option<(Limit, PathBuf, [u64; 2])> {
        let (folder, change) = self.0.iter().find_map(|(folder, before)| {
            let (before, after) = ((*before)?, refusals(folder)?);
            (after > before).then_some((folder, [before, after]))
        })?;
        // The counter that moves may be that of a cgroup below the one with the limit.
        let limits = self
            .0
            .iter()
            .filter_map(|(folder, _)| Some((number(&folder.join("pids.max"))?, folder)));
        let (most, place) = limits.min()?;
        let limit = Limit {
            kind: LimitKind::CgroupProcesses,
            path: place.display().to_string(),
            bytes: most,
            usage: None,
        };
        Some((limit, folder.join(EVENTS), change))
    }
}

fn refusals(folder: &Path) -> Option<u64> {
    value(&text(&folder.join(EVENTS), TEXT_BYTES)?, "max")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A machine with these files.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn what_a_process_uses_of_each_limit_is_read() {
        let machine = machine(&[
            ("proc/sys/vm/max_map_count", "3\n"),
            ("proc/sys/vm/overcommit_memory", "2\n"),
            ("proc/meminfo", "CommitLimit: 1000 kB\nCommitted_AS: 900 kB\n"),
            ("proc/7/maps", "a\nb\nc\n"),
            (
                "proc/7/limits",
                "Max locked memory         65536                65536                bytes\n",
            ),
            ("proc/7/status", "VmLck:\t      64 kB\n"),
        ]);
        let host = &Host::at(machine.path());
        let found = bounds(host, Pid::from_raw(7));
        let found: Vec<_> = found
            .iter()
            .map(|bound| (bound.kind, bound.bytes, bound.used))
            .collect();
        assert_eq!(
            found,
            [
                (LimitKind::Mappings, 3, 3),
                (LimitKind::LockedMemory, 65_536, 65_536),
                (LimitKind::Commit, 1_024_000, 921_600),
            ]
        );
        fs::write(host.file("/proc/sys/vm/overcommit_memory"), "0\n").unwrap();
        assert_eq!(bounds(host, Pid::from_raw(7)).len(), 2);
        assert!(bounds(host, Pid::from_raw(8)).is_empty());
    }

    #[test]
    fn huge_pages_in_use_and_promised_are_taken() {
        let text = "HugePages_Total:      10\nHugePages_Free:        8\nHugePages_Rsvd:        3\nHugepagesize:       2048 kB\n";
        let machine = machine(&[("proc/meminfo", text)]);
        let limit = huge_pages(&Host::at(machine.path())).unwrap();
        assert_eq!((limit.bytes, limit.usage), (20 << 20, Some(10 << 20)));
    }

    #[test]
    fn a_cgroup_that_has_refused_a_process_is_found_by_its_counter() {
        let machine = machine(&[
            ("a/b/pids.events", "max 3\n"),
            ("a/b/pids.max", "max\n"),
            ("a/pids.events", "max 0\n"),
            ("a/pids.max", "50\n"),
        ]);
        let folders = ["a/b", "a"].map(|folder| machine.path().join(folder));
        let counters = ProcessCounters(
            folders
                .iter()
                .map(|folder| (folder.clone(), refusals(folder)))
                .collect(),
        );
        assert!(counters.moved().is_none());
        fs::write(folders[0].join(EVENTS), "max 5\n").unwrap();
        let (limit, file, change) = counters.moved().unwrap();
        assert_eq!((limit.bytes, limit.path), (50, folders[1].display().to_string()));
        assert_eq!((file, change), (folders[0].join(EVENTS), [3, 5]));
    }

    #[test]
    fn a_file_system_is_named_by_where_it_is_mounted() {
        assert_eq!(mount_point(Path::new("/proc/self/fd")), Path::new("/proc"));
        let of = |line| mounted_in_memory(line);
        assert_eq!(of("shm /dev/a\\040b tmpfs rw,nosuid 0 0").as_deref(), Some("/dev/a b"));
        assert_eq!(of("tmpfs /sys/firmware tmpfs ro,relatime 0 0"), None);
        assert_eq!(of("/dev/vda / ext4 rw 0 0"), None);
    }
}
