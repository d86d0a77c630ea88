//! Every system call the preload makes, straight to the kernel: through our own interposed symbols they would count
//! themselves, and through libc's they would change the job's `errno`.
#![expect(unsafe_code, reason = "system calls are made by inline assembly")]

use core::arch::asm;
use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;
use core::ptr::{NonNull, null};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

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

/// # Safety
/// The arguments must be right for the system call `number`.
unsafe fn call(number: libc::c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize {
    let result: isize;
    // SAFETY: the x86-64 convention: number in rax, arguments in these registers, rcx and r11 clobbered. What the call does to
    // memory is the caller's promise.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
             in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// New private zeroed memory, page-aligned; resident only where it is touched.
pub fn map_anonymous(bytes: usize) -> Result<NonNull<u8>, Errno> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let access = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
    let raw = unsafe { call(libc::SYS_mmap, 0, bytes, access, flags as usize, usize::MAX, 0) };
    answer(raw).and_then(|address| NonNull::new(address as *mut u8).ok_or(Errno(libc::ENOMEM)))
}

/// A shared mapping of a part of a file.
pub fn map_file(file: &File, offset: usize, bytes: usize) -> Result<NonNull<u8>, Errno> {
    let access = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    // SAFETY: as above; the kernel chooses the address.
    let raw = unsafe {
        call(
            libc::SYS_mmap,
            0,
            bytes,
            access,
            libc::MAP_SHARED as usize,
            file.0 as usize,
            offset,
        )
    };
    answer(raw).and_then(|address| NonNull::new(address as *mut u8).ok_or(Errno(libc::ENOMEM)))
}

/// Maps the beginning of a file, shared, in place of what is mapped at an address.
///
/// # Safety
/// The `bytes` at `start` must be a mapping of the caller's, whose contents nobody misses.
pub unsafe fn map_file_over(start: NonNull<u8>, file: &File, bytes: usize) -> Result<(), Errno> {
    let access = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_SHARED | libc::MAP_FIXED) as usize;
    let address = start.as_ptr() as usize;
    // SAFETY: the caller's promise.
    let raw = unsafe { call(libc::SYS_mmap, address, bytes, access, flags, file.0 as usize, 0) };
    answer(raw).map(|_| ())
}

/// Puts new memory in place of what is mapped at an address: private if there is any, else shared, which other limits count.
///
/// # Safety
/// The `bytes` at `start` must be a mapping of the caller's, whose contents nobody misses.
pub unsafe fn map_anonymous_over(start: usize, bytes: usize) -> Result<(), Errno> {
    let access = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let map = |kind| {
        let flags = (kind | libc::MAP_ANONYMOUS | libc::MAP_FIXED) as usize;
        // SAFETY: the caller's promise.
        answer(unsafe { call(libc::SYS_mmap, start, bytes, access, flags, usize::MAX, 0) })
    };
    map(libc::MAP_PRIVATE)
        .or_else(|_| map(libc::MAP_SHARED | libc::MAP_NORESERVE))
        .map(|_| ())
}

/// # Safety
/// Nothing may use the memory any more.
pub unsafe fn unmap(address: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's promise.
    let _ = unsafe { call(libc::SYS_munmap, address.as_ptr() as usize, bytes, 0, 0, 0, 0) };
}

/// Makes a private anonymous mapping longer, at another address if need be; what is new is zeros.
///
/// # Safety
/// As for [`unmap`]: afterwards nobody may use the old address.
pub unsafe fn extend(address: NonNull<u8>, bytes: usize, new_bytes: usize) -> Result<NonNull<u8>, Errno> {
    let flags = libc::MREMAP_MAYMOVE as usize;
    // SAFETY: the caller's promise.
    let raw = unsafe {
        call(
            libc::SYS_mremap,
            address.as_ptr() as usize,
            bytes,
            new_bytes,
            flags,
            0,
            0,
        )
    };
    answer(raw).and_then(|address| NonNull::new(address as *mut u8).ok_or(Errno(libc::ENOMEM)))
}

/// # Safety
/// The caller must want what the advice does to the contents.
pub unsafe fn advise(address: usize, bytes: usize, advice: i32) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    let raw = unsafe { call(libc::SYS_madvise, address, bytes, advice as usize, 0, 0, 0) };
    answer(raw).map(|_| ())
}

/// Which file is at this path, links followed: its device and its number there.
pub fn identity_of(path: &CStr) -> Option<(u64, u64)> {
    let mut about = core::mem::MaybeUninit::<libc::stat>::zeroed();
    let (path, to) = (path.as_ptr() as usize, about.as_mut_ptr() as usize);
    // SAFETY: `path` ends in a zero byte; `about` is writable and of the kernel's layout.
    let raw = unsafe { call(libc::SYS_stat, path, to, 0, 0, 0, 0) };
    // SAFETY: zeros are a value of it.
    let about = unsafe { about.assume_init() };
    answer(raw).ok().map(|_| (about.st_dev, about.st_ino))
}

/// Becomes another program; comes back if it cannot. Both arrays must end in null, their strings in a zero byte: a wrong one is an
/// error of the kernel's.
pub fn execute(path: &CStr, arguments: *const *const c_char, variables: *const *const c_char) {
    let (path, arguments, variables) = (path.as_ptr() as usize, arguments as usize, variables as usize);
    // SAFETY: the kernel reads what it is given, and checks that.
    let _ = unsafe { call(libc::SYS_execve, path, arguments, variables, 0, 0, 0) };
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

/// An open file, closed when dropped.
pub struct File(i32);

impl File {
    /// `open(2)` with `O_CLOEXEC` added; a new file is private to the user.
    pub fn open(path: &CStr, flags: i32) -> Result<File, Errno> {
        if is_locked_in() {
            return Err(Errno(libc::EPERM));
        }
        let flags = (flags | libc::O_CLOEXEC) as usize;
        let at = libc::AT_FDCWD as usize;
        // SAFETY: `path` ends in a zero byte and lives through the call.
        let raw = unsafe { call(libc::SYS_openat, at, path.as_ptr() as usize, flags, 0o600, 0, 0) };
        answer(raw).map(|descriptor| File(descriptor as i32))
    }

    /// The same for a name in this folder.
    pub fn open_within(&self, name: &CStr, flags: i32) -> Result<File, Errno> {
        let flags = (flags | libc::O_CLOEXEC) as usize;
        // SAFETY: `name` ends in a zero byte and lives through the call.
        let raw = unsafe {
            call(
                libc::SYS_openat,
                self.0 as usize,
                name.as_ptr() as usize,
                flags,
                0o600,
                0,
                0,
            )
        };
        answer(raw).map(|descriptor| File(descriptor as i32))
    }

    /// Which file it is: its device and its number there.
    pub fn identity(&self) -> Option<(u64, u64)> {
        file_of(self.0)
    }

    /// Reserves disk blocks; where the file system cannot, writes zeros, so that a later store never meets a full disk.
    pub fn reserve(&self, offset: usize, bytes: usize) -> Result<(), Errno> {
        // SAFETY: touches no memory.
        let raw = unsafe { call(libc::SYS_fallocate, self.0 as usize, 0, offset, bytes, 0, 0) };
        match answer(raw) {
            Err(Errno(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL)) => self.write_zeros(offset, bytes),
            other => other.map(|_| ()),
        }
    }

    fn write_zeros(&self, mut offset: usize, mut bytes: usize) -> Result<(), Errno> {
        static ZEROS: [u8; 4096] = [0; 4096];
        while bytes > 0 {
            let (from, length) = (ZEROS.as_ptr() as usize, bytes.min(ZEROS.len()));
            // SAFETY: `from` points to at least `length` readable bytes.
            let raw = unsafe { call(libc::SYS_pwrite64, self.0 as usize, from, length, offset, 0, 0) };
            match answer(raw)? {
                0 => return Err(Errno(libc::ENOSPC)),
                written => (offset, bytes) = (offset + written, bytes - written),
            }
        }
        Ok(())
    }

    /// Writes all of `words` at `offset`.
    pub fn write_at(&self, words: &[u64], offset: usize) -> Result<(), Errno> {
        let (mut from, mut offset, mut bytes) = (words.as_ptr() as usize, offset, size_of_val(words));
        while bytes > 0 {
            // SAFETY: `from` points to at least `bytes` readable bytes of `words`.
            let raw = unsafe { call(libc::SYS_pwrite64, self.0 as usize, from, bytes, offset, 0, 0) };
            match answer(raw)? {
                0 => return Err(Errno(libc::ENOSPC)),
                written => (from, offset, bytes) = (from + written, offset + written, bytes - written),
            }
        }
        Ok(())
    }

    /// As [`write_quietly`].
    pub fn write(&self, bytes: &[u8]) {
        write_quietly(self.0, bytes);
    }

    /// Fills `buffer` as far as the file goes; returns how far.
    pub fn read(&self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let (to, length) = (rest.as_mut_ptr() as usize, rest.len());
            // SAFETY: `to` points to `length` writable bytes.
            let raw = unsafe { call(libc::SYS_read, self.0 as usize, to, length, 0, 0, 0) };
            match answer(raw) {
                Ok(0) | Err(_) => break,
                Ok(read) => filled += read,
            }
        }
        filled
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and nobody uses it after this.
        let _ = unsafe { call(libc::SYS_close, self.0 as usize, 0, 0, 0, 0, 0) };
    }
}

/// Which file a descriptor stands for: its device and inode; `None` if it is closed.
pub fn file_of(descriptor: i32) -> Option<(u64, u64)> {
    let mut about = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `about` is a writable stat, which has the kernel's layout on x86-64.
    let raw = unsafe {
        call(
            libc::SYS_fstat,
            descriptor as usize,
            about.as_mut_ptr() as usize,
            0,
            0,
            0,
            0,
        )
    };
    // SAFETY: zeros are a value of it.
    let about = unsafe { about.assume_init() };
    answer(raw).ok().map(|_| (about.st_dev, about.st_ino))
}

/// What a write may raise: nobody reads the pipe any more, or the file would be larger than RLIMIT_FSIZE.
const RAISED_BY_WRITE: u64 = 1 << (libc::SIGPIPE - 1) | 1 << (libc::SIGXFSZ - 1);

/// One `write(2)`, if it need not wait, and without the signals that may come of it. What cannot be written is lost.
pub fn write_quietly(descriptor: i32, bytes: &[u8]) {
    let mut ready = libc::pollfd {
        fd: descriptor,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one writable pollfd, and no time to wait.
    let polled = unsafe { call(libc::SYS_poll, &raw mut ready as usize, 1, 0, 0, 0, 0) };
    if answer(polled) != Ok(1) || ready.revents & libc::POLLOUT == 0 {
        return;
    }
    let held = RAISED_BY_WRITE;
    let (mut before, mut pending) = (0_u64, 0_u64);
    let (new, old, waiting) = (
        &raw const held as usize,
        &raw mut before as usize,
        &raw mut pending as usize,
    );
    let mask_of = |how: i32, new: usize, old: usize| {
        // SAFETY: `new` and `old` are null or a set of signals, each of eight bytes.
        unsafe { call(libc::SYS_rt_sigprocmask, how as usize, new, old, size_of::<u64>(), 0, 0) }
    };
    if answer(mask_of(libc::SIG_BLOCK, new, old)).is_err() {
        return;
    }
    // SAFETY: writes one set of signals.
    let _ = unsafe { call(libc::SYS_rt_sigpending, waiting, size_of::<u64>(), 0, 0, 0, 0) };
    let (from, length) = (bytes.as_ptr() as usize, bytes.len());
    // SAFETY: `from` points to `length` readable bytes.
    let _ = unsafe { call(libc::SYS_write, descriptor as usize, from, length, 0, 0, 0) };
    // Takes away what has been raised just now, but not what waited before.
    let raised = held & !pending;
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let (set, time) = (&raw const raised as usize, &raw const at_once as usize);
    // SAFETY: a set of signals and a time to read; nothing is asked of the signal.
    let _ = unsafe { call(libc::SYS_rt_sigtimedwait, set, 0, time, size_of::<u64>(), 0, 0) };
    let _ = mask_of(libc::SIG_SETMASK, old, 0);
}

/// The process's id, asked anew: a fork changes it.
pub fn pid() -> u32 {
    // SAFETY: getpid has no arguments and cannot fail.
    unsafe { call(libc::SYS_getpid, 0, 0, 0, 0, 0, 0) as u32 }
}

/// The parent's id.
pub fn parent_pid() -> u32 {
    // SAFETY: getppid has no arguments and cannot fail.
    unsafe { call(libc::SYS_getppid, 0, 0, 0, 0, 0, 0) as u32 }
}

/// The thread's kernel id.
pub fn thread_id() -> u32 {
    // SAFETY: gettid has no arguments and cannot fail.
    unsafe { call(libc::SYS_gettid, 0, 0, 0, 0, 0, 0) as u32 }
}

/// Lets another thread run.
pub fn yield_now() {
    // SAFETY: sched_yield has no arguments.
    let _ = unsafe { call(libc::SYS_sched_yield, 0, 0, 0, 0, 0, 0) };
}

/// Sleeps for less than a second, or until a signal comes.
pub fn sleep_ns(nanoseconds: u64) {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: (nanoseconds % 1_000_000_000) as i64,
    };
    // SAFETY: `time` is a readable timespec, and nothing is asked of what is left.
    let _ = unsafe { call(libc::SYS_nanosleep, &raw const time as usize, 0, 0, 0, 0, 0) };
}

/// The kernel's view of a set of signals has so many bytes.
const SIGNAL_SET_BYTES: usize = 8;

/// Changes this thread's mask of signals as `how` says; the mask before.
pub fn change_mask(how: i32, signals: u64) -> u64 {
    let mut before = 0u64;
    let (set, old) = (&raw const signals as usize, &raw mut before as usize);
    // SAFETY: both are sets of the kernel's size.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, how as usize, set, old, SIGNAL_SET_BYTES, 0, 0) };
    before
}

/// This thread's mask of signals.
pub fn mask_of_signals() -> u64 {
    change_mask(libc::SIG_BLOCK, 0)
}

/// Sends this thread a signal that looks as this one does.
pub fn signal_this_thread(signal: i32, info: *const libc::siginfo_t) {
    let (process, thread) = (pid() as usize, thread_id() as usize);
    // SAFETY: `info` is what the kernel gave to a handler; a process may send itself whatever it likes.
    let _ = unsafe {
        call(
            libc::SYS_rt_tgsigqueueinfo,
            process,
            thread,
            signal as usize,
            info as usize,
            0,
            0,
        )
    };
}

/// In a signal handler: goes on with the system call that the signal has interrupted, for the time that was left of it; its answer.
pub fn restart() -> isize {
    // SAFETY: the kernel knows the arguments; their memory is in use by the call that is interrupted.
    unsafe { call(libc::SYS_restart_syscall, 0, 0, 0, 0, 0, 0) }
}

/// Sleeps until a signal comes.
pub fn pause() {
    // SAFETY: pause has no arguments.
    let _ = unsafe { call(libc::SYS_pause, 0, 0, 0, 0, 0, 0) };
}

/// Ends the process at once, without exit handlers.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: does not return.
        let _ = unsafe { call(libc::SYS_exit_group, status as usize, 0, 0, 0, 0, 0) };
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
    // SAFETY: `local` describes `buffer`, which is writable; a bad `address` gives EFAULT.
    let raw = unsafe { call(libc::SYS_process_vm_readv, pid() as usize, local, 1, remote, 1, 0) };
    answer(raw) == Ok(length)
}

/// Nanoseconds since the Unix epoch; `coarse` is a few milliseconds stale and several times cheaper.
pub fn now_ns(coarse: bool) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let clock = if coarse {
        libc::CLOCK_REALTIME_COARSE
    } else {
        libc::CLOCK_REALTIME
    };
    // SAFETY: `time` is a writable timespec; clock_gettime is answered in user space and is not one of our symbols.
    unsafe { libc::clock_gettime(clock, &mut time) };
    (time.tv_sec as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec as u64)
}

/// Nanoseconds of a clock that is never set.
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: as in `now_ns`.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    (time.tv_sec as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec as u64)
}

/// Waits while `word` is `expected`, until woken.
pub fn futex_wait(word: &core::sync::atomic::AtomicU32, expected: u32) {
    let (address, operation) = (word.as_ptr() as usize, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG);
    // SAFETY: `word` lives through the call; no timeout.
    let _ = unsafe {
        call(
            libc::SYS_futex,
            address,
            operation as usize,
            expected as usize,
            null::<u8>() as usize,
            0,
            0,
        )
    };
}

/// Wakes one waiter.
pub fn futex_wake(word: &core::sync::atomic::AtomicU32) {
    let (address, operation) = (word.as_ptr() as usize, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG);
    // SAFETY: `word` lives through the call.
    let _ = unsafe { call(libc::SYS_futex, address, operation as usize, 1, 0, 0, 0) };
}
