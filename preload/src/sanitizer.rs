//! A program with the shared runtime of a sanitizer: it has a malloc of its own that must come before anybody else's, and
//! AddressSanitizer's ends a program where it does not come first. There we leave: the program starts anew without us.
#![expect(unsafe_code, reason = "executes the program anew")]

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use recording::protocol::variables::{self, RunInode, Variable};

use crate::settings::Path;
use crate::{doorbell, real, run_folder, sys};

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

/// Has it been looked for?
static WAS_LOOKED_FOR: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    /// What the kernel has put on the stack. `environ` is not there yet when a runtime starts.
    static __libc_stack_end: *mut usize;
}

// Weak, so that a program of another C library starts all the same.
core::arch::global_asm!(".weak __libc_stack_end");

/// Leaves a program that has one. To be called before anything of the job's can have begun: by our constructor, and when a runtime
/// looks at what is loaded, as AddressSanitizer's does before that.
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
    // SAFETY: the callback gets a pointer to `found`, which lives through the call.
    unsafe { real::dl_iterate_phdr(is_runtime as *const () as real::Pointer, (&raw mut found).cast()) };
    if found {
        start_anew();
    }
}

unsafe extern "C" fn is_runtime(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
    // SAFETY: the loader's promise of dl_iterate_phdr(3).
    let name = unsafe { (*info).dlpi_name };
    if name.is_null() {
        return 0;
    }
    // SAFETY: the loader's own string.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if !RUNTIMES.iter().any(|runtime| file.starts_with(runtime)) {
        return 0;
    }
    // SAFETY: what `look` gave.
    unsafe { *found.cast::<bool>() = true };
    1
}

/// Executes this program again, with its arguments and its environment but for us. Comes back if that cannot be done.
fn start_anew() {
    // SAFETY: a variable of the dynamic linker, zero or absent where it is another's.
    let Some(start) =
        NonNull::new(unsafe { (&raw const __libc_stack_end).as_ref() }.map_or(null_mut(), |start| *start))
    else {
        return;
    };
    let start = start.as_ptr().cast_const();
    // SAFETY: here the kernel has put the number of arguments, the arguments and null, the environment and null (execve(2)).
    let count = unsafe { start.read() };
    let arguments = start.wrapping_add(1).cast::<*const c_char>();
    let variables = arguments.wrapping_add(count + 1);
    let mut preload = Path::new();
    let Some((variables, run)) = without_us(variables, &mut preload) else {
        return;
    };
    // SAFETY: asks the C library for what the kernel gave it.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const c_char;
    let itself = c"/proc/self/exe";
    if !name.is_null() {
        // SAFETY: the kernel's own string, which ends in a zero byte.
        let name = unsafe { CStr::from_ptr(name) };
        if let Some(run) = run {
            doorbell::tell_unwatched(run, name.to_bytes());
        }
        // Of a script it is the script, and in a folder that the process has left it is another file or none.
        if sys::identity_of(name).is_some_and(|named| Some(named) == sys::identity_of(itself)) {
            sys::execute(name, arguments, variables);
        }
    }
    sys::execute(itself, arguments, variables);
}

/// An environment, and the run folder that it names.
type Environment = (*const *const c_char, Option<&'static [u8]>);

/// The value in a line of the environment, `NAME=value`, if it is this variable's.
fn value_in(line: &[u8], variable: Variable) -> Option<&[u8]> {
    line.strip_prefix(variable.name().as_bytes())?.strip_prefix(b"=")
}

/// The environment with what is in `LD_PRELOAD` beside us; `None` if we are not there, or there is no memory for it.
fn without_us(variables: *const *const c_char, preload: &mut Path) -> Option<Environment> {
    let variable = |at: usize| {
        // SAFETY: an array of strings that ends in null, and nobody asks for what is behind that.
        let text = unsafe { variables.wrapping_add(at).read() };
        // SAFETY: an environment string ends in a zero byte.
        NonNull::new(text.cast_mut()).map(|text| unsafe { CStr::from_ptr(text.as_ptr()) })
    };
    let count = (0..).find(|at| variable(*at).is_none())?;
    let ours = doorbell::library_path()?;
    let copies = sys::map_anonymous((count + 1) * size_of::<*const c_char>()).ok()?;
    let copies = copies.as_ptr().cast::<*const c_char>();
    let (mut kept, mut found, mut run) = (0, false, None);
    for variable in (0..count).filter_map(variable) {
        let mut text = variable.as_ptr();
        let bytes = variable.to_bytes();
        if let Some(folder) = value_in(bytes, variables::RUN) {
            run = Some(folder);
        }
        if let Some(inode) = value_in(bytes, variables::RUN_INODE) {
            let inode = core::str::from_utf8(inode).ok().and_then(RunInode::parse);
            inode.into_iter().for_each(run_folder::expect);
        }
        if let Some(names) = bytes.strip_prefix(b"LD_PRELOAD=") {
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
        // SAFETY: there are as many places as variables.
        unsafe { copies.wrapping_add(kept).write(text) };
        kept += 1;
    }
    // The rest is zeros, which end the array.
    found.then_some((copies.cast_const(), run))
}
