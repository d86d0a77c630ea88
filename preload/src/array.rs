//! Growing arrays in private memory of our own, for tables that only the running process needs.
#![expect(unsafe_code, reason = "makes slices of mapped memory")]

use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::{arch, sys};

/// Bytes that all arrays hold now.
pub static OWN_BYTES: AtomicUsize = AtomicUsize::new(0);

/// A zeroed array in a mapping of its own.
pub struct Array<T: Plain> {
    start: NonNull<T>,
    length: usize,
}

/// A type for which all-zero bytes are a value and which needs no drop.
///
/// # Safety
/// Both must hold.
pub unsafe trait Plain: Copy {}

// SAFETY: `Plain` wants that zeros are a value and that nothing is dropped: it consists of integers.
unsafe impl Plain for u32 {}
// SAFETY: `Plain` wants that zeros are a value and that nothing is dropped: it consists of integers.
unsafe impl Plain for u64 {}

// SAFETY: `Send` wants that another thread may own it: no other pointer to its memory exists, and `T` is plain data.
unsafe impl<T: Plain> Send for Array<T> {}

impl<T: Plain> Array<T> {
    /// An array without memory.
    pub const fn empty() -> Self {
        Self {
            start: NonNull::dangling(),
            length: 0,
        }
    }

    /// A zeroed array, or `None` if the system has no memory for it.
    pub fn zeroed(length: usize) -> Option<Self> {
        let bytes = length.checked_mul(size_of::<T>())?;
        if bytes == 0 {
            return Some(Self::empty());
        }
        let start = sys::map_anonymous(bytes).ok()?.cast();
        OWN_BYTES.fetch_add(bytes, Relaxed);
        Some(Self { start, length })
    }

    /// Has this element fetched into the caches while something else is done; no more than a hint.
    #[inline]
    pub fn expect(&self, index: usize) {
        if let Some(element) = self.get(index) {
            arch::prefetch(ptr::from_ref(element).cast());
        }
    }

    /// Makes it longer, with zeros at the end; `false`, and nothing has changed, if the system has no memory for it.
    pub fn grow(&mut self, length: usize) -> bool {
        if self.length == 0 {
            let Some(new) = Self::zeroed(length) else { return false };
            *self = new;
            return true;
        }
        let (Some(bytes), old) = (length.checked_mul(size_of::<T>()), self.length * size_of::<T>()) else {
            return false;
        };
        if bytes <= old {
            return true;
        }
        // SAFETY: `extend` wants that nobody uses the old address afterwards: `start` is the only pointer to the mapping, and it
        // is replaced.
        let Ok(start) = (unsafe { sys::extend(self.start.cast(), old, bytes) }) else {
            return false;
        };
        OWN_BYTES.fetch_add(bytes - old, Relaxed);
        (self.start, self.length) = (start.cast(), length);
        true
    }
}

impl<T: Plain> Deref for Array<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: a slice wants `length` values at an aligned address: the mapping has so many, zeroed or written. For length 0
        // any aligned pointer will do.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T: Plain> DerefMut for Array<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; and nobody else reads or writes it, since the array is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl<T: Plain> Drop for Array<T> {
    fn drop(&mut self) {
        if self.length > 0 {
            let bytes = self.length * size_of::<T>();
            OWN_BYTES.fetch_sub(bytes, Relaxed);
            // SAFETY: `unmap` wants that nobody uses the memory any more: the array had the only pointer to it, and is dropped.
            unsafe { sys::unmap(self.start.cast(), bytes) };
        }
    }
}
