//! The processes of a job while it runs: how much memory each has, which run without the library, and whose recordings are not worth
//! keeping.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use dumper::folder::Place;
use dumper::process::{self, Process};
use dumper::profile::State;
use dumper::timeline::{MOST_PROCESSES, Share};
use dumper::{Folder, Unrecorded};
use nix::unistd::Pid;

use crate::folder::names::parse_recording;
use crate::folder::tidy;
use crate::kernel::host::Host;
use crate::kernel::procfs::{self, Usage};
use crate::start::sanitizer;
use crate::watch::unrecorded;

/// How many recordings of ended processes are kept while the job runs.
const MOST_ENDED: usize = 60;
/// How many process ids are remembered: more than most machines have.
const MOST_KNOWN: usize = 1 << 17;

/// The job's first process and its descendants. Processes that are no descendants any more, such as daemons, are not seen.
pub struct Family {
    host: Host,
    folder: Folder,
    recordings: Folder,
    job: Pid,
    /// The file name of the library; none if processes are not checked for it.
    library: Option<String>,
    /// The processes at the last sample, and their programs.
    last: HashMap<i32, Member>,
    /// All processes so far.
    known: HashSet<i32>,
    /// Headers of recordings whose processes have ended: they do not change any more.
    ended: HashMap<Place, Process>,
    unrecorded: Unrecorded,
}

/// What is known of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    program: Option<PathBuf>,
    is_judged: bool,
    is_unseen: bool,
}

/// The memory of all processes in bytes, and the largest processes.
#[derive(Clone, Debug, Default)]
pub struct MemoryInUse {
    /// By the recordings.
    pub tracked_bytes: u64,
    /// Resident.
    pub resident_bytes: u64,
    /// Whether there are so many recordings that they should be checked again soon.
    pub is_crowded: bool,
    /// If there are several processes, those with the most resident memory.
    pub shares: Vec<Share>,
}

impl Family {
    /// For a job that will be started soon. `unrecorded.json` goes to `folder`; the recordings are in `recordings`, the library is at
    /// `library`. With `no_children`, only the first process is recorded.
    pub fn new(folder: &Folder, recordings: &Folder, library: &Path, no_children: bool) -> Self {
        let name = std::fs::canonicalize(library).ok();
        let name = name.as_deref().unwrap_or(library).file_name();
        let family = Self {
            host: Host::this(),
            folder: folder.clone(),
            recordings: recordings.clone(),
            job: Pid::this(),
            library: name
                .map(|name| name.to_string_lossy().into_owned())
                .filter(|_| !no_children),
            last: HashMap::new(),
            known: HashSet::new(),
            ended: HashMap::new(),
            unrecorded: Unrecorded {
                first_only: no_children,
                ..Unrecorded::default()
            },
        };
        if no_children {
            family.save();
        }
        family
    }

    /// The job has been started.
    pub fn watch(&mut self, job: Pid) {
        self.job = job;
    }

    /// Looks at all of them.
    pub fn sample(&mut self) -> MemoryInUse {
        let members = procfs::tree(&self.host, self.job);
        if self.known.len() < MOST_KNOWN {
            self.known.extend(members.iter().map(|pid| pid.as_raw()));
        }
        let files = Files::list(&self.recordings);
        let mut held = MemoryInUse {
            is_crowded: files.all.len() > MOST_ENDED / 2,
            ..MemoryInUse::default()
        };
        let mut is_news = false;
        let mut now = HashMap::new();
        for pid in members {
            let Some(usage) = Usage::read(&self.host, pid) else {
                continue;
            };
            let tracked_bytes = files.newest.get(&pid.as_raw()).and_then(|(_, path)| live_bytes(path));
            let tracked_bytes = tracked_bytes.unwrap_or(0);
            held.tracked_bytes += tracked_bytes;
            held.resident_bytes += usage.resident;
            held.shares.push(Share {
                pid: pid.as_raw().unsigned_abs(),
                tracked_bytes,
                resident_bytes: usage.resident,
            });
            let member = self.judge(pid, usage.resident, &mut is_news);
            now.insert(pid.as_raw(), member);
        }
        self.last = now;
        if held.shares.len() < 2 {
            held.shares.clear();
        }
        held.shares.sort_by_key(|share| std::cmp::Reverse(share.resident_bytes));
        held.shares.truncate(MOST_PROCESSES);
        is_news |= self.fold(&files);
        if is_news {
            self.save();
        }
        held
    }

    /// The processes at the last sample.
    pub fn members(&self) -> impl Iterator<Item = Pid> {
        self.last.keys().copied().map(Pid::from_raw)
    }

    /// The job has ended, and with it most of its processes.
    pub fn close(&mut self) {
        let files = Files::list(&self.recordings);
        if self.fold(&files) {
            self.save();
        }
    }

    /// A process has told that it goes on without the library, because it has the runtime of a sanitizer.
    pub fn unwatched(&mut self, pid: u32, program: String) {
        if self.library.is_none() || self.unrecorded.unseen.iter().any(|unseen| unseen.pid == pid) {
            return;
        }
        self.unrecorded.note(dumper::unrecorded::Unseen {
            pid,
            command: program,
            why: sanitizer::WHY.to_owned(),
            resident_bytes: 0,
        });
        self.save();
    }

    /// A process is checked when it is found a second time with the same program: between fork and exec it has not loaded its own program
    /// yet.
    fn judge(&mut self, pid: Pid, resident: u64, is_news: &mut bool) -> Member {
        let program = procfs::program(&self.host, pid);
        let before = self.last.get(&pid.as_raw()).filter(|before| before.program == program);
        let mut member = before.cloned().unwrap_or(Member {
            program,
            is_judged: false,
            is_unseen: false,
        });
        if let (Some(library), true, false) = (&self.library, before.is_some(), member.is_judged) {
            let unseen = unrecorded::find_reason(&self.host, pid, library);
            member.is_judged = unseen.is_some();
            let is_told = |unseen: &dumper::unrecorded::Unseen| unseen.pid == pid.as_raw().unsigned_abs();
            if unseen.is_some_and(|why| why.is_some()) && self.unrecorded.unseen.iter().any(is_told) {
                member.is_unseen = true;
            } else if let Some(Some(why)) = unseen {
                member.is_unseen = true;
                *is_news = true;
                self.unrecorded.note(dumper::unrecorded::Unseen {
                    pid: pid.as_raw().unsigned_abs(),
                    command: procfs::command(&self.host, pid).unwrap_or_default(),
                    why: why.to_owned(),
                    resident_bytes: resident,
                });
            }
        } else if member.is_unseen {
            *is_news |= self.unrecorded.has_grown(pid.as_raw().unsigned_abs(), resident);
        }
        member
    }

    /// Removes recordings of processes that have ended, if there are too many; returns whether there were.
    fn fold(&mut self, files: &Files) -> bool {
        if files.all.len() <= MOST_ENDED {
            return false;
        }
        for path in &files.all {
            if !self.ended.contains_key(path)
                && let Some(process) = self.has_ended(path, files)
            {
                self.ended.insert(path.clone(), process);
            }
        }
        self.ended.retain(|path, _| files.all.contains(path));
        let mut ended: Vec<&Process> = self.ended.values().collect();
        let surplus = tidy::surplus(&mut ended, MOST_ENDED);
        let mut gone = Vec::new();
        for process in surplus {
            if process.path.remove().is_ok() {
                self.unrecorded.folded.add(&process.name(), process.facts.peak_bytes);
                gone.push(process.path.clone());
            }
        }
        gone.iter().for_each(|path| drop(self.ended.remove(path)));
        !gone.is_empty()
    }

    /// The header of a recording, if its process has ended. A missing process id is no proof for a process in another PID namespace: the
    /// process or its parent must have been seen here.
    fn has_ended(&self, path: &Place, files: &Files) -> Option<Process> {
        let (pid, number) = parse_recording(path)?;
        let process = process::read(path).ok()?;
        let newest = files.newest.get(&pid).map_or(0, |(newest, _)| *newest);
        // The recording of the job's first process is always kept.
        if pid == self.job.as_raw() && number == newest {
            return None;
        }
        let parent = i32::try_from(process.facts.ppid).ok()?;
        let is_ours = [pid, parent]
            .iter()
            .any(|pid| self.known.contains(pid) || *pid == self.job.as_raw());
        let is_over =
            number < newest || process.facts.state == State::Ended || is_ours && !procfs::is_running(&self.host, pid);
        is_over.then_some(process)
    }

    fn save(&self) {
        // A failure does no harm.
        let _ = self.unrecorded.save(&self.folder);
    }
}

fn live_bytes(recording: &Place) -> Option<u64> {
    let facts = process::read(recording).ok()?.facts;
    (facts.state == State::Running).then_some(facts.live_bytes)
}

/// The recordings in a folder.
struct Files {
    all: HashSet<Place>,
    /// The newest of each process, `<pid>-<n>.recording`.
    newest: HashMap<i32, (u32, Place)>,
}

impl Files {
    fn list(folder: &Folder) -> Self {
        let mut files = Self {
            all: HashSet::new(),
            newest: HashMap::new(),
        };
        for entry in folder.entries().unwrap_or_default() {
            let path = Place::within(folder, entry.name);
            let Some((pid, number)) = parse_recording(&path) else {
                continue;
            };
            files.all.insert(path.clone());
            let known = files.newest.entry(pid).or_insert_with(|| (number, path.clone()));
            if known.0 < number {
                *known = (number, path);
            }
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_recording_of_each_process_counts() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "7-0.recording",
            "7-10.recording",
            "7-9.recording",
            "8-0.recording",
            "run.json",
            "x-0.recording",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let opened = Folder::open(folder.path()).unwrap();
        let files = Files::list(&opened);
        assert_eq!((files.all.len(), files.newest.len()), (4, 2));
        assert_eq!(files.newest[&7].1, Place::within(&opened, "7-10.recording"));
    }

    #[test]
    fn a_process_without_the_library_is_noted_once_it_has_been_met_twice() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = &Folder::open(temporary.path()).unwrap();
        let look = |library: &str| {
            let mut family = Family::new(folder, folder, Path::new(library), false);
            let held = family.sample();
            assert!(held.resident_bytes > 0 && family.unrecorded.unseen.is_empty());
            family.sample();
            family.unrecorded.unseen
        };
        let unseen = look("/nowhere/libpreload.so");
        let this = unseen.iter().find(|unseen| unseen.pid == std::process::id()).unwrap();
        assert!(this.why.contains("LD_PRELOAD") && this.resident_bytes > 0, "{this:?}");
        assert_eq!(Unrecorded::load(folder).unwrap().unseen.len(), unseen.len());
        // Every process here has the C library.
        assert!(
            look("/nowhere/libc.so.6")
                .iter()
                .all(|unseen| unseen.pid != std::process::id())
        );
    }
}
