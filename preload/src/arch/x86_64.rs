//! x86-64. Calls and thread-local storage: "System V Application Binary Interface, AMD64 Architecture Processor Supplement"; system
//! calls: syscall(2).
#![expect(unsafe_code, reason = "assembly")]

use core::arch::asm;
use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use libc::{REG_R8, REG_R9, REG_R10, REG_RAX, REG_RDI, REG_RDX, REG_RIP, REG_RSI, c_long, ucontext_t};

/// Makes a system call; the kernel's answer.
///
/// # Safety
/// What the system call does to the memory of the process must be right.
#[inline(always)]
pub unsafe fn system_call(number: c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the number is in rax and the arguments are in these registers; rcx and r11 are changed. What the call does to memory
    // is the caller's promise.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
             in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// poll(2) of one file, without waiting.
pub fn poll_at_once(file: &mut libc::pollfd) -> isize {
    // SAFETY: poll wants as many writable pollfds as it is told of: `file` is the one.
    unsafe { system_call(libc::SYS_poll, [&raw mut *file as usize, 1, 0, 0, 0, 0]) }
}

/// Sleeps until a signal comes.
pub fn pause() {
    // SAFETY: pause changes no memory.
    let _ = unsafe { system_call(libc::SYS_pause, [0; 6]) };
}

/// System calls of this processor alone that are made again as they were after a signal, like those in [`crate::request`].
pub const MADE_AGAIN: &[c_long] = &[libc::SYS_select, libc::SYS_poll, libc::SYS_pause, libc::SYS_epoll_wait];

/// Whether a system call with this third argument is one of this processor's for whose time the kernel keeps what is left.
pub fn is_poll_with_a_timeout(number: c_long, third: Option<u64>) -> bool {
    number == libc::SYS_poll && third.is_some_and(|timeout| timeout as i32 >= 0)
}

/// Has the memory at an address fetched into the caches while something else is done; no more than a hint.
#[inline(always)]
pub fn prefetch(address: *const i8) {
    if cfg!(miri) {
        return;
    }
    // SAFETY: a prefetch reads nothing and cannot fault.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
}

/// The address of this thread's copy of a thread-local symbol, by the initial-exec model: fs:0 has the thread pointer, and the entry
/// of the global offset table the symbol's distance from it.
#[cfg(not(test))]
macro_rules! thread_local_address {
    ($symbol:literal) => {{
        let address: usize;
        // SAFETY: the instructions only read.
        unsafe {
            core::arch::asm!(concat!("mov {a}, qword ptr [rip + ", $symbol, "@GOTTPOFF]"), "add {a}, qword ptr fs:[0]",
                             a = out(reg) address, options(nostack, pure, readonly));
        }
        address
    }};
}

/// Subtracts `$bytes` from the first word of a thread-local symbol; leaves the function with `true` if that was less.
#[cfg(not(test))]
macro_rules! subtract_thread_local {
    ($symbol:literal, $bytes:expr) => {
        // SAFETY: the instructions write a variable that is this thread's own; its address is as in `thread_local_address`. A borrow
        // means that it was less.
        unsafe {
            core::arch::asm!(concat!("mov {t}, qword ptr [rip + ", $symbol, "@GOTTPOFF]"), "sub qword ptr fs:[{t}], {n}", "jb {look}",
                             t = out(reg) _, n = in(reg) $bytes, look = label { return true }, options(nostack));
        }
    };
}

/// The body of a naked function that calls `$called` with its six arguments and its return address as the seventh. The push puts it
/// where a seventh argument is, and aligns the stack.
macro_rules! call_with_return_address {
    ($called:path) => {
        core::arch::naked_asm!("push qword ptr [rsp]", "call {called}", "add rsp, 8", "ret", called = sym $called)
    };
}

/// An instruction that ends the process.
#[cfg(not(test))]
macro_rules! trap {
    () => {
        "ud2"
    };
}

pub(crate) use call_with_return_address;
#[cfg(not(test))]
pub(crate) use {subtract_thread_local, thread_local_address, trap};

/// A system call of the C library that a signal has interrupted.
pub struct Interrupted<'a> {
    context: &'a mut ucontext_t,
    number: c_long,
    /// Bytes of the instructions that set its number and call the kernel.
    bytes: i64,
}

impl<'a> Interrupted<'a> {
    /// If a handler returns to right after a system call that has failed with EINTR. `read` reads the program's code, `false` where it
    /// cannot be read.
    pub fn new(context: &'a mut ucontext_t, read: impl Fn(usize, &mut [u8]) -> bool) -> Option<Self> {
        let registers = &context.uc_mcontext.gregs;
        if registers[REG_RAX as usize] != -i64::from(libc::EINTR) {
            return None;
        }
        let next = registers[REG_RIP as usize] as usize;
        let mut code = [0; 7];
        if !read(next.checked_sub(code.len())?, &mut code) {
            return None;
        }
        let (number, bytes) = match code {
            // mov eax, NUMBER; syscall
            [0xB8, a, b, c, d, 0x0F, 0x05] => (i32::from_le_bytes([a, b, c, d]).into(), 7),
            // xor eax, eax; syscall
            [.., 0x31, 0xC0, 0x0F, 0x05] => (libc::SYS_read, 4),
            _ => return None,
        };
        Some(Self { context, number, bytes })
    }

    /// Its number.
    pub fn number(&self) -> c_long {
        self.number
    }

    /// One of its arguments, the first is 0.
    pub fn argument(&self, place: usize) -> Option<u64> {
        let registers = [REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9];
        let register = *registers.get(place)?;
        Some(self.context.uc_mcontext.gregs[register as usize] as u64)
    }

    /// Has it return this.
    pub fn answer(self, answer: isize) {
        self.context.uc_mcontext.gregs[REG_RAX as usize] = answer as i64;
    }

    /// Has it made again. The kernel has left its arguments in their registers.
    pub fn make_again(self) {
        self.context.uc_mcontext.gregs[REG_RIP as usize] -= self.bytes;
    }
}
