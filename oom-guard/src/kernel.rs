//! Reads what the kernel says: cgroups, /proc, page maps, ELF files. Over a root path, so that tests point it at a folder.

pub mod areas;
pub mod cgroup;
pub mod elf;
pub mod end;
pub mod filesystem;
pub mod headroom;
pub mod host;
pub mod identity;
pub mod kernel_file;
pub mod pagemap;
pub mod poll;
pub mod process;
pub mod procfs;
pub mod stack;
