//! SIGUSR2 asks for a report if the job does not use that signal itself. The job does not see our handler, and a system call that
//! the signal has interrupted continues.
#![expect(unsafe_code, reason = "a signal handler that changes what it returns to")]

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

use libc::{REG_RAX, REG_RIP, SIGUSR2, sigaction, siginfo_t, ucontext_t};
use recording::EventKind;
use recording::protocol::{Message, PASSED_ON};

use crate::{bus, doorbell, events, file, real, sys};

fn handler() -> usize {
    on_request as *const () as usize
}

/// Handles SIGUSR2, unless an action was set for it before.
pub fn listen() {
    let mut action = bus::default_action();
    // SAFETY: sigaction wants null or a new action, and null or a writable one for the old: null, and `action`.
    let asked = unsafe { real::sigaction(SIGUSR2, null_mut(), (&raw mut action).cast()) };
    if asked == 0 && action.sa_sigaction == libc::SIG_DFL {
        action.sa_sigaction = handler();
        action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: sigaction wants a complete action: `action` is one, whose handler makes system calls and atomic stores alone.
        unsafe { real::sigaction(SIGUSR2, (&raw mut action).cast(), null_mut()) };
    }
}

/// `sigaction(SIGUSR2, …)` of the job. Once the job has set an action, that is the kernel's, too.
///
/// # Safety
/// As for the C function.
pub unsafe fn set_action(new: *const sigaction, old: *mut sigaction) -> c_int {
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    let status = unsafe { real::sigaction(SIGUSR2, new.cast_mut().cast(), old.cast()) };
    // SAFETY: as_mut wants null or a writable action: the caller keeps the contract of sigaction(2).
    if let Some(old) = unsafe { old.as_mut() }.filter(|old| status == 0 && old.sa_sigaction == handler()) {
        *old = bus::default_action();
    }
    status
}

/// What the job sees instead of our handler, which the C library has returned.
pub fn seen(found: usize) -> usize {
    if found == handler() { libc::SIG_DFL } else { found }
}

/// # Safety
/// Called by the kernel as a handler with `SA_SIGINFO`.
unsafe extern "C" fn on_request(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: a reference wants a siginfo_t: the kernel passes one to a handler with SA_SIGINFO.
    let about = unsafe { &*info };
    // SAFETY: si_pid wants a siginfo_t that has the field: one with such a code was sent by a process or a thread, and has it.
    if about.si_code > 0 || unsafe { about.si_pid() } == sys::pid() as i32 {
        // The job has sent it to itself, and gets its plain effect.
        return bus::as_plain(signal, info);
    }
    // SAFETY: as for si_pid; one without a value has another number or zero in its place.
    let is_passed_on = about.si_code == libc::SI_QUEUE && unsafe { about.si_value() }.sival_ptr.addr() == PASSED_ON;
    // For a signal that `fil-profile` passes on, the report is written already. It is meant for a handler of the job's, and there
    // is none.
    if !is_passed_on {
        if let Some(header) = file::header() {
            events::note(header, EventKind::ReportRequested, 0, 0);
        }
        doorbell::send(Message::Report { pid: sys::pid() });
    }
    // SAFETY: a mutable reference wants a ucontext_t that nobody else uses: the kernel passes one to a handler with SA_SIGINFO.
    let context = unsafe { &mut *context.cast::<ucontext_t>() };
    let registers = &mut context.uc_mcontext.gregs;
    if registers[REG_RAX as usize] == -i64::from(libc::EINTR)
        && let Some(number) = interrupted_call(registers[REG_RIP as usize] as usize)
    {
        resume(number, registers);
    }
}

/// Bytes of `mov eax, NUMBER; syscall`, as the C library calls the kernel.
const CALL_BYTES: usize = 7;

/// The number of the system call that ends before this instruction.
fn interrupted_call(next: usize) -> Option<i64> {
    let mut code = [0; CALL_BYTES];
    if !sys::read_checked(next.checked_sub(CALL_BYTES)?, &mut code) {
        return None;
    }
    match code {
        [0xB8, a, b, c, d, 0x0F, 0x05] => Some(i32::from_le_bytes([a, b, c, d]).into()),
        _ => None,
    }
}

/// Continues a system call that a handler interrupts even with `SA_RESTART` (signal(7)).
fn resume(number: i64, registers: &mut [i64; 23]) {
    match number {
        // The kernel knows how much of the time is left, and waits for that.
        libc::SYS_nanosleep | libc::SYS_clock_nanosleep | libc::SYS_poll => {
            let timeout = registers[libc::REG_RDX as usize] as i32;
            let is_absolute = number == libc::SYS_clock_nanosleep && registers[libc::REG_RSI as usize] != 0;
            if is_absolute || number == libc::SYS_poll && timeout < 0 {
                return call_again(registers);
            }
            match sys::restart() {
                answer if answer == -(libc::ENOSYS as isize) => call_again(registers),
                answer => registers[REG_RAX as usize] = answer as i64,
            }
        }
        // These are called again: the time that is left was written to the argument, it is a point in time, or it begins anew.
        libc::SYS_select
        | libc::SYS_pselect6
        | libc::SYS_ppoll
        | libc::SYS_epoll_wait
        | libc::SYS_epoll_pwait
        | libc::SYS_epoll_pwait2
        | libc::SYS_pause
        | libc::SYS_rt_sigsuspend
        | libc::SYS_rt_sigtimedwait
        | libc::SYS_semop
        | libc::SYS_semtimedop
        | libc::SYS_msgrcv
        | libc::SYS_msgsnd
        | libc::SYS_io_getevents
        | libc::SYS_accept
        | libc::SYS_accept4
        | libc::SYS_recvfrom
        | libc::SYS_recvmsg
        | libc::SYS_recvmmsg
        | libc::SYS_sendto
        | libc::SYS_sendmsg
        | libc::SYS_futex => call_again(registers),
        _ => {}
    }
}

/// Makes the handler return to before the call. The kernel has left its arguments in their registers.
fn call_again(registers: &mut [i64; 23]) {
    registers[REG_RIP as usize] -= CALL_BYTES as i64;
}
