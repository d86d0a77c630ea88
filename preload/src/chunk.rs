//! What a block of malloc's is made of: of a heap of the C library's, of a mapping of its own, or another allocator's.
#![expect(unsafe_code, reason = "reads the word before a block, which is glibc's")]

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use recording::Kind;

use crate::real::{self, Pointer};

/// Where the library of that allocator lies.
static ALLOCATOR: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
/// Somebody has put another allocator in place of the C library's.
static IS_FOREIGN: AtomicBool = AtomicBool::new(false);
/// `IS_MMAPPED` of glibc's malloc.c: the chunk was mapped by itself.
const IS_MMAPPED: usize = 2;

/// Looks who stands behind our malloc. To be called once, when that is known.
pub fn meet_allocator() {
    let Some(malloc) = real::malloc_behind() else { return };
    let mut malloc = malloc as usize;
    // SAFETY: the callback gets a pointer to `malloc`, which lives through the call.
    unsafe { libc::dl_iterate_phdr(Some(note_if_within), (&raw mut malloc).cast()) };
}

unsafe extern "C" fn note_if_within(info: *mut libc::dl_phdr_info, _: usize, address: *mut c_void) -> c_int {
    // SAFETY: what `meet_allocator` gave.
    let address = unsafe { *address.cast::<usize>() };
    // SAFETY: the loader's promise of dl_iterate_phdr(3).
    let info = unsafe { &*info };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: as above: so many headers are there.
    let headers = unsafe { core::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) };
    let loaded = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let ranges = loaded.map(|header| {
        let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        (start, start.wrapping_add(header.p_memsz as usize))
    });
    let (start, end) = ranges.fold((usize::MAX, 0), |(start, end), range| {
        (start.min(range.0), end.max(range.1))
    });
    if !(start..end).contains(&address) {
        return 0;
    }
    // Addresses of allocators tell nothing: tcmalloc has `__libc_malloc`, too. And what musl does not have, it would not load us for.
    if (start..end).contains(&(libc::__errno_location as *const () as usize)) {
        return 1;
    }
    IS_FOREIGN.store(true, Relaxed);
    ALLOCATOR[0].store(start, Relaxed);
    ALLOCATOR[1].store(end, Relaxed);
    1
}

/// Is this code of the allocator that somebody has put in place of the C library's?
pub fn is_allocator(caller: usize) -> bool {
    (ALLOCATOR[0].load(Relaxed)..ALLOCATOR[1].load(Relaxed)).contains(&caller)
}

/// The kind of a live block.
pub fn kind_of(block: Pointer) -> Kind {
    if IS_FOREIGN.load(Relaxed) {
        return Kind::Foreign;
    }
    let before = block.cast::<usize>().wrapping_sub(1);
    // SAFETY: glibc keeps a chunk's size and flags in the word before each block that it has given out (malloc.c, "Chunks of
    // memory are maintained using a boundary tag method"), and this is one, not yet given to the program.
    let size = unsafe { before.read() };
    if size & IS_MMAPPED != 0 {
        Kind::Mapped
    } else {
        Kind::Heap
    }
}
