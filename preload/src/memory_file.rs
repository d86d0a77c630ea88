//! Which mappings are memory: anonymous ones, files that are in memory, and what is written of a private mapping of a file. A shared mapping
//! of a file on a disk is page cache.
#![expect(unsafe_code, reason = "asks what a descriptor is")]

use core::ffi::c_int;
use core::mem::MaybeUninit;

use recording::Kind;

use crate::{errno, sys};

/// `TMPFS_MAGIC`, `RAMFS_MAGIC` and `HUGETLBFS_MAGIC` of statfs(2): /dev/shm, memfd_create and huge pages among them.
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;
const HUGETLBFS: u64 = 0x9584_58f6;
/// Character device 1:5, `/dev/zero`.
const ZERO: (u32, u32) = (1, 5);

/// What a new mapping is, if it is memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Memory {
    /// A mapping that is not writable is only reserved.
    pub kind: Kind,
    /// Which file in memory it shows; 0 for none.
    pub file: u64,
    /// The size of its pages: huge ones come whole.
    pub page: u64,
}

/// What a new mapping is; `None` if it is no memory.
pub fn classify(access: c_int, flags: c_int, file: c_int) -> Option<Memory> {
    let is_shared = flags & libc::MAP_SHARED != 0;
    let anonymous = if is_shared { Kind::Shared } else { Kind::Mapping };
    let is_writable = access & libc::PROT_WRITE != 0;
    if flags & libc::MAP_ANONYMOUS != 0 {
        return Some(Memory {
            kind: if is_writable { anonymous } else { Kind::Reserved },
            file: 0,
            page: page(flags),
        });
    }
    if !is_writable {
        return None;
    }
    let errno = errno::get();
    let found = of_file(file, is_shared);
    errno::set(errno);
    let private = || Memory {
        kind: Kind::PrivateFile,
        file: 0,
        page: page(flags),
    };
    let in_memory = found.map(|(file, page)| Memory {
        kind: if file == 0 { anonymous } else { Kind::Shared },
        file,
        page,
    });
    in_memory.or_else(|| (!is_shared).then(private))
}

/// An id and the size of the pages: id 0 for `/dev/zero`, another one for a shared file in memory; `None` for a file on a disk.
fn of_file(file: c_int, is_shared: bool) -> Option<(u64, u64)> {
    let mut about = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the call wants a writable struct, which `MaybeUninit` gives. A bad descriptor is an error and no more.
    if unsafe { libc::fstat(file, about.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: `assume_init` wants a value: the bytes were zeroed, and zeros are a value of this C struct of integers.
    let about = unsafe { about.assume_init() };
    let device = (libc::major(about.st_rdev), libc::minor(about.st_rdev));
    if about.st_mode & libc::S_IFMT == libc::S_IFCHR && device == ZERO {
        return Some((0, sys::page_bytes()));
    }
    let mut system = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the call wants a writable struct, which `MaybeUninit` gives. A bad descriptor is an error and no more.
    if !is_shared || unsafe { libc::fstatfs(file, system.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: `assume_init` wants a value: the bytes were zeroed, and zeros are a value of this C struct of integers.
    let system = unsafe { system.assume_init() };
    let id = (about.st_dev.rotate_left(40) ^ about.st_ino) | 1 << 62;
    match system.f_type as u64 & 0xffff_ffff {
        // Its blocks are its pages.
        HUGETLBFS => Some((id, system.f_bsize as u64)),
        TMPFS | RAMFS => Some((id, sys::page_bytes())),
        _ => None,
    }
}

/// mmap(2): the logarithm of a huge page's size in the bits from 26 on; without it the usual one, 2 MiB.
fn page(flags: c_int) -> u64 {
    match (flags & libc::MAP_HUGETLB, (flags as u32) >> 26 & 0x3f) {
        (0, _) => sys::page_bytes(),
        (_, 0) => 2 << 20,
        (_, log2) => 1 << log2,
    }
}

/// The size of a segment of System V's shared memory; 0 if it cannot be found out.
pub fn segment_bytes(segment: c_int) -> u64 {
    let errno = errno::get();
    let mut about = MaybeUninit::<libc::shmid_ds>::zeroed();
    // SAFETY: shmctl wants a writable shmid_ds, which `MaybeUninit` gives. A bad segment is an error and no more.
    let asked = unsafe { libc::shmctl(segment, libc::IPC_STAT, about.as_mut_ptr()) };
    errno::set(errno);
    // SAFETY: `assume_init` wants a value: the bytes were zeroed, and zeros are a value of this C struct of integers.
    let about = unsafe { about.assume_init() };
    if asked == 0 { about.shm_segsz as u64 } else { 0 }
}

/// An id as for a file in memory.
pub fn segment_id(segment: c_int) -> u64 {
    segment as u32 as u64 | 1 << 63
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn what_is_memory_is_told_from_what_is_a_file() {
        let (read, write) = (libc::PROT_READ, libc::PROT_READ | libc::PROT_WRITE);
        let (private, shared) = (libc::MAP_PRIVATE, libc::MAP_SHARED);
        let bytes = sys::page_bytes();
        let memory = |kind, file, page| Some(Memory { kind, file, page });
        let anonymous = |access, flags| classify(access, flags | libc::MAP_ANONYMOUS, -1);
        assert_eq!(anonymous(write, private), memory(Kind::Mapping, 0, bytes));
        assert_eq!(anonymous(write, shared), memory(Kind::Shared, 0, bytes));
        assert_eq!(anonymous(libc::PROT_NONE, private), memory(Kind::Reserved, 0, bytes));
        let huge = private | libc::MAP_HUGETLB;
        assert_eq!(anonymous(write, huge), memory(Kind::Mapping, 0, 2 << 20));
        assert_eq!(anonymous(write, huge | 30 << 26), memory(Kind::Mapping, 0, 1 << 30));
        let zero = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/zero")
            .unwrap();
        assert_eq!(
            classify(write, private, zero.as_raw_fd()),
            memory(Kind::Mapping, 0, bytes)
        );
        let on_disk = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        assert_eq!(classify(write, shared, on_disk.as_raw_fd()), None);
        assert_eq!(
            classify(write, private, on_disk.as_raw_fd()),
            memory(Kind::PrivateFile, 0, bytes)
        );
        assert_eq!(classify(read, private, on_disk.as_raw_fd()), None);
        let in_memory = tempfile::tempfile_in("/dev/shm").unwrap();
        let seen = classify(write, shared, in_memory.as_raw_fd()).unwrap();
        assert!(seen.kind == Kind::Shared && seen.file != 0);
        assert_eq!(classify(read, shared, in_memory.as_raw_fd()), None);
        assert_eq!(classify(write, shared, -1), None);
    }
}
