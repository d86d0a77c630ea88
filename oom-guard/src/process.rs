//! Processes as they are started and ended behind std's and nix's backs: the job with the signals and limits that we
//! were given, a process for each report, and our own death by the job's signal.
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

/// Dies of a signal. Returns only where that is impossible.
pub fn die_of(number: Signal) {
    let _ = set(number, SigHandler::SigDfl);
    send(Pid::this(), number as c_int);
    let_through(&[number]);
}
