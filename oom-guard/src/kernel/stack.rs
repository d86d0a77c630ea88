//! A stack for our own work where the limit on stacks leaves too little.
#![expect(unsafe_code, reason = "mmap and makecontext have no safe form")]

use std::mem::MaybeUninit;
use std::ptr;

use nix::sys::resource::{Resource, getrlimit};

/// Half of this is more than all our work takes.
const BYTES: usize = 2 << 20;

/// Does `work` on the stack that this process was started with, or if `RLIMIT_STACK` makes that a small one, on another. The limit stays as
/// it is, because the job must have it.
pub fn on_a_large_one(work: extern "C" fn()) {
    if getrlimit(Resource::RLIMIT_STACK).is_ok_and(|(soft, _)| soft < BYTES as u64 / 2) {
        on_another(work);
    }
    work();
}

/// Returns only if there is no memory for it.
fn on_another(work: extern "C" fn()) {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
    // SAFETY: without MAP_FIXED, the kernel puts a new mapping where nothing else is mapped.
    let stack = unsafe { libc::mmap(ptr::null_mut(), BYTES, access, flags, -1, 0) };
    let mut context = MaybeUninit::<libc::ucontext_t>::zeroed();
    // SAFETY: getcontext fills in a context, where `context` has room for one.
    if stack == libc::MAP_FAILED || unsafe { libc::getcontext(context.as_mut_ptr()) } != 0 {
        return;
    }
    // SAFETY: zeros are a value of it, and getcontext has filled it in.
    let context = unsafe { context.assume_init_mut() };
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = BYTES;
    // The process ends when `work` returns.
    context.uc_link = ptr::null_mut();
    // SAFETY: getcontext has made the context, its stack is never unmapped, and `work` takes no arguments.
    unsafe { libc::makecontext(context, work, 0) };
    // SAFETY: makecontext has made it. What this stack holds is not used again.
    unsafe { libc::setcontext(context) };
}
