//! SIGUSR2 from outside the job asks for a report if the job does not use that signal itself. The job does not see our handler, and a
//! system call that the signal has interrupted continues. SIGUSR2 from the job itself has the effect that it would have without us.
#![expect(unsafe_code, reason = "a signal handler that changes what it returns to")]

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

use libc::{SIGUSR2, sigaction, siginfo_t, ucontext_t};
use recording::EventKind;
use recording::protocol::{Message, PASSED_ON};

use crate::arch::{self, Interrupted};
use crate::{bus, events, header, message_pipe, real, sender, sys};

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
    // SAFETY: si_value wants a siginfo_t that has the field: that of a signal with this code has it.
    let is_passed_on = about.si_code == libc::SI_QUEUE && unsafe { about.si_value() }.sival_ptr.addr() == PASSED_ON;
    // For a signal that `fil-profile` passes on, the report is written already. It is meant for a handler of the job's, and there
    // is none.
    if !is_passed_on {
        if is_of_the_job(about) {
            have_default_effect(signal, info);
        } else {
            ask_for_report();
        }
    }
    // SAFETY: a mutable reference wants a ucontext_t that nobody else uses: the kernel passes one to a handler with SA_SIGINFO.
    let context = unsafe { &mut *context.cast::<ucontext_t>() };
    if let Some(interrupted) = Interrupted::new(context, sys::read_checked) {
        resume(interrupted);
    }
}

/// Whether the job itself is the reason for the signal: one of its processes, or a timer, a queue or a file of its own.
fn is_of_the_job(about: &siginfo_t) -> bool {
    let has_sender = matches!(about.si_code, libc::SI_USER | libc::SI_TKILL | libc::SI_QUEUE);
    // SAFETY: si_pid wants a siginfo_t that has the field: that of a signal with one of these codes has it.
    !has_sender || sender::is_of_the_job(unsafe { about.si_pid() } as u32, about.si_signo)
}

/// Has the kernel do the default action, which ends the process here.
fn have_default_effect(signal: c_int, info: *mut siginfo_t) {
    bus::as_plain(signal, info);
    // It is blocked while the handler runs, and after it too if the job waits with another mask (sigsuspend(2)).
    let before = sys::change_mask(libc::SIG_UNBLOCK, 1 << (SIGUSR2 - 1));
    // Not ended: the first process of a PID namespace has no default action, or a debugger has taken the signal away.
    sys::change_mask(libc::SIG_SETMASK, before);
    listen();
}

fn ask_for_report() {
    if let Some(header) = header::current() {
        events::note(header, EventKind::ReportRequested, 0, 0);
    }
    message_pipe::send(Message::Report { pid: sys::pid() });
}

/// Continues it, if it is one that a handler interrupts even with `SA_RESTART` (signal(7)).
fn resume(call: Interrupted) {
    let has_timeout_of_its_own = match call.number() {
        libc::SYS_nanosleep => true,
        // A point in time has flags.
        libc::SYS_clock_nanosleep => call.argument(1) == Some(0),
        number => arch::is_poll_with_a_timeout(number, call.argument(2)),
    };
    if has_timeout_of_its_own {
        // The kernel knows how much of the time is left, and waits for that.
        match sys::restart() {
            answer if answer == -(libc::ENOSYS as isize) => call.make_again(),
            answer => call.answer(answer),
        }
    } else if MADE_AGAIN.contains(&call.number()) || arch::MADE_AGAIN.contains(&call.number()) {
        call.make_again();
    }
}

/// System calls that are made again as they were.
const MADE_AGAIN: &[libc::c_long] = &[
    // The time that is left was written to the argument, or it is a point in time.
    libc::SYS_clock_nanosleep,
    libc::SYS_pselect6,
    libc::SYS_ppoll,
    libc::SYS_futex,
    // There is no time.
    libc::SYS_rt_sigsuspend,
    libc::SYS_semop,
    libc::SYS_msgrcv,
    libc::SYS_msgsnd,
    // The time begins anew: the kernel does not say how much of it is left.
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_semtimedop,
    libc::SYS_io_getevents,
    libc::SYS_io_uring_enter,
    // As well, on a socket with SO_RCVTIMEO or SO_SNDTIMEO. On any other file they continue by SA_RESTART.
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendfile,
    libc::SYS_splice,
];
