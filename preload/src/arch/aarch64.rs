//! aarch64. Calls: "Procedure Call Standard for the Arm 64-bit Architecture"; thread-local storage: "ELF for the Arm 64-bit
//! Architecture"; system calls: syscall(2).
#![expect(unsafe_code, reason = "assembly")]

use core::arch::asm;

use libc::{c_long, ucontext_t};

/// Makes a system call; the kernel's answer.
///
/// # Safety
/// What the system call does to the memory of the process must be right.
#[inline(always)]
pub unsafe fn system_call(number: c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the number is in x8 and the arguments are in these registers; the kernel keeps all but x0. What the call does to
    // memory is the caller's promise.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") a as isize => result, in("x1") b, in("x2") c, in("x3") d, in("x4") e,
             in("x5") f, options(nostack));
    }
    result
}

/// poll(2) of one file, without waiting.
pub fn poll_at_once(file: &mut libc::pollfd) -> isize {
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let arguments = [&raw mut *file as usize, 1, &raw const at_once as usize, 0, 0, 0];
    // SAFETY: ppoll wants as many writable pollfds as it is told of, and a time: `file` is the one, and `at_once`, which the kernel
    // changes only if it has waited.
    unsafe { system_call(libc::SYS_ppoll, arguments) }
}

/// Sleeps until a signal comes.
pub fn pause() {
    // SAFETY: ppoll without files and without a time changes no memory.
    let _ = unsafe { system_call(libc::SYS_ppoll, [0; 6]) };
}

/// System calls of this processor alone that are made again as they were after a signal, like those in [`crate::request`].
pub const MADE_AGAIN: &[c_long] = &[];

/// Whether a system call with this third argument is one of this processor's for whose time the kernel keeps what is left.
pub fn is_poll_with_a_timeout(_: c_long, _: Option<u64>) -> bool {
    false
}

/// Has the memory at an address fetched into the caches while something else is done; no more than a hint.
#[inline(always)]
pub fn prefetch(address: *const i8) {
    // SAFETY: a prefetch reads nothing and cannot fault.
    unsafe { asm!("prfm pldl1keep, [{a}]", a = in(reg) address, options(nostack, readonly, preserves_flags)) };
}

/// The address of this thread's copy of a thread-local symbol, by the initial-exec model: tpidr_el0 has the thread pointer, and the
/// entry of the global offset table the symbol's distance from it.
#[cfg(not(test))]
macro_rules! thread_local_address {
    ($symbol:literal) => {{
        let address: usize;
        // SAFETY: the instructions only read.
        unsafe {
            core::arch::asm!(concat!("adrp {a}, :gottprel:", $symbol), concat!("ldr {a}, [{a}, :gottprel_lo12:", $symbol, "]"),
                             "mrs {t}, tpidr_el0", "add {a}, {a}, {t}",
                             a = out(reg) address, t = out(reg) _, options(nostack, pure, readonly, preserves_flags));
        }
        address
    }};
}

/// Subtracts `$bytes` from the first word of a thread-local symbol; leaves the function with `true` if that was less. A handler of a
/// signal that comes between the load and the store and allocates itself has its bytes forgotten, which no figure depends on.
#[cfg(not(test))]
macro_rules! subtract_thread_local {
    ($symbol:literal, $bytes:expr) => {
        // SAFETY: the instructions write a variable that is this thread's own; its address is as in `thread_local_address`. Without
        // the carry flag, it was less.
        unsafe {
            core::arch::asm!(concat!("adrp {a}, :gottprel:", $symbol), concat!("ldr {a}, [{a}, :gottprel_lo12:", $symbol, "]"),
                             "mrs {t}, tpidr_el0", "ldr {v}, [{a}, {t}]", "subs {v}, {v}, {n}", "str {v}, [{a}, {t}]", "b.lo {look}",
                             a = out(reg) _, t = out(reg) _, v = out(reg) _, n = in(reg) $bytes, look = label { return true },
                             options(nostack));
        }
    };
}

/// The body of a naked function that calls `$called` with its six arguments and its return address, which is in x30, as the seventh.
macro_rules! call_with_return_address {
    ($called:path) => {
        core::arch::naked_asm!("mov x6, x30", "b {called}", called = sym $called)
    };
}

/// An instruction that ends the process.
#[cfg(not(test))]
macro_rules! trap {
    () => {
        "brk #1"
    };
}

pub(crate) use call_with_return_address;
#[cfg(not(test))]
pub(crate) use {subtract_thread_local, thread_local_address, trap};

/// A system call of the C library that a signal has interrupted.
pub struct Interrupted<'a> {
    context: &'a mut ucontext_t,
}

impl<'a> Interrupted<'a> {
    /// If a handler returns to right after a system call that has failed with EINTR. `read` reads the program's code, `false` where it
    /// cannot be read.
    pub fn new(context: &'a mut ucontext_t, read: impl Fn(usize, &mut [u8]) -> bool) -> Option<Self> {
        const SVC_0: [u8; 4] = [0x01, 0x00, 0x00, 0xD4];
        let next = context.uc_mcontext.pc as usize;
        let mut code = [0; 4];
        let is_call = context.uc_mcontext.regs[0] as i64 == -i64::from(libc::EINTR)
            && read(next.checked_sub(code.len())?, &mut code)
            && code == SVC_0;
        is_call.then_some(Self { context })
    }

    /// Its number.
    pub fn number(&self) -> c_long {
        self.context.uc_mcontext.regs[8] as c_long
    }

    /// One of its arguments, the first is 0. That one is lost: the answer is in its register.
    pub fn argument(&self, place: usize) -> Option<u64> {
        let registers = self.context.uc_mcontext.regs.get(1..6)?;
        registers.get(place.checked_sub(1)?).copied()
    }

    /// Has it return this.
    pub fn answer(self, answer: isize) {
        self.context.uc_mcontext.regs[0] = answer as u64;
    }

    /// It cannot be made again without its first argument, so the program sees EINTR.
    pub fn make_again(self) {}
}
