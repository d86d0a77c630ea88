//! Pins the pages that our own program uses, so that they stay in memory when a cgroup is full.
//!
//! The kernel reclaims pages of files first, and a program that runs reads its own pages again at once. In a full cgroup the job and its
//! supervisor can take these pages from each other for minutes. As long as there are such pages to reclaim, the kernel does not call its
//! OOM killer (measured: reading the counters once took 38 s on a slow disk). So a supervisor that is close to a limit locks its pages.

#![expect(unsafe_code, reason = "madvise and mlock2 have no safe form")]

use std::fs;

use crate::kernel;
use crate::kernel::areas::{self, Unwritable};

/// So many bytes of the stack below the frame that is running are kept: a system call and a signal handler need less.
const STACK_IN_USE: usize = 16 << 10;

/// Drops the pages of this process's code and constants, and locks each of them when it is used again: some hundred KiB, or as much as
/// `RLIMIT_MEMLOCK` allows. Processes that are forked later do not inherit the locks.
pub fn pin() {
    pin_parts(&parts());
}

/// As [`pin`], and until the result is dropped, only the pages that are used become resident. Otherwise the kernel maps up to 16 pages
/// around each of them.
pub fn pin_page_by_page() -> PageByPage {
    let (parts, page_bytes) = (parts(), kernel::page_bytes() as usize);
    drop_unused_stack(page_bytes);
    for part in &parts {
        // The kernel maps no page beyond the mapping. Advice that differs from that of the next page makes each page a mapping.
        for page in (part.start..part.end).step_by(2 * page_bytes) {
            // SAFETY: MADV_RANDOM changes no byte of memory.
            unsafe { libc::madvise(page as *mut libc::c_void, page_bytes, libc::MADV_RANDOM) };
        }
    }
    // No sooner: all code that runs until here would be resident again.
    pin_parts(&parts);
    PageByPage(parts)
}

fn pin_parts(parts: &[Unwritable]) {
    for part in parts {
        part.drop_pages();
        // Not by the C library, which has it from glibc 2.27 on.
        // SAFETY: mlock2 changes no byte of memory.
        unsafe { libc::syscall(libc::SYS_mlock2, part.address(), part.length(), libc::MLOCK_ONFAULT) };
    }
}

/// See [`pin_page_by_page`].
pub struct PageByPage(Vec<Unwritable>);

impl Drop for PageByPage {
    fn drop(&mut self) {
        for part in &self.0 {
            // SAFETY: MADV_NORMAL changes no byte of memory.
            unsafe { libc::madvise(part.address(), part.length(), libc::MADV_NORMAL) };
        }
    }
}

/// Gives the pages of the stack back that only deeper calls have used.
#[inline(never)]
fn drop_unused_stack(page_bytes: usize) {
    let maps = fs::read("/proc/self/maps").unwrap_or_default();
    let here = 0u8;
    let address = (&raw const here).addr();
    if let Some(stack) = areas::stack(&*maps).filter(|stack| stack.contains(&address)) {
        let end = (address & !(page_bytes - 1))
            .saturating_sub(STACK_IN_USE)
            .max(stack.start);
        // SAFETY: the pages become zeros. No frame is there: the stack grows down, and the call uses far less of it than what is kept below
        // this frame.
        unsafe { libc::madvise(stack.start as *mut libc::c_void, end - stack.start, libc::MADV_DONTNEED) };
    }
}

/// Drops the pages of this process's code and constants; each is read again when it is used.
pub fn drop_pages() {
    parts().iter().for_each(Unwritable::drop_pages);
}

fn parts() -> Vec<Unwritable> {
    let maps = fs::read("/proc/self/smaps").unwrap_or_default();
    areas::unwritable(&*maps)
}

impl Unwritable {
    /// A part that was written to before it was made read-only has pages that are not in the file: they stay.
    fn drop_pages(&self) {
        if !self.was_written {
            // SAFETY: nobody has written to these pages or can, so the kernel reads the same bytes from the file again.
            unsafe { libc::madvise(self.address(), self.length(), libc::MADV_DONTNEED) };
        }
    }

    fn address(&self) -> *mut libc::c_void {
        self.start as *mut libc::c_void
    }

    fn length(&self) -> usize {
        self.end - self.start
    }
}

/// Gives unused pages of the heap back to the kernel, so that processes that are forked later do not share them.
pub fn trim_heap() {
    // SAFETY: malloc_trim releases unused memory only; every block that malloc has returned stays valid.
    unsafe { libc::malloc_trim(0) };
}

/// Releases the heap that this process has inherited from its parent, which begins at `heap`, and does `work` for ever, which has no use for
/// a heap. A page that no other process shares is not copied when the parent writes to it.
pub fn work_without_heap(heap: u64, work: impl Fn()) -> ! {
    // SAFETY: sbrk(0) only returns the end of the heap.
    let end = unsafe { libc::sbrk(0) }.addr();
    let start = (heap as usize).next_multiple_of(kernel::page_bytes() as usize);
    // SAFETY: MADV_DONTNEED fills the heap with zeros; this process reads nothing of it from here on.
    unsafe {
        libc::madvise(
            start as *mut libc::c_void,
            end.saturating_sub(start),
            libc::MADV_DONTNEED,
        )
    };
    loop {
        work();
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::resource::{Resource, getrlimit};

    use super::*;
    use crate::kernel::process;

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
