//! Reads what the kernel says: cgroups, /proc, page maps, ELF files. Over a root path, so that tests point it at a folder.

use std::sync::LazyLock;

use nix::unistd::{SysconfVar, sysconf};

pub mod areas;
pub mod cgroup;
pub mod elf;
pub mod end;
pub mod filesystem;
pub mod headroom;
pub mod host;
pub mod identity;
pub mod kernel_file;
pub mod log;
pub mod pagemap;
pub mod poll;
pub mod process;
pub mod procfs;
pub mod refusing;
pub mod stack;

/// Bytes of an ordinary page: 4 KiB on x86-64; 4, 16 or 64 KiB on aarch64.
pub fn page_bytes() -> u64 {
    static BYTES: LazyLock<u64> = LazyLock::new(|| {
        let asked = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
        asked.map_or(4096, i64::unsigned_abs)
    });
    *BYTES
}
