//! The emergency path: what happens when an allocation has failed. The process may be about to die, any lock may be held by a
//! thread that will never run again, and there is no memory. So this only notes the failure, gives back the stash and tells
//! the supervisor.
#![expect(unsafe_code, reason = "fflush, madvise and what pthread attributes say")]

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use core::sync::atomic::{Ordering::Relaxed, Ordering::Release};

use recording::protocol::message::Refusal;
use recording::protocol::{Message, OOM_STATUS};
use recording::{AllocFunction, Block, Header, Kind, Trouble};

use crate::real::Pointer;
use crate::state::STATE;
use crate::switches::RECORDING;
use crate::thread::{self, Failing, Inside};
use crate::{errno, events, header, message_pipe, refused, stash, sys};

/// A smaller failure within this time belongs to the same moment: the program is unwinding.
const MOMENT_NS: u64 = 2_000_000_000;
/// A program that unwinds asks for less than this.
const ECHO_BYTES: u64 = 1 << 20;
/// Shortest time between two messages,
const AGAIN_PAUSE_NS: u64 = 500_000_000;
/// and of a new moment, which is measured. A program may try again and again, and waits for each measurement.
const NEW_PAUSE_NS: u64 = 100_000_000;

/// How long the process waits at most for the supervisor to measure, and the pause between two checks.
const PATIENCE_NS: u64 = 1_000_000_000;
/// See [`PATIENCE_NS`].
const LOOK_NS: u64 = 300_000;

/// End the process on a failed allocation?
pub static EXIT_ON_OOM: AtomicBool = AtomicBool::new(false);
/// Whether the allocator coped with the failure at the last moment.
static WAS_COPED_WITH: AtomicBool = AtomicBool::new(false);
/// Threads started so far beside the first.
pub static THREADS_STARTED: AtomicU32 = AtomicU32::new(0);

/// An allocator returned null: notes the failure if `errno` says that there was no memory, and not that the arguments were wrong.
/// Returns null, so that the caller can end with this call.
#[cold]
#[inline(never)]
pub fn came_back_empty(function: AllocFunction, bytes: usize) -> Pointer {
    if errno::get() == libc::ENOMEM {
        failed(function, bytes);
    }
    core::ptr::null_mut()
}

/// An allocation failed. Does not return if that ends the process. It is not noted below a hook or another interposed function:
/// the outer call may still succeed.
#[cold]
#[inline(never)]
pub fn failed(function: AllocFunction, bytes: usize) {
    if RECORDING.load(Relaxed) && bytes > 0 && !thread::state().is_inside() {
        handle(function, bytes as u64, false);
    }
}

/// pymalloc got no arena. It continues with malloc, which may still have some memory.
#[cold]
#[inline(never)]
pub fn arena_failed(bytes: usize) {
    if RECORDING.load(Relaxed) {
        handle(AllocFunction::Mmap, bytes as u64, true);
    }
}

/// Notes a failed allocation of so many bytes; leaves `errno` as it is. With `coped_with`, the caller is an allocator that tries
/// something else next.
fn handle(function: AllocFunction, bytes: u64, coped_with: bool) {
    let Some(_failing) = Failing::enter() else { return };
    let errno = errno::get();
    let is_new = note(function, bytes, coped_with);
    if !coped_with {
        stash::release();
        if EXIT_ON_OOM.load(Relaxed) {
            end_process();
        }
        tell(is_new);
    }
    errno::set(errno);
}

/// `true` if this is a new moment.
fn note(function: AllocFunction, bytes: u64, coped_with: bool) -> bool {
    let _inside = Inside::enter();
    let mut state = STATE.try_for_a_while();
    let (header, node) = match &mut state {
        Some(state) => {
            let node = state.callstack();
            state.recorder.look_at_all();
            state.keep();
            (state.recording(), node)
        }
        None => (header::current(), 0),
    };
    let Some(header) = header else { return false };
    if state.is_none() {
        events::note_once(header, Trouble::Busy, 0);
    }
    header.failures.fetch_add(!coped_with as u64, Relaxed);
    events::note_failure(header, function as u32, bytes, node);
    let is_new = is_a_new_moment(header, bytes, coped_with);
    if is_new {
        WAS_COPED_WITH.store(coped_with, Relaxed);
        header.oom_live_bytes.store(header.live_bytes.load(Relaxed), Relaxed);
        header
            .oom_absent_bytes
            .store(header.absent_bytes.load(Relaxed), Relaxed);
        header.oom_arena_bytes.store(header.arena_bytes.load(Relaxed), Relaxed);
        header.oom_request_bytes.store(bytes, Relaxed);
        header.oom_time_ns.store(sys::now_ns(false), Relaxed);
        header.oom_node.store(node, Relaxed);
        header.oom_function.store(function as u32, Relaxed);
        header.oom_epoch.fetch_add(1, Release);
    }
    is_new
}

/// Whether this failure is a new "moment it ran out", and not one of those that follow while the program unwinds.
fn is_a_new_moment(header: &Header, bytes: u64, coped_with: bool) -> bool {
    let (live, then) = (header.live_bytes.load(Relaxed), header.oom_live_bytes.load(Relaxed));
    let later = sys::now_ns(false).saturating_sub(header.oom_time_ns.load(Relaxed)) > MOMENT_NS;
    let has_grown = live > then.saturating_add((then / 64).max(ECHO_BYTES));
    // Nor does it ask for more than what was refused.
    let is_another = bytes >= ECHO_BYTES && (live >= then || bytes >= header.oom_request_bytes.load(Relaxed));
    let outranks = !coped_with && (is_another || WAS_COPED_WITH.load(Relaxed));
    header.oom_epoch.load(Relaxed) == 0 || later || has_grown || outranks
}

/// Tells the supervisor that an allocation has failed. `false` if nobody listens.
fn send_failed() -> bool {
    message_pipe::send(Message::Failed { pid: sys::pid() })
}

/// Tells the supervisor, not too often; if nobody listens, starts the dumper once.
fn tell(is_new: bool) {
    static LAST_NS: AtomicU64 = AtomicU64::new(0);
    static STARTED: AtomicBool = AtomicBool::new(false);
    let now = sys::now_ns(true);
    let pause = if is_new { NEW_PAUSE_NS } else { AGAIN_PAUSE_NS };
    let last = LAST_NS.load(Relaxed);
    let is_due = now.saturating_sub(last) >= pause;
    // Of several threads, one tells it.
    if !is_due || LAST_NS.compare_exchange(last, now, Relaxed, Relaxed).is_err() {
        return;
    }
    let epoch = moment();
    if !send_failed() {
        if !STARTED.swap(true, Relaxed) {
            message_pipe::start_dumper();
        }
    } else if is_new {
        wait_until_measured(epoch);
    }
}

/// The number of the last moment. To be read before the supervisor is told: a failure in another thread after that may be measured too, or not.
fn moment() -> u32 {
    header::current().map_or(0, |header| header.oom_epoch.load(Relaxed))
}

/// Lets the supervisor measure what is resident at this moment before the program unwinds, if it does so soon.
fn wait_until_measured(epoch: u32) {
    let Some(header) = header::current() else { return };
    let began = sys::monotonic_ns();
    // The answer may be for a later moment, of another thread.
    while header.measured_epoch.load(Relaxed) < epoch && sys::monotonic_ns().saturating_sub(began) < PATIENCE_NS {
        sys::sleep_ns(LOOK_NS);
    }
}

/// Ends the process. A supervisor draws the report when it sees the end; without one the dumper is started from here, and given
/// room by handing the large blocks' pages back. Other threads may continue until then, so nothing is unmapped.
fn end_process() -> ! {
    static ENDING: AtomicBool = AtomicBool::new(false);
    if ENDING.swap(true, Relaxed) {
        loop {
            sys::pause();
        }
    }
    if let Some(header) = header::current() {
        header.state.store(recording::STATE_OOM_EXIT, Release);
    }
    // If there are other threads, one of them may hold a stream's lock for ever.
    if THREADS_STARTED.load(Relaxed) == 0 {
        // SAFETY: fflush wants null, for every stream, or a stream.
        unsafe { libc::fflush(core::ptr::null_mut()) };
    }
    let epoch = moment();
    if send_failed() {
        wait_until_measured(epoch);
    } else {
        give_back_large_blocks();
        if let Some(dumper) = message_pipe::start_dumper() {
            message_pipe::wait_for(dumper);
        }
    }
    sys::exit(OOM_STATUS)
}

fn give_back_large_blocks() {
    let Some(state) = STATE.try_for_a_while() else { return };
    for index in 0..state.large_block_count() {
        let Some(block) = state.large_block(index) else { break };
        // No mappings: they may be an allocator's, or a thread's stack.
        if matches!(
            Kind::from_code(block.flags.load(Relaxed)),
            Kind::Heap | Kind::Mapped | Kind::Foreign
        ) {
            give_back(block);
        }
    }
}

fn give_back(block: &Block) {
    let page = sys::page_bytes();
    let start = block.address.load(Relaxed);
    let first = start.next_multiple_of(page);
    let end = start.saturating_add(block.bytes.load(Relaxed)) & !(page - 1);
    if start != 0 && first < end {
        // SAFETY: `advise` wants that the contents may go: these are whole pages of a live block, given up on purpose since the
        // process is about to end.
        let _ = unsafe { sys::advise(first as usize, (end - first) as usize, libc::MADV_DONTNEED) };
    }
}

/// The program is about to start a thread.
pub fn thread_starts() {
    let threads = THREADS_STARTED.fetch_add(1, Relaxed) + 1;
    if let Some(header) = header::current() {
        header.threads_started.store(threads, Relaxed);
    }
}

/// A thread could not be started. EAGAIN may be a limit on processes; it is about memory if its stack cannot be mapped now.
pub fn thread_failed(attributes: *const core::ffi::c_void, status: i32) {
    THREADS_STARTED.fetch_sub(1, Relaxed);
    let bytes = stack_bytes(attributes);
    let no_room = || match sys::map_anonymous(bytes) {
        Ok(probe) => {
            // SAFETY: `unmap` wants memory that nobody uses: it was mapped just now.
            unsafe { sys::unmap(probe, bytes) };
            false
        }
        Err(_) => true,
    };
    if status == libc::ENOMEM || status == libc::EAGAIN && no_room() {
        failed(AllocFunction::PthreadCreate, bytes);
    } else if status == libc::EAGAIN {
        refused::one_more(Refusal::Thread);
    }
}

fn stack_bytes(attributes: *const core::ffi::c_void) -> usize {
    if attributes.is_null() {
        // As large as RLIMIT_STACK says (pthread_create(3)), 2 MiB if that is unlimited.
        let limit = sys::limit(libc::RLIMIT_STACK).filter(|limit| *limit != libc::RLIM_INFINITY);
        return limit.map_or(2 << 20, |limit| limit as usize);
    }
    let mut bytes = 0;
    // SAFETY: the function wants initialized attributes: the job has passed them to pthread_create, which wants the same.
    unsafe { libc::pthread_attr_getstacksize(attributes.cast(), &mut bytes) };
    bytes
}
