//! What the job's parent and the supervisor tell each other: a few numbers in memory that both have mapped, so that telling charges
//! nothing to a cgroup that is full, and what the one that is killed has told is still there.

#![expect(unsafe_code, reason = "memory that outlives a fork has no safe form")]

use std::os::fd::AsFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::Pid;

use crate::kernel::end::End;

/// Signals that are kept until the supervisor has taken them.
const MOST_SIGNALS: usize = 64;

/// Set in every [`End`] that is told, so that zero means that there is none.
const TOLD: u64 = 1 << 63;
/// Set in the [`End`] of a process that a signal has killed.
const BY_SIGNAL: u64 = 1 << 32;

/// Shared by the job's parent and the supervisor.
#[derive(Debug)]
pub struct Board {
    told: &'static Told,
    /// Rings when the parent has told something.
    pub bell: EventFd,
}

#[derive(Debug)]
struct Told {
    /// Its process id.
    job: AtomicU64,
    end: AtomicU64,
    /// From the start of the job, and from the Unix epoch, in nanoseconds.
    ended_after: AtomicU64,
    ended_at: AtomicU64,
    signals: [AtomicU64; MOST_SIGNALS],
    /// All that ever came.
    signal_count: AtomicU64,
    /// How `fil-profile` shall end.
    ours: AtomicU64,
    kills: AtomicU64,
    witness: AtomicU64,
    is_alarmed: AtomicBool,
    is_broken: AtomicBool,
    is_announced: AtomicBool,
    a_child_ran_out: AtomicBool,
}

/// How and when the job has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub end: End,
    /// How long after its start.
    pub after: Duration,
    /// In nanoseconds since the Unix epoch.
    pub at_ns: u64,
}

impl Board {
    /// A new one. Whether the memory is shared with processes to come is the second value: where it is not, there can be no other
    /// process to tell anything.
    pub fn new() -> nix::Result<(Self, bool)> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a new mapping wherever the kernel has room for it takes the place of nothing.
        let mapped = unsafe { libc::mmap(ptr::null_mut(), size_of::<Told>(), access, flags, -1, 0) };
        let told = (mapped != libc::MAP_FAILED).then(|| {
            // SAFETY: the mapping has the size of a `Told` and begins at a page, it is never unmapped, it is full of zeros, which is a
            // valid `Told`, and all access to it, from whichever process, is by atomic operations.
            unsafe { &*mapped.cast::<Told>().cast_const() }
        });
        let is_shared = told.is_some();
        let told = told.unwrap_or_else(|| Box::leak(Box::new(Told::new())));
        Ok((Self { told, bell }, is_shared))
    }

    /// The parent tells that the job has begun.
    pub fn tell_job(&self, pid: Pid) {
        self.told
            .job
            .store(u64::from(pid.as_raw().unsigned_abs()), Ordering::Release);
        self.ring();
    }

    /// Waits until there is a job; none if nobody is left who could tell.
    pub fn wait_for_job(&self) -> Option<Pid> {
        loop {
            let pid = i32::try_from(self.told.job.load(Ordering::Acquire)).ok()?;
            if pid > 0 {
                return Some(Pid::from_raw(pid));
            }
            // Interrupted or not, what is told is read anew.
            let _ = poll(
                &mut [PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)],
                PollTimeout::NONE,
            );
            let _ = self.bell.read();
        }
    }

    /// Whether this is asked for the first time, by whichever supervisor: what is told to the user at the start is told once.
    pub fn is_to_announce(&self) -> bool {
        !self.told.is_announced.swap(true, Ordering::Relaxed)
    }

    /// The parent tells that the job has ended, so long after its start.
    pub fn tell_end(&self, end: End, after: Duration) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.told.ended_after.store(nanoseconds(after), Ordering::Relaxed);
        self.told.ended_at.store(nanoseconds(since), Ordering::Relaxed);
        self.told.end.store(code(end), Ordering::Release);
        self.ring();
    }

    /// How the job has ended, if it has.
    pub fn end(&self) -> Option<Ended> {
        let end = decode(self.told.end.load(Ordering::Acquire))?;
        Some(Ended {
            end,
            after: Duration::from_nanos(self.told.ended_after.load(Ordering::Relaxed)),
            at_ns: self.told.ended_at.load(Ordering::Relaxed),
        })
    }

    /// The parent tells of a signal that has come, and who sent it.
    pub fn tell_signal(&self, number: i32, sender: Pid) {
        let count = self.told.signal_count.load(Ordering::Relaxed);
        let value = u64::from(number.unsigned_abs()) << 32 | u64::from(sender.as_raw().cast_unsigned());
        let slot = &self.told.signals[count as usize % MOST_SIGNALS];
        slot.store(value, Ordering::Relaxed);
        self.told.signal_count.store(count + 1, Ordering::Release);
        self.ring();
    }

    /// The next signal after `taken` others, which is counted up; those that were too many are passed over.
    pub fn signal(&self, taken: &mut u64) -> Option<(i32, Pid)> {
        let count = self.told.signal_count.load(Ordering::Acquire);
        *taken = (*taken).max(count.saturating_sub(MOST_SIGNALS as u64));
        if *taken >= count {
            return None;
        }
        let value = self.told.signals[*taken as usize % MOST_SIGNALS].load(Ordering::Relaxed);
        *taken += 1;
        Some(((value >> 32) as i32, Pid::from_raw((value as u32).cast_signed())))
    }

    /// The supervisor tells how `fil-profile` shall end, now that all is done.
    pub fn tell_ours(&self, end: End) {
        self.told.ours.store(code(end), Ordering::Release);
    }

    /// How `fil-profile` shall end, if a supervisor has come so far as to say so.
    pub fn ours(&self) -> Option<End> {
        decode(self.told.ours.load(Ordering::Acquire))
    }

    /// A process of ours was killed by SIGKILL, for memory as it must be.
    pub fn count_kill(&self) {
        self.told.kills.fetch_add(1, Ordering::Relaxed);
    }

    /// How many of our own processes were killed.
    pub fn kills(&self) -> u64 {
        self.told.kills.load(Ordering::Relaxed)
    }

    /// The parent tells who its witness is.
    pub fn tell_witness(&self, pid: Option<Pid>) {
        let pid = pid.map_or(0, |pid| u64::from(pid.as_raw().unsigned_abs()));
        self.told.witness.store(pid, Ordering::Relaxed);
    }

    /// The parent's witness.
    pub fn witness(&self) -> Option<Pid> {
        let pid = i32::try_from(self.told.witness.load(Ordering::Relaxed)).ok()?;
        (pid > 0).then(|| Pid::from_raw(pid))
    }

    /// The cgroup has told that its limit could not be kept.
    pub fn note_alarm(&self) {
        self.told.is_alarmed.store(true, Ordering::Relaxed);
    }

    /// Whether it has.
    pub fn is_alarmed(&self) -> bool {
        self.told.is_alarmed.load(Ordering::Relaxed)
    }

    /// The verdict says that the job ended well although a child of it ran out of memory.
    pub fn tell_child_ran_out(&self) {
        self.told.a_child_ran_out.store(true, Ordering::Relaxed);
    }

    /// Whether the verdict says so.
    pub fn a_child_ran_out(&self) -> bool {
        self.told.a_child_ran_out.load(Ordering::Relaxed)
    }

    /// The job was asked to leave (`--on-oom=exit`). Returns whether it had been already.
    pub fn break_glass(&self) -> bool {
        self.told.is_broken.swap(true, Ordering::Relaxed)
    }

    /// Whether the job was asked to leave.
    pub fn is_broken(&self) -> bool {
        self.told.is_broken.load(Ordering::Relaxed)
    }

    fn ring(&self) {
        // It has rung before, and was not answered yet, if this fails.
        let _ = self.bell.write(1);
    }
}

impl Told {
    const fn new() -> Self {
        Self {
            job: AtomicU64::new(0),
            end: AtomicU64::new(0),
            ended_after: AtomicU64::new(0),
            ended_at: AtomicU64::new(0),
            signals: [const { AtomicU64::new(0) }; MOST_SIGNALS],
            signal_count: AtomicU64::new(0),
            ours: AtomicU64::new(0),
            kills: AtomicU64::new(0),
            witness: AtomicU64::new(0),
            is_alarmed: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
            is_announced: AtomicBool::new(false),
            a_child_ran_out: AtomicBool::new(false),
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn code(end: End) -> u64 {
    match end {
        End::Status(status) => TOLD | u64::from(status.cast_unsigned()),
        End::Signal(signal) => TOLD | BY_SIGNAL | u64::from(signal.cast_unsigned()),
    }
}

fn decode(value: u64) -> Option<End> {
    let number = (value as u32).cast_signed();
    match (value & TOLD != 0, value & BY_SIGNAL != 0) {
        (false, _) => None,
        (true, false) => Some(End::Status(number)),
        (true, true) => Some(End::Signal(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::process;

    #[test]
    fn what_a_process_tells_is_there_when_it_has_died() {
        let (board, is_shared) = Board::new().unwrap();
        assert!(is_shared && board.end().is_none() && board.ours().is_none());
        let told = process::apart(|| {
            board.tell_end(End::Signal(9), Duration::from_millis(1500));
            board.tell_ours(End::Status(0));
            board.tell_signal(15, Pid::from_raw(7));
            board.count_kill();
            board.tell_child_ran_out();
            assert!(!board.break_glass());
            process::die_of(libc::SIGKILL);
            0
        });
        assert_eq!(process::wait_for(told.unwrap()), Some(End::Signal(9)));
        let ended = board.end().unwrap();
        assert_eq!((ended.end, ended.after), (End::Signal(9), Duration::from_millis(1500)));
        assert!(ended.at_ns > 0 && board.break_glass() && board.a_child_ran_out());
        assert_eq!((board.ours(), board.kills()), (Some(End::Status(0)), 1));
        assert_eq!(board.bell.read(), Ok(2));
        board.tell_job(Pid::from_raw(7));
        assert_eq!(board.wait_for_job(), Some(Pid::from_raw(7)));
        assert!(board.is_to_announce() && !board.is_to_announce());
        let mut taken = 0;
        assert_eq!(board.signal(&mut taken), Some((15, Pid::from_raw(7))));
        assert_eq!((board.signal(&mut taken), taken), (None, 1));
    }

    #[test]
    fn of_more_signals_than_are_kept_the_last_ones_are() {
        let (board, _) = Board::new().unwrap();
        for number in 1..=100 {
            board.tell_signal(number, Pid::from_raw(number));
        }
        let mut taken = 0;
        let numbers: Vec<_> = std::iter::from_fn(|| board.signal(&mut taken))
            .map(|(number, _)| number)
            .collect();
        assert_eq!(numbers, (37..=100).collect::<Vec<_>>());
    }
}
