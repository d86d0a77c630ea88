//! Looks at which variables hold the memory of a running process of the job, and writes that into a file beside its recording.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dumper::folder::Place;
use dumper::holders::{Holders, Look};
use dumper::profile::Facts;
use dumper::recording::blocks::Block;
use holders::Options;
use holders::blocks::Blocks;
use holders::live::{Live, own_number};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::kernel::cgroup::Cgroup;
use crate::kernel::headroom::Bound;
use crate::kernel::host::Host;
use crate::watch::limit_poller::deadly_bounds;

/// Processor time for one process, and for all processes on one occasion. A look takes 30 to 60 ms; this is a bound for odd heaps.
const MOST_TIME: Duration = Duration::from_millis(100);
const MOST_TIME_IN_ALL: Duration = Duration::from_millis(300);
/// The longest wait of a thread whose allocation has failed, on a busy machine.
const MOST_WAIT: Duration = Duration::from_millis(300);
/// A look takes 4 MiB of memory. With less than twice that left, there is none.
const ROOM: u64 = 8 << 20;

/// Looks at the processes of one occasion.
pub struct Looks<'a> {
    host: &'a Host,
    occasion: &'a str,
    /// Whether the thread that runs Python waits for the end of this.
    is_stopped: bool,
    began: Duration,
}

impl<'a> Looks<'a> {
    /// `occasion` says why; if a thread whose allocation has failed waits, `is_stopped`.
    pub fn new(host: &'a Host, occasion: &'a str, is_stopped: bool) -> Self {
        Self {
            host,
            occasion,
            is_stopped,
            began: processor_time(),
        }
    }

    /// Looks at a process, of which the recording says this. Nothing that goes wrong is of any consequence: it is noted in the file.
    pub fn look(&self, pid: Pid, facts: &Facts, blocks: &[Block], recording: &Place) {
        if facts.python.is_none() || processor_time().saturating_sub(self.began) >= MOST_TIME_IN_ALL {
            return;
        }
        let mut known = Holders::load(recording);
        match self.try_look(pid, facts, blocks) {
            Ok(look) => known.add(look, self.is_stopped),
            Err(why) => known.trouble = why,
        }
        // A missing look does no harm.
        let _ = known.save(recording);
    }

    fn try_look(&self, pid: Pid, facts: &Facts, blocks: &[Block]) -> Result<Look, String> {
        let bounds = deadly_bounds(self.host, Cgroup::find(self.host, pid).as_ref());
        if bounds.iter().map(Bound::left).any(|left| left < ROOM) {
            return Err(format!("{}: too little memory was left", self.occasion));
        }
        let because = |why: &dyn std::fmt::Display| format!("{}: {why}", self.occasion);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (began, clock) = (processor_time(), Instant::now());
        let spent = || {
            let waited = match self.is_stopped {
                true => clock.elapsed().div_duration_f64(MOST_WAIT),
                false => 0.0,
            };
            let worked = processor_time().saturating_sub(began);
            worked.div_duration_f64(MOST_TIME).max(waited)
        };
        let recorded = Recorded::new(blocks, facts.large_bytes);
        let process = self.host.of_process(pid, "");
        let memory = Live::open(&process).map_err(|error| because(&error))?;
        let options = Options {
            pid: own_number(&process).or(u64::try_from(pid.as_raw()).ok()),
            blocks: Some(&recorded),
            live_bytes: Some(facts.live_bytes),
            spent: Some(&spent),
            ..Options::default()
        };
        let report = holders::inspect(&memory, &options).map_err(|trouble| because(&trouble))?;
        // What the one crate writes, the other reads: both by the names of the fields.
        if report.variables.is_empty() {
            return Err(because(&"nothing could be read, as of a process that ends"));
        }
        let look = Look::parse(report.json().as_bytes()).map_err(|error| because(&error))?;
        Ok(Look {
            time_ns: u64::try_from(now.as_nanos()).unwrap_or(0),
            took_ns: u64::try_from(clock.elapsed().as_nanos()).unwrap_or(0),
            occasion: self.occasion.to_owned(),
            oom_epoch: facts.kinds.oom_epoch,
            live_bytes: facts.live_bytes,
            stopped: self.is_stopped,
            ..look
        })
    }
}

/// Of this process.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// The large blocks of a recording.
struct Recorded {
    blocks: Vec<Block>,
    least: u64,
}

impl Recorded {
    /// All live blocks of `least` bytes or more, and some smaller ones.
    fn new(blocks: &[Block], least: u64) -> Self {
        // What an allocator has mapped holds the blocks of many lines.
        let blocks = blocks.iter().filter(|block| block.kind.is_counted());
        let mut blocks: Vec<Block> = blocks.copied().collect();
        blocks.sort_by_key(|block| block.address);
        Self { blocks, least }
    }

    fn around(&self, address: u64) -> Option<&Block> {
        let after = self.blocks.partition_point(|block| block.address <= address);
        let block = self.blocks.get(after.checked_sub(1)?)?;
        (address - block.address < block.bytes).then_some(block)
    }
}

impl Blocks for Recorded {
    fn size(&self, address: u64) -> Option<u64> {
        self.around(address)
            .filter(|block| block.address == address)
            .map(|block| block.bytes)
    }

    fn least(&self) -> u64 {
        // An old recording does not say it.
        if self.least == 0 { u64::MAX } else { self.least }
    }

    fn site(&self, address: u64) -> Option<u32> {
        self.around(address).map(|block| block.site)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use recording::Kind;

    #[test]
    fn an_address_is_in_the_block_around_it_and_in_no_other() {
        let block = |address, bytes, site, kind| Block {
            address,
            bytes,
            site,
            kind,
            absent: None,
        };
        let blocks = [block(5000, 100, 2, Kind::Heap), block(1000, 500, 1, Kind::Heap)];
        let recorded = Recorded::new(&blocks, 64);
        assert_eq!(
            [999, 1000, 1499, 1500, 5099].map(|at| recorded.site(at)),
            [None, Some(1), Some(1), None, Some(2)]
        );
        assert_eq!([1000, 1016].map(|at| recorded.size(at)), [Some(500), None]);
    }
}
