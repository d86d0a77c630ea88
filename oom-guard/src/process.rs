//! Processes as they are started and ended behind std's and nix's backs: the job with the signals and limits that we
//! were given, a process for each report, and our own death by the job's signal, which may be one that nix has no name for.
#![expect(unsafe_code, reason = "fork, sigaction and pre_exec have no safe form")]

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::c_int;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork};

use crate::exit::End;
use crate::limits::Limits;
use crate::target::Target;

static PIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// std ignores SIGPIPE before `main` begins; what it was is known only before that.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = remember_sigpipe;

extern "C" fn remember_sigpipe() {
    PIPE_WAS_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
}

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action changes nothing, and `action` has room for the old one.
    let status = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: on success sigaction has filled `action` in.
    status == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// The signal mask and dispositions that we were started with, for the job to be started with.
#[derive(Clone, Copy, Debug)]
pub struct Inherited {
    mask: SigSet,
    pipe_ignored: bool,
    child_ignored: bool,
}

impl Inherited {
    /// Reads them, with every disposition still as it was.
    pub fn read() -> Self {
        Self {
            mask: SigSet::thread_get_mask().unwrap_or(SigSet::empty()),
            pipe_ignored: PIPE_WAS_IGNORED.load(Ordering::Relaxed),
            child_ignored: is_ignored(libc::SIGCHLD),
        }
    }

    fn restore(self) -> nix::Result<()> {
        let handler = |ignored| {
            if ignored {
                SigHandler::SigIgn
            } else {
                SigHandler::SigDfl
            }
        };
        set(Signal::SIGPIPE, handler(self.pipe_ignored))?;
        set(Signal::SIGCHLD, handler(self.child_ignored))?;
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None)
    }
}

/// From here on signals wait until they are asked for, and the end of a child is one.
pub fn hold_signals() -> nix::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    set(Signal::SIGCHLD, SigHandler::SigDfl)
}

fn set(number: Signal, handler: SigHandler) -> nix::Result<()> {
    // SAFETY: `handler` is never a function here, so there is none that must be fit to be called at any moment.
    unsafe { signal(number, handler) }.map(drop)
}

/// The command that starts `target` with these limits, and otherwise as we were started ourselves.
pub fn command(target: &Target, inherited: Inherited, limits: Limits) -> Command {
    let mut command = Command::new(&target.program);
    command.arg0(&target.name).args(&target.args);
    let prepare = move || {
        limits.set()?;
        inherited.restore()?;
        io::Result::Ok(())
    };
    // SAFETY: between fork and exec `prepare` makes only system calls that are safe there, and allocates nothing.
    unsafe { command.pre_exec(prepare) };
    command
}

/// Does `work` in a child process, which ends with the status that it gives. What it allocates, and how it may die, is
/// no matter of the supervisor's.
pub fn apart(work: impl FnOnce() -> i32) -> nix::Result<Pid> {
    // SAFETY: the supervisor has one thread, so no lock is held by a thread that the child does not have.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => std::process::exit(work()),
    }
}

/// News of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has ended.
    Ended(End),
    /// It has been stopped, and waits to be continued.
    Stopped(Signal),
}

/// The next child of which there is news, ours or, as process 1 of a container, anybody's.
pub fn next_change() -> Option<(Pid, Change)> {
    loop {
        let (pid, status) = wait(Pid::from_raw(-1), libc::WNOHANG | libc::WUNTRACED)?;
        let stopped = || Signal::try_from(libc::WSTOPSIG(status)).ok().map(Change::Stopped);
        let change = End::of(status).map(Change::Ended);
        if let Some(change) = change.or_else(|| stopped().filter(|_| libc::WIFSTOPPED(status))) {
            return Some((pid, change));
        }
    }
}

/// Waits for the end of a child; `None` if it is none.
pub fn wait_for(pid: Pid) -> Option<End> {
    loop {
        let (_, status) = wait(pid, 0)?;
        if let Some(end) = End::of(status) {
            return Some(end);
        }
    }
}

/// How a child has ended; `None` as long as it has not.
pub fn try_wait_for(pid: Pid) -> Option<End> {
    wait(pid, libc::WNOHANG).and_then(|(_, status)| End::of(status))
}

fn wait(pid: Pid, options: c_int) -> Option<(Pid, c_int)> {
    loop {
        let mut status = 0;
        // SAFETY: waitpid writes one int, where `status` is.
        match unsafe { libc::waitpid(pid.as_raw(), &mut status, options) } {
            0 => return None,
            -1 if nix::errno::Errno::last() == nix::errno::Errno::EINTR => {}
            -1 => return None,
            found => return Some((Pid::from_raw(found), status)),
        }
    }
}

/// Sends any signal, also a real-time one, which [`Signal`] does not know.
pub fn send(pid: Pid, number: c_int) {
    // SAFETY: kill takes numbers and touches no memory. It fails where the process has ended, which is as well.
    unsafe { libc::kill(pid.as_raw(), number) };
}

/// Takes `signals` from those that are held: they do again what they do to any program.
pub fn let_through(signals: &[Signal]) {
    let set: SigSet = signals.iter().copied().collect();
    let _ = set.thread_unblock();
}

/// Stops by a signal as if it were not held, and returns when continued.
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

/// Sleeps until a signal that is not held ends this process.
pub fn sleep_for_ever() -> ! {
    loop {
        nix::unistd::pause();
    }
}

/// Dies of a signal. Returns only where that is impossible.
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
