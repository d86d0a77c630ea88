//! The objects of this process: the program and the libraries that are loaded.
#![expect(unsafe_code, reason = "a callback of dl_iterate_phdr(3)")]

use core::ffi::{CStr, c_int, c_void};
use core::ops::Range;

use crate::real;

/// Calls `visit` with each object's path, which is empty for the program, and its addresses, until it returns `false`.
pub fn each<V: FnMut(&CStr, Range<usize>) -> bool>(mut visit: V) {
    let callback = visit_object::<V> as *const () as real::Pointer;
    // SAFETY: dl_iterate_phdr wants a function of this type and what to pass to it, here a pointer to a `V`, as visit_object wants.
    unsafe { real::dl_iterate_phdr(callback, (&raw mut visit).cast()) };
}

unsafe extern "C" fn visit_object<V: FnMut(&CStr, Range<usize>) -> bool>(
    info: *const libc::dl_phdr_info,
    _: usize,
    visit: *mut c_void,
) -> c_int {
    // SAFETY: a mutable reference wants to be the only one to a `V`: `each` passes a pointer to its own, and waits.
    let visit = unsafe { &mut *visit.cast::<V>() };
    // SAFETY: a reference wants a readable dl_phdr_info, which dl_iterate_phdr(3) passes.
    let info = unsafe { &*info };
    let path = match info.dlpi_name.is_null() {
        true => c"",
        // SAFETY: from_ptr wants a string that ends in a zero byte: a non-null dlpi_name is one of the loader's.
        false => unsafe { CStr::from_ptr(info.dlpi_name) },
    };
    let headers = match info.dlpi_phdr.is_null() {
        true => &[],
        // SAFETY: a slice wants so many headers at this address: dl_iterate_phdr(3) says that there are.
        false => unsafe { core::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) },
    };
    let loaded = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let (start, end) = loaded.fold((usize::MAX, 0), |addresses, header| {
        let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        let end = start.wrapping_add(header.p_memsz as usize);
        (addresses.0.min(start), addresses.1.max(end))
    });
    !visit(path, start..end) as c_int
}

/// The name of the file at a path.
pub fn file_name(path: &CStr) -> &[u8] {
    let parts = path.to_bytes().rsplit(|byte| *byte == b'/');
    parts.into_iter().next().unwrap_or_default()
}
