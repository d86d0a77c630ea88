//! What the job's parent and the supervisor tell each other: a few numbers in shared memory. Writing them charges nothing to a full
//! cgroup, and they are still there when the process that wrote them has been killed.

#![expect(unsafe_code, reason = "memory that outlives a fork has no safe form")]

use std::os::fd::AsFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

use crate::kernel::end::End;

/// How many signals are kept until the supervisor has read them.
const MOST_SIGNALS: usize = 64;

/// Signals have the numbers 1 to 64.
pub const NUMBERS: usize = 65;

/// Set in every stored [`End`]: zero means that there is none.
const TOLD: u64 = 1 << 63;
/// Set in the [`End`] of a process that a signal has killed.
const BY_SIGNAL: u64 = 1 << 32;

/// The kernel compares the limit on processor time with a count of its own: whoever runs at a tick is charged for all of it, so on a busy
/// machine that count can be ahead of the time that getrusage(2) tells.
const INEXACT_MS: u64 = 400;

/// Shared by the job's parent and the supervisor.
#[derive(Debug)]
pub struct SharedState {
    cells: &'static Cells,
    /// Readable when the parent has written something.
    pub wakeup: EventFd,
    /// Whether the memory is shared with processes that are forked later. If not, no other process can tell anything.
    pub is_shared: bool,
}

#[derive(Debug)]
struct Cells {
    /// Its process id; 0 before it has started.
    job: AtomicU64,
    end: AtomicU64,
    /// From the start of the job, and from the Unix epoch, in nanoseconds.
    ended_after: AtomicU64,
    ended_at: AtomicU64,
    signals: [AtomicU64; MOST_SIGNALS],
    /// The number of all signals so far.
    signal_count: AtomicU64,
    /// How `fil-profile` must end.
    ours: AtomicU64,
    kills: AtomicU64,
    probe: AtomicU64,
    probed: [AtomicU32; NUMBERS],
    is_out_of_memory: AtomicBool,
    has_forced_exit: AtomicBool,
    is_announced: AtomicBool,
    a_child_ran_out: AtomicBool,
    is_unrecorded: AtomicBool,
    /// The most that any process of the job had in memory, in bytes.
    most_resident: AtomicU64,
    /// The processor time of all children that the job's parent has waited for, in milliseconds.
    processor_ms: AtomicU64,
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

impl SharedState {
    /// A new one.
    pub fn new() -> nix::Result<Self> {
        let wakeup = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: without MAP_FIXED, the kernel puts a new mapping where nothing else is mapped.
        let mapped = unsafe { libc::mmap(ptr::null_mut(), size_of::<Cells>(), access, flags, -1, 0) };
        let cells = (mapped != libc::MAP_FAILED).then(|| {
            // SAFETY: the mapping has the size of a `Cells` and begins at a page, it is never unmapped, it is full of zeros, which is a
            // valid `Cells`, and all access to it, from whichever process, is by atomic operations.
            unsafe { &*mapped.cast::<Cells>().cast_const() }
        });
        let is_shared = cells.is_some();
        let cells = cells.unwrap_or_else(|| Box::leak(Box::new(Cells::new())));
        Ok(Self {
            cells,
            wakeup,
            is_shared,
        })
    }

    /// The parent tells that the job has begun.
    pub fn tell_job(&self, pid: Pid) {
        self.cells
            .job
            .store(u64::from(pid.as_raw().unsigned_abs()), Ordering::Release);
        self.wake();
    }

    /// Waits until the job has started, and returns its process id; none if that is out of range.
    pub fn wait_for_job(&self) -> Option<Pid> {
        loop {
            let pid = i32::try_from(self.cells.job.load(Ordering::Acquire)).ok()?;
            if pid > 0 {
                return Some(Pid::from_raw(pid));
            }
            // If this is interrupted, the job is checked again.
            let _ = poll(
                &mut [PollFd::new(self.wakeup.as_fd(), PollFlags::POLLIN)],
                PollTimeout::NONE,
            );
            let _ = self.wakeup.read();
        }
    }

    /// Returns true once, even if there are several supervisors: the lines for the user at the start are printed once.
    pub fn is_to_announce(&self) -> bool {
        !self.cells.is_announced.swap(true, Ordering::Relaxed)
    }

    /// The parent tells that the job has ended, so long after its start.
    pub fn tell_end(&self, end: End, after: Duration) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok();
        let most = usage.map_or(0, |usage| usage.max_rss());
        let most = u64::try_from(most).unwrap_or(0).saturating_mul(1024);
        let processor = usage.map_or(0, |usage| (usage.user_time() + usage.system_time()).num_milliseconds());
        self.cells
            .processor_ms
            .store(processor.unsigned_abs(), Ordering::Relaxed);
        self.cells.most_resident.store(most, Ordering::Relaxed);
        self.cells.ended_after.store(nanoseconds(after), Ordering::Relaxed);
        self.cells.ended_at.store(nanoseconds(since), Ordering::Relaxed);
        self.cells.end.store(code(end), Ordering::Release);
        self.wake();
    }

    /// How the job has ended, if it has.
    pub fn end(&self) -> Option<Ended> {
        let end = decode(self.cells.end.load(Ordering::Acquire))?;
        Some(Ended {
            end,
            after: Duration::from_nanos(self.cells.ended_after.load(Ordering::Relaxed)),
            at_ns: self.cells.ended_at.load(Ordering::Relaxed),
        })
    }

    /// The parent tells of a signal and its sender.
    pub fn tell_signal(&self, number: i32, sender: Pid) {
        let count = self.cells.signal_count.load(Ordering::Relaxed);
        let value = u64::from(number.unsigned_abs()) << 32 | u64::from(sender.as_raw().cast_unsigned());
        let slot = &self.cells.signals[count as usize % MOST_SIGNALS];
        slot.store(value, Ordering::Relaxed);
        self.cells.signal_count.store(count + 1, Ordering::Release);
        self.wake();
    }

    /// The next signal after the first `taken`, which is incremented. If there were too many, the oldest are skipped.
    pub fn signal(&self, taken: &mut u64) -> Option<(i32, Pid)> {
        let count = self.cells.signal_count.load(Ordering::Acquire);
        *taken = (*taken).max(count.saturating_sub(MOST_SIGNALS as u64));
        if *taken >= count {
            return None;
        }
        let value = self.cells.signals[*taken as usize % MOST_SIGNALS].load(Ordering::Relaxed);
        *taken += 1;
        Some(((value >> 32) as i32, Pid::from_raw((value as u32).cast_signed())))
    }

    /// The supervisor tells how `fil-profile` must end; it has finished.
    pub fn tell_ours(&self, end: End) {
        self.cells.ours.store(code(end), Ordering::Release);
    }

    /// How `fil-profile` must end, if a supervisor has finished.
    pub fn ours(&self) -> Option<End> {
        decode(self.cells.ours.load(Ordering::Acquire))
    }

    /// Counts a process of ours that SIGKILL has ended: it must have been the OOM killer.
    pub fn count_kill(&self) {
        self.cells.kills.fetch_add(1, Ordering::Relaxed);
    }

    /// How many of our own processes were killed.
    pub fn kills(&self) -> u64 {
        self.cells.kills.load(Ordering::Relaxed)
    }

    /// The parent tells the process id of its probe.
    pub fn tell_probe(&self, pid: Option<Pid>) {
        let pid = pid.map_or(0, |pid| u64::from(pid.as_raw().unsigned_abs()));
        self.cells.probe.store(pid, Ordering::Relaxed);
    }

    /// The parent's probe.
    pub fn probe(&self) -> Option<Pid> {
        let pid = i32::try_from(self.cells.probe.load(Ordering::Relaxed)).ok()?;
        (pid > 0).then(|| Pid::from_raw(pid))
    }

    /// The probe tells that it has taken a signal.
    pub fn count_probed(&self, number: i32) {
        if let Some(count) = self.probed_cell(number) {
            count.fetch_add(1, Ordering::Release);
        }
    }

    /// How many signals with this number the parent's probes have taken.
    pub fn probed(&self, number: i32) -> u32 {
        self.probed_cell(number)
            .map_or(0, |count| count.load(Ordering::Acquire))
    }

    fn probed_cell(&self, number: i32) -> Option<&AtomicU32> {
        self.cells.probed.get(usize::try_from(number).ok()?)
    }

    /// The cgroup has reported that its limit could not be kept.
    pub fn note_out_of_memory(&self) {
        self.cells.is_out_of_memory.store(true, Ordering::Relaxed);
    }

    /// Whether the cgroup has reported that.
    pub fn is_out_of_memory(&self) -> bool {
        self.cells.is_out_of_memory.load(Ordering::Relaxed)
    }

    /// The verdict says that the job ended well although a child of it ran out of memory.
    pub fn tell_child_ran_out(&self) {
        self.cells.a_child_ran_out.store(true, Ordering::Relaxed);
    }

    /// Whether the verdict says so.
    pub fn a_child_ran_out(&self) -> bool {
        self.cells.a_child_ran_out.load(Ordering::Relaxed)
    }

    /// The process that writes the last report tells that the job, or its first process, was not recorded.
    pub fn tell_unrecorded(&self) {
        self.cells.is_unrecorded.store(true, Ordering::Relaxed);
    }

    /// The most that any process of the job had in memory at a time, in bytes, as far as it was waited for. At least a few MB: a process
    /// of ours had become the job's first one.
    pub fn most_resident(&self) -> u64 {
        self.cells.most_resident.load(Ordering::Relaxed)
    }

    /// The processor time of the job and its children, in seconds, once the job has ended.
    pub fn processor_seconds(&self) -> u64 {
        (self.cells.processor_ms.load(Ordering::Relaxed) + INEXACT_MS) / 1000
    }

    /// Whether that was told.
    pub fn is_unrecorded(&self) -> bool {
        self.cells.is_unrecorded.load(Ordering::Relaxed)
    }

    /// The job is being killed (`--on-oom=exit`). Returns whether that was so already.
    pub fn set_forced_exit(&self) -> bool {
        self.cells.has_forced_exit.swap(true, Ordering::Relaxed)
    }

    /// Whether the job was killed for `--on-oom=exit`.
    pub fn has_forced_exit(&self) -> bool {
        self.cells.has_forced_exit.load(Ordering::Relaxed)
    }

    fn wake(&self) {
        // This fails only if the counter is full, and then it is readable already.
        let _ = self.wakeup.write(1);
    }
}

impl Cells {
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
            probe: AtomicU64::new(0),
            probed: [const { AtomicU32::new(0) }; NUMBERS],
            is_out_of_memory: AtomicBool::new(false),
            has_forced_exit: AtomicBool::new(false),
            is_announced: AtomicBool::new(false),
            a_child_ran_out: AtomicBool::new(false),
            is_unrecorded: AtomicBool::new(false),
            most_resident: AtomicU64::new(0),
            processor_ms: AtomicU64::new(0),
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
        let shared = SharedState::new().unwrap();
        assert!(shared.is_shared && shared.end().is_none() && shared.ours().is_none());
        let pid = process::apart(|| {
            shared.tell_end(End::Signal(9), Duration::from_millis(1500));
            shared.tell_ours(End::Status(0));
            shared.tell_signal(15, Pid::from_raw(7));
            shared.count_kill();
            shared.tell_child_ran_out();
            assert!(!shared.set_forced_exit());
            process::die_of(libc::SIGKILL);
            0
        });
        assert_eq!(process::wait_for(pid.unwrap()), Some(End::Signal(9)));
        let ended = shared.end().unwrap();
        assert_eq!((ended.end, ended.after), (End::Signal(9), Duration::from_millis(1500)));
        assert!(ended.at_ns > 0 && shared.set_forced_exit() && shared.a_child_ran_out());
        assert_eq!((shared.ours(), shared.kills()), (Some(End::Status(0)), 1));
        assert_eq!(shared.wakeup.read(), Ok(2));
        shared.tell_job(Pid::from_raw(7));
        assert_eq!(shared.wait_for_job(), Some(Pid::from_raw(7)));
        assert!(shared.is_to_announce() && !shared.is_to_announce());
        let mut taken = 0;
        assert_eq!(shared.signal(&mut taken), Some((15, Pid::from_raw(7))));
        assert_eq!((shared.signal(&mut taken), taken), (None, 1));
    }

    #[test]
    fn of_more_signals_than_are_kept_the_last_ones_are() {
        let shared = SharedState::new().unwrap();
        for number in 1..=100 {
            shared.tell_signal(number, Pid::from_raw(number));
        }
        let mut taken = 0;
        let numbers: Vec<_> = std::iter::from_fn(|| shared.signal(&mut taken))
            .map(|(number, _)| number)
            .collect();
        assert_eq!(numbers, (37..=100).collect::<Vec<_>>());
    }
}
