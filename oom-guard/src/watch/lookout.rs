//! Keeping an eye on the limits while the job runs: how near it is to the nearest, and when that is news.

use std::time::{Duration, Instant};

use dumper::outcome::LimitKind;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::kernel::cgroup::{Cgroup, Level};
use crate::kernel::end::End;
use crate::kernel::headroom::{Bound, LONGEST_PAUSE, tightest, time_to_fill};
use crate::kernel::host::Host;
use crate::kernel::kernel_file::keep_open;
use crate::kernel::procfs::{self, Machine, Usage};
use crate::run::slack::{KILL_PAUSE, LONGEST_KILL, Slack};
use crate::start::limits::Limits;
use crate::watch::alarms::{AlarmId, Alarms, Rings};
use crate::watch::gauge::Gauge;

/// What was short this long ago was short when the job ended: between its end and our waking lies one look at most.
const RECENT: Duration = LONGEST_PAUSE;

/// So long a look holds for requests that have room enough.
const FRESH: Duration = Duration::from_millis(50);

/// The time from one whole look to the next is at least so many times what one costs the processor, as long as memory does not grow.
const COST: u32 = 100;

/// Growth that matters, in bytes within [`REACTION`].
const LEAST_GROWTH: u64 = 1 << 20;

/// From seeing that memory runs out until the job has been stopped from using more: a few scheduler ticks on a busy machine.
const REACTION: Duration = Duration::from_millis(20);

/// Before this the kernel has hardly begun to free what a process had.
const SHORTEST_KILL: Duration = Duration::from_millis(5);

/// Watches the limits of one job.
///
/// Most looks are at the gauges alone: as long as what is charged to each cgroup, page cache and all, stays below the margin,
/// no limit of a cgroup is near. A whole look follows when it does not, when the machine's memory is due, and now and then.
pub struct Lookout {
    host: Host,
    job: Pid,
    limits: Limits,
    cgroup: Option<Cgroup>,
    alarms: Alarms,
    gauges: Vec<Gauge>,
    is_ringing: bool,
    /// The last whole look, and when one is due whatever the gauges say.
    looked: Instant,
    whole_look_due: Instant,
    look_again: Instant,
    /// The last block that was larger than what was left, and who has it.
    outstanding: Option<Request>,
    now: Vec<Bound>,
    short: Option<Short>,
    told: Told,
    /// Since when the kernel is at it to kill somebody.
    killing_since: Option<Instant>,
    slack: Slack,
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
    /// The request that exceeds what is left, in bytes, and who made it; none if the margin has been passed.
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

impl Lookout {
    /// For a job in this cgroup that is about to be started, with the limits that its user set.
    pub fn new(host: &Host, cgroup: Option<Cgroup>, limits: Limits) -> Self {
        if let Some(cgroup) = &cgroup {
            // So that to look charges nothing where memory is short.
            cgroup.levels.iter().for_each(Level::keep_open);
            keep_open(&host.file("/proc/meminfo"));
        }
        let bounds = deadly_bounds(host, cgroup.as_ref());
        let alarms = Alarms::set(host, cgroup.as_ref(), &bounds);
        let told = Told::at_the_start(&bounds);
        let slack = Slack::of(cgroup.as_ref());
        let mut lookout = Self {
            host: host.clone(),
            job: Pid::this(),
            limits,
            cgroup,
            alarms,
            gauges: Vec::new(),
            is_ringing: false,
            looked: Instant::now(),
            whole_look_due: Instant::now(),
            look_again: Instant::now(),
            outstanding: None,
            now: Vec::new(),
            short: None,
            told,
            killing_since: None,
            slack,
        };
        lookout.read();
        lookout
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

    /// The kernel's alarms, to be added to the sources of events.
    pub fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// Call this when an alarm has rung: it makes a look due.
    pub fn answer(&mut self, alarm: AlarmId) {
        self.alarms.answer(alarm);
        self.is_ringing = true;
        if self.alarms.has_killed() {
            self.killing_since = Some(Instant::now());
        }
    }

    /// Whether the kernel is killing somebody to make room. Until there is room, who asks for memory may be killed too.
    pub fn is_killing(&mut self) -> bool {
        let Some(since) = self.killing_since else { return false };
        let is_over = since.elapsed() >= LONGEST_KILL || since.elapsed() >= SHORTEST_KILL && self.slack.is_there();
        if is_over {
            self.killing_since = None;
        }
        !is_over
    }

    /// Waits until what the job used that has ended is free.
    pub fn wait_for_room(&mut self, end: End) {
        self.slack.wait(end);
    }

    /// How long to wait at most before [`Lookout::look`] is called.
    pub fn pause(&self) -> Duration {
        if self.killing_since.is_some() {
            return KILL_PAUSE;
        }
        if self.is_ringing {
            return Duration::ZERO;
        }
        let due = self.look_again.saturating_duration_since(Instant::now());
        due.min(self.alarms.pause(&[]))
    }

    /// Makes a look due: somebody wants to know how things are now.
    pub fn hurry(&mut self) {
        self.is_ringing = true;
    }

    /// Looks, if that is due, and tells of a limit that has come near.
    pub fn look(&mut self) -> Option<Near> {
        self.alarms.complete();
        if self.pause() > Duration::ZERO {
            return None;
        }
        let room = self.room_by_gauges();
        let is_whole_due = self.is_ringing || Instant::now() >= self.whole_look_due;
        if let (Some(room), false) = (room, is_whole_due) {
            let pause = if self.is_alarmed() {
                LONGEST_PAUSE
            } else {
                time_to_fill(room)
            };
            self.look_again = Instant::now() + pause;
            return None;
        }
        let is_growing = self.gauges.iter().any(|gauge| gauge.growth(REACTION) >= LEAST_GROWTH);
        let began = processor_time();
        let near = self.look_at_once(None);
        if room.is_none() && !is_growing {
            let cost = processor_time().saturating_sub(began).saturating_mul(COST);
            let rest = cost.min(LONGEST_PAUSE);
            self.look_again = self.look_again.max(self.looked + rest);
            // At its limit, a job is short of pages for its own code, and each look takes some of them away.
            if self.now.iter().any(|bound| kills(bound) && bound.is_near(0)) {
                self.alarms.rest(rest);
            }
        }
        near
    }

    /// The least that is left above the margin of any cgroup, if there can be said to be any without a whole look.
    fn room_by_gauges(&mut self) -> Option<u64> {
        let rooms = self.gauges.iter_mut().map(|gauge| {
            let used = gauge.read()?;
            gauge.room(used)
        });
        // Each must be read, to know the pace.
        let rooms: Vec<_> = rooms.collect();
        rooms.into_iter().collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    /// Whether the kernel will wake us in time. An alarm is worth nothing against a block that is just being filled: by its pace
    /// alone it can be stopped in time.
    fn is_alarmed(&self) -> bool {
        let mut of_cgroup = self.now.iter().filter(|bound| !bound.path.is_empty());
        self.outstanding.is_none() && of_cgroup.all(|bound| self.alarms.will_ring(bound))
    }

    /// Whether a block that is larger than what was left is being filled so fast that the kernel will have killed before the
    /// margin can be seen to be passed.
    pub fn is_running_out(&mut self) -> bool {
        let Some(request) = self.outstanding else { return false };
        let will_be_met = |gauge: &&Gauge| gauge.will_be_met(REACTION);
        let Some(gauge) = self.gauges.iter().find(will_be_met) else {
            return false;
        };
        let growth = gauge.growth(REACTION);
        let limit = gauge.limit().clone();
        if !self.is_held(request) {
            self.outstanding = None;
            return false;
        }
        self.read();
        // Without what the kernel can take back it may be another matter.
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

    /// Whether that process still has as much data as it once asked for at one go.
    fn is_held(&self, request: Request) -> bool {
        // In a container's own namespace of processes, ours is the job's.
        let pid = Pid::from_raw(request.pid.cast_signed());
        Usage::of(&self.host, pid).is_some_and(|usage| usage.data >= request.bytes)
    }

    /// Looks because of a large block. A job may allocate and free thousands of them in a second: one that had more than
    /// twice the room a moment ago is passed over.
    pub fn consider(&mut self, request: Request) -> Option<Near> {
        let has_room = |bound: &Bound| !kills(bound) || bound.left() / 2 > request.bytes;
        let is_fresh = self.looked.elapsed() < FRESH;
        if is_fresh && self.now.iter().all(has_room) {
            return None;
        }
        self.look_at_once(Some(request))
    }

    /// Notes how things are now, since an allocation has failed.
    pub fn note(&mut self) {
        self.read();
    }

    fn look_at_once(&mut self, request: Option<Request>) -> Option<Near> {
        self.read();
        let asked = request.map_or(0, |request| request.bytes);
        let near = self.now.iter().filter(|bound| kills(bound) && bound.is_near(asked));
        let bound = tightest(near.cloned())?;
        if request.is_some() && !bound.is_near(0) {
            self.outstanding = request;
            // To see it grow, the gauges must be followed from here on.
            self.look_again = Instant::now();
        }
        self.told.is_news(&bound, asked).then(|| Near {
            request: request.filter(|_| !bound.is_near(0)),
            bound,
        })
    }

    fn read(&mut self) {
        self.is_ringing = false;
        let before = std::mem::replace(&mut self.now, deadly_bounds(&self.host, self.cgroup.as_ref()));
        let nearest = tightest(self.now.iter().filter(|bound| bound.is_near(0)).cloned());
        self.follow_gauges();
        self.looked = Instant::now();
        let of_machine = self.now.iter().filter(|bound| bound.path.is_empty());
        let machine = of_machine.map(Bound::pause).fold(LONGEST_PAUSE, Duration::min);
        self.whole_look_due = self.looked + machine;
        let own = procfs::bounds(&self.host, self.job);
        // A process that has ended uses nothing; what it used when it was seen last says more.
        let is_alive = own.iter().any(|bound| bound.used > 0);
        let own: Vec<_> = match is_alive {
            true => own.into_iter().map(|bound| self.limits.of_the_user(bound)).collect(),
            false => before.into_iter().filter(|bound| !kills(bound)).collect(),
        };
        let unalarmed = self.now.iter().map(Bound::pause).fold(LONGEST_PAUSE, Duration::min);
        let alarmed = self.alarms.pause(&self.now);
        let pause = if self.outstanding.is_some() { unalarmed } else { alarmed };
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
    fn follow_gauges(&mut self) {
        let Some(cgroup) = &self.cgroup else { return };
        let of_cgroup = || self.now.iter().filter(|bound| !bound.path.is_empty());
        let has_gauge = |bound: &Bound| self.gauges.iter().any(|gauge| gauge.is_of(bound));
        let is_limit = |gauge: &Gauge| of_cgroup().any(|bound| gauge.is_of(bound));
        if of_cgroup().all(has_gauge) && self.gauges.iter().all(is_limit) {
            return;
        }
        self.gauges = Gauge::all(cgroup, &self.now);
        // One that cannot be read, such as that of a cgroup out of sight, leaves only whole looks.
        if !of_cgroup().all(|bound| self.gauges.iter().any(|gauge| gauge.is_of(bound))) {
            self.gauges.clear();
        }
    }

    /// All limits when they were last looked at, or when memory was short, if that is not long ago.
    pub fn bounds(&self) -> &[Bound] {
        self.recent().map_or(&self.now, |short| &short.bounds)
    }

    /// The limit that was near then, if one was.
    pub fn near(&self) -> Option<&Bound> {
        self.recent().map(|short| &short.nearest)
    }

    /// The limit that will be felt first of those that kill.
    pub fn tightest(&self) -> Option<Bound> {
        tightest(self.now.iter().filter(|bound| kills(bound)).cloned())
    }

    /// Whether a cgroup limits the job.
    pub fn is_limited(&self) -> bool {
        self.now.iter().any(|bound| !bound.path.is_empty())
    }

    /// Whether the cgroup has told of a limit that could not be kept.
    pub fn out_of_memory(&self) -> bool {
        self.alarms.out_of_memory()
    }

    /// To be called when the job has ended.
    pub fn hear_the_last(&mut self) {
        self.alarms.hear_the_last();
    }

    /// The kernel's alarms that have rung.
    pub fn rings(&self) -> Vec<Rings> {
        self.alarms.rings()
    }

    fn recent(&self) -> Option<&Short> {
        self.short.as_ref().filter(|short| short.when.elapsed() <= RECENT)
    }
}

/// What this thread has cost the processor so far.
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

/// Resource limits fail allocations, which the preload sees as they happen.
pub fn kills(bound: &Bound) -> bool {
    !matches!(bound.kind, LimitKind::AddressSpace | LimitKind::Data)
}

/// What has been told of each limit, so that it is told again only when memory has grown by another margin.
#[derive(Debug, Default)]
struct Told(Vec<(Bound, u64)>);

impl Told {
    /// A limit that was near before the job began is no news until the job has come nearer.
    fn at_the_start(bounds: &[Bound]) -> Self {
        let near = bounds.iter().filter(|bound| bound.is_near(0));
        Self(near.map(|bound| (bound.clone(), 0)).collect())
    }

    fn is_news(&mut self, bound: &Bound, request: u64) -> bool {
        let is_same = |known: &Bound| (known.kind, &known.path, known.bytes) == (bound.kind, &bound.path, bound.bytes);
        let request = if bound.is_near(0) { 0 } else { request };
        let Some((last, largest)) = self.0.iter_mut().find(|(known, _)| is_same(known)) else {
            self.0.push((bound.clone(), request));
            return true;
        };
        let step = bound.margin().max(1);
        let was_near = last.is_near(0);
        let is_news = match request {
            0 => !was_near || bound.used >= last.used.saturating_add(step),
            _ => request >= largest.saturating_add(step),
        };
        if is_news {
            *last = bound.clone();
            *largest = request.max(*largest);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn bound(used: u64) -> Bound {
        Bound {
            kind: LimitKind::CgroupV1,
            path: "/job".to_owned(),
            bytes: 1000 * MIB,
            used: used * MIB,
            swappable: 0,
        }
    }

    #[test]
    fn a_near_limit_is_told_again_only_after_another_step() {
        let mut told = Told::default();
        let told: Vec<_> = [960, 961, 940, 970, 1009, 1010, 1011, 1060]
            .map(|used| told.is_news(&bound(used), 0))
            .into();
        assert_eq!(told, [true, false, false, false, false, true, false, true]);
    }

    #[test]
    fn a_limit_that_was_near_before_the_job_began_is_no_news_until_the_job_has_come_nearer() {
        let mut told = Told::at_the_start(&[bound(960)]);
        assert!(!told.is_news(&bound(970), 0));
        assert!(told.is_news(&bound(1010), 0));
    }

    #[test]
    fn a_large_request_is_told_once_and_the_margin_still_after_it() {
        let mut told = Told::at_the_start(&[bound(500)]);
        assert!(told.is_news(&bound(500), 600 * MIB));
        assert!(!told.is_news(&bound(500), 600 * MIB));
        assert!(told.is_news(&bound(500), 700 * MIB));
        assert!(told.is_news(&bound(960), 0));
        assert!(!told.is_news(&bound(960), 600 * MIB));
    }

    #[test]
    fn the_limits_of_this_process_are_seen() {
        let this = Pid::this();
        let host = &Host::this();
        let mut lookout = Lookout::new(host, Cgroup::of(host, this), Limits::read());
        assert!(lookout.tightest().is_some());
        let request = Request {
            pid: 7,
            bytes: u64::MAX,
        };
        let near = lookout.consider(request).unwrap();
        assert!(near.request == Some(request) || near.bound.is_near(0));
        assert!(lookout.pause() <= LONGEST_PAUSE);
    }
}
