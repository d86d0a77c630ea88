//! Handles SIGBUS without the job seeing it: the kernel has our handler, and the job sees the action that it has set itself. A
//! SIGBUS that is not at a recording has the effect that it would have without us. See sigaction(2) and signal(7).
#![expect(unsafe_code, reason = "a signal handler, and calls of the job's own")]

use core::ffi::{c_int, c_void};
use core::mem::{transmute, zeroed};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use libc::{SIG_DFL, SIGBUS, sigaction, siginfo_t};

use crate::signal_mask::{self, SIGBUS_BIT, word};
use crate::{lost, real, refused, sys};

/// The process whose action is kept here; 0 in a process that is not recorded.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// The job's own action.
static HANDLER: AtomicUsize = AtomicUsize::new(SIG_DFL);
static FLAGS: AtomicI32 = AtomicI32::new(0);
static MASK: AtomicU64 = AtomicU64::new(0);

fn handler() -> usize {
    on_bus as *const () as usize
}

/// `SIG_DFL`, without flags.
pub fn default_action() -> sigaction {
    // SAFETY: `zeroed` wants a type of which zeros are a value: a C struct of integers and of pointers that may be null.
    unsafe { zeroed() }
}

/// Handles SIGBUS from now on, unless the job is started to ignore that signal. To be called before there is a recording in a file.
pub fn guard() {
    PROCESS.store(sys::pid(), Relaxed);
    signal_mask::note_inherited();
    let mut before = default_action();
    // SAFETY: sigaction wants null or a new action, and null or a writable one for the old: null, and `before`.
    let asked = unsafe { real::sigaction(SIGBUS, null_mut(), (&raw mut before).cast()) };
    if asked != 0 || before.sa_sigaction == libc::SIG_IGN {
        return;
    }
    let ours = in_front_of(&before);
    remember(&before);
    // SAFETY: sigaction wants a complete action: `ours` is one, and its handler can be called at any time.
    unsafe { real::sigaction(SIGBUS, (&raw const ours).cast_mut().cast(), null_mut()) };
}

/// The action for the kernel where the job has set this one.
fn in_front_of(jobs: &sigaction) -> sigaction {
    let mut ours = *jobs;
    ours.sa_sigaction = handler();
    if jobs.sa_sigaction == SIG_DFL {
        // On the job's own stack for signals, if it has one: the thread's may be small.
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    } else {
        ours.sa_flags = (jobs.sa_flags | libc::SA_SIGINFO) & !libc::SA_RESETHAND;
    }
    ours
}

fn remember(jobs: &sigaction) {
    HANDLER.store(jobs.sa_sigaction, Relaxed);
    FLAGS.store(jobs.sa_flags, Relaxed);
    // SAFETY: `word` wants a readable set: it is a part of `jobs`.
    MASK.store(unsafe { word(&raw const jobs.sa_mask) }, Relaxed);
}

fn remembered() -> sigaction {
    let mut jobs = default_action();
    jobs.sa_sigaction = HANDLER.load(Relaxed);
    jobs.sa_flags = FLAGS.load(Relaxed);
    // SAFETY: a write wants a writable word: a `sigset_t` is an array of words.
    unsafe { (&raw mut jobs.sa_mask).cast::<u64>().write(MASK.load(Relaxed)) };
    jobs
}

/// `sigaction(SIGBUS, …)` of the job.
///
/// # Safety
/// As for the C function.
pub unsafe fn set_action(new: *const sigaction, old: *mut sigaction) -> c_int {
    let guarded = PROCESS.load(Relaxed);
    // Not after a vfork, in the memory of the parent, nor in a copy of the process that was made without our handlers of forks.
    let is_ours = guarded != 0 && guarded == sys::pid();
    let mut before = default_action();
    // SAFETY: a read wants a readable action: it is not null, and the caller keeps the contract of sigaction(2).
    let wanted = (!new.is_null()).then(|| unsafe { *new });
    let front = wanted.map(|wanted| match wanted.sa_sigaction {
        // What is ignored stays so in a program that the job executes.
        libc::SIG_IGN => wanted,
        _ if is_ours => in_front_of(&wanted),
        _ => wanted,
    });
    let front = front
        .as_ref()
        .map_or(null_mut(), |front| (&raw const *front).cast_mut().cast());
    // SAFETY: sigaction wants null or a complete action, and null or a writable one: `front` is the former, `before` the latter.
    let status = unsafe { real::sigaction(SIGBUS, front, (&raw mut before).cast()) };
    if status != 0 {
        return status;
    }
    if before.sa_sigaction == handler() {
        before = remembered();
    }
    if let Some(wanted) = wanted.filter(|wanted| is_ours && wanted.sa_sigaction != libc::SIG_IGN) {
        remember(&wanted);
    }
    if !old.is_null() {
        // SAFETY: a write wants a writable action: it is not null, and the caller keeps the contract of sigaction(2).
        unsafe { *old = before };
    }
    status
}

/// `signal(SIGBUS, …)` of the job.
///
/// # Safety
/// As for the C function.
pub unsafe fn set_handler(handler: libc::sighandler_t) -> libc::sighandler_t {
    let mut new = default_action();
    let mut old = new;
    new.sa_sigaction = handler;
    // What signal(3) of glibc does.
    new.sa_flags = libc::SA_RESTART;
    // SAFETY: a write wants a writable word: the set is this function's own.
    unsafe { (&raw mut new.sa_mask).cast::<u64>().write(SIGBUS_BIT) };
    // SAFETY: set_action wants readable and writable actions: both are this function's own. The caller promises that the handler
    // is one.
    if unsafe { set_action(&raw const new, &raw mut old) } != 0 {
        return libc::SIG_ERR;
    }
    old.sa_sigaction
}

/// What the job sees instead of our handler, which the C library has returned.
pub fn seen(found: usize) -> usize {
    if found == handler() {
        HANDLER.load(Relaxed)
    } else {
        found
    }
}

/// In a forked child: the handler is its own too.
pub fn after_fork() {
    if PROCESS.load(Relaxed) != 0 {
        PROCESS.store(sys::pid(), Relaxed);
    }
}

/// # Safety
/// Called by the kernel as a handler with `SA_SIGINFO`.
unsafe extern "C" fn on_bus(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: a reference wants a siginfo_t: the kernel passes one to a handler with SA_SIGINFO.
    let about = unsafe { &*info };
    // SAFETY: si_addr wants a siginfo_t that has the field: that of SIGBUS has it, whoever has sent it.
    let address = unsafe { about.si_addr() } as usize;
    if about.si_code > 0 && lost::replace(address) {
        return;
    }
    if about.si_code > 0 {
        refused::after_bus_error(address);
    }
    let jobs = HANDLER.load(Relaxed);
    if jobs == SIG_DFL {
        return as_plain(signal, info);
    }
    if FLAGS.load(Relaxed) & libc::SA_RESETHAND != 0 {
        HANDLER.store(SIG_DFL, Relaxed);
    }
    // SAFETY: transmute wants a function of this type: the job has set it as its handler. One that takes the number alone does
    // not look at the other arguments.
    let jobs = unsafe { transmute::<usize, unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void)>(jobs) };
    // SAFETY: the job's handler wants what the kernel passes, and gets that.
    unsafe { jobs(signal, info, context) }
}

/// Has the kernel do a signal's default action as soon as the handler has returned.
pub fn as_plain(signal: c_int, info: *mut siginfo_t) {
    let default = default_action();
    // SAFETY: sigaction wants a complete action: `default` is one.
    unsafe { real::sigaction(signal, (&raw const default).cast_mut().cast(), null_mut()) };
    sys::signal_this_thread(signal, info.cast_const());
}
