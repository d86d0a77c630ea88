//! Polls the limits while the job runs: how close the job is to each, and whether that is new.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::kernel::cgroup::{Cgroup, Level};
use crate::kernel::end::End;
use crate::kernel::headroom::{Bound, LONGEST_PAUSE, tightest, time_to_fill};
use crate::kernel::host::Host;
use crate::kernel::kernel_file::keep_open;
use crate::kernel::procfs::{self, Machine, Usage};
use crate::start::limits::ResourceLimits;
use crate::verdict::observed::Notified;
use crate::watch::notifications::{NotificationId, Notifications};
use crate::watch::room::{KILL_PAUSE, LONGEST_KILL, Room};
use crate::watch::usage_reader::UsageReader;

mod reported;

use reported::Reported;

/// If memory was short this long before the job's end, it was short at the end: the next poll can be this much later.
const RECENT: Duration = LONGEST_PAUSE;

/// After a poll, requests that have enough room are passed over for this long.
const FRESH: Duration = Duration::from_millis(50);

/// While memory does not grow, the time from one full poll to the next is at least this many times the processor time of a poll.
const COST: u32 = 100;

/// Growth that matters, in bytes within [`REACTION`].
const LEAST_GROWTH: u64 = 1 << 20;

/// The time from noticing that memory runs out until the job is dead: a few scheduler ticks.
const REACTION: Duration = Duration::from_millis(20);
/// So much of the time that this process was late is added to it, at most: on a busy machine it may be late again.
const MOST_LATE: Duration = Duration::from_millis(40);

/// Earlier than this the kernel has hardly begun to free the memory of a process that it has killed.
const SHORTEST_KILL: Duration = Duration::from_millis(5);

/// Watches the limits of one job.
///
/// Most polls read one number per cgroup ([`UsageReader`]): while the charge, page cache included, stays below the margin, no limit of a
/// cgroup is near. A full poll reads everything. It follows when a charge is above the margin, when the machine's memory is due, and now
/// and then.
pub struct LimitPoller {
    host: Host,
    job: Pid,
    limits: ResourceLimits,
    cgroup: Option<Cgroup>,
    notifications: Notifications,
    readers: Vec<UsageReader>,
    is_notified: bool,
    /// When the last full poll was, and when the next one is due whatever the readers say.
    looked: Instant,
    whole_look_due: Instant,
    look_again: Instant,
    /// How late polls were lately.
    late: Duration,
    /// The last block that was larger than what was left, and its process.
    outstanding: Option<Request>,
    now: Vec<Bound>,
    short: Option<Short>,
    reported: Reported,
    /// Since when the kernel has been killing a process.
    killing_since: Option<Instant>,
    room: Room,
}

/// When memory was last seen to be short.
#[derive(Clone, Debug)]
struct Short {
    when: Instant,
    nearest: Bound,
    bounds: Vec<Bound>,
}

/// A limit that is near.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// Which.
    pub bound: Bound,
    /// The request that exceeds what is left; none if the usage itself is within the margin.
    pub request: Option<Request>,
}

/// A large block that was allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// By which process, in the job's own namespace.
    pub pid: u32,
    /// How large, in bytes.
    pub bytes: u64,
}

impl LimitPoller {
    /// For a job that will be started in this cgroup, with the limits that its user set.
    pub fn new(host: &Host, cgroup: Option<Cgroup>, limits: ResourceLimits) -> Self {
        if let Some(cgroup) = &cgroup {
            // So that a poll charges no memory to a full cgroup.
            cgroup.levels.iter().for_each(Level::keep_open);
            keep_open(&host.file("/proc/meminfo"));
        }
        let bounds = deadly_bounds(host, cgroup.as_ref());
        let notifications = Notifications::register(host, cgroup.as_ref(), &bounds);
        let reported = Reported::at_the_start(&bounds);
        let room = Room::in_cgroup(cgroup.as_ref());
        let mut poller = Self {
            host: host.clone(),
            job: Pid::this(),
            limits,
            cgroup,
            notifications,
            readers: Vec::new(),
            is_notified: false,
            looked: Instant::now(),
            whole_look_due: Instant::now(),
            look_again: Instant::now(),
            late: Duration::ZERO,
            outstanding: None,
            now: Vec::new(),
            short: None,
            reported,
            killing_since: None,
            room,
        };
        poller.read();
        poller
    }

    /// The job has been started.
    pub fn watch(&mut self, job: Pid) {
        self.job = job;
        if self.cgroup.is_some() {
            keep_open(&self.host.of_process(job, "status"));
            keep_open(&self.host.of_process(job, "limits"));
        }
        self.read();
    }

    /// The kernel's notifications, to be added to the sources of events.
    pub fn notifications(&self) -> &Notifications {
        &self.notifications
    }

    /// Call this when a notification has come: it makes a look due.
    pub fn take_notification(&mut self, id: NotificationId) {
        self.notifications.take(id);
        self.is_notified = true;
        if self.notifications.has_killed() {
            self.killing_since = Some(Instant::now());
        }
    }

    /// Whether the kernel is killing a process to make room. Until there is room, any process that asks for memory may be killed too.
    pub fn is_killing(&mut self) -> bool {
        let Some(since) = self.killing_since else { return false };
        let is_over = since.elapsed() >= LONGEST_KILL || since.elapsed() >= SHORTEST_KILL && self.room.is_there();
        if is_over {
            self.killing_since = None;
        }
        !is_over
    }

    /// Waits until the memory of the job, which has ended, is free.
    pub fn wait_for_room(&mut self, end: End) {
        self.room.wait(end);
    }

    /// How long to wait at most before [`LimitPoller::look`] is called.
    pub fn pause(&self) -> Duration {
        if self.killing_since.is_some() {
            return KILL_PAUSE;
        }
        if self.is_notified {
            return Duration::ZERO;
        }
        let due = self.look_again.saturating_duration_since(Instant::now());
        due.min(self.notifications.pause(&[]))
    }

    /// Makes a poll due now.
    pub fn make_due(&mut self) {
        self.is_notified = true;
    }

    /// Polls if that is due, and returns a limit that has come near.
    pub fn poll(&mut self) -> Option<Near> {
        self.notifications.complete();
        if self.pause() > Duration::ZERO {
            return None;
        }
        if !self.is_notified {
            self.late = self.look_again.elapsed().min(MOST_LATE).max(self.late - self.late / 8);
        }
        let room = self.room_by_readers();
        let is_whole_due = self.is_notified || Instant::now() >= self.whole_look_due;
        if let (Some(room), false) = (room, is_whole_due) {
            let pause = if self.will_be_notified() {
                LONGEST_PAUSE
            } else {
                time_to_fill(room)
            };
            self.look_again = Instant::now() + pause;
            return None;
        }
        let is_growing = self
            .readers
            .iter()
            .any(|reader| reader.growth(REACTION) >= LEAST_GROWTH);
        let began = processor_time();
        let near = self.poll_fully(None);
        if room.is_none() && !is_growing {
            let cost = processor_time().saturating_sub(began).saturating_mul(COST);
            let rest = cost.min(LONGEST_PAUSE);
            self.look_again = self.look_again.max(self.looked + rest);
            // At its limit, a job lacks pages for its own code, and each poll takes some of them away.
            if self.now.iter().any(|bound| kills(bound) && bound.is_near(0)) {
                self.notifications.rest(rest);
            }
        }
        near
    }

    /// The least room above the margin in any cgroup; none if only a full poll can tell whether there is any.
    fn room_by_readers(&mut self) -> Option<u64> {
        let rooms = self.readers.iter_mut().map(|reader| {
            let used = reader.read()?;
            reader.room(used)
        });
        // Each must be read, so that it knows the pace.
        let rooms: Vec<_> = rooms.collect();
        rooms.into_iter().collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    /// Whether the kernel will wake us in time. While a large block is being filled, a notification comes too late: only the pace tells when to
    /// stop the job.
    fn will_be_notified(&self) -> bool {
        let mut of_cgroup = self.now.iter().filter(|bound| !bound.path.is_empty());
        self.outstanding.is_none() && of_cgroup.all(|bound| self.notifications.will_come_before(bound))
    }

    /// Whether a block that is larger than what was left is being filled so fast that the kernel would kill the job before a poll could
    /// notice that the margin is passed.
    pub fn is_running_out(&mut self) -> bool {
        let Some(request) = self.outstanding else { return false };
        let reaction = REACTION + self.late;
        let will_be_met = |reader: &&UsageReader| reader.will_be_met(reaction);
        let Some(reader) = self.readers.iter().find(will_be_met) else {
            return false;
        };
        let growth = reader.growth(reaction);
        let limit = reader.limit().clone();
        if !self.is_held(request) {
            self.outstanding = None;
            return false;
        }
        self.read();
        // There may be more room, because the kernel can reclaim a part of the charge.
        let is_it = |bound: &&Bound| bound.path == limit.path && bound.bytes == limit.bytes && bound.left() < growth;
        let Some(nearest) = self.now.iter().find(is_it).cloned() else {
            return false;
        };
        self.short = Some(Short {
            when: Instant::now(),
            nearest,
            bounds: self.now.clone(),
        });
        true
    }

    /// Whether that process still has at least as much data as that one request.
    fn is_held(&self, request: Request) -> bool {
        // In a container with its own PID namespace, ours is the job's.
        let pid = Pid::from_raw(request.pid.cast_signed());
        Usage::read(&self.host, pid).is_some_and(|usage| usage.data >= request.bytes)
    }

    /// Polls because of a large block. A job may allocate and free thousands of them per second, so a block is passed over if there was
    /// room for two of it a moment ago.
    pub fn consider(&mut self, request: Request) -> Option<Near> {
        let has_room = |bound: &Bound| !kills(bound) || bound.left() / 2 > request.bytes;
        let is_fresh = self.looked.elapsed() < FRESH;
        if is_fresh && self.now.iter().all(has_room) {
            return None;
        }
        self.poll_fully(Some(request))
    }

    /// Reads all limits now, because an allocation has failed.
    pub fn read_now(&mut self) {
        self.read();
    }

    fn poll_fully(&mut self, request: Option<Request>) -> Option<Near> {
        self.read();
        let asked = request.map_or(0, |request| request.bytes);
        let near = self.now.iter().filter(|bound| kills(bound) && bound.is_near(asked));
        let bound = tightest(near.cloned())?;
        if request.is_some() && !bound.is_near(0) {
            self.outstanding = request;
            // From here on the readers must be read often, to see the block being filled.
            self.look_again = Instant::now();
        }
        self.reported.is_news(&bound, asked).then(|| Near {
            request: request.filter(|_| !bound.is_near(0)),
            bound,
        })
    }

    fn read(&mut self) {
        self.is_notified = false;
        let before = std::mem::replace(&mut self.now, deadly_bounds(&self.host, self.cgroup.as_ref()));
        let nearest = tightest(self.now.iter().filter(|bound| bound.is_near(0)).cloned());
        self.follow_limits();
        self.looked = Instant::now();
        let of_machine = self.now.iter().filter(|bound| bound.path.is_empty());
        let machine = of_machine.map(Bound::pause).fold(LONGEST_PAUSE, Duration::min);
        self.whole_look_due = self.looked + machine;
        let own = procfs::bounds(&self.host, self.job);
        // A process that has ended uses nothing, so its last known usage is kept.
        let is_alive = own.iter().any(|bound| bound.used > 0);
        let own: Vec<_> = match is_alive {
            true => own.into_iter().map(|bound| self.limits.of_the_user(bound)).collect(),
            false => before.into_iter().filter(|bound| !kills(bound)).collect(),
        };
        let by_pace = self.now.iter().map(Bound::pause).fold(LONGEST_PAUSE, Duration::min);
        let until_notified = self.notifications.pause(&self.now);
        let pause = if self.outstanding.is_some() {
            by_pace
        } else {
            until_notified
        };
        self.look_again = self.looked + pause;
        self.now.extend(own);
        if let Some(nearest) = nearest {
            self.short = Some(Short {
                when: Instant::now(),
                nearest,
                bounds: self.now.clone(),
            });
        }
    }

    /// Limits may be changed while the job runs.
    fn follow_limits(&mut self) {
        let Some(cgroup) = &self.cgroup else { return };
        let of_cgroup = || self.now.iter().filter(|bound| !bound.path.is_empty());
        let has_reader = |bound: &Bound| self.readers.iter().any(|reader| reader.is_of(bound));
        let is_limit = |reader: &UsageReader| of_cgroup().any(|bound| reader.is_of(bound));
        if of_cgroup().all(has_reader) && self.readers.iter().all(is_limit) {
            return;
        }
        self.readers = UsageReader::all(cgroup, &self.now);
        // If one cannot be read, such as that of a cgroup that this container does not see, all polls are full ones.
        if !of_cgroup().all(|bound| self.readers.iter().any(|reader| reader.is_of(bound))) {
            self.readers.clear();
        }
    }

    /// All limits at the last poll, or when memory was short, if that was not long ago.
    pub fn bounds(&self) -> &[Bound] {
        self.recent().map_or(&self.now, |short| &short.bounds)
    }

    /// The limit that was near at that time, if any.
    pub fn near(&self) -> Option<&Bound> {
        self.recent().map(|short| &short.nearest)
    }

    /// Of the limits that kill, the one that will be met first.
    pub fn tightest(&self) -> Option<Bound> {
        tightest(self.now.iter().filter(|bound| kills(bound)).cloned())
    }

    /// Whether a cgroup limits the job.
    pub fn is_limited(&self) -> bool {
        self.now.iter().any(|bound| !bound.path.is_empty())
    }

    /// Whether the cgroup has reported that a limit could not be kept.
    pub fn out_of_memory(&self) -> bool {
        self.notifications.out_of_memory()
    }

    /// Call this when the job has ended: takes the notifications that have not been taken yet.
    pub fn take_last_notifications(&mut self) {
        self.notifications.take_last();
    }

    /// The kernel's notifications that have come.
    pub fn notified(&self) -> Vec<Notified> {
        self.notifications.received()
    }

    fn recent(&self) -> Option<&Short> {
        self.short.as_ref().filter(|short| short.when.elapsed() <= RECENT)
    }
}

/// The processor time of this thread so far.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Every limit by which the kernel kills.
pub fn deadly_bounds(host: &Host, cgroup: Option<&Cgroup>) -> Vec<Bound> {
    let machine = Machine::read(host);
    let swap_free = machine.map_or(0, |machine| machine.swap_free);
    let mut bounds = cgroup.map_or(Vec::new(), |cgroup| cgroup.bounds(swap_free));
    bounds.extend(machine.map(|machine| machine.bound()));
    bounds
}

/// Whether the kernel kills at this limit. At a resource limit it lets allocations fail instead, which the preload sees.
pub fn kills(bound: &Bound) -> bool {
    !bound.kind.counts_addresses()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_this_process_are_seen() {
        let this = Pid::this();
        let host = &Host::this();
        let mut poller = LimitPoller::new(host, Cgroup::find(host, this), ResourceLimits::read());
        assert!(poller.tightest().is_some());
        let request = Request {
            pid: 7,
            bytes: u64::MAX,
        };
        let near = poller.consider(request).unwrap();
        assert!(near.request == Some(request) || near.bound.is_near(0));
        assert!(poller.pause() <= LONGEST_PAUSE);
    }
}
