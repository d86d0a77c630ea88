//! Who sends signals: whether a process of the job has sent one, or one outside of it; and what the job is about to send. For a signal handler: system calls, and small buffers on the
//! stack.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use recording::protocol::{Message, variables};

use crate::sys;
use crate::{errno, message_pipe, refused};

/// The pid of the job's parent; 0 if it is not known.
static SUPERVISOR: AtomicU32 = AtomicU32::new(0);

/// The highest number of looks at a process on the way from the sender to the job's parent.
const MOST_LOOKS: u32 = 256;

/// The highest number of looks at a process that has no environment, with a pause after each.
const MOST_LOOKS_WHILE_EXECUTING: u32 = 50;
const PAUSE_NS: u64 = 200_000;

/// The pid of the job's parent.
pub fn expect(supervisor: Option<u32>) {
    SUPERVISOR.store(supervisor.unwrap_or(0), Relaxed);
}

/// Whether the process `sender` belongs to the job. Its environment names the run, or it descends from the job's parent: the first is true
/// for an orphan, the second for a process that was started with an empty environment.
///
/// A sender that has ended already counts as outside: `kill -USR2` by ssh or by a script is the documented request for a report, its
/// process ends at once, and such a request must not end the job.
pub fn is_of_the_job(sender: u32, signal: i32) -> bool {
    let supervisor = SUPERVISOR.load(Relaxed);
    if sender == sys::pid() {
        return true;
    }
    if sender == supervisor {
        // It sends to its child alone. If it is not the parent any more, its death is the reason for the signal.
        return sys::parent_pid() != sender;
    }
    if names_our_run(sender) {
        return true;
    }
    descends_from(supervisor, sender).unwrap_or_else(|| sys::parent_death_signal() == Some(signal))
}

/// The job sends a signal by which it may end another process of the job: the supervisor is told of it before, while that process still
/// has its memory.
pub fn will_send(process: i32, signal: i32) {
    let ends = [libc::SIGABRT, libc::SIGINT, libc::SIGKILL, libc::SIGQUIT, libc::SIGTERM].contains(&signal);
    let Ok(victim) = u32::try_from(process) else { return };
    let pid = sys::pid();
    if !ends || victim <= 1 || victim == pid {
        return;
    }
    let errno = errno::get();
    message_pipe::send(Message::Signals {
        pid,
        signal: signal.unsigned_abs(),
        victim,
        node: refused::callstack(),
        resident: sys::resident(victim).unwrap_or(0),
    });
    errno::set(errno);
}

/// A child of this process has ended with this status: the supervisor is told of one that a signal has ended, since only the parent learns
/// that. Leaves `errno` as it is.
pub fn has_ended(child: i32, status: i32) {
    if libc::WIFSIGNALED(status) {
        let errno = errno::get();
        message_pipe::send(Message::Died {
            pid: sys::pid(),
            child: child.unsigned_abs(),
            signal: libc::WTERMSIG(status).unsigned_abs(),
        });
        errno::set(errno);
    }
}

/// Has the process been started with the variable that names this run?
fn names_our_run(process: u32) -> bool {
    let Some(run) = message_pipe::run() else { return false };
    for _ in 0..MOST_LOOKS_WHILE_EXECUTING {
        let Some(file) = sys::file_of_process(process, "environ") else {
            return false;
        };
        let mut total = 0;
        let is_ours = has_variable(variables::RUN.c_name(), run, |buffer| {
            let length = file.read(buffer);
            total += length;
            length
        });
        if total > 0 {
            return is_ours;
        }
        // `kill -USR2 PID; exec …`: while a process executes another program, it has no environment for a moment.
        sys::sleep_ns(PAUSE_NS);
    }
    false
}

/// Whether an environment, of which `read` gives the next bytes, has this value of a variable.
fn has_variable(name: &CStr, value: &CStr, mut read: impl FnMut(&mut [u8]) -> usize) -> bool {
    let wanted = || name.to_bytes().iter().chain(b"=").chain(value.to_bytes_with_nul());
    let mut buffer = [0; 512];
    // What is left of the wanted line, as long as the line so far is equal to it.
    let mut rest = Some(wanted());
    loop {
        let length = read(&mut buffer);
        for byte in buffer.iter().take(length) {
            rest = rest.and_then(|mut rest| (rest.next() == Some(byte)).then_some(rest));
            if *byte == 0 {
                if rest.is_some() {
                    return true;
                }
                rest = Some(wanted());
            }
        }
        if length < buffer.len() {
            return false;
        }
    }
}

/// Whether the process descends from `ancestor`; `None` if it has ended already.
fn descends_from(ancestor: u32, process: u32) -> Option<bool> {
    let mut at = process;
    for _ in 0..MOST_LOOKS {
        match parent_of(at) {
            // Every process descends from the first one, also one that was an orphan.
            Some(0 | 1) => return Some(false),
            Some(parent) if parent == ancestor => return Some(true),
            Some(parent) => at = parent,
            None if at == process => return None,
            // An ancestor has ended, and its children have a new parent.
            None => at = process,
        }
    }
    Some(false)
}

fn parent_of(process: u32) -> Option<u32> {
    let mut buffer = [0; 128];
    let length = sys::file_of_process(process, "stat")?.read(&mut buffer);
    parent_in(buffer.get(..length)?)
}

/// The parent that the beginning of a `/proc/PID/stat` names (proc(5)): `PID (NAME) STATE PARENT …`, where a name can have any bytes.
fn parent_in(stat: &[u8]) -> Option<u32> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let parent = stat.get(name_end + 1..)?.split(|byte| *byte == b' ').nth(2)?;
    core::str::from_utf8(parent).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_in(b"12 (sh) S 7 12 12 0 -1 4194560 "), Some(7));
        assert_eq!(parent_in(b"12 (a) R 3 (b)) Z 4194304 12 12"), Some(4_194_304));
        assert_eq!(parent_in(b"12 (sh"), None);
        assert_eq!(parent_of(std::process::id()), Some(std::os::unix::process::parent_id()));
        assert_eq!(parent_of(0), None);
    }

    #[test]
    fn a_process_descends_from_its_ancestors_alone() {
        let (this, parent) = (std::process::id(), std::os::unix::process::parent_id());
        assert_eq!(descends_from(parent, this), Some(true));
        assert_eq!(descends_from(this, parent), Some(false));
        assert_eq!(descends_from(1, this), Some(false));
        assert_eq!(descends_from(parent, 0), None);
    }

    #[test]
    fn a_variable_is_found_only_as_a_whole_line() {
        let has = |environment: &[u8]| {
            let mut left = environment;
            has_variable(c"RUN", c"/tmp/a", |buffer| {
                let length = left.len().min(buffer.len());
                let (now, later) = left.split_at(length);
                buffer.get_mut(..length).expect("shorter").copy_from_slice(now);
                left = later;
                length
            })
        };
        let long = [vec![b'x'; 510], b"\0RUN=/tmp/a\0".to_vec()].concat();
        for environment in [
            b"RUN=/tmp/a\0".as_slice(),
            b"A=1\0RUN=/tmp/a\0B=2\0",
            b"\0\0RUN=/tmp/a\0",
            &long,
        ] {
            assert!(has(environment), "{environment:?}");
        }
        for environment in [
            b"".as_slice(),
            b"XRUN=/tmp/a\0",
            b"RUN=/tmp/ab\0",
            b"RUN=/tmp/\0",
            b"A=RUN=/tmp/a\0",
            b"RUN=/tmp/a",
        ] {
            assert!(!has(environment), "{environment:?}");
        }
    }
}
