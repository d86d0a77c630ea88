//! Which kind of memory a block of malloc's is: a piece of a heap of the C library's, a mapping of its own, or a block of another
//! allocator.
#![expect(unsafe_code, reason = "reads the word before a block, which is glibc's")]

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use recording::Kind;

use crate::objects;
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
    // The malloc that the program calls: ours, or one of the program itself or of a library before us. In the second case, those
    // of our functions that it has not replaced, such as `reallocarray`, get its blocks from glibc.
    let first = Some(real::find(c"malloc")).filter(|first| is_definition(*first));
    let first = first.map_or(0, |first| first as usize);
    objects::each(|path, addresses| {
        if is_valgrinds(objects::file_name(path)) {
            IS_FOREIGN.store(true, Relaxed);
        }
        // The C library is the object that has errno. An allocator's functions do not tell it: tcmalloc has `__libc_malloc`, too.
        // And musl refuses to load us if we import glibc-only symbols.
        let is_c_library = addresses.contains(&(libc::__errno_location as *const () as usize));
        let is_ours = addresses.contains(&((&raw const IS_FOREIGN) as usize));
        if is_c_library || is_ours {
            return true;
        }
        if addresses.contains(&first) {
            // What it maps is counted as mappings, since its blocks do not pass through us.
            IS_FOREIGN.store(true, Relaxed);
        }
        if addresses.contains(&(behind as usize)) {
            IS_FOREIGN.store(true, Relaxed);
            ALLOCATOR[0].store(addresses.start, Relaxed);
            ALLOCATOR[1].store(addresses.end, Relaxed);
        }
        true
    });
}

/// Whether an address that dlsym(3) returned is that of a function's definition. If a program that is not position-independent uses the
/// address of a function of a library, this address is an entry of the program's own procedure linkage table ("Function Addresses" in
/// the System V ABI for AMD64): its symbol table has the function as undefined, with the entry's address as the value.
fn is_definition(function: *mut c_void) -> bool {
    type Dladdr1 = unsafe extern "C" fn(*const c_void, *mut libc::Dl_info, *mut *mut c_void, c_int) -> c_int;
    /// `RTLD_DL_SYMENT` of glibc's dlfcn.h.
    const SYMBOL: c_int = 1;
    let dladdr1 = real::find(c"dladdr1");
    if dladdr1.is_null() {
        return true;
    }
    // SAFETY: transmute wants a function of this type behind the address: it is glibc's dladdr1, as its dlfcn.h declares it.
    let dladdr1 = unsafe { core::mem::transmute::<*mut c_void, Dladdr1>(dladdr1) };
    let mut info = MaybeUninit::<libc::Dl_info>::uninit();
    let mut symbol = ptr::null_mut();
    // SAFETY: dladdr1 wants an address, which may be any, and room for its two results, which `info` and `symbol` are.
    if unsafe { dladdr1(function, info.as_mut_ptr(), &raw mut symbol, SYMBOL) } == 0 || symbol.is_null() {
        return true;
    }
    // SAFETY: a reference wants a readable Elf64_Sym: dladdr1 has returned one of an object that is loaded.
    let symbol = unsafe { &*symbol.cast::<libc::Elf64_Sym>() };
    /// `SHN_UNDEF` of the ELF specification.
    const UNDEFINED: u16 = 0;
    symbol.st_shndx != UNDEFINED
}

/// Whether an object of this file name is the part of a valgrind tool that replaces malloc. It patches the code of every malloc,
/// which symbols do not show. `vgpreload_core` belongs to all tools, and replaces nothing.
fn is_valgrinds(file: &[u8]) -> bool {
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
        let is_known = |tool: &str| is_valgrinds(format!("vgpreload_{tool}-amd64-linux.so").as_bytes());
        for tool in ["memcheck", "massif", "drd", "helgrind", "dhat"] {
            assert!(is_known(tool), "{tool}");
        }
        assert!(!is_known("core"));
        assert!(!is_valgrinds(objects::file_name(c"/vgpreload_memcheck/libc.so.6")));
        assert!(!is_valgrinds(objects::file_name(c"")));
    }
}
