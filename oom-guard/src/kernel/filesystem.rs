//! Tells the kind of file system of a folder. A mapped file on a network's file system is slow. One in memory counts towards the job's
//! limit and is lost when the machine stops.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::stat::{major, minor};
use nix::sys::statfs::{FsType, statfs};

/// Kinds of file system, as far as a recording has to do with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// On a disk of this machine, as far as is known.
    Local,
    /// In memory.
    Memory,
    /// On another machine, or served by a process (FUSE).
    Network,
}

/// `f_type` of statfs(2) of what is not on a disk of this machine: linux/magic.h and the file systems' own headers.
const NETWORK: [u32; 18] = [
    0x0000_6969, // NFS
    0x0000_517b, // SMB
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x0bd0_0bd0, // Lustre
    0x4750_4653, // GPFS
    0x1983_0326, // BeeGFS
    0x00c3_6400, // Ceph
    0xaad7_aaea, // PanFS
    0x0116_1970, // GFS2
    0x7461_636f, // OCFS2
    0x2003_0528, // OrangeFS
    0x5346_414f, // OpenAFS
    0x6b41_4653, // AFS
    0x7375_7245, // Coda
    0x0102_1997, // 9P
    0x6573_5546, // FUSE
    0x786f_4256, // VirtualBox
];

const MEMORY: [u32; 2] = [
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
];

/// The kind of file system that a folder is on; local where that is not known.
pub fn kind(folder: &Path) -> FileSystem {
    let kind = statfs(folder).map_or(FileSystem::Local, |about| of_type(about.filesystem_type()));
    if kind == FileSystem::Local && is_handed_through(folder) {
        return FileSystem::Network;
    }
    kind
}

/// Whether it is on 9p, which in some kernels tells the number of the file system that is at its other end.
fn is_handed_through(folder: &Path) -> bool {
    let Ok(device) = fs::metadata(folder).map(|about| about.dev()) else {
        return false;
    };
    let mounts = File::open("/proc/self/mountinfo").map(BufReader::new);
    let mut lines = mounts
        .into_iter()
        .flat_map(|mounts| mounts.lines().map_while(Result::ok));
    let device = format!("{}:{}", major(device), minor(device));
    lines.any(|line| is_9p_mount(&line, &device))
}

/// `36 35 0:32 / /mnt/out rw,relatime - 9p out rw,…`: between the options and the dash there may be more.
fn is_9p_mount(line: &str, device: &str) -> bool {
    let kind = line.split_once(" - ").map(|(_, about)| about);
    line.split(' ').nth(2) == Some(device) && kind.is_some_and(|kind| kind.starts_with("9p "))
}

fn of_type(file_system: FsType) -> FileSystem {
    // Some kernels extend the sign of a number that has 32 bits.
    match file_system.0 as u32 {
        number if MEMORY.contains(&number) => FileSystem::Memory,
        number if NETWORK.contains(&number) => FileSystem::Network,
        _ => FileSystem::Local,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_memory_or_on_a_network_is_told_by_its_number() {
        for (number, kind) in [
            (0x0000_6969, FileSystem::Network),
            (0xff53_4d42, FileSystem::Network),
            (0xff53_4d42_u32 as i32 as i64, FileSystem::Network),
            (0x6573_5546, FileSystem::Network),
            (0x0102_1994, FileSystem::Memory),
            (0x8584_58f6, FileSystem::Memory),
            (0xef53, FileSystem::Local),
            (0x794c_7630, FileSystem::Local),
        ] {
            assert_eq!(of_type(FsType(number)), kind, "{number:x}");
        }
    }

    #[test]
    fn a_mount_of_9p_is_known_by_its_device() {
        let line = "36 35 0:32 / /mnt/out rw,relatime shared:1 - 9p out rw,access=client";
        assert!(is_9p_mount(line, "0:32"));
        assert!(!is_9p_mount(line, "0:3"));
        assert!(!is_9p_mount("36 35 0:32 / /mnt/9p rw - ext4 /dev/vda rw", "0:32"));
    }

    #[test]
    fn a_folder_that_cannot_be_asked_counts_as_local() {
        assert_eq!(kind(Path::new("/no/such/folder")), FileSystem::Local);
        assert_eq!(kind(Path::new("/dev/shm")), FileSystem::Memory);
    }
}
