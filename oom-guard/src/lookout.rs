//! Keeping an eye on the limits while the job runs: how near it is to the nearest, and when that is news.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dumper::outcome::LimitKind;
use nix::unistd::Pid;

use crate::cgroup::Cgroup;
use crate::headroom::{Bound, LONGEST_PAUSE, tightest};
use crate::limits::Limits;
use crate::procfs::{self, Machine};
use crate::watch::Alarms;

/// What was short this long ago was short when the job ended: between its end and our waking lies one look at most.
const RECENT: Duration = LONGEST_PAUSE;

/// So long a look holds for requests that have room enough.
const FRESH: Duration = Duration::from_millis(50);

/// Watches the limits of one job.
pub struct Lookout {
    root: PathBuf,
    job: Pid,
    limits: Limits,
    cgroup: Option<Cgroup>,
    alarms: Alarms,
    is_ringing: bool,
    looked: Instant,
    look_again: Instant,
    now: Vec<Bound>,
    short: Option<Short>,
    told: Told,
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
    /// For a job in this cgroup that has just been started, with the limits that its user set.
    pub fn new(root: &Path, job: Pid, cgroup: Option<Cgroup>, limits: Limits) -> Self {
        let bounds = deadly_bounds(root, cgroup.as_ref());
        let alarms = Alarms::set(root, cgroup.as_ref(), &bounds);
        let told = Told::at_the_start(&bounds);
        let mut lookout = Self {
            root: root.to_owned(),
            job,
            limits,
            cgroup,
            alarms,
            is_ringing: false,
            looked: Instant::now(),
            look_again: Instant::now(),
            now: Vec::new(),
            short: None,
            told,
        };
        lookout.read();
        lookout
    }

    /// To be polled for input; see [`Lookout::ring`].
    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        self.alarms.source()
    }

    /// To be called when the source is readable.
    pub fn ring(&mut self) {
        self.alarms.answer();
        self.is_ringing = true;
    }

    /// How long to wait at most before [`Lookout::look`] is called.
    pub fn pause(&self) -> Duration {
        if self.is_ringing {
            return Duration::ZERO;
        }
        let due = self.look_again.saturating_duration_since(Instant::now());
        due.min(self.alarms.pause(&[]))
    }

    /// Makes a look due: somebody wants to know how things are now.
    pub fn hurry(&mut self) {
        self.look_again = Instant::now();
    }

    /// Looks, if that is due, and tells of a limit that has come near.
    pub fn look(&mut self) -> Option<Near> {
        self.alarms.complete();
        if self.pause() > Duration::ZERO {
            return None;
        }
        self.look_at_once(None)
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
        self.told.is_news(&bound, asked).then(|| Near {
            request: request.filter(|_| !bound.is_near(0)),
            bound,
        })
    }

    fn read(&mut self) {
        self.is_ringing = false;
        let before = std::mem::replace(&mut self.now, deadly_bounds(&self.root, self.cgroup.as_ref()));
        let nearest = tightest(self.now.iter().filter(|bound| bound.is_near(0)).cloned());
        self.looked = Instant::now();
        self.look_again = self.looked + self.alarms.pause(&self.now);
        let own = procfs::bounds(&self.root, self.job);
        // A process that has ended uses nothing; what it used when it was seen last says more.
        let is_alive = own.iter().any(|bound| bound.used > 0);
        let own: Vec<_> = match is_alive {
            true => own.into_iter().map(|bound| self.limits.of_the_user(bound)).collect(),
            false => before.into_iter().filter(|bound| !kills(bound)).collect(),
        };
        self.now.extend(own);
        if let Some(nearest) = nearest {
            self.short = Some(Short {
                when: Instant::now(),
                nearest,
                bounds: self.now.clone(),
            });
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

    fn recent(&self) -> Option<&Short> {
        self.short.as_ref().filter(|short| short.when.elapsed() <= RECENT)
    }
}

/// Every limit by which the kernel kills.
pub fn deadly_bounds(root: &Path, cgroup: Option<&Cgroup>) -> Vec<Bound> {
    let machine = Machine::read(root);
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
        let root = Path::new("/");
        let mut lookout = Lookout::new(root, this, Cgroup::of(root, this), Limits::read());
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
