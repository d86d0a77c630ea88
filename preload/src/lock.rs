//! The lock over the preload's state: it never allocates, a thread can give up waiting for it, and a forked child does not find
//! it held.
#![expect(unsafe_code, reason = "hands out a reference to what it guards")]

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::signal_mask::Reachable;
use crate::sys;

const FREE: u32 = 0;
const HELD: u32 = 1;
const AWAITED: u32 = 2;

/// How often a thread tries a held lock before it sleeps, and log2 of the most spins between two tries: some microseconds in all,
/// which is the longest that the lock is held.
const TRIES: u32 = 12;
/// See [`TRIES`].
const MOST_SPINS_LOG2: u32 = 7;

/// Times that a bounded try spins or yields before it gives up: some milliseconds.
const PATIENCE: u32 = 20_000;

/// A mutual-exclusion lock on a futex (Drepper, "Futexes are tricky", 2011, mutex 3).
pub struct Lock<T> {
    word: AtomicU32,
    guarded: UnsafeCell<T>,
}

// SAFETY: `Sync` wants that threads may share it: `guarded` is reached through a guard alone, of which `word` lets one exist at a
// time.
unsafe impl<T: Send> Sync for Lock<T> {}

/// Access to what the lock guards. While it exists, a SIGBUS reaches our handler ([`Reachable`]).
pub struct Guard<'a, T>(&'a Lock<T>, Reachable);

impl<T> Lock<T> {
    /// A free lock.
    pub const fn new(guarded: T) -> Self {
        Self {
            word: AtomicU32::new(FREE),
            guarded: UnsafeCell::new(guarded),
        }
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        if self.take(HELD) {
            return Guard(self, Reachable::now());
        }
        self.wait()
    }

    /// Tries for a while, ever less often, so that the holder keeps the cache line; then sleeps.
    #[cold]
    fn wait(&self) -> Guard<'_, T> {
        for turn in 0..TRIES {
            for _ in 0..1 << turn.min(MOST_SPINS_LOG2) {
                core::hint::spin_loop();
            }
            if self.word.load(Relaxed) == FREE && self.take(HELD) {
                return Guard(self, Reachable::now());
            }
        }
        while self.word.swap(AWAITED, Acquire) != FREE {
            sys::futex_wait(&self.word, AWAITED);
        }
        Guard(self, Reachable::now())
    }

    /// The lock, if it is free now.
    pub fn try_at_once(&self) -> Option<Guard<'_, T>> {
        self.take(HELD).then(|| Guard(self, Reachable::now()))
    }

    /// Tries for a bounded time; `None` if the lock stays held, also by this thread itself.
    pub fn try_for_a_while(&self) -> Option<Guard<'_, T>> {
        for turn in 0..PATIENCE {
            if self.take(HELD) {
                return Some(Guard(self, Reachable::now()));
            }
            if turn > 1000 {
                sys::yield_now();
            }
        }
        None
    }

    fn take(&self, state: u32) -> bool {
        self.word.compare_exchange(FREE, state, Acquire, Relaxed).is_ok()
    }

    /// Takes the lock until [`Lock::after_fork`], so that no other thread holds it while the process is copied; calls `look` with
    /// what it guards.
    pub fn before_fork(&self, look: impl FnOnce(&mut T)) {
        let mut guard = self.lock();
        look(&mut guard);
        guard.1.end();
        core::mem::forget(guard);
    }

    /// Releases the lock that [`Lock::before_fork`] took, in the parent and in the child; calls `look` with what it guards
    /// before.
    pub fn after_fork(&self, look: impl FnOnce(&mut T)) {
        look(&mut Guard(self, Reachable::now()));
    }

    fn release(&self) {
        if self.word.swap(FREE, Release) == AWAITED {
            sys::futex_wake(&self.word);
        }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: a shared reference wants that nobody writes meanwhile: this guard is the only one there is, and it is borrowed.
        unsafe { &*self.0.guarded.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: a mutable reference wants to be the only one: this guard is the only one there is, and it is borrowed mutably.
        unsafe { &mut *self.0.guarded.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.0.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_threads_lose_no_increment() {
        static LOCK: Lock<u64> = Lock::new(0);
        let each = if cfg!(miri) { 200 } else { 20_000 };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..each).for_each(|_| *LOCK.lock() += 1));
            }
        });
        assert_eq!(*LOCK.lock(), 8 * each);
    }

    #[test]
    fn a_thread_that_holds_the_lock_is_refused_instead_of_hanging() {
        let lock = Lock::new(());
        let held = lock.lock();
        assert!(lock.try_for_a_while().is_none());
        drop(held);
        assert!(lock.try_for_a_while().is_some());
    }
}
