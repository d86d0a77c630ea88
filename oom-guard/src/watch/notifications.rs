//! Notifications by which the kernel wakes us when memory gets short, and how long to wait where there is none.
//!
//! | where | notification | when it comes |
//! |---|---|---|
//! | version 1 | eventfd on `memory.usage_in_bytes` | the usage, page cache and all, comes within the margin of the limit |
//! | version 1 | eventfd on `memory.oom_control` | a limit of this cgroup or an ancestor cannot be kept |
//! | version 2 | `memory.events` | the limit is met: too late for a job that only grows, so there we look in between |
//! | both | pressure stall information | processes wait for memory |
//!
//! A notification that cannot be registered is noted; then the limits are polled more often.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::kernel::cgroup::{Cgroup, Level, Version};
use crate::kernel::headroom::{Bound, LONGEST_PAUSE};
use crate::kernel::host::Host;
use crate::kernel::kernel_file::{number, value};
use crate::kernel::poll::Sources;
use crate::verdict::observed::Notified;
use crate::watch::usage_reader::FILES;

/// Processes waited for memory for 50 ms within two seconds: the only window that the kernel allows without privileges.
const PRESSURE: &[u8] = b"some 50000 2000000\0";

/// How long notifications are ignored after one has come: a cgroup full of page cache meets its limit all the time, and a poll has a price.
const REST: Duration = Duration::from_millis(50);

/// To remove a trigger from a pressure file, the kernel waits until no processor uses it (`synchronize_rcu`), for 10 to 20 ms. Jobs
/// shorter than this get no such trigger: they are polled often enough anyway.
const SHORT_JOB: Duration = Duration::from_secs(1);

/// Longer than any file of events.
const EVENTS_BYTES: usize = 512;

/// The notifications that are registered for one job.
#[derive(Debug)]
pub struct Notifications {
    registered: Vec<Registered>,
    /// Pressure files whose triggers are still to be registered.
    late: Vec<PathBuf>,
    began: Instant,
    notes: Vec<String>,
    resting_until: Option<Instant>,
    out_of_memory: bool,
    has_killed: bool,
}

/// Which of them it is: none is ever removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationId(usize);

/// A notification that is registered.
#[derive(Debug)]
struct Registered {
    source: Source,
    file: PathBuf,
    /// How often it has come.
    times: u64,
}

#[derive(Debug)]
enum Source {
    /// The usage of a cgroup of version 1.
    Threshold {
        event: EventFd,
        limit: Bound,
        usage: PathBuf,
        at: u64,
    },
    /// The OOM notification of version 1. It also comes when the cgroup is removed; this is its folder.
    OutOfMemory { event: EventFd, folder: PathBuf },
    /// `memory.events`, which must be read after each notification, and its last count of limits that could not be kept.
    Events { file: File, ooms: Option<u64> },
    /// A trigger in a pressure file, which lives as long as the file is open.
    Pressure(File),
}

impl Notifications {
    /// Registers all that the kernel allows, except those that [`Notifications::complete`] registers later. `bounds` are those of the cgroup.
    pub fn register(host: &Host, cgroup: Option<&Cgroup>, bounds: &[Bound]) -> Self {
        let mut set = Self {
            registered: Vec::new(),
            late: Vec::new(),
            began: Instant::now(),
            notes: Vec::new(),
            resting_until: None,
            out_of_memory: false,
            has_killed: false,
        };
        if let Some(cgroup) = cgroup.filter(|cgroup| cgroup.version == Version::V1) {
            let source = out_of_memory(cgroup.leaf());
            set.add(source, &cgroup.leaf().file("memory.oom_control"));
        }
        for level in cgroup.iter().flat_map(|cgroup| &cgroup.levels) {
            set.watch(level, bounds);
        }
        if let Some(cgroup) = cgroup.filter(|cgroup| cgroup.version == Version::V2) {
            set.late.push(cgroup.leaf().file("memory.pressure"));
        }
        set.late.push(host.file("/proc/pressure/memory"));
        set
    }

    /// Registers the remaining ones once the job has run for a while.
    pub fn complete(&mut self) {
        if !self.late.is_empty() && self.began.elapsed() >= SHORT_JOB {
            self.add_late();
        }
    }

    fn add_late(&mut self) {
        for file in std::mem::take(&mut self.late) {
            self.add(pressure(&file), &file);
        }
    }

    fn watch(&mut self, level: &Level, bounds: &[Bound]) {
        let of_level = |bytes| {
            bounds
                .iter()
                .find(|bound| bound.path == level.name && bound.bytes == bytes)
        };
        match level.version {
            Version::V1 => {
                for (_, limit, usage) in FILES.into_iter().filter(|(version, ..)| *version == Version::V1) {
                    if let Some(bound) = number(&level.file(limit)).and_then(of_level) {
                        self.add(threshold(level, usage, bound), &level.file(usage));
                    }
                }
            }
            Version::V2 => {
                let events = level.file("memory.events");
                if number(&level.file("memory.max")).is_some() {
                    self.add(
                        File::open(&events).map(|file| Source::Events { file, ooms: None }),
                        &events,
                    );
                }
            }
        }
    }

    fn add(&mut self, source: io::Result<Source>, file: &Path) {
        match source {
            Ok(mut source) => {
                source.take();
                self.registered.push(Registered {
                    source,
                    file: file.to_owned(),
                    times: 0,
                });
            }
            Err(error) => self
                .notes
                .push(format!("no notification of {}: {error}", file.display())),
        }
    }

    /// Adds all to `sources`, each with the event that `event` makes of it. For a while after one has come most are left out;
    /// [`Notifications::pause`] is no longer than that.
    ///
    /// Each is a source of its own, instead of one epoll for all: the kernel reports pressure once, and polling the epoll would be that
    /// once.
    pub fn add_to<'a, Event>(&'a self, sources: &mut Sources<'a, Event>, event: impl Fn(NotificationId) -> Event) {
        let is_resting = self.is_resting();
        for (id, registered) in self.registered.iter().enumerate() {
            // The OOM notification is never ignored.
            if !is_resting || matches!(registered.source, Source::OutOfMemory { .. }) {
                registered.source.add_to(sources, event(NotificationId(id)));
            }
        }
    }

    fn is_resting(&self) -> bool {
        self.resting_until.is_some_and(|end| Instant::now() < end)
    }

    /// Call this after a wait in which this one was ready: it makes it ready to come again.
    pub fn take(&mut self, NotificationId(id): NotificationId) {
        let Some(registered) = self.registered.get_mut(id) else {
            return;
        };
        let ooms = registered.source.ooms();
        let has_come = registered.source.take();
        registered.times += u64::from(has_come);
        let is_out_of_memory = has_come && matches!(registered.source, Source::OutOfMemory { .. });
        self.out_of_memory |= is_out_of_memory;
        self.has_killed |= is_out_of_memory || registered.source.ooms() > ooms;
        self.rest(REST);
    }

    /// Ignores notifications for at least this long.
    pub fn rest(&mut self, time: Duration) {
        self.resting_until = self.resting_until.max(Some(Instant::now() + time));
    }

    /// Takes those that came while they were ignored: the job has ended, and they may say why.
    pub fn take_last(&mut self) {
        self.resting_until = None;
        let mut sources = Sources::new();
        self.add_to(&mut sources, |id| id);
        for id in sources.wait(Duration::ZERO).unwrap_or_default() {
            self.take(id);
        }
    }

    /// Whether a cgroup of version 1 has reported that its limit, or an ancestor's, could not be kept.
    pub fn out_of_memory(&self) -> bool {
        self.out_of_memory
    }

    /// Whether the kernel has reported, since the last call of this, that it must kill a process.
    pub fn has_killed(&mut self) -> bool {
        std::mem::take(&mut self.has_killed)
    }

    /// Those that have come.
    pub fn received(&self) -> Vec<Notified> {
        let come = self.registered.iter().filter(|registered| registered.times > 0);
        let notified = come.map(|registered| Notified {
            file: registered.file.clone(),
            says: registered.source.says(),
            times: registered.times,
        });
        notified.collect()
    }

    /// How long to wait at most until the limits are polled again, given these bounds.
    pub fn pause(&self, bounds: &[Bound]) -> Duration {
        let each = bounds.iter().map(|bound| {
            if self.will_come_before(bound) {
                LONGEST_PAUSE
            } else {
                bound.pause()
            }
        });
        let longest = self.resting_until.map_or(LONGEST_PAUSE, |end| {
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() { LONGEST_PAUSE } else { rest }
        });
        each.fold(longest, Duration::min)
    }

    /// Whether a notification will come before this limit is met. That of a threshold comes once, when it is passed; with much page cache
    /// that is long before memory is short. For a while after one has come it is ignored.
    pub fn will_come_before(&self, bound: &Bound) -> bool {
        if self.is_resting() {
            return false;
        }
        let mut states = self
            .registered
            .iter()
            .filter_map(|registered| match &registered.source {
                Source::Threshold { limit, usage, at, .. }
                    if limit.path == bound.path && limit.bytes == bound.bytes =>
                {
                    Some(number(usage).is_some_and(|usage| usage < *at))
                }
                _ => None,
            });
        // The limit of memory, and that of memory and swap, may be the same number.
        states.next().is_some_and(|first| first && states.all(|state| state))
    }

    /// Which could not be registered, and why.
    #[cfg(test)]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Source {
    fn add_to<'a, Event>(&'a self, sources: &mut Sources<'a, Event>, event: Event) {
        match self {
            Self::Threshold { event: descriptor, .. } | Self::OutOfMemory { event: descriptor, .. } => {
                sources.add(descriptor, PollFlags::POLLIN, event)
            }
            Self::Events { file, .. } | Self::Pressure(file) => sources.add(file, PollFlags::POLLPRI, event),
        }
    }

    /// Makes it ready to come again, and returns whether it came for its own reason.
    fn take(&mut self) -> bool {
        match self {
            Self::Threshold { event, .. } => event.read().is_ok(),
            Self::OutOfMemory { event, folder } => event.read().is_ok() && folder.is_dir(),
            Self::Events { file, ooms } => {
                let mut bytes = [0; EVENTS_BYTES];
                let read = file.rewind().and_then(|()| file.read(&mut bytes));
                let text = read.ok().and_then(|count| std::str::from_utf8(&bytes[..count]).ok());
                *ooms = text.and_then(|text| value(text, "oom")).or(*ooms);
                text.is_some()
            }
            Self::Pressure(_) => true,
        }
    }

    /// The count of version 2 of limits that could not be kept.
    fn ooms(&self) -> Option<u64> {
        match self {
            Self::Events { ooms, .. } => *ooms,
            _ => None,
        }
    }

    fn says(&self) -> &'static str {
        match self {
            Self::Threshold { .. } => "the usage, page cache and all, came close to the limit or left it again",
            Self::OutOfMemory { .. } => "a limit could not be kept",
            Self::Events { .. } => "the limit was met, or the cgroup was made to wait",
            Self::Pressure(_) => "processes waited for memory for 50 ms within two seconds",
        }
    }
}

fn threshold(level: &Level, usage: &str, bound: &Bound) -> io::Result<Source> {
    let at = bound.bytes.saturating_sub(bound.margin());
    Ok(Source::Threshold {
        event: eventfd(level, usage, &at.to_string())?,
        limit: bound.clone(),
        usage: level.file(usage),
        at,
    })
}

fn out_of_memory(level: &Level) -> io::Result<Source> {
    Ok(Source::OutOfMemory {
        event: eventfd(level, "memory.oom_control", "")?,
        folder: level.folder.clone(),
    })
}

/// Registers an eventfd, to which the kernel writes, at `cgroup.event_control` of version 1.
fn eventfd(level: &Level, file: &str, argument: &str) -> io::Result<EventFd> {
    let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let watched = File::open(level.file(file))?;
    let order = format!("{} {} {argument}", event.as_fd().as_raw_fd(), watched.as_raw_fd());
    let mut control = File::options().write(true).open(level.file("cgroup.event_control"))?;
    control.write_all(order.trim_end().as_bytes())?;
    Ok(event)
}

fn pressure(file: &Path) -> io::Result<Source> {
    let mut options = File::options();
    let mut file = options
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(file)?;
    file.write_all(PRESSURE)?;
    Ok(Source::Pressure(file))
}

#[cfg(test)]
mod tests;
