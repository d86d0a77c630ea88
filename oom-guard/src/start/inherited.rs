//! The signal settings and the environment that we were started with. std and we change some of them; the job gets them as they were.
#![expect(unsafe_code, reason = "a constructor, sigaction, and environ as it stands")]

use std::ffi::{CStr, CString, c_char};
use std::hint;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::c_int;
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};

use crate::kernel::process::set_disposition;

static PIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);
static FILE_SIZE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// std ignores SIGPIPE and opens closed standard streams before `main` begins, so their state must be read before that.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    // A preloaded LeakSanitizer initializes itself at the first allocation; before that, its `sigaction` calls a null pointer.
    drop(hint::black_box(Box::new(0_u8)));
    PIPE_WAS_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    FILE_SIZE_WAS_IGNORED.store(is_ignored(libc::SIGXFSZ), Ordering::Relaxed);
    // A write beyond RLIMIT_FSIZE then fails instead of killing us.
    let _ = set_disposition(Signal::SIGXFSZ, SigHandler::SigIgn);
    fill_closed_streams();
}

/// Opens a file for each closed descriptor from 0 to 2, so that no file of ours gets such a number. It is closed when the job is executed.
fn fill_closed_streams() {
    for stream in 0..3 {
        // SAFETY: asks about a number and touches no memory.
        if unsafe { libc::fcntl(stream, libc::F_GETFD) } >= 0 {
            continue;
        }
        // open(2) takes the lowest free number, which is `stream`. Without /dev/null a folder does: writing to it fails.
        for (path, flags) in [(c"/dev/null", libc::O_RDWR), (c"/", libc::O_RDONLY)] {
            // SAFETY: the path ends in a zero byte, and no mode is needed where no file is made.
            if unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) } >= 0 {
                break;
            }
        }
    }
}

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action changes nothing, and `action` has room for the old one.
    let status = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: on success sigaction has filled `action` in.
    status == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// The signal mask, the dispositions and the parent-death signal that we were started with.
#[derive(Clone, Copy, Debug)]
pub struct Inherited {
    mask: SigSet,
    pipe_ignored: bool,
    file_size_ignored: bool,
    child_ignored: bool,
    abort_ignored: bool,
    at_parents_death: Option<Signal>,
}

impl Inherited {
    /// Reads them. Only the dispositions that are changed before `main` are known from before.
    pub fn read() -> Self {
        Self {
            mask: SigSet::thread_get_mask().unwrap_or(SigSet::empty()),
            pipe_ignored: PIPE_WAS_IGNORED.load(Ordering::Relaxed),
            file_size_ignored: FILE_SIZE_WAS_IGNORED.load(Ordering::Relaxed),
            child_ignored: is_ignored(libc::SIGCHLD),
            abort_ignored: is_ignored(libc::SIGABRT),
            at_parents_death: prctl::get_pdeathsig().unwrap_or(None),
        }
    }

    /// Restores them as far as possible. Safe between fork and exec.
    pub fn restore(self) {
        let handler = |ignored| {
            if ignored {
                SigHandler::SigIgn
            } else {
                SigHandler::SigDfl
            }
        };
        let _ = set_disposition(Signal::SIGPIPE, handler(self.pipe_ignored));
        let _ = set_disposition(Signal::SIGXFSZ, handler(self.file_size_ignored));
        let _ = set_disposition(Signal::SIGCHLD, handler(self.child_ignored));
        let _ = set_disposition(Signal::SIGABRT, handler(self.abort_ignored));
        if let Some(signal) = self.at_parents_death {
            // A fork has cleared it. It was meant for the death of our parent; the job gets it at our death.
            let _ = prctl::set_pdeathsig(signal);
        }
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None);
    }
}

/// All entries of the environment in their order. std leaves out entries that are not `NAME=VALUE`.
pub fn environment() -> Vec<CString> {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    let mut entries = Vec::new();
    // SAFETY: nobody in this program changes the environment, so reading the variable races with no write.
    let mut entry = unsafe { environ };
    if entry.is_null() {
        return entries;
    }
    loop {
        // SAFETY: `entry` is inside the array, which ends with a null pointer, at which this stops.
        let text = unsafe { *entry };
        if text.is_null() {
            return entries;
        }
        // SAFETY: every entry but the last is a string that ends in a zero byte.
        entries.push(unsafe { CStr::from_ptr(text) }.to_owned());
        // SAFETY: this entry was not the last, so that the next is inside the array.
        entry = unsafe { entry.add(1) };
    }
}

/// Ignores SIGPIPE again, as std does, if the program could not be executed after [`Inherited::restore`].
pub fn ignore_sigpipe() -> io::Result<()> {
    Ok(set_disposition(Signal::SIGPIPE, SigHandler::SigIgn)?)
}
