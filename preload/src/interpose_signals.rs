//! The C functions by which the job handles and sends signals. No logic: they return for the two signals that we handle as well what
//! they would return without us.
#![expect(unsafe_code, reason = "exported C functions")]

use core::ffi::c_int;

use libc::{SIGBUS, SIGUSR2, sigaction as Action, sighandler_t as Handler, sigset_t};

use crate::real;
use crate::{bus, request, sender, signal_mask};

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn sigaction(signal: c_int, new: *const Action, old: *mut Action) -> c_int {
    // SAFETY: note_blocked_by wants null or a readable action, as sigaction(2) does, whose contract the caller keeps.
    unsafe { signal_mask::note_blocked_by(new) };
    match signal {
        // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
        SIGBUS => unsafe { bus::set_action(new, old) },
        // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
        SIGUSR2 => unsafe { request::set_action(new, old) },
        // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
        _ => unsafe { real::sigaction(signal, new.cast_mut().cast(), old.cast()) },
    }
}

/// The handler until now as the job sees it, instead of the one that the C library has returned.
fn seen(signal: c_int, found: Handler) -> Handler {
    match signal {
        SIGBUS => bus::seen(found),
        SIGUSR2 => request::seen(found),
        _ => found,
    }
}

macro_rules! set_handlers {
    ($($name:ident)*) => {$(
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C" fn $name(signal: c_int, handler: Handler) -> Handler {
            // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
            seen(signal, unsafe { real::$name(signal, handler) })
        }
    )*};
}

set_handlers! { bsd_signal ssignal sysv_signal __sysv_signal sigset }

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn signal(signal: c_int, handler: Handler) -> Handler {
    if signal != SIGBUS {
        // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
        return seen(signal, unsafe { real::signal(signal, handler) });
    }
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    unsafe { bus::set_handler(handler) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn sigprocmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
    if how != libc::SIG_UNBLOCK {
        // SAFETY: note_blocked wants null or a readable set, as sigprocmask(2) does, whose contract the caller keeps.
        unsafe { signal_mask::note_blocked(set) };
    }
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    unsafe { real::sigprocmask(how, set.cast_mut().cast(), old.cast()) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_sigmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
    if how != libc::SIG_UNBLOCK {
        // SAFETY: note_blocked wants null or a readable set, as sigprocmask(2) does, whose contract the caller keeps.
        unsafe { signal_mask::note_blocked(set) };
    }
    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
    unsafe { real::pthread_sigmask(how, set.cast_mut().cast(), old.cast()) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn kill(process: c_int, signal: c_int) -> c_int {
    sender::will_send(process, signal);
    // SAFETY: the C function gets the caller's arguments, and any will do.
    unsafe { real::kill(process, signal) }
}
