//! What runs before and after the program's own code, around a fork, and on a panic, which must not happen.
#![expect(unsafe_code, reason = "constructor and fork handlers")]

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::Release};

use recording::EventKind;
use recording::protocol::OnOom;

#[cfg(not(test))]
use crate::arch;
use crate::python::adopt;
use crate::state::{self, STATE};
use crate::switches::{EXACT, ONLY_IN_WINDOWS, RECORDING};
use crate::{
    bus, chunk, emergency, events, header, lost, message_pipe, phases, real, request, run_folder, sampler, sanitizer,
    say, sender, stash, sys, thread, windows,
};

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = start;

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_END: extern "C" fn() = end;

/// Reads the settings, and begins to record if they say where.
extern "C" fn start() {
    real::resolve();
    if !real::is_glibc() {
        return;
    }
    sanitizer::leave_if_any();
    header::program_begins();
    say::meet_stderr();
    chunk::meet_allocator();
    if prepare() {
        begin();
    }
}

/// Reads the settings, and prepares what they ask for. Whether this process is to be recorded; if not, the Python package may call
/// [`record_into`] later.
fn prepare() -> bool {
    let settings = &mut STATE.lock().settings;
    settings.read_environment(sys::parent_pid());
    let Some(run) = settings.run() else { return false };
    settings.run_inode.into_iter().for_each(run_folder::expect);
    message_pipe::prepare(run);
    emergency::EXIT_ON_OOM.store(settings.on_oom == OnOom::Exit, Relaxed);
    sender::expect(settings.supervisor);
    request::listen();
    stash::granted(settings.limits);
    if settings.is_first {
        stash::take(settings.stash_bytes, settings.stash_at_most);
    }
    true
}

/// Records from now on in a process that does not, into `folder` if it has no run folder yet. The caller holds the interpreter's
/// lock.
pub fn record_into(folder: &[u8]) {
    {
        let run = &mut STATE.lock().settings.run;
        if run.bytes().is_empty() {
            run.push(folder);
        }
    }
    begin();
}

/// Begins to record this process as the settings in [`STATE`] say; at a later call, only records again.
fn begin() {
    // A forked child has the handlers of its parent. Twice the same handler would wait for its own lock at a fork.
    static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
    if !HAS_BEGUN.swap(true, Relaxed) {
        bus::guard();
        prepare_to_record();
        adopt::adopt_python();
        // SAFETY: on_exit wants a function that can be called at the exit. It is of this library, which is never unloaded.
        unsafe { real::on_exit(end_with as *mut c_void, null_mut()) };
        real::at_fork(before_fork, after_fork_in_parent, after_fork_in_child);
    }
    record();
}

fn prepare_to_record() {
    stash::look_at_limits();
    let mut state = STATE.lock();
    EXACT.store(state.settings.exact, Relaxed);
    state::set_interval(state.settings.interval_log2.unwrap_or(sampler::FINEST_LOG2));
    if state.settings.exact {
        state.live.expect_every_block();
    }
}

fn record() {
    RECORDING.store(true, Relaxed);
    // This thread has allocated uncounted until now: the sampler looks at its next allocation.
    thread::state().arm(0, 0);
}

extern "C" fn end() {
    let Some(header) = header::current() else { return };
    header::note_most_resident(header);
    if let (Some(_inside), Some(mut state)) = (thread::Inside::enter(), STATE.try_for_a_while()) {
        state.recorder.look_at_all();
        // The job itself is worth a report, however small it is.
        if state.settings.is_first {
            state.keep();
        }
    }
    header.state.store(recording::STATE_ENDED, Release);
}

/// The process ends of itself, without exit handlers, as workers do. No more than this: it may be in a signal handler, or after
/// a vfork, in its parent's memory.
pub fn leaves(status: c_int) {
    if let Some(header) = header::current()
        && header.pid.load(Relaxed) == sys::pid()
    {
        header::note_most_resident(header);
        events::note(header, EventKind::Ended, status.cast_unsigned(), 0);
        if let (Some(_inside), Some(mut state)) = (thread::Inside::enter(), STATE.try_at_once()) {
            state.recorder.look_at_all();
        }
        header.state.store(recording::STATE_ENDED, Release);
    }
}

/// After [`end`], which is not told the status: what is registered first is called last.
extern "C" fn end_with(status: c_int, _argument: *mut c_void) {
    if let Some(header) = header::current() {
        events::note(header, EventKind::Ended, status.cast_unsigned(), 0);
    }
}

/// Did this fork take the lock? A signal handler that forks in the middle of a sample must not wait for itself.
static FORK_HOLDS_LOCK: AtomicBool = AtomicBool::new(false);

extern "C" fn before_fork() {
    if let Some(_inside) = thread::Inside::enter() {
        STATE.before_fork(|state| state.recorder.before_fork());
        FORK_HOLDS_LOCK.store(true, Relaxed);
    }
}

extern "C" fn after_fork_in_parent() {
    if FORK_HOLDS_LOCK.swap(false, Relaxed) {
        STATE.after_fork(|_| ());
    }
}

/// Bytes of small blocks that a forked child may allocate before it is sampled: most children end before.
const GRACE_BYTES: u64 = 256 << 10;

extern "C" fn after_fork_in_child() {
    header::disown();
    header::process_begins();
    bus::after_fork();
    if lost::forget() {
        RECORDING.store(true, Relaxed);
    }
    thread::state().spare(GRACE_BYTES);
    if FORK_HOLDS_LOCK.swap(false, Relaxed) {
        STATE.after_fork(|state| {
            windows::close_all();
            phases::forget();
            if ONLY_IN_WINDOWS.load(Relaxed) {
                RECORDING.store(false, Relaxed);
            }
            state.after_fork();
        });
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // This is our bug. The job cannot continue in the middle of its malloc, but the user must see that it is not the job's fault.
    say::line(format_args!(
        "The preloaded library has failed. Please report this; without fil-profile the job runs."
    ));
    sys::exit(134)
}

// The precompiled `core` refers to this for unwinding, which never happens here: panics abort. Hidden, so that the job's own C++
// and Rust libraries find theirs.
#[cfg(not(test))]
core::arch::global_asm!(
    ".pushsection .text",
    ".hidden rust_eh_personality",
    ".globl rust_eh_personality",
    concat!("rust_eh_personality: ", arch::trap!()),
    ".popsection",
);
