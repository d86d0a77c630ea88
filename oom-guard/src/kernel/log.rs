//! The kernel's log, where we may read it: whether a process has crashed at the end of its stack.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::kernel::host::Host;

/// More lines than the log has room for.
const MOST_LINES: usize = 100_000;
/// Longer than any line. A read of less than a whole line fails.
const LINE_BYTES: usize = 8 << 10;
/// What was logged earlier may be about another process with the same id, in seconds.
const RECENT: u64 = 10;
/// An access this near to the stack pointer that fails was at the guard page: the rest of the stack can be used.
const NEAR: u64 = 1 << 20;

/// Whether the log says that a process, which has ended just now, has met the end of its stack. In a container the log has other ids.
pub fn has_overflowed_its_stack(host: &Host, pid: Pid) -> bool {
    let mut options = File::options();
    let log = options
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(host.file("/dev/kmsg"));
    let (Ok(mut log), Ok(now)) = (log, clock_gettime(ClockId::CLOCK_MONOTONIC)) else {
        return false;
    };
    let since = now.tv_sec().unsigned_abs().saturating_sub(RECENT) * 1_000_000;
    let mut line = [0; LINE_BYTES];
    for _ in 0..MOST_LINES {
        match log.read(&mut line) {
            Ok(read) if read > 0 => {
                if is_overflow(&String::from_utf8_lossy(&line[..read]), pid, since) {
                    return true;
                }
            }
            // What was overwritten meanwhile; reading goes on behind it.
            Err(error) if error.raw_os_error() == Some(nix::libc::EPIPE) => {}
            _ => return false,
        }
    }
    false
}

/// `6,812,769192765,-;python3[3939]: segfault at 7fff777bfff8 ip 00007fc9dbd58b37 sp 00007fff777c0000 error 6 in libpython3.11.so`: the
/// third number is the time in microseconds.
fn is_overflow(line: &str, pid: Pid, since: u64) -> bool {
    let found = || {
        let (head, text) = line.split_once(';')?;
        let time: u64 = head.split(',').nth(2)?.parse().ok()?;
        let (_, what) = text.split_once(&format!("[{pid}]: segfault at "))?;
        let mut words = what.split(' ');
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        let stack = u64::from_str_radix(words.skip_while(|word| *word != "sp").nth(1)?, 16).ok()?;
        Some(time >= since && address.abs_diff(stack) < NEAR)
    };
    found().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_near_the_stack_pointer_that_fails_is_at_its_end() {
        let line = |address: &str| {
            format!("6,8,7000,-;a b[39]: segfault at {address} ip 00007fc9dbd58b37 sp 00007fff777c0000 error 6 in x")
        };
        let overflow = line("7fff777bfff8");
        assert!(is_overflow(&overflow, Pid::from_raw(39), 7000));
        assert!(!is_overflow(&overflow, Pid::from_raw(39), 7001));
        assert!(!is_overflow(&overflow, Pid::from_raw(9), 7000));
        assert!(!is_overflow(&line("8"), Pid::from_raw(39), 7000));
        assert!(!is_overflow("nothing", Pid::from_raw(39), 0));
    }
}
