//! Process control that std and nix do not have: forked work, news of any child, and signals by number, which may be real-time signals
//! that nix has no name for.
#![expect(unsafe_code, reason = "fork, waitpid and signals by number have no safe form")]

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::Duration;

use libc::c_int;
use nix::sys::prctl;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork, getppid};
use recording::protocol::PASSED_ON;

use crate::kernel::end::End;

/// The seconds of processor time at which the kernel kills a process, this one as well as the job; `None` without a limit.
pub fn most_processor_time() -> Option<u64> {
    let (_, most) = getrlimit(Resource::RLIMIT_CPU).ok()?;
    (most != RLIM_INFINITY).then_some(most)
}

/// Blocks all signals, so that they stay pending until they are read, and makes the end of a child send SIGCHLD.
pub fn hold_signals() -> nix::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    set_disposition(Signal::SIGCHLD, SigHandler::SigDfl)
}

/// Sets a disposition other than a handler function.
pub fn set_disposition(number: Signal, handler: SigHandler) -> nix::Result<()> {
    // SAFETY: `handler` is never a function here, so there is none that must be fit to be called at any moment.
    unsafe { signal(number, handler) }.map(drop)
}

/// Does `work` in a child process, which exits with the status that `work` returns. Its memory, and how it may die, do not affect this
/// process.
pub fn apart(work: impl FnOnce() -> i32) -> nix::Result<Pid> {
    // SAFETY: the supervisor has one thread, so no lock is held by a thread that the child does not have.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => std::process::exit(work()),
    }
}

/// As [`apart`], in a process that dies with this one: another process may do the same work after that.
pub fn beside(work: impl FnOnce() -> i32) -> nix::Result<Pid> {
    let this = Pid::this();
    apart(|| {
        let is_ours = prctl::set_pdeathsig(Signal::SIGKILL).is_ok() && getppid() == this;
        if is_ours { work() } else { 1 }
    })
}

/// News of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildEvent {
    /// It has ended.
    Ended(End),
    /// It has been stopped, and waits to be continued.
    Stopped(Signal),
}

/// The next child that has ended or stopped: one of ours or, if we are process 1 of a container, any orphan.
pub fn next_child_event() -> Option<(Pid, ChildEvent)> {
    loop {
        let (pid, status) = wait(Pid::from_raw(-1), libc::WNOHANG | libc::WUNTRACED)?;
        let stopped = || Signal::try_from(libc::WSTOPSIG(status)).ok().map(ChildEvent::Stopped);
        let change = End::from_wait_status(status).map(ChildEvent::Ended);
        if let Some(change) = change.or_else(|| stopped().filter(|_| libc::WIFSTOPPED(status))) {
            return Some((pid, change));
        }
    }
}

/// Waits for the end of a child; `None` if there is no such child.
pub fn wait_for(pid: Pid) -> Option<End> {
    loop {
        let (_, status) = wait(pid, 0)?;
        if let Some(end) = End::from_wait_status(status) {
            return Some(end);
        }
    }
}

/// How a child has ended; `None` while it runs.
pub fn try_wait_for(pid: Pid) -> Option<End> {
    wait(pid, libc::WNOHANG).and_then(|(_, status)| End::from_wait_status(status))
}

fn wait(pid: Pid, options: c_int) -> Option<(Pid, c_int)> {
    loop {
        let mut status = 0;
        // SAFETY: waitpid writes one int, where `status` is.
        match unsafe { libc::waitpid(pid.as_raw(), &mut status, options) } {
            0 => return None,
            -1 if nix::errno::Errno::last() == nix::errno::Errno::EINTR => {}
            -1 => return None,
            found => {
                let pid = Pid::from_raw(found);
                note_end(pid, status);
                return Some((pid, status));
            }
        }
    }
}

/// The job's process; 0 for none.
static JOB: AtomicI32 = AtomicI32::new(0);
/// Its end as waitpid(2) has told it, if it has; -1 until then.
static JOB_ENDED: AtomicI32 = AtomicI32::new(-1);

/// From here on the end of this child is kept for [`job_ended`].
pub fn set_job(job: Pid) {
    JOB.store(job.as_raw(), Relaxed);
}

/// The process of the job; 0 before it has one. May be called in a signal handler.
pub fn job() -> c_int {
    JOB.load(Relaxed)
}

/// The job's end as waitpid(2) has told it; negative if it has not. May be called in a signal handler.
pub fn job_ended() -> c_int {
    JOB_ENDED.load(Relaxed)
}

fn note_end(pid: Pid, status: c_int) {
    let has_ended = libc::WIFEXITED(status) || libc::WIFSIGNALED(status);
    if has_ended && pid.as_raw() == job() {
        JOB_ENDED.store(status, Relaxed);
    }
}

/// Sends any signal, also a real-time one, which [`Signal`] does not know.
pub fn send(pid: Pid, number: c_int) {
    // SAFETY: kill takes numbers and touches no memory. It fails where the process has ended, which is as well.
    unsafe { libc::kill(pid.as_raw(), number) };
}

/// Sends a signal with the value [`PASSED_ON`]. Returns whether the kernel has accepted it.
pub fn send_passed_on(pid: Pid, number: c_int) -> bool {
    let value = libc::sigval {
        sival_ptr: ptr::without_provenance_mut(PASSED_ON),
    };
    // SAFETY: sigqueue takes numbers and touches no memory; what looks like a pointer is a number, too.
    unsafe { libc::sigqueue(pid.as_raw(), number, value) == 0 }
}

/// Waits for a blocked signal and takes it, for `longest` at most.
pub fn take(number: c_int, longest: Duration) {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    let time = libc::timespec {
        tv_sec: longest.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: longest.subsec_nanos().into(),
    };
    // SAFETY: sigemptyset makes a set of what is none yet.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: it has just been made, and a number that is no signal is an error.
    unsafe { libc::sigaddset(set.as_mut_ptr(), number) };
    // SAFETY: the set and the time are complete, and what the signal tells is not asked for.
    unsafe { libc::sigtimedwait(set.as_ptr(), ptr::null_mut(), &raw const time) };
}

/// Waits for any blocked signal, takes it, and returns its number.
pub fn take_any() -> c_int {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset makes a set of what is none yet.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    loop {
        // SAFETY: the set is complete, and what the signal tells is not asked for.
        let number = unsafe { libc::sigwaitinfo(set.as_ptr(), ptr::null_mut()) };
        // Otherwise this process was stopped and continued.
        if number > 0 {
            return number;
        }
    }
}

/// Unblocks `signals`: they have their default effect again.
pub fn let_through(signals: &[Signal]) {
    let set: SigSet = signals.iter().copied().collect();
    let _ = set.thread_unblock();
}

/// Stops this process by a signal as if it were not blocked, and returns when the process is continued.
pub fn stop_of(number: Signal) {
    send(Pid::this(), number as c_int);
    let set = SigSet::from(number);
    let _ = set.thread_unblock();
    let _ = set.thread_block();
}

/// Closes every file of this process.
pub fn close_everything() {
    // SAFETY: numbers, and no memory. Who calls this has no use for any file that something else in this process may hold.
    unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
}

/// Ends this process by a signal. Returns only if that is impossible.
pub fn die_of(number: c_int) {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the default is no function that must be fit to be called.
    unsafe { libc::signal(number, libc::SIG_DFL) };
    send(Pid::this(), number);
    // SAFETY: sigemptyset makes a set of what is none yet.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: it has just been made, and a number that is no signal is an error.
    unsafe { libc::sigaddset(set.as_mut_ptr(), number) };
    // SAFETY: the set is made, and the old one is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut()) };
}
