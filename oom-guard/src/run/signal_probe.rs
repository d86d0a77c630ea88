//! Tells whether a signal was sent to us alone, or to our whole process group and so to the job too. kill(2) leaves no other trace of
//! that than who else got the signal. The probe is a process in our group that does nothing and blocks every signal.
//!
//! The kernel signals the members of a group from the youngest to the oldest, all in one system call. So a signal to the group is
//! pending at the probe before it comes to us. The probe has no name by which anybody would look for us or the job, holds no file and
//! dies with us. Each signal can be pending only once, so a probe with a pending signal is replaced.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgid, getpgrp, getppid};

use crate::kernel::kernel_file::{keep_open, let_go, text};
use crate::kernel::process;
use crate::run::{killed_first, pinned_pages};

/// As top and ps show it.
const NAME: &core::ffi::CStr = c"signal-probe";
/// More than /proc/PID/status has.
const STATUS_BYTES: usize = 8 << 10;
/// A probe is replaced at least this often: a signal that somebody has sent to each process one by one must not count as one to the group
/// later on.
const FRESH: Duration = Duration::from_secs(1);
/// A signal to the group comes no later than this after one to us alone, if both are meant as one.
const GROUP_FOLLOWS: Duration = Duration::from_millis(50);
/// The signals after it are real-time signals.
const LAST_STANDARD: i32 = 31;

/// The SIGCHLD that is always pending after a probe was replaced, in a set of signals.
const CHILD_ENDED: u64 = 1 << (Signal::SIGCHLD as i32 - 1);

/// The probe in our process group.
#[derive(Debug)]
pub struct SignalProbe {
    pid: Option<Pid>,
    refreshed: Instant,
}

impl SignalProbe {
    /// Starts a probe; every signal must be blocked before. If no process can be started, every signal counts as sent to us alone. So it
    /// does in process 1 of a container: a signal to it is meant for it alone, and all its children must be the job's.
    pub fn start() -> Self {
        let parent = Pid::this();
        let is_first = parent.as_raw() == 1;
        let pid = (!is_first).then(|| process::apart(|| stand_by(parent)).ok()).flatten();
        pid.inspect(|pid| keep_open(&status(*pid)));
        Self {
            pid,
            refreshed: Instant::now(),
        }
    }

    /// Whether this signal, which has come to us, has also come to the job.
    pub fn has_reached(&self, number: i32, job: Pid) -> bool {
        let pending = self.pid.and_then(pending).unwrap_or(0);
        let has_it = number > 0 && pending >> (number - 1) & 1 == 1;
        has_it && getpgid(Some(job)) == Ok(getpgrp())
    }

    /// As [`SignalProbe::has_reached`], of a signal that may have been sent to us first and to the group right after that, as
    /// timeout(1) does: it may take a moment until the group has it. Whoever signals once and means it is not kept waiting for long.
    /// What else comes to us with this number meanwhile counts as the same signal, as it does where the kernel keeps it.
    pub fn soon_has_reached(&self, number: i32, job: Pid) -> bool {
        let deadline = Instant::now() + GROUP_FOLLOWS;
        loop {
            if self.has_reached(number, job) {
                // The group's is ours, too.
                process::take(number, Duration::ZERO);
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // Real-time signals are queued and never become one.
            if left.is_zero() || number > LAST_STANDARD || self.pid.is_none() || getpgid(Some(job)) != Ok(getpgrp()) {
                return false;
            }
            process::take(number, left);
        }
    }

    /// Asks the probe once although there is no signal: only the first time takes memory.
    pub fn rehearse(&self) {
        let _ = self.pid.and_then(pending);
        // No signal has the number 0, so nothing is taken.
        process::take(0, Duration::ZERO);
    }

    /// Starts another probe if this one has a pending signal. Call this after signals, and now and then.
    pub fn refresh(&mut self) {
        self.refreshed = Instant::now();
        if Pid::this().as_raw() == 1 || self.pid.and_then(pending) == Some(0) {
            return;
        }
        let next = Self::start();
        // A signal that came before the next probe was there is pending for us and at this probe only, so this one stays until we have read it.
        let waiting = pending(Pid::this()).map(|set| set & !CHILD_ENDED);
        if waiting == Some(0) {
            *self = next;
        }
    }

    /// Whether it is time for [`SignalProbe::refresh`].
    pub fn is_due(&self) -> bool {
        self.refreshed.elapsed() >= FRESH
    }

    /// The process.
    pub fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// The probe has ended, and we have waited for it: another process may have its number soon.
    pub fn has_ended(&mut self) {
        self.pid.take().inspect(|pid| let_go(&status(*pid)));
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

fn stand_by(parent: Pid) -> i32 {
    killed_first::as_the_job();
    let is_ready = prctl::set_pdeathsig(Signal::SIGKILL).is_ok()
        && prctl::set_name(NAME).is_ok()
        && std::env::set_current_dir("/").is_ok();
    let heap = forget_command_line();
    if let (true, Some(heap)) = (is_ready && getppid() == parent, heap) {
        process::close_everything();
        pinned_pages::drop_pages();
        pinned_pages::sleep_without_heap(heap);
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
    use nix::sys::signal::SigSet;

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

    #[test]
    fn a_probe_has_what_it_was_sent_until_another_is_started() {
        held(|| {
            let job = Pid::this();
            let mut probe = SignalProbe::start();
            let pid = probe.pid().unwrap();
            wait_until(|| {
                fs::read_to_string(format!("/proc/{pid}/comm"))
                    .unwrap()
                    .starts_with("signal-probe")
            });
            assert!(!probe.has_reached(15, job));
            process::send(pid, 15);
            assert!(probe.has_reached(15, job) && !probe.has_reached(2, job));
            probe.refresh();
            assert!(!probe.has_reached(15, job));
            assert_eq!(pending(pid), None);
        });
    }

    #[test]
    fn a_probe_stays_while_a_signal_that_it_has_still_waits_for_us() {
        held(|| {
            let job = Pid::this();
            let mut probe = SignalProbe::start();
            let pid = probe.pid().unwrap();
            process::send(pid, 15);
            process::send(job, 15);
            probe.refresh();
            assert!(probe.has_reached(15, job));
            assert_eq!(probe.pid(), Some(pid));
            assert_eq!(SigSet::from(Signal::SIGTERM).wait(), Ok(Signal::SIGTERM));
            probe.refresh();
            assert!(!probe.has_reached(15, job));
        });
    }

    #[test]
    fn a_probe_has_no_command_line_and_no_files_and_goes_with_us() {
        held(|| {
            let probe = SignalProbe::start();
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
