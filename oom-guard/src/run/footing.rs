//! What the supervisor needs when a cgroup is full, kept in memory.
//!
//! Pages of files are what the kernel takes back first, and those of programs are read again as soon as they run on. In a full
//! cgroup a job and its supervisor can take them from each other for minutes, and as long as there are any to be taken, the kernel
//! sees no want of memory (measured: one look took 38 s on a slow disk). So a supervisor that is close to a limit keeps what it uses.

#![expect(unsafe_code, reason = "madvise and mlock2 have no safe form")]

use std::fs;

use crate::kernel::areas;
use crate::kernel::process;

/// No page is smaller.
const PAGE: usize = 4096;
/// Gives back the pages of this process's code and constants, and keeps each that is needed from here on, but for those of processes to come:
/// some hundred KiB. Where little may be locked (`RLIMIT_MEMLOCK`), it is what fits.
pub fn keep() {
    let Ok(maps) = fs::read("/proc/self/maps") else { return };
    // The constants of a program lie before its code in its file, and in memory.
    let (code, constants): (Vec<_>, Vec<_>) = areas::unwritable(&*maps).into_iter().partition(|part| part.is_code);
    for part in code.iter().chain(&constants) {
        let (start, length) = (part.start as *mut libc::c_void, (part.end - part.start) as usize);
        // What lies before the code has never been written to. What lies behind it may have been, before it was protected.
        if part.is_code || code.iter().any(|code| code.start == part.end) {
            // SAFETY: the pages of a private mapping of a file that nobody has written to, and nobody can, are read from it again.
            unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) };
        }
        // SAFETY: locking changes nothing in memory.
        unsafe { libc::mlock2(start, length, libc::MLOCK_ONFAULT) };
    }
}

/// Gives back the pages of the heap that were needed to begin and that nothing is in any more, before each process that is forked has
/// them too.
pub fn give_back() {
    // SAFETY: it takes nothing from anybody who has memory from malloc.
    unsafe { libc::malloc_trim(0) };
}

/// Sleeps until a signal that is not held ends this process, without the heap that it has from its parent, which begins at `heap`: a
/// page that only one of both still has is copied for nobody.
pub fn sleep_without_heap(heap: u64) -> ! {
    // SAFETY: to ask where the heap ends changes nothing.
    let end = unsafe { libc::sbrk(0) }.addr();
    let start = (heap as usize).next_multiple_of(PAGE);
    // SAFETY: the heap is full of zeros from here on, and nothing that is in it is used any more: this process only sleeps.
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
        // As much as Linux grants by itself since 5.16; before, 64 KiB.
        let least = if may >= 8 << 20 { 64 } else { 0 };
        let pid = process::apart(|| {
            keep();
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
