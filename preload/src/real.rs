//! The functions we stand in front of: the next definition of each symbol, found at its first use.
#![expect(unsafe_code, reason = "calls through pointers that dlsym returned")]

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

// Where the C functions are that we call. The crate `libc` names these libraries only in a build without `std`, and cargo may build us together
// with a program that has it. Without the names, the linker finds neither the functions that only the static part of the C library has,
// such as `fstat` before glibc 2.33, nor those that were in libraries of their own before glibc 2.34. A process with a library that asks for
// what is nowhere does not even start.
#[link(name = "c")]
#[link(name = "dl")]
#[link(name = "pthread")]
unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

/// `RTLD_DEFAULT` of dlsym(3).
const DEFAULT: *mut c_void = core::ptr::null_mut();
/// `RTLD_NEXT` of dlsym(3).
const NEXT: *mut c_void = usize::MAX as *mut c_void;

/// Where [`find`] looks: everywhere, or in a library that was loaded apart.
static SCOPE: AtomicPtr<c_void> = AtomicPtr::new(DEFAULT);

/// From now on [`find`] looks in this library, a handle of dlopen(3), and what it depends on.
pub fn look_in(library: *mut c_void) {
    SCOPE.store(library, Relaxed);
}

/// A symbol of the program or of any library loaded with it; null where there is none.
pub fn find(symbol: &CStr) -> *mut c_void {
    // SAFETY: dlsym wants a name that ends in a zero byte, as a `CStr` does, and a handle or one of its constants.
    unsafe { dlsym(SCOPE.load(Relaxed), symbol.as_ptr()) }
}

/// A handler of a fork.
type ForkHandler = unsafe extern "C" fn();

/// As pthread_atfork(3), which is in the static part of glibc: linked into a library, it makes that unfit for processes of another C
/// library, which must load it as well.
pub fn at_fork(before: ForkHandler, in_parent: ForkHandler, in_child: ForkHandler) {
    type Register = unsafe extern "C" fn(ForkHandler, ForkHandler, ForkHandler, *mut c_void) -> c_int;
    let register = find(c"__register_atfork");
    if register.is_null() {
        return;
    }
    // SAFETY: this is the type of the function in glibc (Linux Standard Base, `__register_atfork`).
    let register = unsafe { transmute::<*mut c_void, Register>(register) };
    // SAFETY: the functions can be called at every fork, and are of this library, which is never unloaded: so it needs no handle.
    unsafe { register(before, in_parent, in_child, core::ptr::null_mut()) };
}

fn find_next(symbol: &CStr) -> *mut c_void {
    // SAFETY: dlsym wants a name that ends in a zero byte, as a `CStr` does, and a handle or one of its constants.
    unsafe { dlsym(NEXT, symbol.as_ptr()) }
}

/// Names, types, symbols and what to use while dlsym itself allocates. The slot starts with a function that resolves itself, so
/// that the fast path is one indirect call without a check.
macro_rules! next_definitions {
    ($($name:ident = $symbol:literal ($($arg:ident: $type:ty),*) -> $result:ty, meanwhile $meanwhile:expr;)*) => {
        mod slots {
            use super::*;
            $(#[expect(non_upper_case_globals, reason = "named like the function")]
              pub static $name: AtomicPtr<c_void> = AtomicPtr::new(super::first_calls::$name as *mut c_void);)*
        }
        mod first_calls {
            use super::*;
            $(pub unsafe extern "C" fn $name($($arg: $type),*) -> $result {
                if super::resolve() {
                    // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
                    return unsafe { super::$name($($arg),*) };
                }
                let meanwhile: unsafe extern "C" fn($($type),*) -> $result = $meanwhile;
                // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
                unsafe { meanwhile($($arg),*) }
            })*
        }
        /// Looks all of them up, at once and as early as possible: dlsym frees the text of its last error. If that were the first
        /// call of `free`, looking `free` up would free the same text again. `false` if this thread is looking them up already.
        pub fn resolve() -> bool {
            let Some(_resolving) = crate::thread::Resolving::enter() else { return false };
            $({
                let found = find_next($symbol);
                let absent: unsafe extern "C" fn($($type),*) -> $result = $meanwhile;
                slots::$name.store(if found.is_null() { absent as *mut c_void } else { found }, Relaxed);
            })*
            true
        }
        $(
        /// The next definition of the C function.
        ///
        /// # Safety
        /// As for the C function.
        #[inline(always)]
        pub unsafe fn $name($($arg: $type),*) -> $result {
            let pointer = slots::$name.load(Relaxed);
            // SAFETY: transmute wants a function of this type: the slot has what dlsym found by this symbol's name, or the
            // replacement of the same type.
            let function = unsafe { transmute::<*mut c_void, unsafe extern "C" fn($($type),*) -> $result>(pointer) };
            // SAFETY: the C function gets the caller's arguments, and the caller keeps its contract.
            unsafe { function($($arg),*) }
        })*
    };
}

/// A pointer to anything.
pub type Pointer = *mut c_void;

next_definitions! {
    malloc = c"malloc"(bytes: usize) -> Pointer, meanwhile glibc::__libc_malloc;
    calloc = c"calloc"(count: usize, bytes: usize) -> Pointer, meanwhile glibc::__libc_calloc;
    realloc = c"realloc"(old: Pointer, bytes: usize) -> Pointer, meanwhile glibc::__libc_realloc;
    reallocarray = c"reallocarray"(old: Pointer, count: usize, bytes: usize) -> Pointer, meanwhile absent::reallocarray;
    free = c"free"(old: Pointer) -> (), meanwhile glibc::__libc_free;
    posix_memalign = c"posix_memalign"(out: *mut Pointer, alignment: usize, bytes: usize) -> c_int, meanwhile absent::posix_memalign;
    aligned_alloc = c"aligned_alloc"(alignment: usize, bytes: usize) -> Pointer, meanwhile glibc::__libc_memalign;
    memalign = c"memalign"(alignment: usize, bytes: usize) -> Pointer, meanwhile glibc::__libc_memalign;
    valloc = c"valloc"(bytes: usize) -> Pointer, meanwhile glibc::__libc_valloc;
    pvalloc = c"pvalloc"(bytes: usize) -> Pointer, meanwhile glibc::__libc_pvalloc;
    mmap = c"mmap"(at: Pointer, bytes: usize, access: c_int, flags: c_int, file: c_int, offset: i64) -> Pointer, meanwhile absent::mmap;
    munmap = c"munmap"(at: Pointer, bytes: usize) -> c_int, meanwhile absent::munmap;
    mremap = c"mremap"(at: Pointer, old: usize, new: usize, flags: c_int, to: Pointer) -> Pointer, meanwhile absent::mremap;
    madvise = c"madvise"(at: Pointer, bytes: usize, advice: c_int) -> c_int, meanwhile absent::madvise;
    mprotect = c"mprotect"(at: Pointer, bytes: usize, access: c_int) -> c_int, meanwhile absent::mprotect;
    mlock = c"mlock"(at: Pointer, bytes: usize) -> c_int, meanwhile absent::mlock;
    mlockall = c"mlockall"(flags: c_int) -> c_int, meanwhile absent::mlockall;
    posix_fallocate = c"posix_fallocate"(file: c_int, from: i64, bytes: i64) -> c_int, meanwhile absent::posix_fallocate;
    kill = c"kill"(process: c_int, signal: c_int) -> c_int, meanwhile absent::signal_other;
    shmat = c"shmat"(segment: c_int, at: Pointer, flags: c_int) -> Pointer, meanwhile absent::shmat;
    shmdt = c"shmdt"(at: Pointer) -> c_int, meanwhile absent::shmdt;
    pthread_create = c"pthread_create"(thread: Pointer, attributes: Pointer, start: Pointer, argument: Pointer) -> c_int,
        meanwhile absent::pthread_create;
    fork = c"fork"() -> c_int, meanwhile absent::fork;
    sigaction = c"sigaction"(signal: c_int, new: Pointer, old: Pointer) -> c_int, meanwhile absent::sigaction;
    signal = c"signal"(signal: c_int, handler: usize) -> usize, meanwhile absent::signal;
    bsd_signal = c"bsd_signal"(signal: c_int, handler: usize) -> usize, meanwhile absent::signal;
    ssignal = c"ssignal"(signal: c_int, handler: usize) -> usize, meanwhile absent::signal;
    sysv_signal = c"sysv_signal"(signal: c_int, handler: usize) -> usize, meanwhile absent::signal;
    __sysv_signal = c"__sysv_signal"(signal: c_int, handler: usize) -> usize, meanwhile absent::signal;
    sigset = c"sigset"(signal: c_int, handler: usize) -> usize, meanwhile absent::signal;
    sigprocmask = c"sigprocmask"(how: c_int, set: Pointer, old: Pointer) -> c_int, meanwhile absent::sigaction;
    pthread_sigmask = c"pthread_sigmask"(how: c_int, set: Pointer, old: Pointer) -> c_int, meanwhile absent::pthread_sigmask;
    setrlimit = c"setrlimit"(which: c_int, limit: Pointer) -> c_int, meanwhile absent::setrlimit;
    prlimit = c"prlimit"(process: c_int, which: c_int, new: Pointer, old: Pointer) -> c_int, meanwhile absent::prlimit;
    prctl = c"prctl"(option: c_int, a: usize, b: usize, c: usize, d: usize) -> c_int, meanwhile absent::prctl;
    dl_iterate_phdr = c"dl_iterate_phdr"(look: Pointer, data: Pointer) -> c_int, meanwhile absent::dl_iterate_phdr;
    on_exit = c"on_exit"(function: Pointer, argument: Pointer) -> c_int, meanwhile absent::on_exit;
    waitpid = c"waitpid"(process: c_int, status: Pointer, options: c_int) -> c_int, meanwhile absent::waitpid;
    wait = c"wait"(status: Pointer) -> c_int, meanwhile absent::wait;
    wait4 = c"wait4"(process: c_int, status: Pointer, options: c_int, usage: Pointer) -> c_int, meanwhile absent::wait4;
    write = c"write"(file: c_int, text: Pointer, bytes: usize) -> isize, meanwhile absent::write;
    leave = c"_exit"(status: c_int) -> (), meanwhile absent::leave;
}

// Weak, so that a program of another C library, as a child of the job may be, starts all the same: musl's linker would end it for
// a symbol that is missing.
core::arch::global_asm!(
    ".weak __libc_malloc",
    ".weak __libc_calloc",
    ".weak __libc_realloc",
    ".weak __libc_free",
    ".weak __libc_memalign",
    ".weak __libc_valloc",
    ".weak __libc_pvalloc",
);

/// Whether this is glibc. With another C library, this library does nothing.
pub fn is_glibc() -> bool {
    !find_next(c"__libc_malloc").is_null()
}

/// The malloc behind ours, once it has been looked up.
pub fn malloc_behind() -> Option<Pointer> {
    let next = slots::malloc.load(Relaxed);
    (next != first_calls::malloc as *const () as Pointer).then_some(next)
}

/// glibc's own allocator under the names that cannot be interposed.
mod glibc {
    use super::*;
    unsafe extern "C" {
        pub fn __libc_malloc(bytes: usize) -> Pointer;
        pub fn __libc_calloc(count: usize, bytes: usize) -> Pointer;
        pub fn __libc_realloc(old: Pointer, bytes: usize) -> Pointer;
        pub fn __libc_free(old: Pointer);
        pub fn __libc_memalign(alignment: usize, bytes: usize) -> Pointer;
        pub fn __libc_valloc(bytes: usize) -> Pointer;
        pub fn __libc_pvalloc(bytes: usize) -> Pointer;
    }
}

/// For functions that dlsym never needs: the call fails as the C function fails.
mod absent {
    use super::*;
    macro_rules! fail {
        ($($name:ident($($type:ty),*) -> $result:ty = $value:expr;)*) => {
            $(pub unsafe extern "C" fn $name($(_: $type),*) -> $result { $value })*
        };
    }
    fail! {
        reallocarray(Pointer, usize, usize) -> Pointer = core::ptr::null_mut();
        posix_memalign(*mut Pointer, usize, usize) -> c_int = libc::ENOMEM;
        mmap(Pointer, usize, c_int, c_int, c_int, i64) -> Pointer = libc::MAP_FAILED;
        munmap(Pointer, usize) -> c_int = -1;
        mremap(Pointer, usize, usize, c_int, Pointer) -> Pointer = libc::MAP_FAILED;
        madvise(Pointer, usize, c_int) -> c_int = -1;
        mprotect(Pointer, usize, c_int) -> c_int = -1;
        mlock(Pointer, usize) -> c_int = -1;
        mlockall(c_int) -> c_int = -1;
        posix_fallocate(c_int, i64, i64) -> c_int = libc::EINVAL;
        signal_other(c_int, c_int) -> c_int = -1;
        shmat(c_int, Pointer, c_int) -> Pointer = libc::MAP_FAILED;
        shmdt(Pointer) -> c_int = -1;
        pthread_create(Pointer, Pointer, Pointer, Pointer) -> c_int = libc::EAGAIN;
        fork() -> c_int = -1;
        sigaction(c_int, Pointer, Pointer) -> c_int = -1;
        signal(c_int, usize) -> usize = libc::SIG_ERR;
        setrlimit(c_int, Pointer) -> c_int = -1;
        prlimit(c_int, c_int, Pointer, Pointer) -> c_int = -1;
        prctl(c_int, usize, usize, usize, usize) -> c_int = -1;
        dl_iterate_phdr(Pointer, Pointer) -> c_int = 0;
        on_exit(Pointer, Pointer) -> c_int = -1;
        waitpid(c_int, Pointer, c_int) -> c_int = -1;
        wait(Pointer) -> c_int = -1;
        wait4(c_int, Pointer, c_int, Pointer) -> c_int = -1;
        write(c_int, Pointer, usize) -> isize = -1;
    }
    /// Before glibc 2.32, where no library of threads is loaded.
    pub unsafe extern "C" fn pthread_sigmask(how: c_int, set: Pointer, old: Pointer) -> c_int {
        // SAFETY: sigprocmask(2) has the same contract as this function.
        match unsafe { super::sigprocmask(how, set, old) } {
            0 => 0,
            _ => libc::EINVAL,
        }
    }
    pub unsafe extern "C" fn leave(status: c_int) {
        crate::sys::exit(status)
    }
}
