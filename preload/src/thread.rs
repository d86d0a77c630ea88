//! What each thread keeps: the bytes until its next sample, and whether it is inside our own code. Initial-exec thread-local
//! storage, which stable Rust reaches only by assembly ([`arch`]); `thread_local!` in a shared library would call `__tls_get_addr` each time.
#![cfg_attr(not(test), expect(unsafe_code, reason = "thread-local storage by assembly"))]

#[cfg(not(test))]
use core::arch::global_asm;
use core::cell::Cell;

#[cfg(not(test))]
use crate::arch;

/// The state of one thread; zero when the thread begins.
#[repr(C)]
#[cfg_attr(test, derive(Default))]
pub struct ThreadState {
    /// Bytes that may still be allocated before the sampler wants to look. Zero makes the next allocation look.
    countdown: Cell<u64>,
    /// Bytes to the next sample beyond `countdown`, which never exceeds the size of a large block.
    beyond: Cell<u64>,
    /// State of the generator; 0 before the first draw.
    pub random: Cell<u64>,
    /// log2 of the sampling interval that the distance was drawn with.
    pub interval_log2: Cell<u32>,
    /// More than 0 inside our own code and under the Python hooks: don't count. [`BELOW`] in an allocator below the hooks.
    inside: Cell<u32>,
    /// More than 0 while a failed allocation is being noted.
    failing: Cell<u32>,
    /// More than 0 while a symbol is being looked up.
    resolving: Cell<u32>,
}

#[cfg(not(test))]
global_asm!(
    ".pushsection .tbss,\"awT\",@nobits",
    ".hidden fil_profile_thread",
    ".globl fil_profile_thread",
    ".type fil_profile_thread,@object",
    ".size fil_profile_thread,40",
    ".p2align 3",
    "fil_profile_thread:",
    ".zero 40",
    ".popsection",
);
const _: () = assert!(size_of::<ThreadState>() == 40);

/// This thread's state.
#[cfg(not(test))]
#[inline(always)]
pub fn state() -> &'static ThreadState {
    let address = arch::thread_local_address!("fil_profile_thread") as *const ThreadState;
    // SAFETY: a reference wants an aligned value that stays: the storage is zeroed, of this size, and lives as long as the
    // thread, which no reference leaves.
    unsafe { &*address }
}

#[cfg(test)]
pub fn state() -> &'static ThreadState {
    std::thread_local!(static STATE: &'static ThreadState = Box::leak(Box::default()));
    STATE.with(|state| *state)
}

/// Takes `bytes` off the countdown; `true` if it went below zero and the sampler has to look.
#[cfg(not(test))]
#[inline(always)]
pub fn spend(bytes: usize) -> bool {
    arch::subtract_thread_local!("fil_profile_thread", bytes);
    false
}

#[cfg(test)]
pub fn spend(bytes: usize) -> bool {
    let (left, borrow) = state().countdown.get().overflowing_sub(bytes as u64);
    state().countdown.set(left);
    borrow
}

/// See [`below`].
const BELOW: u32 = 2;

/// Calls with what is allocated below left uncounted, since it is counted here.
#[inline(always)]
pub fn uncounted<T>(call: impl FnOnce() -> T) -> T {
    inside(1, call)
}

/// As [`uncounted`], of an allocator that maps its memory: what it maps is a pool of blocks that are counted one by one.
#[inline(always)]
pub fn below<T>(call: impl FnOnce() -> T) -> T {
    inside(BELOW, call)
}

#[inline(always)]
fn inside<T>(what: u32, call: impl FnOnce() -> T) -> T {
    let state = state();
    let before = state.inside.replace(what);
    let result = call();
    state.inside.set(before);
    result
}

/// While it lives, this thread notes a mapping of its own or of an allocator below a hook.
pub struct InsideMapping {
    state: &'static ThreadState,
    before: u32,
}

impl InsideMapping {
    /// `None` inside our own code, and under a hook that counts by itself.
    pub fn enter() -> Option<Self> {
        let state = state();
        let before = state.inside.get();
        (before == 0 || before == BELOW).then(|| {
            state.inside.set(1);
            Self { state, before }
        })
    }
}

impl Drop for InsideMapping {
    fn drop(&mut self) {
        self.state.inside.set(self.before);
    }
}

impl ThreadState {
    /// Bytes to the next sample before `spend(bytes)` took the countdown below zero.
    pub fn before(&self, bytes: usize) -> u64 {
        self.countdown
            .get()
            .wrapping_add(bytes as u64)
            .saturating_add(self.beyond.get())
    }

    /// Sets the distance to the next sample, looking no later than after `at_most` bytes.
    pub fn arm(&self, distance: u64, at_most: u64) {
        let countdown = distance.min(at_most);
        self.countdown.set(countdown);
        self.beyond.set(distance - countdown);
    }

    /// Leaves so many more bytes of blocks that are not large unsampled, unless every block is recorded.
    pub fn spare(&self, bytes: u64) {
        if self.random.get() != 0 {
            self.beyond.set(self.beyond.get() + bytes);
        }
    }

    /// Is this thread inside our own code or under a hook that counts by itself?
    pub fn is_inside(&self) -> bool {
        self.inside.get() > 0
    }

    /// Is this thread in an allocator below a hook?
    pub fn is_below(&self) -> bool {
        self.inside.get() == BELOW
    }

    /// Bytes to the next sample.
    pub fn distance(&self) -> u64 {
        self.countdown.get() + self.beyond.get()
    }
}

macro_rules! scope {
    ($(#[$doc:meta])* $name:ident, $field:ident) => {
        $(#[$doc])*
        pub struct $name(&'static ThreadState);

        impl $name {
            /// `None` if this thread is there already.
            #[inline]
            pub fn enter() -> Option<Self> {
                let state = state();
                if state.$field.get() > 0 {
                    return None;
                }
                state.$field.set(1);
                Some(Self(state))
            }
        }

        impl Drop for $name {
            #[inline]
            fn drop(&mut self) {
                self.0.$field.set(0);
            }
        }
    };
}

scope! {
    /// While it lives, this thread's allocations are not counted: they are ours, or counted already.
    Inside, inside
}
scope! {
    /// While it lives, this thread is noting a failed allocation.
    Failing, failing
}
scope! {
    /// While it lives, this thread is looking up a symbol.
    Resolving, resolving
}
