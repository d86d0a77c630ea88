//! A program with the shared runtime of a sanitizer. The runtime has a malloc that must come before all others, and
//! AddressSanitizer ends a program in which it does not. In such a program we start the program anew without the library.
#![expect(unsafe_code, reason = "executes the program anew")]

use core::ffi::{CStr, c_char};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use recording::protocol::variables::{self, RunInode, Variable};

use crate::lock::Lock;
use crate::settings::{Path, strings};
use crate::{message_pipe, objects, run_folder, sys};

/// How the files of such runtimes begin, gcc's and clang's.
const RUNTIMES: [&[u8]; 9] = [
    b"libasan.so",
    b"libtsan.so",
    b"liblsan.so",
    b"libhwasan.so",
    b"libclang_rt.asan",
    b"libclang_rt.tsan",
    b"libclang_rt.msan",
    b"libclang_rt.lsan",
    b"libclang_rt.hwasan",
];

/// Whether a runtime has been looked for.
static WAS_LOOKED_FOR: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    /// What the kernel has put on the stack. `environ` is not there yet when a runtime starts.
    static __libc_stack_end: *mut usize;
}

// Weak, so that a program of another C library starts all the same.
core::arch::global_asm!(".weak __libc_stack_end");

/// Starts a program anew that has a runtime. To be called before any code of the job runs: by our constructor, and when a runtime
/// goes through the loaded libraries, as AddressSanitizer's does before that.
#[inline]
pub fn leave_if_any() {
    if !WAS_LOOKED_FOR.load(Relaxed) {
        look();
    }
}

#[cold]
#[inline(never)]
fn look() {
    if WAS_LOOKED_FOR.swap(true, Relaxed) {
        return;
    }
    let mut found = false;
    objects::each(|path, _| {
        let file = objects::file_name(path);
        found |= RUNTIMES.iter().any(|runtime| file.starts_with(runtime));
        !found
    });
    if found {
        start_anew();
    }
}

/// Executes this program again, with the same arguments and environment except for us. Returns if that is not possible.
fn start_anew() {
    // SAFETY: as_ref wants null or a readable variable: it is the dynamic linker's, and the address of a weak symbol that is
    // absent is null.
    let Some(start) =
        NonNull::new(unsafe { (&raw const __libc_stack_end).as_ref() }.map_or(null_mut(), |start| *start))
    else {
        return;
    };
    let start = start.as_ptr().cast_const();
    // SAFETY: a read wants a readable word: at this address the kernel has put the number of arguments, the arguments and null,
    // the environment and null (execve(2)).
    let count = unsafe { start.read() };
    let arguments = start.wrapping_add(1).cast::<*const c_char>();
    let variables = arguments.wrapping_add(count + 1);
    static PRELOAD: Lock<Path> = Lock::new(Path::new());
    let mut preload = PRELOAD.lock();
    let Some((variables, run)) = without_us(variables, &mut preload) else {
        return;
    };
    // SAFETY: getauxval wants nothing: it gives what the kernel has passed to the program.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const c_char;
    let itself = c"/proc/self/exe";
    if !name.is_null() {
        // SAFETY: from_ptr wants a string that ends in a zero byte: AT_EXECFN is one, which the kernel has put on the stack.
        let name = unsafe { CStr::from_ptr(name) };
        if let Some(run) = run {
            message_pipe::tell_unwatched(run, name);
        }
        // The name may be a script's, or a relative one that is another file or none since the process has changed its folder.
        if sys::identity_of(name).is_some_and(|named| Some(named) == sys::identity_of(itself)) {
            sys::execute(name, arguments, variables);
        }
    }
    sys::execute(itself, arguments, variables);
}

/// An environment, and the run folder that it names.
type Environment = (*const *const c_char, Option<&'static CStr>);

/// The value in a line of the environment, `NAME=value`, if it is this variable's.
fn value_in(line: &CStr, variable: Variable) -> Option<&CStr> {
    let bytes = line.to_bytes_with_nul();
    let value = bytes.strip_prefix(variable.name().as_bytes())?.strip_prefix(b"=")?;
    CStr::from_bytes_with_nul(value).ok()
}

/// The environment without us in `LD_PRELOAD`; `None` if we are not there, or there is no memory for the copy.
fn without_us(variables: *const *const c_char, preload: &mut Path) -> Option<Environment> {
    // SAFETY: `strings` wants the environment, and that nobody changes it: nothing of the job runs yet.
    let lines = || unsafe { strings(variables) };
    let count = lines().count();
    let ours = message_pipe::library_path()?;
    let copies = sys::map_anonymous((count + 1) * size_of::<*const c_char>()).ok()?;
    let copies = copies.as_ptr().cast::<*const c_char>();
    let (mut kept, mut found, mut run) = (0, false, None);
    for variable in lines() {
        let mut text = variable.as_ptr();
        run = run.or(value_in(variable, variables::RUN));
        if let Some(inode) = value_in(variable, variables::RUN_INODE) {
            let inode = inode.to_str().ok().and_then(RunInode::parse);
            inode.into_iter().for_each(run_folder::expect);
        }
        if let Some(names) = variable.to_bytes().strip_prefix(b"LD_PRELOAD=") {
            preload.push(b"LD_PRELOAD=");
            let others = names.split(|byte| b": ".contains(byte)).filter(|name| !name.is_empty());
            let mut any = false;
            for name in others {
                if name == ours {
                    found = true;
                    continue;
                }
                preload.push(if any { &b":"[..] } else { b"" });
                preload.push(name);
                any = true;
            }
            preload.push(b"\0");
            if !any {
                continue;
            }
            text = preload.as_c_str()?.as_ptr();
        }
        // SAFETY: a write wants a writable place: the mapping has one for each variable and one for the null.
        unsafe { copies.wrapping_add(kept).write(text) };
        kept += 1;
    }
    // The rest is zeros, which end the array.
    found.then_some((copies.cast_const(), run))
}
