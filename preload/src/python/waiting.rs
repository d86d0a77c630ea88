//! The Python thread that waits for the work of a thread without Python, to whose line that counts. No data tells which thread it
//! is. It is chosen by a rule: of the threads that have not moved since the last look, the most recently active one. If every
//! thread has moved, the most recently active one.

use super::walk::Link;

/// Threads that are remembered.
const MOST: usize = 8;
/// A choice is valid for so many nanoseconds, or until a Python thread allocates. To choose takes some system calls of half a
/// microsecond each, since another thread's frames may go away while they are read.
const VALID_NS: u64 = 200_000;

/// A thread that has had a Python callstack.
#[derive(Clone, Copy)]
struct Candidate {
    state: u64,
    /// Its innermost frame at the last look.
    top: Link,
}

/// The most recently active Python threads, in this order.
pub struct Waiting {
    candidates: [Candidate; MOST],
    /// The thread that was chosen last, its innermost frame, and the node of that.
    last: (u64, Link, u32),
    /// When that was, by the monotonic clock; 0 if it is no longer valid.
    chosen_ns: u64,
}

impl Waiting {
    /// No thread yet.
    pub const fn new() -> Self {
        let nobody = Candidate {
            state: 0,
            top: Link::none(),
        };
        Self {
            candidates: [nobody; MOST],
            last: (0, Link::none(), 0),
            chosen_ns: 0,
        }
    }

    /// For a new recording: the node means nothing there.
    pub fn start_over(&mut self) {
        self.last = (0, Link::none(), 0);
        self.chosen_ns = 0;
    }

    /// The node of the last choice, if it is still valid.
    pub fn recent(&self, now_ns: u64) -> Option<u32> {
        let is_recent = self.chosen_ns != 0 && now_ns.saturating_sub(self.chosen_ns) < VALID_NS;
        (is_recent && self.last.2 != 0).then_some(self.last.2)
    }

    /// The last choice is valid from now on.
    pub fn confirm(&mut self, now_ns: u64) {
        self.chosen_ns = now_ns;
    }

    /// The thread with this state has allocated.
    #[inline]
    pub fn was_active(&mut self, state: u64) {
        self.chosen_ns = 0;
        let first = self.candidates[0].state;
        if first != state && state != 0 {
            self.move_to_front(state);
        }
    }

    #[cold]
    fn move_to_front(&mut self, state: u64) {
        let known = self.candidates.iter().position(|candidate| candidate.state == state);
        let upto = known.unwrap_or(MOST - 1);
        let Some(before) = self.candidates.get_mut(..=upto) else {
            return;
        };
        before.rotate_right(1);
        if known.is_none()
            && let Some(first) = before.first_mut()
        {
            *first = Candidate {
                state,
                top: Link::none(),
            };
        }
    }

    /// Chooses a thread: its state and its innermost frame. `top` reads that frame; `None` if there is no such thread any more.
    pub fn choose(&mut self, top: impl Fn(u64) -> Option<Link>) -> Option<(u64, Link)> {
        let (mut still, mut any) = (None, None);
        for candidate in self.candidates.iter_mut().filter(|candidate| candidate.state != 0) {
            let Some(now) = top(candidate.state) else {
                candidate.state = 0;
                continue;
            };
            let found = Some((candidate.state, now));
            if candidate.top == now {
                still = still.or(found);
            }
            any = any.or(found);
            candidate.top = now;
        }
        still.or(any)
    }

    /// The node of this thread at this frame, if it was chosen last.
    pub fn known(&self, (state, top): (u64, Link)) -> Option<u32> {
        (self.last.0 == state && self.last.1 == top && self.last.2 != 0).then_some(self.last.2)
    }

    /// Remembers the node of a chosen thread at this frame.
    pub fn remember(&mut self, (state, top): (u64, Link), node: u32) {
        self.last = (state, top, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn who_stands_still_waits_and_of_several_the_one_that_was_active_last() {
        let mut waiting = Waiting::new();
        let mut places: BTreeMap<u64, u64> = (1..=3).map(|state| (state, 10 * state)).collect();
        let chosen = |waiting: &mut Waiting, places: &BTreeMap<u64, u64>| {
            let top = |state: u64| places.get(&state).map(|at| Link::at(*at));
            waiting.choose(top).map(|(state, _)| state)
        };
        assert_eq!(chosen(&mut waiting, &places), None);
        for state in [3, 1, 2] {
            waiting.was_active(state);
        }
        // It is not known yet which ones move.
        assert_eq!(chosen(&mut waiting, &places), Some(2));
        // 2 runs on, and 1 has allocated after 3.
        places.insert(2, 21);
        assert_eq!(chosen(&mut waiting, &places), Some(1));
        places.remove(&1);
        places.insert(2, 22);
        assert_eq!(chosen(&mut waiting, &places), Some(3));
        for state in 100..120 {
            waiting.was_active(state);
        }
        assert_eq!(chosen(&mut waiting, &places), None);
    }
}
