//! Alarms of the kernel that wake us when memory gets short, and how long to wait where there is none.
//!
//! | where | alarm | when it rings |
//! |---|---|---|
//! | version 1 | eventfd on `memory.usage_in_bytes` | the usage, page cache and all, comes within the margin of the limit |
//! | version 1 | eventfd on `memory.oom_control` | a limit of this cgroup or an ancestor cannot be kept |
//! | version 2 | `memory.events` | the limit is met: too late for a job that only grows, so there we look in between |
//! | both | pressure stall information | processes wait for memory |
//!
//! An alarm that cannot be set is noted; then the limits are polled more often.

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
use crate::verdict::observed::Rings;
use crate::watch::usage_reader::FILES;

/// Processes waited for memory for 50 ms within two seconds: the only window that the kernel allows without privileges.
const PRESSURE: &[u8] = b"some 50000 2000000\0";

/// How long alarms are ignored after a ring: a cgroup full of page cache meets its limit all the time, and a poll has a price.
const REST: Duration = Duration::from_millis(50);

/// To remove a trigger from a pressure file, the kernel waits until no processor uses it (`synchronize_rcu`), for 10 to 20 ms. Jobs
/// shorter than this get no such trigger: they are polled often enough anyway.
const SHORT_JOB: Duration = Duration::from_secs(1);

/// Longer than any file of events.
const EVENTS_BYTES: usize = 512;

/// The alarms of one job.
#[derive(Debug)]
pub struct Alarms {
    alarms: Vec<Hung>,
    /// Pressure files whose triggers are still to be set.
    late: Vec<PathBuf>,
    began: Instant,
    notes: Vec<String>,
    resting_until: Option<Instant>,
    out_of_memory: bool,
    has_killed: bool,
}

/// Which alarm it is: alarms are never removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlarmId(usize);

/// An alarm that has been set.
#[derive(Debug)]
struct Hung {
    alarm: Alarm,
    file: PathBuf,
    rings: u64,
}

#[derive(Debug)]
enum Alarm {
    /// The usage of a cgroup of version 1.
    Threshold {
        ring: EventFd,
        limit: Bound,
        usage: PathBuf,
        at: u64,
    },
    /// The OOM notification of version 1. It also rings when the cgroup is removed; this is its folder.
    OutOfMemory { ring: EventFd, folder: PathBuf },
    /// `memory.events`, which must be read after each ring, and its last count of limits that could not be kept.
    Events { file: File, ooms: Option<u64> },
    /// A trigger in a pressure file, which lives as long as the file is open.
    Pressure(File),
}

impl Alarms {
    /// Sets all alarms that the kernel allows, except those that [`Alarms::complete`] sets later. `bounds` are those of the cgroup.
    pub fn set(host: &Host, cgroup: Option<&Cgroup>, bounds: &[Bound]) -> Self {
        let mut set = Self {
            alarms: Vec::new(),
            late: Vec::new(),
            began: Instant::now(),
            notes: Vec::new(),
            resting_until: None,
            out_of_memory: false,
            has_killed: false,
        };
        if let Some(cgroup) = cgroup.filter(|cgroup| cgroup.version == Version::V1) {
            let alarm = out_of_memory(cgroup.leaf());
            set.add(alarm, &cgroup.leaf().file("memory.oom_control"));
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

    /// Sets the remaining alarms once the job has run for a while.
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
                        File::open(&events).map(|file| Alarm::Events { file, ooms: None }),
                        &events,
                    );
                }
            }
        }
    }

    fn add(&mut self, alarm: io::Result<Alarm>, file: &Path) {
        match alarm {
            Ok(mut alarm) => {
                alarm.hear();
                self.alarms.push(Hung {
                    alarm,
                    file: file.to_owned(),
                    rings: 0,
                });
            }
            Err(error) => self.notes.push(format!("no alarm at {}: {error}", file.display())),
        }
    }

    /// Adds the alarms to `sources`, each with the event that `event` makes of it. For a while after a ring most are left out;
    /// [`Alarms::pause`] is no longer than that.
    ///
    /// Each is a source of its own, instead of one epoll for all: the kernel reports pressure once, and polling the epoll would be that
    /// once.
    pub fn add_to<'a, Event>(&'a self, sources: &mut Sources<'a, Event>, event: impl Fn(AlarmId) -> Event) {
        let is_resting = self.is_resting();
        for (id, hung) in self.alarms.iter().enumerate() {
            // The OOM notification never rests.
            if !is_resting || matches!(hung.alarm, Alarm::OutOfMemory { .. }) {
                hung.alarm.add_to(sources, event(AlarmId(id)));
            }
        }
    }

    fn is_resting(&self) -> bool {
        self.resting_until.is_some_and(|end| Instant::now() < end)
    }

    /// Call this after a wait in which this alarm was ready: it makes the alarm ready to ring again.
    pub fn answer(&mut self, AlarmId(id): AlarmId) {
        let Some(hung) = self.alarms.get_mut(id) else { return };
        let ooms = hung.alarm.ooms();
        let is_ring = hung.alarm.hear();
        hung.rings += u64::from(is_ring);
        let is_out_of_memory = is_ring && matches!(hung.alarm, Alarm::OutOfMemory { .. });
        self.out_of_memory |= is_out_of_memory;
        self.has_killed |= is_out_of_memory || hung.alarm.ooms() > ooms;
        self.rest(REST);
    }

    /// Ignores alarms for at least this long.
    pub fn rest(&mut self, time: Duration) {
        self.resting_until = self.resting_until.max(Some(Instant::now() + time));
    }

    /// Takes the rings that came during a rest: the job has ended, and they may say why.
    pub fn hear_the_last(&mut self) {
        self.resting_until = None;
        let mut sources = Sources::new();
        self.add_to(&mut sources, |alarm| alarm);
        for alarm in sources.wait(Duration::ZERO).unwrap_or_default() {
            self.answer(alarm);
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

    /// The alarms that have rung.
    pub fn rings(&self) -> Vec<Rings> {
        let rung = self.alarms.iter().filter(|hung| hung.rings > 0);
        let rings = rung.map(|hung| Rings {
            file: hung.file.clone(),
            says: hung.alarm.says(),
            times: hung.rings,
        });
        rings.collect()
    }

    /// How long to wait at most until the limits are polled again, given these bounds.
    pub fn pause(&self, bounds: &[Bound]) -> Duration {
        let each = bounds.iter().map(|bound| {
            if self.will_ring(bound) {
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

    /// Whether an alarm will ring before this limit is met. A threshold rings once, when it is passed; with much page cache that is long
    /// before memory is short. During a rest it is ignored.
    pub fn will_ring(&self, bound: &Bound) -> bool {
        if self.is_resting() {
            return false;
        }
        let mut states = self.alarms.iter().filter_map(|hung| match &hung.alarm {
            Alarm::Threshold { limit, usage, at, .. } if limit.path == bound.path && limit.bytes == bound.bytes => {
                Some(number(usage).is_some_and(|usage| usage < *at))
            }
            _ => None,
        });
        // The limit of memory, and that of memory and swap, may be the same number.
        states.next().is_some_and(|first| first && states.all(|state| state))
    }

    /// Which alarms could not be set, and why.
    #[cfg(test)]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Alarm {
    fn add_to<'a, Event>(&'a self, sources: &mut Sources<'a, Event>, event: Event) {
        match self {
            Self::Threshold { ring, .. } | Self::OutOfMemory { ring, .. } => {
                sources.add(ring, PollFlags::POLLIN, event)
            }
            Self::Events { file, .. } | Self::Pressure(file) => sources.add(file, PollFlags::POLLPRI, event),
        }
    }

    /// Makes the alarm ready to ring again, and returns whether it rang for its own reason.
    fn hear(&mut self) -> bool {
        match self {
            Self::Threshold { ring, .. } => ring.read().is_ok(),
            Self::OutOfMemory { ring, folder } => ring.read().is_ok() && folder.is_dir(),
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

fn threshold(level: &Level, usage: &str, bound: &Bound) -> io::Result<Alarm> {
    let at = bound.bytes.saturating_sub(bound.margin());
    Ok(Alarm::Threshold {
        ring: eventfd(level, usage, &at.to_string())?,
        limit: bound.clone(),
        usage: level.file(usage),
        at,
    })
}

fn out_of_memory(level: &Level) -> io::Result<Alarm> {
    Ok(Alarm::OutOfMemory {
        ring: eventfd(level, "memory.oom_control", "")?,
        folder: level.folder.clone(),
    })
}

/// Registers an eventfd, to which the kernel writes, at `cgroup.event_control` of version 1.
fn eventfd(level: &Level, file: &str, argument: &str) -> io::Result<EventFd> {
    let ring = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let watched = File::open(level.file(file))?;
    let order = format!("{} {} {argument}", ring.as_fd().as_raw_fd(), watched.as_raw_fd());
    let mut control = File::options().write(true).open(level.file("cgroup.event_control"))?;
    control.write_all(order.trim_end().as_bytes())?;
    Ok(ring)
}

fn pressure(file: &Path) -> io::Result<Alarm> {
    let mut options = File::options();
    let mut file = options
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(file)?;
    file.write_all(PRESSURE)?;
    Ok(Alarm::Pressure(file))
}

#[cfg(test)]
mod tests;
