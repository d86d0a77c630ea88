//! Which mappings are memory: anonymous ones, and files that are in memory. What shows a file of a disk is page cache.
#![expect(unsafe_code, reason = "asks what a descriptor is")]

use core::ffi::c_int;
use core::mem::MaybeUninit;

use recording::Kind;

use crate::errno;

/// `TMPFS_MAGIC`, `RAMFS_MAGIC` and `HUGETLBFS_MAGIC` of statfs(2): /dev/shm, memfd_create and huge pages among them.
const IN_MEMORY: [u64; 3] = [0x0102_1994, 0x8584_58f6, 0x9584_58f6];
/// Character device 1:5, `/dev/zero`.
const ZERO: (u32, u32) = (1, 5);

/// What kind of memory a new mapping is, and of which file in memory (0 for none); `None` if it is no memory. What cannot be
/// written to is only reserved.
pub fn kind(access: c_int, flags: c_int, file: c_int) -> Option<(Kind, u64)> {
    let is_shared = flags & libc::MAP_SHARED != 0;
    let anonymous = if is_shared { Kind::Shared } else { Kind::Mapping };
    let is_writable = access & libc::PROT_WRITE != 0;
    if flags & libc::MAP_ANONYMOUS != 0 {
        return Some((if is_writable { anonymous } else { Kind::Reserved }, 0));
    }
    if !is_writable {
        return None;
    }
    let errno = errno::get();
    let kind = of_file(file, is_shared);
    errno::set(errno);
    match kind {
        Some(0) => Some((anonymous, 0)),
        Some(id) => Some((Kind::Shared, id)),
        None => None,
    }
}

/// 0 for the file of zeros, an id for one in memory that is shared; `None` for what is on a disk.
fn of_file(file: c_int, is_shared: bool) -> Option<u64> {
    let mut about = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: writable; a bad descriptor gives an error.
    if unsafe { libc::fstat(file, about.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: zeros are a value of it, and fstat has filled it.
    let about = unsafe { about.assume_init() };
    let device = (libc::major(about.st_rdev), libc::minor(about.st_rdev));
    if about.st_mode & libc::S_IFMT == libc::S_IFCHR && device == ZERO {
        return Some(0);
    }
    let mut system = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: writable; a bad descriptor gives an error.
    if !is_shared || unsafe { libc::fstatfs(file, system.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: zeros are a value of it, and fstatfs has filled it.
    let system = unsafe { system.assume_init() };
    let id = (about.st_dev.rotate_left(40) ^ about.st_ino) | 1 << 62;
    IN_MEMORY.contains(&(system.f_type as u64 & 0xffff_ffff)).then_some(id)
}

/// Huge pages come whole.
pub fn rounded(bytes: usize, flags: c_int) -> u64 {
    if flags & libc::MAP_HUGETLB == 0 {
        return bytes as u64;
    }
    // mmap(2): the logarithm of the page size in the bits from 26 on; without it the usual one, 2 MiB.
    let log2 = match (flags as u32) >> 26 & 0x3f {
        0 => 21,
        log2 => log2,
    };
    (bytes as u64).saturating_add((1 << log2) - 1) >> log2 << log2
}

/// How large a segment of System V's shared memory is; 0 where that cannot be asked.
pub fn segment_bytes(segment: c_int) -> u64 {
    let errno = errno::get();
    let mut about = MaybeUninit::<libc::shmid_ds>::zeroed();
    // SAFETY: writable; a bad segment gives an error.
    let asked = unsafe { libc::shmctl(segment, libc::IPC_STAT, about.as_mut_ptr()) };
    errno::set(errno);
    // SAFETY: zeros are a value of it.
    let about = unsafe { about.assume_init() };
    if asked == 0 { about.shm_segsz as u64 } else { 0 }
}

/// As a file in memory.
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
        let anonymous = |access, flags| kind(access, flags | libc::MAP_ANONYMOUS, -1);
        assert_eq!(anonymous(write, private), Some((Kind::Mapping, 0)));
        assert_eq!(anonymous(write, shared), Some((Kind::Shared, 0)));
        assert_eq!(anonymous(libc::PROT_NONE, private), Some((Kind::Reserved, 0)));
        let zero = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/zero")
            .unwrap();
        assert_eq!(kind(write, private, zero.as_raw_fd()), Some((Kind::Mapping, 0)));
        let on_disk = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        assert_eq!(kind(write, shared, on_disk.as_raw_fd()), None);
        let in_memory = tempfile::tempfile_in("/dev/shm").unwrap();
        let seen = kind(write, shared, in_memory.as_raw_fd()).unwrap();
        assert!(seen.0 == Kind::Shared && seen.1 != 0);
        assert_eq!(kind(read, shared, in_memory.as_raw_fd()), None);
        assert_eq!(kind(write, shared, -1), None);
        assert_eq!(rounded(1, libc::MAP_HUGETLB), 2 << 20);
        assert_eq!(rounded(1, libc::MAP_HUGETLB | 30 << 26), 1 << 30);
    }
}
