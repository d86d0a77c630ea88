//! The two ways to read the interpreter's memory: directly, and with a check for each word.
#![expect(
    unsafe_code,
    reason = "the one place that reads through addresses found in other structures"
)]

use core::cell::Cell;

use super::walk::Memory;
use crate::sys;

/// Reads directly. Sound only with a layout that has passed the self-check, on the current thread's own frames.
pub struct Direct;

impl Memory for Direct {
    #[inline(always)]
    fn word(&self, address: u64) -> u64 {
        // SAFETY: a read wants a readable address. The self-check has shown that the layout fits, so the address is of a frame or
        // of its code object; these cannot go away while their thread is here.
        unsafe { (address as *const u64).read_unaligned() }
    }
    #[inline(always)]
    fn half(&self, address: u64) -> u32 {
        // SAFETY: as in `word`.
        unsafe { (address as *const u32).read_unaligned() }
    }
    #[inline(always)]
    fn byte(&self, address: u64) -> u8 {
        // SAFETY: as in `word`.
        unsafe { (address as *const u8).read() }
    }
}

/// Asks the kernel for each word, so that a wrong offset is an answer and not a crash.
#[derive(Default)]
pub struct Checked {
    failed: Cell<bool>,
}

impl Checked {
    /// Was any address unreadable?
    pub fn has_failed(&self) -> bool {
        self.failed.get()
    }

    fn read<const N: usize>(&self, address: u64) -> [u8; N] {
        let mut bytes = [0; N];
        if !sys::read_checked(address as usize, &mut bytes) {
            self.failed.set(true);
            return [0; N];
        }
        bytes
    }
}

impl Memory for Checked {
    fn word(&self, address: u64) -> u64 {
        u64::from_le_bytes(self.read(address))
    }
    fn half(&self, address: u64) -> u32 {
        u32::from_le_bytes(self.read(address))
    }
    fn byte(&self, address: u64) -> u8 {
        u8::from_le_bytes(self.read(address))
    }
}
