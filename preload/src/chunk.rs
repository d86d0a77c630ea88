//! Which kind of memory a block of malloc's is: a piece of a heap of the C library's, a mapping of its own, or a block of another
//! allocator.
#![expect(unsafe_code, reason = "reads the word before a block, which is glibc's")]

use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use recording::Kind;

use crate::real::{self, Pointer};

/// Address range of the library that provides `malloc`.
static ALLOCATOR: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
/// Blocks may be of another allocator than the C library's: the word before them has no meaning, or cannot be read.
static IS_FOREIGN: AtomicBool = AtomicBool::new(false);
/// `IS_MMAPPED` of glibc's malloc.c: the chunk was mapped by itself.
const IS_MMAPPED: usize = 2;

/// Finds out which allocator malloc's blocks are from. To be called once, after the functions behind ours have been looked up,
/// and before the first block is recorded.
pub fn meet_allocator() {
    let Some(behind) = real::malloc_behind() else { return };
    let mut sought = Sought {
        behind: behind as usize,
        first: real::find(c"malloc") as usize,
    };
    // SAFETY: `look_at` wants a pointer to a `Sought`: it gets that of `sought`, which lives through the call.
    unsafe { libc::dl_iterate_phdr(Some(look_at), (&raw mut sought).cast()) };
}

/// Addresses; `look_at` finds the objects that they are in.
struct Sought {
    /// The malloc behind ours.
    behind: usize,
    /// The malloc that the program calls: ours, or one of the program itself or of a library before us. In the second case, those
    /// of our functions that it has not replaced, such as `reallocarray`, get its blocks from glibc.
    first: usize,
}

/// Called for each object of the process.
unsafe extern "C" fn look_at(info: *mut libc::dl_phdr_info, _: usize, sought: *mut c_void) -> c_int {
    // SAFETY: a reference wants a `Sought`: meet_allocator passes a pointer to its own.
    let sought = unsafe { &*sought.cast::<Sought>() };
    // SAFETY: a reference wants a readable dl_phdr_info, which dl_iterate_phdr(3) passes.
    let info = unsafe { &*info };
    if !info.dlpi_name.is_null() {
        // SAFETY: from_ptr wants a string that ends in a zero byte: a non-null dlpi_name is one of the loader's.
        let name = unsafe { CStr::from_ptr(info.dlpi_name) };
        if is_valgrinds(name.to_bytes()) {
            IS_FOREIGN.store(true, Relaxed);
        }
    }
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: a slice wants so many headers at this address: dl_iterate_phdr(3) says that there are.
    let headers = unsafe { core::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) };
    let loaded = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let ranges = loaded.map(|header| {
        let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        (start, start.wrapping_add(header.p_memsz as usize))
    });
    let (start, end) = ranges.fold((usize::MAX, 0), |(start, end), range| {
        (start.min(range.0), end.max(range.1))
    });
    let object = start..end;
    // The C library is the object that has errno. An allocator's functions do not tell it: tcmalloc has `__libc_malloc`, too. And
    // musl refuses to load us if we import glibc-only symbols.
    let is_c_library = object.contains(&(libc::__errno_location as *const () as usize));
    let is_ours = object.contains(&((&raw const IS_FOREIGN) as usize));
    if is_c_library || is_ours {
        return 0;
    }
    if object.contains(&sought.first) {
        // What it maps is counted as mappings, since its blocks do not pass through us.
        IS_FOREIGN.store(true, Relaxed);
    }
    if object.contains(&sought.behind) {
        IS_FOREIGN.store(true, Relaxed);
        ALLOCATOR[0].store(start, Relaxed);
        ALLOCATOR[1].store(end, Relaxed);
    }
    0
}

/// Whether an object of this name is the part of a valgrind tool that replaces malloc. It patches the code of every malloc, which
/// symbols do not show. `vgpreload_core` belongs to all tools, and replaces nothing.
fn is_valgrinds(path: &[u8]) -> bool {
    let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    file.starts_with(b"vgpreload_") && !file.starts_with(b"vgpreload_core")
}

/// Whether this address is code of the library that provides `malloc` in place of the C library.
pub fn is_allocator(caller: usize) -> bool {
    (ALLOCATOR[0].load(Relaxed)..ALLOCATOR[1].load(Relaxed)).contains(&caller)
}

/// The kind of a live block.
pub fn kind_of(block: Pointer) -> Kind {
    if IS_FOREIGN.load(Relaxed) {
        return Kind::Foreign;
    }
    let before = block.cast::<usize>().wrapping_sub(1);
    // SAFETY: a read wants a readable word. glibc has a chunk's size and flags in the word before each block that it has given
    // out (malloc.c, "Chunks of memory are maintained using a boundary tag method"), and this is a block of glibc's that the
    // program does not know yet.
    let size = unsafe { before.read() };
    if size & IS_MMAPPED != 0 {
        Kind::Mapped
    } else {
        Kind::Heap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_of_valgrind_that_replace_malloc_are_known_by_their_objects() {
        let folder = "/usr/libexec/valgrind/vgpreload_";
        let is_known = |name: &str| is_valgrinds(format!("{folder}{name}-amd64-linux.so").as_bytes());
        for tool in ["memcheck", "massif", "drd", "helgrind", "dhat"] {
            assert!(is_known(tool), "{tool}");
        }
        assert!(!is_known("core"));
        assert!(!is_valgrinds(b"/vgpreload_memcheck/libc.so.6"));
        assert!(!is_valgrinds(b""));
    }
}
