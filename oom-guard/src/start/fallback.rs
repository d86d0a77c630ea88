//! What happens when `fil-profile` itself fails, by a bug or because it gets no memory: the job must not notice. Before the job is
//! started, this process executes the job's program in its own place. After that, it passes signals on, waits for the job's end, and
//! ends in the same way.
//!
//! Every such failure ends in abort(3): a panic, a failed allocation, an internal error of std. So the fallback is the handler of
//! SIGABRT, which makes system calls only.
#![expect(unsafe_code, reason = "a signal handler")]

use std::mem::MaybeUninit;
use std::ptr::{self, null_mut};
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering::Relaxed};

use libc::c_int;
use nix::unistd::{Pid, getpid};

use crate::kernel::process;
use crate::start::launch::Image;
use crate::terminal::say::say;

/// The fallback is for this process only, not for those that it forks.
static SUPERVISOR: AtomicI32 = AtomicI32::new(0);
/// The program to execute; null for none.
static IMAGE: AtomicPtr<Image<'static>> = AtomicPtr::new(null_mut());

/// From here on this process executes the job's program if it fails.
pub fn prepare(image: &'static Image<'static>) {
    std::panic::set_hook(Box::new(|what| say(format!("fil-profile itself has failed: {what}"))));
    IMAGE.store(ptr::from_ref(image).cast_mut(), Relaxed);
    SUPERVISOR.store(getpid().as_raw(), Relaxed);
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zeros are a value of it: no flags, an empty mask.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = on_abort as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for, and is fit to be called at any moment: it makes system calls
    // and reads atomics.
    unsafe { libc::sigaction(libc::SIGABRT, action, null_mut()) };
}

extern "C" fn on_abort(number: c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives it to a handler with SA_SIGINFO.
    let info = unsafe { &*info };
    // SAFETY: a signal that a process has sent has a sender.
    let sender = unsafe { info.si_pid() };
    let this = getpid().as_raw();
    if this != SUPERVISOR.load(Relaxed) || sender != this {
        // As for any program: it waits until this has returned, or abort(3) sends it again.
        process::die_of(number);
        return;
    }
    if process::job() == 0 {
        // SAFETY: null, or an image that lives as long as this process.
        let image = unsafe { IMAGE.load(Relaxed).as_ref() };
        image.map(Image::execute);
        exit(126);
    }
    let status = end_of_the_job(process::job());
    if libc::WIFSIGNALED(status) {
        process::die_of(libc::WTERMSIG(status));
    }
    exit(libc::WEXITSTATUS(status));
}

/// Waits for the job's end, and passes on signals of other processes.
fn end_of_the_job(job: c_int) -> c_int {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset makes a set of what is none yet.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    loop {
        let status = process::job_ended();
        if status >= 0 {
            return status;
        }
        let mut status = 0;
        // SAFETY: waitpid writes one int, where `status` is.
        let found = unsafe { libc::waitpid(job, &mut status, libc::WNOHANG) };
        if found == job && !libc::WIFSTOPPED(status) || found == -1 {
            return status;
        }
        let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
        // SAFETY: the set has been made, and `info` has room for what is told of the signal.
        let number = unsafe { libc::sigwaitinfo(all.as_ptr(), info.as_mut_ptr()) };
        if number <= 0 || number == libc::SIGCHLD {
            continue;
        }
        // SAFETY: sigwaitinfo has filled it in.
        let info = unsafe { info.assume_init() };
        // The terminal's signals have reached the job too.
        if info.si_code <= 0 {
            process::send(Pid::from_raw(job), number);
        }
    }
}

fn exit(status: c_int) -> ! {
    // SAFETY: ends this process at once, without what others may have in the making.
    unsafe { libc::_exit(status) }
}
