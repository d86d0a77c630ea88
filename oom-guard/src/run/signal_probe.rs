//! Tells whether a signal was sent to us alone, or to our whole process group and so to the job too. kill(2) leaves no other trace of
//! that than who else got the signal. The probe is a process in our group that takes every signal and counts it in shared memory.
//!
//! The kernel signals the members of a group from the youngest to the oldest, all in one system call. So a signal to the group is
//! pending at the probe, or counted, before it comes to us. The probe has no name by which anybody would look for us or the job, holds no
//! file and dies with us.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgid, getpgrp, getppid};

use crate::kernel::end::End;
use crate::kernel::kernel_file::{keep_open, let_go, text};
use crate::kernel::process;
use crate::run::shared_state::{NUMBERS, SharedState};
use crate::run::{killed_first, pinned_pages};

/// As top and ps show it.
const NAME: &core::ffi::CStr = c"signal-probe";
/// More than /proc/PID/status has.
const STATUS_BYTES: usize = 8 << 10;
/// How long a signal that has not come to us may count as one to the group: somebody may have sent it to each process one by one.
const FRESH: Duration = Duration::from_secs(1);
/// A signal to the group comes no later than this after one to us alone, if both are meant as one.
const GROUP_FOLLOWS: Duration = Duration::from_millis(50);
/// The time between two looks at the probe.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);
/// The signals after it are real-time signals.
const LAST_STANDARD: i32 = 31;

/// The probe in our process group.
#[derive(Debug)]
pub struct SignalProbe {
    pid: Option<Pid>,
    /// Of each number, how many of the probe's signals are known to be those that came to us.
    matched: [u32; NUMBERS],
    /// How many it had at the last [`SignalProbe::refresh`], and when that was.
    had: [u32; NUMBERS],
    refreshed: Instant,
}

impl SignalProbe {
    /// Starts a probe; every signal must be blocked before. If no process can be started, every signal counts as sent to us alone. So it
    /// does in process 1 of a container: a signal to it is meant for it alone, and all its children must be the job's.
    pub fn start(shared: &SharedState) -> Self {
        Self {
            pid: start(shared),
            matched: [0; NUMBERS],
            had: [0; NUMBERS],
            refreshed: Instant::now(),
        }
    }

    /// Whether this signal, which has come to us, has also come to the job.
    ///
    /// It may have been sent to us first and to the group right after that, as timeout(1) does: it may take a moment until the group has
    /// it. Whoever signals once and means it is not kept waiting for long. What else comes to us with this number meanwhile counts as the
    /// same signal, as it does where the kernel keeps it.
    pub fn has_reached(&mut self, number: i32, job: Pid, shared: &SharedState) -> bool {
        let deadline = Instant::now() + GROUP_FOLLOWS;
        // Real-time signals are queued and never become one.
        let merges = number <= LAST_STANDARD;
        let in_time = || merges && Instant::now() < deadline;
        while self.count(number, shared) == self.matched(number) {
            if !in_time() || self.pid.is_none() || getpgid(Some(job)) != Ok(getpgrp()) {
                return false;
            }
            process::take(number, BETWEEN_LOOKS);
        }
        if !merges {
            self.match_one(number);
            return getpgid(Some(job)) == Ok(getpgrp());
        }
        // Until the probe has taken it, another one to the group would be the same for the probe. The group's is ours, too.
        loop {
            process::take(number, BETWEEN_LOOKS);
            if !self.is_pending(number) || !in_time() {
                break;
            }
        }
        self.match_all(number, shared);
        getpgid(Some(job)) == Ok(getpgrp())
    }

    /// A signal has come to us of which it is known by whom it was sent.
    pub fn has_come(&mut self, number: i32, shared: &SharedState) {
        self.match_all(number, shared);
    }

    /// Asks the probe once although there is no signal: only the first time takes memory.
    pub fn rehearse(&self) {
        let _ = self.pid.and_then(pending);
        // No signal has the number 0, so nothing is taken.
        process::take(0, Duration::ZERO);
    }

    /// Starts another probe if this one was killed, and forgets signals that it had long ago and that have not come to us. Call this now and
    /// then, after all signals have been read.
    pub fn refresh(&mut self, shared: &SharedState) {
        self.refreshed = Instant::now();
        if self.pid.is_none() {
            self.pid = start(shared);
        }
        for number in 0..NUMBERS {
            self.matched[number] = self.matched[number].max(self.had[number]);
            self.had[number] = shared.probed(number as i32);
        }
    }

    /// Whether it is time for [`SignalProbe::refresh`].
    pub fn is_due(&self) -> bool {
        self.refreshed.elapsed() >= FRESH
    }

    /// How many signals with this number the probe has had.
    fn count(&self, number: i32, shared: &SharedState) -> u32 {
        loop {
            let taken = shared.probed(number);
            let is_pending = self.is_pending(number);
            if shared.probed(number) == taken {
                return taken + u32::from(is_pending);
            }
        }
    }

    fn is_pending(&self, number: i32) -> bool {
        let pending = self.pid.and_then(pending).unwrap_or(0);
        number > 0 && pending >> (number - 1) & 1 == 1
    }

    fn matched(&self, number: i32) -> u32 {
        usize::try_from(number)
            .ok()
            .and_then(|number| self.matched.get(number))
            .copied()
            .unwrap_or(0)
    }

    fn match_one(&mut self, number: i32) {
        if let Some(matched) = usize::try_from(number)
            .ok()
            .and_then(|number| self.matched.get_mut(number))
        {
            *matched += 1;
        }
    }

    fn match_all(&mut self, number: i32, shared: &SharedState) {
        let count = self.count(number, shared);
        if let Some(matched) = usize::try_from(number)
            .ok()
            .and_then(|number| self.matched.get_mut(number))
        {
            *matched = count;
        }
    }

    /// The process.
    pub fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// A process has ended, and we have waited for it. If that was the probe, another process may have its number soon.
    pub fn reaped(&mut self, pid: Pid, end: End, shared: &SharedState) {
        if self.pid.take_if(|probe| *probe == pid).is_some() {
            let_go(&status(pid));
            if end == End::Signal(Signal::SIGKILL as i32) {
                shared.count_kill();
            }
        }
    }

    fn dismiss(&mut self) {
        if let Some(pid) = self.pid.take() {
            let_go(&status(pid));
            process::send(pid, Signal::SIGKILL as i32);
            process::wait_for(pid);
        }
    }
}

impl Drop for SignalProbe {
    fn drop(&mut self) {
        self.dismiss();
    }
}

/// The pending signals of a process, as a set of bits; `None` if it is gone.
fn pending(pid: Pid) -> Option<u64> {
    let status = text(&status(pid), STATUS_BYTES)?;
    Some(set(&status, "SigPnd:")? | set(&status, "ShdPnd:")?)
}

/// Whether a process has a handler for a signal, its own or our library's.
pub fn is_caught(number: i32, pid: Pid) -> bool {
    let caught = text(&status(pid), STATUS_BYTES).and_then(|status| set(&status, "SigCgt:"));
    number > 0 && caught.unwrap_or(0) >> (number - 1) & 1 == 1
}

/// A set of signals in the text of a status file.
fn set(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The file that lists the pending signals of a process, and those that it handles.
pub fn status(pid: Pid) -> PathBuf {
    format!("/proc/{pid}/status").into()
}

fn start(shared: &SharedState) -> Option<Pid> {
    let parent = Pid::this();
    if parent.as_raw() == 1 || !shared.is_shared {
        return None;
    }
    let pid = process::apart(|| stand_by(parent, shared)).ok()?;
    keep_open(&status(pid));
    Some(pid)
}

fn stand_by(parent: Pid, shared: &SharedState) -> i32 {
    killed_first::as_the_job();
    let is_ready = prctl::set_pdeathsig(Signal::SIGKILL).is_ok()
        && prctl::set_name(NAME).is_ok()
        && std::env::set_current_dir("/").is_ok();
    let heap = forget_command_line();
    if let (true, Some(heap)) = (is_ready && getppid() == parent, heap) {
        process::close_everything();
        pinned_pages::drop_pages();
        pinned_pages::work_without_heap(heap, || shared.count_probed(process::take_any()));
    }
    1
}

/// Clears the command line, so that nobody who looks for us or the job by it finds the probe. Returns where the heap begins.
fn forget_command_line() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in brackets, which may have blanks; the heap begins at the 47th, and the command line is at the 48th
    // up to the 49th.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(44).map_while(|field| field.parse::<u64>().ok());
    let (heap, start, end) = (fields.next()?, fields.next()?, fields.next()?);
    let length = usize::try_from(end.checked_sub(start)?).ok()?;
    let memory = File::options().write(true).open("/proc/self/mem").ok()?;
    memory.write_all_at(&vec![0; length], start).ok()?;
    Some(heap)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_until(mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !holds() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }

    /// In a process of its own, in which every signal is held as in a supervisor.
    fn held(work: impl FnOnce()) {
        let pid = process::apart(|| {
            process::hold_signals().unwrap();
            work();
            0
        });
        assert_eq!(
            process::wait_for(pid.unwrap()),
            Some(crate::kernel::end::End::Status(0))
        );
    }

    fn ready(probe: &SignalProbe) {
        let name = format!("/proc/{}/comm", probe.pid().unwrap());
        wait_until(|| fs::read_to_string(&name).unwrap().starts_with("signal-probe"));
    }

    #[test]
    fn what_the_probe_has_had_too_was_sent_to_the_group_and_each_time_is_a_time_of_its_own() {
        held(|| {
            let (shared, job) = (SharedState::new().unwrap(), Pid::this());
            let mut probe = SignalProbe::start(&shared);
            ready(&probe);
            let group = |number| process::send(probe.pid().unwrap(), number);
            for number in [15, 15, 40, 40] {
                group(number);
            }
            assert!(!probe.has_reached(2, job, &shared));
            assert!(probe.has_reached(15, job, &shared));
            // Right after it, one to us alone.
            assert!(!probe.has_reached(15, job, &shared));
            // Each real-time signal counts.
            assert!(probe.has_reached(40, job, &shared) && probe.has_reached(40, job, &shared));
            assert!(!probe.has_reached(40, job, &shared));
            process::send(probe.pid().unwrap(), 15);
            assert!(probe.has_reached(15, job, &shared));
        });
    }

    #[test]
    fn a_stopped_probe_has_what_is_pending() {
        held(|| {
            let (shared, job) = (SharedState::new().unwrap(), Pid::this());
            let mut probe = SignalProbe::start(&shared);
            ready(&probe);
            let pid = probe.pid().unwrap();
            process::send(pid, 19);
            process::send(pid, 15);
            assert!(probe.has_reached(15, job, &shared) && !probe.has_reached(15, job, &shared));
            process::send(pid, 18);
            wait_until(|| shared.probed(15) == 1);
            assert!(!probe.has_reached(15, job, &shared));
        });
    }

    #[test]
    fn what_has_not_come_to_us_for_long_was_not_sent_to_the_group() {
        held(|| {
            let (shared, job) = (SharedState::new().unwrap(), Pid::this());
            let mut probe = SignalProbe::start(&shared);
            ready(&probe);
            process::send(probe.pid().unwrap(), 15);
            wait_until(|| shared.probed(15) == 1);
            probe.refresh(&shared);
            assert_eq!(probe.matched(15), 0);
            probe.refresh(&shared);
            assert!(!probe.has_reached(15, job, &shared));
        });
    }

    #[test]
    fn a_probe_that_was_killed_is_replaced_and_what_it_had_is_not_forgotten() {
        held(|| {
            let (shared, job) = (SharedState::new().unwrap(), Pid::this());
            let mut probe = SignalProbe::start(&shared);
            ready(&probe);
            let first = probe.pid().unwrap();
            process::send(first, 15);
            wait_until(|| shared.probed(15) == 1);
            process::send(first, 9);
            probe.reaped(first, process::wait_for(first).unwrap(), &shared);
            assert_eq!((probe.pid(), shared.kills()), (None, 1));
            assert!(probe.has_reached(15, job, &shared) && !probe.has_reached(15, job, &shared));
            probe.refresh(&shared);
            assert!(probe.pid().is_some_and(|pid| pid != first));
        });
    }

    #[test]
    fn a_probe_has_no_command_line_and_no_files_and_goes_with_us() {
        held(|| {
            let shared = SharedState::new().unwrap();
            let probe = SignalProbe::start(&shared);
            let pid = probe.pid().unwrap();
            let files = || fs::read_dir(format!("/proc/{pid}/fd")).map_or(usize::MAX, Iterator::count);
            wait_until(|| files() == 0);
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
            assert!(line.iter().all(|byte| *byte == 0), "{line:?}");
            drop(probe);
            assert_eq!(pending(pid), None);
        });
    }
}
