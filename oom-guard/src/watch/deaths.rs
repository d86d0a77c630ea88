//! Processes of the job that a signal has ended. Their parents tell us, or their unread statuses do; whether it was the kernel that has
//! killed one for memory, or another process of the job, is known a little later.

use std::time::{SystemTime, UNIX_EPOCH};

use dumper::outcome::ProcessName;
use dumper::report::{Line, text};
use nix::libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV};

use crate::terminal::local_time;
use crate::terminal::say::say;
use crate::verdict::observed::Died;
use crate::verdict::words;
use crate::watch::family::Gone;
use crate::watch::kills::Kills;
use crate::watch::refusals::Refusals;

/// By other signals processes are asked to end, and many end so that were not needed any more.
const SIGNALS: [i32; 6] = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV];
/// How many are kept: the first.
const MOST: usize = 64;
/// How many are told of while the job runs.
const MOST_TOLD: usize = 5;

/// See the module's page.
#[derive(Debug, Default)]
pub struct Deaths {
    died: Vec<Died>,
    /// So many of them are known to be none of the kernel's or the job's own.
    settled: usize,
    told: usize,
}

impl Deaths {
    /// This signal has ended a process.
    pub fn note(&mut self, gone: Gone, signal: i32) {
        let is_known = self.died.iter().any(|died| died.process.pid == gone.pid);
        if is_known || self.died.len() == MOST || !SIGNALS.contains(&signal) {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_ns = u64::try_from(now.as_nanos()).unwrap_or(0);
        self.died.push(Died {
            time_ns,
            time: local_time::of(time_ns),
            process: ProcessName {
                pid: gone.pid,
                command: gone.command,
                is_child: true,
            },
            signal,
            resident_bytes: gone.resident,
        });
    }

    /// Tells of those that somebody outside of the job has killed, once it is known which the kernel has.
    pub fn settle(&mut self, kills: &Kills, refusals: &Refusals) {
        if self.settled == self.died.len() || kills.is_unsettled() {
            return;
        }
        self.remove_explained(kills, refusals);
        for died in self
            .died
            .iter()
            .skip(self.settled)
            .filter(|died| died.signal == SIGKILL)
        {
            if self.told < MOST_TOLD {
                self.told += 1;
                text(&[Line::Verdict(words::died_now(died))]).iter().for_each(say);
            }
        }
        self.settled = self.died.len();
    }

    fn remove_explained(&mut self, kills: &Kills, refusals: &Refusals) {
        self.died.retain(|died| {
            let pid = died.process.pid;
            !refusals.has_ended(pid) && kills.killed.iter().all(|killed| killed.process.pid != pid)
        });
        self.settled = self.settled.min(self.died.len());
    }

    /// Those of which the job has ended.
    pub fn at_end(mut self, kills: &Kills, refusals: &Refusals) -> Vec<Died> {
        self.remove_explained(kills, refusals);
        self.died
    }
}
