//! The processes of a job while it runs: how much memory each has, which run without the library, and whose recordings are not worth
//! keeping.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use dumper::folder::Place;
use dumper::label::command_line;
use dumper::process::{self, Process};
use dumper::profile::State;
use dumper::timeline::{MOST_PROCESSES, Share};
use dumper::{Folder, Unrecorded};
use nix::unistd::Pid;

use crate::folder::names::parse_recording;
use crate::folder::recordings::is_in_use;
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
    /// Recordings of processes that are gone and were not killed for memory, as far as that was seen.
    left: HashSet<Place>,
    /// The processes that have vanished since it was last known that none was killed.
    vanished: Vec<Gone>,
    /// Recordings of processes that the kernel has killed, which are kept.
    killed: HashSet<Place>,
    /// Processes that a signal has ended and nobody has waited for, with the signal, since the last call of [`Family::unwaited`].
    unwaited: Vec<(Gone, i32)>,
    unrecorded: Unrecorded,
}

/// What is known of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    program: Option<PathBuf>,
    command: String,
    resident: u64,
    is_judged: bool,
    is_unseen: bool,
}

/// A process that is gone, and did not say that it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Which.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// Whether a recording shows that it has not ended by itself. Without one it may have.
    pub is_recorded: bool,
    /// What it held by its recording.
    pub held: u64,
    /// What was resident of it when it was last seen, with what it shared with others.
    pub resident: u64,
}

impl Member {
    fn gone(&self, pid: i32) -> Gone {
        Gone {
            pid: pid.unsigned_abs(),
            command: self.command.clone(),
            is_recorded: false,
            held: 0,
            resident: self.resident,
        }
    }
}

/// The memory of all processes in bytes, and the largest processes.
#[derive(Clone, Debug, Default)]
pub struct MemoryInUse {
    /// By the recordings.
    pub tracked_bytes: u64,
    /// Resident.
    pub resident_bytes: u64,
    /// Of that, what no file stands behind.
    pub own_bytes: u64,
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
            left: HashSet::new(),
            vanished: Vec::new(),
            killed: HashSet::new(),
            unwaited: Vec::new(),
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

    /// Looks at all of them. `is_quiet` says whether the kernel has killed none of which it is not known which it was.
    pub fn sample(&mut self, is_quiet: impl Fn() -> bool) -> MemoryInUse {
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
            held.own_bytes += usage.resident.saturating_sub(usage.of_files);
            held.shares.push(Share {
                pid: pid.as_raw().unsigned_abs(),
                tracked_bytes,
                resident_bytes: usage.resident,
            });
            let member = self.judge(pid, usage.resident, &mut is_news);
            now.insert(pid.as_raw(), member);
        }
        let before = std::mem::replace(&mut self.last, now);
        let vanished = before.iter().filter(|(pid, _)| !self.last.contains_key(pid));
        let vanished: Vec<_> = vanished.map(|(pid, member)| member.gone(*pid)).collect();
        let ended_by = |gone: &Gone| Some((gone.clone(), procfs::ended_by(&self.host, gone.pid.cast_signed())?));
        self.unwaited.extend(vanished.iter().filter_map(ended_by));
        self.vanished.extend(vanished);
        // An orphan of the job is no descendant any more. It has our recording mapped, so its id is one here.
        for (pid, (_, path)) in &files.newest {
            if self.known.len() < MOST_KNOWN && !self.known.contains(pid) && is_in_use(path) {
                self.known.insert(*pid);
            }
        }
        if held.shares.len() < 2 {
            held.shares.clear();
        }
        held.shares.sort_by_key(|share| std::cmp::Reverse(share.resident_bytes));
        held.shares.truncate(MOST_PROCESSES);
        is_news |= self.fold(&files, is_quiet);
        if is_news {
            self.save();
        }
        held
    }

    /// Processes that are gone and did not say that they have ended, but for the job's first one and those that ended while nothing was
    /// killed. The first is that which was most likely killed.
    pub fn gone(&mut self) -> Vec<Gone> {
        let files = Files::list(&self.recordings);
        self.left.retain(|path| files.all.contains(path));
        let newest = files.newest.iter().filter(|(pid, _)| **pid != self.job.as_raw());
        let open = newest.filter(|(_, (_, path))| !self.left.contains(path) && !self.killed.contains(path));
        let members = self.last.iter().filter(|(pid, _)| **pid != self.job.as_raw());
        let ended = members.filter(|(pid, _)| !procfs::is_running(&self.host, **pid));
        let vanished = ended
            .map(|(pid, member)| member.gone(*pid))
            .chain(self.vanished.iter().cloned());
        let vanished: Vec<Gone> = vanished.collect();
        let seen = |pid: u32| vanished.iter().find(|gone| gone.pid == pid);
        let cut = open.filter_map(|(_, (_, path))| self.has_ended(path, &files));
        let cut = cut.filter(|process| process.facts.state == State::Running);
        let cut = cut.map(|process| Gone {
            pid: process.facts.pid,
            command: command_line(&process.facts.command),
            is_recorded: true,
            held: process.facts.live_bytes,
            resident: seen(process.facts.pid).map_or(0, |gone| gone.resident),
        });
        let is_unrecorded = |gone: &&Gone| !files.newest.contains_key(&gone.pid.cast_signed());
        let unrecorded = vanished.iter().filter(is_unrecorded).cloned();
        let mut gone: Vec<_> = cut.chain(unrecorded).collect();
        gone.sort_by_key(|gone| std::cmp::Reverse((gone.is_recorded, gone.held, gone.resident)));
        gone
    }

    /// The kernel has killed this process; its recording `is_kept`, however many there are.
    pub fn was_killed(&mut self, pid: u32, is_kept: bool) {
        let files = Files::list(&self.recordings);
        let newest = files.newest.get(&pid.cast_signed());
        let known = if is_kept { &mut self.killed } else { &mut self.left };
        known.extend(newest.map(|(_, path)| path.clone()));
        self.last.remove(&pid.cast_signed());
        self.vanished.retain(|gone| gone.pid != pid);
    }

    /// Processes that a signal has ended and nobody has waited for, with the signal; each once.
    pub fn unwaited(&mut self) -> Vec<(Gone, i32)> {
        std::mem::take(&mut self.unwaited)
    }

    /// What is known of a process that has ended.
    pub fn last_seen(&self, pid: u32) -> Gone {
        let id = pid.cast_signed();
        let member = self.last.get(&id).map(|member| member.gone(id));
        let seen = member.or_else(|| self.vanished.iter().find(|gone| gone.pid == pid).cloned());
        seen.unwrap_or_else(|| {
            let files = Files::list(&self.recordings);
            let recording = files.newest.get(&id).and_then(|(_, path)| process::read(path).ok());
            Gone {
                pid,
                command: recording.map_or(String::new(), |process| command_line(&process.facts.command)),
                is_recorded: false,
                held: 0,
                resident: 0,
            }
        })
    }

    /// The processes at the last sample.
    pub fn members(&self) -> impl Iterator<Item = Pid> {
        self.last.keys().copied().map(Pid::from_raw)
    }

    /// The job has ended, and with it most of its processes.
    pub fn close(&mut self) {
        let files = Files::list(&self.recordings);
        if self.fold(&files, || true) {
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

    /// A process that is found for the first time with a program may not have loaded it yet, and not be judged before the second time.
    /// Between fork and exec it has its parent's program, and what its parent has loaded.
    fn judge(&mut self, pid: Pid, resident: u64, is_news: &mut bool) -> Member {
        let program = procfs::program(&self.host, pid);
        let before = self.last.get(&pid.as_raw()).filter(|before| before.program == program);
        let mut member = before.cloned().unwrap_or(Member {
            program,
            command: procfs::command(&self.host, pid).unwrap_or_default(),
            resident,
            is_judged: false,
            is_unseen: false,
        });
        member.resident = resident;
        if let (Some(library), false) = (&self.library, member.is_judged) {
            let unseen = unrecorded::find_reason(&self.host, pid, library, before.is_none());
            member.is_judged = unseen.is_some();
            let is_told = |unseen: &dumper::unrecorded::Unseen| unseen.pid == pid.as_raw().unsigned_abs();
            if unseen.is_some_and(|why| why.is_some()) && self.unrecorded.unseen.iter().any(is_told) {
                member.is_unseen = true;
            } else if let Some(Some(why)) = unseen {
                member.is_unseen = true;
                *is_news = true;
                self.unrecorded.note(dumper::unrecorded::Unseen {
                    pid: pid.as_raw().unsigned_abs(),
                    command: member.command.clone(),
                    why: why.to_owned(),
                    resident_bytes: resident,
                });
            }
        } else if member.is_unseen {
            *is_news |= self.unrecorded.has_grown(pid.as_raw().unsigned_abs(), resident);
        }
        member
    }

    /// Removes recordings of processes that have ended, if there are too many; returns whether there were. A recording of a process that the
    /// kernel has killed is none of them, so nothing is removed before it is known which that was.
    fn fold(&mut self, files: &Files, is_quiet: impl Fn() -> bool) -> bool {
        let is_crowded = files.all.len() > MOST_ENDED;
        if !is_crowded && self.vanished.is_empty() {
            return false;
        }
        let mut ended = HashMap::new();
        for path in files.all.iter().filter(|_| is_crowded) {
            let process = self.ended.remove(path).or_else(|| self.has_ended(path, files));
            ended.extend(process.map(|process| (path.clone(), process)));
        }
        self.ended = ended;
        if !is_quiet() {
            return false;
        }
        let vanished = self.vanished.drain(..).map(|gone| gone.pid.cast_signed());
        let vanished = vanished.filter_map(|pid| files.newest.get(&pid));
        self.left.extend(vanished.map(|(_, path)| path.clone()));
        let ended = self.ended.values();
        let mut ended: Vec<&Process> = ended.filter(|process| !self.killed.contains(&process.path)).collect();
        let mut gone = Vec::new();
        for process in tidy::surplus(&mut ended, MOST_ENDED) {
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
    fn a_process_without_the_library_is_noted_once() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = &Folder::open(temporary.path()).unwrap();
        let look = |library: &str| {
            let mut family = Family::new(folder, folder, Path::new(library), false);
            let held = family.sample(|| true);
            assert!(held.resident_bytes > 0);
            family.sample(|| true);
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
