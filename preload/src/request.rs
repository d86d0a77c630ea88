//! SIGUSR2 asks for a report where the job has no plans for that signal: it is not told that we handle it, and what the signal
//! has interrupted goes on.
#![expect(unsafe_code, reason = "a signal handler that changes what it returns to")]

use core::ffi::{c_int, c_void};
use core::mem::zeroed;
use core::ptr::null_mut;

use libc::{REG_RAX, REG_RIP, SIGUSR2, sigaction, siginfo_t, ucontext_t};
use recording::EventKind;
use recording::protocol::{Message, PASSED_ON};

use crate::{bus, doorbell, events, file, real, sys};

fn handler() -> usize {
    on_request as *const () as usize
}

/// Handles SIGUSR2, unless somebody has other plans for it.
pub fn listen() {
    // SAFETY: zeros are a value of it.
    let mut action: sigaction = unsafe { zeroed() };
    // SAFETY: asks only.
    let asked = unsafe { real::sigaction(SIGUSR2, null_mut(), (&raw mut action).cast()) };
    if asked == 0 && action.sa_sigaction == libc::SIG_DFL {
        action.sa_sigaction = handler();
        action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: a complete action; the handler does nothing but system calls and atomic stores.
        unsafe { real::sigaction(SIGUSR2, (&raw mut action).cast(), null_mut()) };
    }
}

/// `sigaction(SIGUSR2, …)` of the job. Once the job has set an action, that is the kernel's, too.
///
/// # Safety
/// As for the C function.
pub unsafe fn set_action(new: *const sigaction, old: *mut sigaction) -> c_int {
    // SAFETY: the caller's arguments, handed on.
    let status = unsafe { real::sigaction(SIGUSR2, new.cast_mut().cast(), old.cast()) };
    // SAFETY: null, or writable by the caller's promise and filled by the C function.
    if let Some(old) = unsafe { old.as_mut() }.filter(|old| status == 0 && old.sa_sigaction == handler()) {
        // SAFETY: zeros are a value of it, the default action.
        *old = unsafe { zeroed() };
    }
    status
}

/// What the job shall see instead of a handler of ours that the C library has returned.
pub fn seen(found: usize) -> usize {
    if found == handler() { libc::SIG_DFL } else { found }
}

/// # Safety
/// Called by the kernel as a handler with `SA_SIGINFO`.
unsafe extern "C" fn on_request(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's promise.
    let about = unsafe { &*info };
    // SAFETY: the field is there for what a process or a thread has sent, which is all that has such a code.
    if about.si_code > 0 || unsafe { about.si_pid() } == sys::pid() as i32 {
        // From the job to itself: it knows what it wants.
        return bus::as_plain(signal, info);
    }
    // SAFETY: as above; what has no value of this kind has another number or zero here.
    let is_passed_on = about.si_code == libc::SI_QUEUE && unsafe { about.si_value() }.sival_ptr.addr() == PASSED_ON;
    // What `fil-profile` passes on has made it write a report already, and is for a handler of the job's, which there is not.
    if !is_passed_on {
        if let Some(header) = file::header() {
            events::note(header, EventKind::ReportRequested, 0, 0);
        }
        doorbell::send(Message::Report { pid: sys::pid() });
    }
    // SAFETY: the kernel's promise.
    let context = unsafe { &mut *context.cast::<ucontext_t>() };
    let registers = &mut context.uc_mcontext.gregs;
    if registers[REG_RAX as usize] == -i64::from(libc::EINTR)
        && let Some(number) = interrupted_call(registers[REG_RIP as usize] as usize)
    {
        go_on(number, registers);
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

/// Lets a system call go on that a handler interrupts even with `SA_RESTART` (signal(7)).
fn go_on(number: i64, registers: &mut [i64; 23]) {
    match number {
        // Here the kernel knows how much of the time is left, and waits on for that.
        libc::SYS_nanosleep | libc::SYS_clock_nanosleep | libc::SYS_poll => {
            let timeout = registers[libc::REG_RDX as usize] as i32;
            let is_absolute = number == libc::SYS_clock_nanosleep && registers[libc::REG_RSI as usize] != 0;
            if is_absolute || number == libc::SYS_poll && timeout < 0 {
                return again(registers);
            }
            match sys::restart() {
                answer if answer == -(libc::ENOSYS as isize) => again(registers),
                answer => registers[REG_RAX as usize] = answer as i64,
            }
        }
        // What is left of the time is where the argument was, it is a point in time, or it begins anew.
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
        | libc::SYS_futex => again(registers),
        _ => {}
    }
}

/// Makes the handler return to before the call. The kernel has left its arguments in their registers.
fn again(registers: &mut [i64; 23]) {
    registers[REG_RIP as usize] -= CALL_BYTES as i64;
}
