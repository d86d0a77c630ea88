//! Pins the pages that our own program uses, so that they stay in memory when a cgroup is full.
//!
//! The kernel reclaims pages of files first, and a program that runs reads its own pages again at once. In a full cgroup the job and its
//! supervisor can take these pages from each other for minutes. As long as there are such pages to reclaim, the kernel does not call its
//! OOM killer (measured: reading the counters once took 38 s on a slow disk). So a supervisor that is close to a limit locks its pages.

#![expect(unsafe_code, reason = "madvise and mlock2 have no safe form")]

use std::fs;

use crate::kernel::areas;
use crate::kernel::process;

/// No page is smaller.
const PAGE: usize = 4096;

/// Drops the pages of this process's code and constants, and locks each of them when it is used again: some hundred KiB, or as much as
/// `RLIMIT_MEMLOCK` allows. Processes that are forked later do not inherit the locks.
pub fn pin() {
    let Ok(maps) = fs::read("/proc/self/maps") else { return };
    // In a program's file and in memory, its constants come before its code.
    let (code, constants): (Vec<_>, Vec<_>) = areas::unwritable(&*maps).into_iter().partition(|part| part.is_code);
    for part in code.iter().chain(&constants) {
        let (start, length) = (part.start as *mut libc::c_void, (part.end - part.start) as usize);
        // Nothing before the code has ever been written to. The part behind it may have been, before it was made read-only.
        if part.is_code || code.iter().any(|code| code.start == part.end) {
            // SAFETY: nobody has written to these pages or can, so the kernel reads the same bytes from the file again.
            unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) };
        }
        // SAFETY: mlock2 changes no byte of memory.
        unsafe { libc::mlock2(start, length, libc::MLOCK_ONFAULT) };
    }
}

/// Gives unused pages of the heap back to the kernel, so that processes that are forked later do not share them.
pub fn trim_heap() {
    // SAFETY: malloc_trim releases unused memory only; every block that malloc has returned stays valid.
    unsafe { libc::malloc_trim(0) };
}

/// Releases the heap that this process has inherited from its parent, which begins at `heap`, and sleeps until an unblocked signal ends
/// this process. A page that no other process shares is not copied when the parent writes to it.
pub fn sleep_without_heap(heap: u64) -> ! {
    // SAFETY: sbrk(0) only returns the end of the heap.
    let end = unsafe { libc::sbrk(0) }.addr();
    let start = (heap as usize).next_multiple_of(PAGE);
    // SAFETY: MADV_DONTNEED fills the heap with zeros; this process only sleeps from here on and reads nothing of it.
    unsafe {
        libc::madvise(
            start as *mut libc::c_void,
            end.saturating_sub(start),
            libc::MADV_DONTNEED,
        )
    };
    process::sleep_for_ever();
}

#[cfg(test)]
mod tests {
    use nix::sys::resource::{Resource, getrlimit};

    use super::*;

    #[test]
    fn what_is_used_from_then_on_is_kept_and_it_is_little() {
        let may = getrlimit(Resource::RLIMIT_MEMLOCK).map_or(0, |(soft, _)| soft);
        // The default limit of Linux since 5.16; before, it was 64 KiB.
        let least = if may >= 8 << 20 { 64 } else { 0 };
        let pid = process::apart(|| {
            pin();
            let status = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
            let locked = status.lines().filter_map(|line| line.strip_prefix("Locked:"));
            let kib: u64 = locked
                .filter_map(|size| size.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
                .sum();
            i32::from(!(least..4096).contains(&kib))
        });
        assert_eq!(
            process::wait_for(pid.unwrap()),
            Some(crate::kernel::end::End::Status(0))
        );
    }
}
