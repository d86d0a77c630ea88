//! Every system call the preload makes, straight to the kernel: through our own interposed symbols they would count
//! themselves, and through libc's they would change the job's `errno`. Not by rustix, which makes them in the same way: `oom-guard` needs
//! it with `std`, cargo builds it once for both, and a second `panic_handler` is an error (E0152).
#![expect(unsafe_code, reason = "system calls")]

use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::arch;

mod files;
#[cfg(miri)]
mod interpreted;
mod processes;
mod resident;

#[cfg(not(miri))]
use arch::system_call;
#[cfg(miri)]
use interpreted::system_call;

pub use files::{File, file_of, identity_of, link};
pub use processes::{file_of_process, resident};
pub use resident::Answers;

/// An `errno` value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

/// The kernel's answer: a value, or an error between -4095 and -1 (syscall(2)).
fn answer(raw: isize) -> Result<usize, Errno> {
    match raw {
        -4095..=-1 => Err(Errno((-raw) as i32)),
        value => Ok(value as usize),
    }
}

/// The answer of a call that maps memory.
fn mapped(raw: isize) -> Result<NonNull<u8>, Errno> {
    answer(raw)
        .and_then(|address| NonNull::new(core::ptr::with_exposed_provenance_mut(address)).ok_or(Errno(libc::ENOMEM)))
}

/// A system call; arguments that are not given are 0.
///
/// # Safety
/// What the system call does to the memory of the process must be right.
#[inline(always)]
unsafe fn call<const N: usize>(number: libc::c_long, arguments: [usize; N]) -> isize {
    let argument = |number: usize| arguments.get(number).copied().unwrap_or(0);
    // SAFETY: what the call does to memory is the caller's promise.
    unsafe { system_call(number, core::array::from_fn(argument)) }
}

/// Bytes of an ordinary page: 4096 on x86-64; 4, 16 or 64 KiB on aarch64.
pub fn page_bytes() -> u64 {
    // SAFETY: getauxval wants nothing: it gives what the kernel has passed to the program.
    unsafe { libc::getauxval(libc::AT_PAGESZ) }
}

/// New private zeroed memory, page-aligned; resident only where it is touched.
pub fn map_anonymous(bytes: usize) -> Result<NonNull<u8>, Errno> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let access = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    // SAFETY: mmap without MAP_FIXED changes no memory that exists: the kernel chooses the address.
    let raw = unsafe { call(libc::SYS_mmap, [0, bytes, access, flags as usize, usize::MAX]) };
    mapped(raw)
}

/// A shared mapping of a part of a file.
pub fn map_file(file: &File, offset: usize, bytes: usize) -> Result<NonNull<u8>, Errno> {
    let access = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    // SAFETY: as in map_anonymous.
    let raw = unsafe {
        call(
            libc::SYS_mmap,
            [0, bytes, access, libc::MAP_SHARED as usize, file.0 as usize, offset],
        )
    };
    mapped(raw)
}

/// Shows a file's bytes, as they are now; nothing if it cannot be mapped. A file that another process shortens meanwhile would end this
/// one: for files that nobody can write to, as the kernel refuses for a program that runs.
pub fn with_bytes<T>(file: &File, bytes: usize, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let (access, flags) = (libc::PROT_READ as usize, libc::MAP_PRIVATE as usize);
    // SAFETY: as in map_anonymous.
    let raw = unsafe { call(libc::SYS_mmap, [0, bytes, access, flags, file.0 as usize]) };
    let start = mapped(raw).ok()?;
    // SAFETY: a slice wants so many bytes that nobody changes: they are mapped, and a program that runs is not written to.
    let found = look(unsafe { core::slice::from_raw_parts(start.as_ptr(), bytes) });
    // SAFETY: munmap wants a mapping that nobody uses any more: it is that of above.
    unsafe { call(libc::SYS_munmap, [start.as_ptr() as usize, bytes]) };
    Some(found)
}

/// Maps the beginning of a file, shared, in place of what is mapped at an address.
///
/// # Safety
/// The `bytes` at `start` must be a mapping of the caller's, whose contents are not needed any more.
pub unsafe fn map_file_over(start: NonNull<u8>, file: &File, bytes: usize) -> Result<(), Errno> {
    let access = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_SHARED | libc::MAP_FIXED) as usize;
    let address = start.as_ptr() as usize;
    // SAFETY: mmap with MAP_FIXED wants a range whose contents may go: the caller's promise.
    let raw = unsafe { call(libc::SYS_mmap, [address, bytes, access, flags, file.0 as usize]) };
    answer(raw).map(|_| ())
}

/// Puts new memory in place of what is mapped at an address: private if there is any, else shared, which other limits count.
///
/// # Safety
/// The `bytes` at `start` must be a mapping of the caller's, whose contents are not needed any more.
pub unsafe fn map_anonymous_over(start: usize, bytes: usize) -> Result<(), Errno> {
    let access = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let map = |kind| {
        let flags = (kind | libc::MAP_ANONYMOUS | libc::MAP_FIXED) as usize;
        // SAFETY: as in map_file_over.
        answer(unsafe { call(libc::SYS_mmap, [start, bytes, access, flags, usize::MAX]) })
    };
    map(libc::MAP_PRIVATE)
        .or_else(|_| map(libc::MAP_SHARED | libc::MAP_NORESERVE))
        .map(|_| ())
}

/// # Safety
/// Nothing may use the memory any more.
pub unsafe fn unmap(address: NonNull<u8>, bytes: usize) {
    // SAFETY: munmap wants a range that nobody uses any more: the caller's promise.
    let _ = unsafe { call(libc::SYS_munmap, [address.as_ptr() as usize, bytes]) };
}

/// Makes a private anonymous mapping longer, at another address if need be; what is new is zeros.
///
/// # Safety
/// As for [`unmap`]: the old address must not be used afterwards.
pub unsafe fn extend(address: NonNull<u8>, bytes: usize, new_bytes: usize) -> Result<NonNull<u8>, Errno> {
    let flags = libc::MREMAP_MAYMOVE as usize;
    // SAFETY: mremap wants that nobody uses the old address any more: the caller's promise.
    let raw = unsafe { call(libc::SYS_mremap, [address.as_ptr() as usize, bytes, new_bytes, flags]) };
    mapped(raw)
}

/// # Safety
/// The caller must want what the advice does to the contents.
pub unsafe fn advise(address: usize, bytes: usize, advice: i32) -> Result<(), Errno> {
    // SAFETY: madvise may change the contents, as the caller wants.
    let raw = unsafe { call(libc::SYS_madvise, [address, bytes, advice as usize]) };
    answer(raw).map(|_| ())
}

/// Becomes another program; comes back if it cannot. Both arrays must end in null, their strings in a zero byte: a wrong one is an
/// error of the kernel's.
pub fn execute(path: &CStr, arguments: *const *const c_char, variables: *const *const c_char) {
    let (path, arguments, variables) = (path.as_ptr() as usize, arguments as usize, variables as usize);
    // SAFETY: execve changes no memory unless it succeeds. The kernel checks what it reads.
    let _ = unsafe { call(libc::SYS_execve, [path, arguments, variables]) };
}

/// The job is about to lock itself in (seccomp(2)): a system call that it does not expect may end it.
static IS_LOCKED_IN: AtomicBool = AtomicBool::new(false);

/// From now on, opens and starts nothing, and reads no other thread's memory.
pub fn lock_in() {
    IS_LOCKED_IN.store(true, Relaxed);
}

/// Has [`lock_in`] been called?
pub fn is_locked_in() -> bool {
    IS_LOCKED_IN.load(Relaxed)
}

/// Signals of a write: the pipe has no reader any more, or the file would be larger than RLIMIT_FSIZE.
const RAISED_BY_WRITE: u64 = 1 << (libc::SIGPIPE - 1) | 1 << (libc::SIGXFSZ - 1);

/// One `write(2)`, if it need not wait, and without the signals that may come of it. What cannot be written is lost.
pub fn write_quietly(descriptor: i32, bytes: &[u8]) {
    let mut ready = libc::pollfd {
        fd: descriptor,
        events: libc::POLLOUT,
        revents: 0,
    };
    if answer(arch::poll_at_once(&mut ready)) != Ok(1) || ready.revents & libc::POLLOUT == 0 {
        return;
    }
    let (before, mut pending) = (change_mask(libc::SIG_BLOCK, RAISED_BY_WRITE), 0_u64);
    // SAFETY: rt_sigpending wants a writable set of eight bytes: `pending` is one.
    let _ = unsafe { call(libc::SYS_rt_sigpending, [&raw mut pending as usize, SIGNAL_SET_BYTES]) };
    let arguments = [descriptor as usize, bytes.as_ptr() as usize, bytes.len()];
    // SAFETY: write wants as many readable bytes as it is told of: these are `bytes`.
    let _ = unsafe { call(libc::SYS_write, arguments) };
    // Takes away what has been raised just now, but not what was pending before.
    let raised = RAISED_BY_WRITE & !pending;
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let arguments = [
        &raw const raised as usize,
        0,
        &raw const at_once as usize,
        SIGNAL_SET_BYTES,
    ];
    // SAFETY: rt_sigtimedwait wants a readable set and time, and null or a writable siginfo: `raised`, `at_once`, null.
    let _ = unsafe { call(libc::SYS_rt_sigtimedwait, arguments) };
    change_mask(libc::SIG_SETMASK, before);
}

/// The process's id, asked anew: a fork changes it.
pub fn pid() -> u32 {
    // SAFETY: getpid changes no memory.
    unsafe { call(libc::SYS_getpid, []) as u32 }
}

/// The parent's id.
pub fn parent_pid() -> u32 {
    // SAFETY: getppid changes no memory.
    unsafe { call(libc::SYS_getppid, []) as u32 }
}

/// The signal that this thread gets when its parent dies; `None` if there is none, or if this thread must not ask.
pub fn parent_death_signal() -> Option<i32> {
    if is_locked_in() {
        return None;
    }
    let mut signal = 0i32;
    // SAFETY: prctl with PR_GET_PDEATHSIG wants a writable int: `signal` is one.
    let asked = unsafe {
        call(
            libc::SYS_prctl,
            [libc::PR_GET_PDEATHSIG as usize, &raw mut signal as usize],
        )
    };
    (answer(asked).is_ok() && signal != 0).then_some(signal)
}

/// The thread's kernel id.
pub fn thread_id() -> u32 {
    // SAFETY: gettid changes no memory.
    unsafe { call(libc::SYS_gettid, []) as u32 }
}

/// The soft limit on a resource (getrlimit(2)); `None` if it cannot be asked.
pub fn limit(resource: u32) -> Option<u64> {
    let mut limits = [0u64; 2];
    let arguments = [0, resource as usize, 0, limits.as_mut_ptr() as usize];
    // SAFETY: prlimit64 wants null or new limits, and null or writable ones for the old: null, and `limits`.
    answer(unsafe { call(libc::SYS_prlimit64, arguments) }).ok()?;
    Some(limits[0])
}

/// The most that was ever resident of this process, and of programs that it was before, in bytes.
pub fn most_resident() -> u64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let arguments = [libc::RUSAGE_SELF as usize, usage.as_mut_ptr() as usize];
    // SAFETY: getrusage wants a writable rusage, which `MaybeUninit` gives.
    let _ = unsafe { call(libc::SYS_getrusage, arguments) };
    // SAFETY: `assume_init` wants a value: the bytes were zeroed, and zeros are a value of this C struct of integers.
    let usage = unsafe { usage.assume_init() };
    usage.ru_maxrss as u64 * 1024
}

/// Lets another thread run.
pub fn yield_now() {
    // SAFETY: sched_yield changes no memory.
    let _ = unsafe { call(libc::SYS_sched_yield, []) };
}

/// Sleeps for less than a second, or until a signal comes.
pub fn sleep_ns(nanoseconds: u64) {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: (nanoseconds % 1_000_000_000) as i64,
    };
    // SAFETY: nanosleep wants a readable timespec, and null or a writable one: `time`, null.
    let _ = unsafe { call(libc::SYS_nanosleep, [&raw const time as usize]) };
}

/// The kernel's view of a set of signals has so many bytes.
const SIGNAL_SET_BYTES: usize = 8;

/// Changes this thread's mask of signals as `how` says; the mask before.
pub fn change_mask(how: i32, signals: u64) -> u64 {
    let mut before = 0u64;
    let (set, old) = (&raw const signals as usize, &raw mut before as usize);
    // SAFETY: rt_sigprocmask wants a readable and a writable set of eight bytes: `signals` and `before` are.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, [how as usize, set, old, SIGNAL_SET_BYTES]) };
    before
}

/// This thread's mask of signals.
pub fn mask_of_signals() -> u64 {
    change_mask(libc::SIG_BLOCK, 0)
}

/// Sends this thread a signal that looks as this one does.
pub fn signal_this_thread(signal: i32, info: *const libc::siginfo_t) {
    let (process, thread) = (pid() as usize, thread_id() as usize);
    // SAFETY: rt_tgsigqueueinfo wants a readable siginfo: the kernel passed it to the handler that calls this.
    let _ = unsafe {
        call(
            libc::SYS_rt_tgsigqueueinfo,
            [process, thread, signal as usize, info as usize],
        )
    };
}

/// In a signal handler: goes on with the system call that the signal has interrupted, for the time that was left of it; its answer.
pub fn restart() -> isize {
    // SAFETY: restart_syscall writes where the interrupted call would: the kernel keeps its arguments, and whoever made it waits
    // for it.
    unsafe { call(libc::SYS_restart_syscall, []) }
}

/// Sleeps until a signal comes.
pub fn pause() {
    arch::pause();
}

/// Ends the process at once, without exit handlers.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: exit_group does not return.
        let _ = unsafe { call(libc::SYS_exit_group, [status as usize]) };
    }
}

/// Reads this process's own memory without the risk of a SIGSEGV: `false` where it cannot be read.
pub fn read_checked(address: usize, buffer: &mut [u8]) -> bool {
    if is_locked_in() {
        return false;
    }
    #[repr(C)]
    struct Range(usize, usize);
    let (to, length) = (buffer.as_mut_ptr() as usize, buffer.len());
    let (local, remote) = (Range(to, length), Range(address, length));
    let (local, remote) = (&raw const local as usize, &raw const remote as usize);
    // SAFETY: process_vm_readv wants a writable range: `local` describes `buffer`. An `address` that cannot be read is an error.
    let raw = unsafe { call(libc::SYS_process_vm_readv, [pid() as usize, local, 1, remote, 1]) };
    match answer(raw) {
        // An emulator such as qemu's, in which images for another processor run.
        Err(Errno(libc::ENOSYS)) => read_if_readable(address, buffer),
        answer => answer == Ok(length),
    }
}

/// Reads what is readable when it is asked, which is right for memory that no other thread unmaps meanwhile.
fn read_if_readable(address: usize, buffer: &mut [u8]) -> bool {
    let Some(end) = address.checked_add(buffer.len()) else {
        return false;
    };
    // The kernel reads the set before it finds that there is no such way to change the mask.
    let is_readable = |word: usize| {
        // SAFETY: rt_sigprocmask reads eight bytes if it can, and then fails.
        let raw = unsafe { call(libc::SYS_rt_sigprocmask, [usize::MAX, word, 0, SIGNAL_SET_BYTES]) };
        answer(raw) == Err(Errno(libc::EINVAL))
    };
    if !(address & !7..end).step_by(8).all(is_readable) {
        return false;
    }
    for (offset, byte) in buffer.iter_mut().enumerate() {
        // SAFETY: a read wants a readable byte: the kernel has just read the eight around it.
        *byte = unsafe { (address as *const u8).wrapping_add(offset).read_volatile() };
    }
    true
}

/// Nanoseconds since the Unix epoch; `coarse` is a few milliseconds stale and several times cheaper.
pub fn now_ns(coarse: bool) -> u64 {
    nanoseconds(if coarse {
        libc::CLOCK_REALTIME_COARSE
    } else {
        libc::CLOCK_REALTIME
    })
}

/// Nanoseconds of a clock that is never set.
pub fn monotonic_ns() -> u64 {
    nanoseconds(libc::CLOCK_MONOTONIC)
}

fn nanoseconds(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime wants a writable timespec. It is answered in user space, and none of our symbols.
    unsafe { libc::clock_gettime(clock, &mut time) };
    (time.tv_sec as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec as u64)
}

/// Waits while `word` is `expected`, until woken.
pub fn futex_wait(word: &core::sync::atomic::AtomicU32, expected: u32) {
    let (address, operation) = (word.as_ptr() as usize, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG);
    // SAFETY: futex wants a readable word, and null or a timeout: `word`, null.
    let _ = unsafe { call(libc::SYS_futex, [address, operation as usize, expected as usize, 0]) };
}

/// Wakes one waiter.
pub fn futex_wake(word: &core::sync::atomic::AtomicU32) {
    let (address, operation) = (word.as_ptr() as usize, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG);
    // SAFETY: futex wants the address of a word: it does not read it.
    let _ = unsafe { call(libc::SYS_futex, [address, operation as usize, 1]) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_is_read_and_nothing_else() {
        let pages = map_anonymous(2 * page_bytes() as usize).unwrap();
        let middle = pages.as_ptr().addr() + page_bytes() as usize;
        let bytes: [u8; 16] = core::array::from_fn(|place| place as u8);
        // SAFETY: a write wants writable memory: these are the last bytes of the first page.
        unsafe { ((middle - 16) as *mut [u8; 16]).write(bytes) };
        // SAFETY: nothing uses the second page.
        unsafe { unmap(NonNull::new(middle as *mut u8).unwrap(), page_bytes() as usize) };
        for read in [read_checked, read_if_readable] {
            let mut buffer = [0; 13];
            assert!(read(middle - 15, &mut buffer));
            assert_eq!(buffer, bytes[1..14]);
            assert!(!read(middle - 12, &mut buffer));
            assert!(!read(middle, &mut buffer) && !read(0, &mut buffer) && !read(usize::MAX - 2, &mut buffer));
        }
    }
}
