//! Removes files that are of no more use: recordings of small processes, recordings that a bundle holds, unfinished files. A shell script
//! starts hundreds of commands that end well and use almost no memory; their line in the report is enough.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;

use dumper::folder::Place;
use dumper::process::Process;
use dumper::profile::State;
use dumper::{Folder, Unrecorded};
use dumper::{holders, measured};

use crate::folder::names::parse_recording;
use crate::folder::recordings::{is_in_use, is_replaced};
use crate::kernel::host::Host;
use crate::kernel::procfs;

/// A recording with a smaller peak is removed, unless no other has a larger one.
const SMALL_BYTES: u64 = 1 << 20;
/// So is one with a peak below this part of the largest.
const SMALL_PART: u64 = 100;

/// A recording begins with this many bytes that are not zero.
const MAGIC_BYTES: u64 = 8;

/// As many recordings of processes whose allocations failed are kept beside the others.
const MOST_FAILED: usize = 500;

/// Returns the processes whose recordings are too many. `most` are kept: a quarter of them the newest, the others those with the highest
/// peaks. Those whose allocations failed are kept beside them.
pub fn surplus<'a>(ended: &mut [&'a Process], most: usize) -> Vec<&'a Process> {
    ended.sort_by_key(|process| (process.facts.failures == 0, Reverse(process.facts.started_ns)));
    let failed = ended
        .partition_point(|process| process.facts.failures > 0)
        .min(MOST_FAILED);
    let others = ended.get_mut(failed..).unwrap_or_default();
    if others.len() <= most {
        return Vec::new();
    }
    others.sort_by_key(|process| Reverse(process.facts.started_ns));
    let older = others.get_mut(most / 4..).unwrap_or_default();
    older.sort_by_key(|process| Reverse(process.facts.peak_bytes));
    others.get(most..).unwrap_or_default().to_vec()
}

/// Removes recordings of small processes that ended well; the report has counted them.
pub fn remove_small(processes: &[Process], folder: &Folder) {
    let mut unrecorded = Unrecorded::load(folder).unwrap_or_default();
    let before = unrecorded.folded.processes;
    for process in small(processes) {
        // A file more is no trouble.
        let _ = measured::remove(&process.path);
        let _ = holders::remove(&process.path);
        if process.path.remove().is_ok() && !is_replaced(process, processes) {
            unrecorded.folded.add(&process.name(), process.facts.peak_bytes);
        }
    }
    if unrecorded.folded.processes > before {
        // If this fails, the processes are still in the report.
        let _ = unrecorded.save(folder);
    }
}

/// Removes recordings that a bundle holds, with their measurements, except those of processes that still run.
pub fn remove_bundled(recordings: &[Place]) {
    for recording in recordings.iter().filter(|recording| !is_in_use(recording)) {
        // A file more is no trouble.
        let _ = recording.remove();
        let _ = measured::remove(recording);
        let _ = holders::remove(recording);
    }
}

/// Removes unfinished files of processes that were ended while they wrote them.
pub fn remove_unfinished(folder: &Folder) {
    dumper::remove_unfinished(folder, |pid, file| {
        let written = file.metadata().and_then(|about| about.modified());
        procfs::is_running(&Host::this(), pid)
            && written.is_ok_and(|written| procfs::is_older(&Host::this(), pid, written))
    });
}

/// Removes recordings that were never begun because the disk was full, which their processes have reported. Returns whether there was any.
pub fn remove_unbegun(folder: &Folder) -> bool {
    let entries = folder.entries().unwrap_or_default();
    let unbegun = entries.into_iter().map(|entry| entry.name).filter(|name| {
        // A running process may be about to begin its recording.
        let has_ended = |(pid, _)| !procfs::is_running(&Host::this(), pid);
        parse_recording(Path::new(name)).is_some_and(has_ended) && is_unbegun(folder, name)
    });
    let removed = unbegun.filter(|name| folder.remove(name).is_ok());
    removed.count() > 0
}

/// Whether a recording was never begun: its first bytes are written last, and are zeros until then.
fn is_unbegun(folder: &Folder, name: &OsStr) -> bool {
    let mut first = Vec::new();
    let file = folder.file(name, u64::MAX);
    let read = file.and_then(|file| file.take(MAGIC_BYTES).read_to_end(&mut first));
    read.is_ok() && first.iter().all(|byte| *byte == 0)
}

fn small(processes: &[Process]) -> impl Iterator<Item = &Process> {
    let peak = |process: &Process| process.facts.peak_bytes;
    let largest = processes.iter().max_by_key(|process| peak(process));
    let enough = largest.map_or(0, peak) / SMALL_PART;
    processes.iter().filter(move |process| {
        let is_largest = largest.is_some_and(|largest| std::ptr::eq(*process, largest));
        let ended_well = process.facts.state == State::Ended || is_replaced(process, processes);
        !is_largest && ended_well && process.facts.failures == 0 && peak(process) < enough.max(SMALL_BYTES)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dumper::profile::Facts;
    use std::fs;
    use std::time::{Duration, SystemTime};

    const MIB: u64 = 1 << 20;

    fn process(pid: u32, peak_bytes: u64, state: State) -> Process {
        let facts = Facts {
            pid,
            state,
            peak_bytes,
            ..Facts::default()
        };
        Process {
            path: format!("{pid}-0.recording").into(),
            facts,
            damage: Vec::new(),
            bundled: None,
            presentation: Default::default(),
            present: Default::default(),
        }
    }

    fn removed(processes: &[Process]) -> Vec<u32> {
        small(processes).map(|process| process.facts.pid).collect()
    }

    #[test]
    fn small_recordings_of_processes_that_ended_well_go() {
        let mut failed = process(5, MIB / 2, State::Ended);
        failed.facts.failures = 1;
        let processes = [
            process(1, MIB / 2, State::Ended),
            process(2, 500 * MIB, State::Ended),
            process(3, 4 * MIB, State::Ended),
            process(4, 6 * MIB, State::Ended),
            failed,
            process(6, MIB / 2, State::Running),
            process(7, MIB / 2, State::Left),
        ];
        assert_eq!(removed(&processes), [1, 3]);
    }

    #[test]
    fn a_recording_that_was_never_begun_goes_once_its_process_has() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: String| folder.path().join(name);
        let gone = file(format!("{}-0.recording", i32::MAX));
        let ours = file(format!("{}-0.recording", std::process::id()));
        let full = file(format!("{}-1.recording", i32::MAX));
        let lock = file("lock".to_owned());
        let zeros = file(format!("{}-2.recording", i32::MAX));
        fs::write(&zeros, [0; 10_000]).unwrap();
        for empty in [&gone, &ours, &lock] {
            fs::write(empty, "").unwrap();
        }
        fs::write(&full, "bytes").unwrap();
        assert!(remove_unbegun(&Folder::open(folder.path()).unwrap()));
        assert!(!gone.exists() && !zeros.exists());
        assert!(ours.exists() && full.exists() && lock.exists());
        assert!(!remove_unbegun(&Folder::open(folder.path()).unwrap()));
    }

    #[test]
    fn what_an_interrupted_report_left_goes_and_what_one_is_writing_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = |pid: u32| folder.path().join(format!(".report.json.{pid}.unfinished"));
        let (gone, ours) = (file(i32::MAX as u32), file(std::process::id()));
        let others = [".hidden.unfinished", "report.json", ".report.json.7"].map(|name| folder.path().join(name));
        for path in others.iter().chain([&gone, &ours]) {
            fs::write(path, "half").unwrap();
        }
        remove_unfinished(&Folder::open(folder.path()).unwrap());
        assert!(!gone.exists() && ours.exists() && others.iter().all(|path| path.exists()));

        // Of a process before this one, that had the same id.
        let file = fs::File::options().write(true).open(&ours).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(10 * 365 * 24 * 3600))
            .unwrap();
        drop(file);
        remove_unfinished(&Folder::open(folder.path()).unwrap());
        assert!(!ours.exists());
    }

    #[test]
    fn what_somebody_has_locked_is_being_written_wherever_that_is() {
        let folder = tempfile::tempdir().unwrap();
        let name = format!(".report.json.{}.unfinished", i32::MAX);
        let file = fs::File::create(folder.path().join(&name)).unwrap();
        let lock = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).unwrap();
        let opened = Folder::open(folder.path()).unwrap();
        remove_unfinished(&opened);
        assert!(opened.has(&name));
        drop(lock);
        remove_unfinished(&opened);
        assert!(!opened.has(&name));
    }

    #[test]
    fn what_a_zombie_has_left_unfinished_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = nix::unistd::Pid::from_raw(child.id() as i32);
        let ended = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
        nix::sys::wait::waitid(nix::sys::wait::Id::Pid(pid), ended).unwrap();
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        assert!(!procfs::is_running(&Host::this(), pid.as_raw()));
        let left = folder.path().join(format!(".report.json.{pid}.unfinished"));
        fs::write(&left, "half").unwrap();
        remove_unfinished(&Folder::open(folder.path()).unwrap());
        assert!(!left.exists());
        child.wait().unwrap();
    }

    #[test]
    fn the_largest_stays_however_small_it_is() {
        let processes = [process(1, 4096, State::Ended), process(2, 5000, State::Ended)];
        assert_eq!(removed(&processes), [1]);
        assert_eq!(removed(&processes[1..]), [0; 0]);
    }

    #[test]
    fn of_many_that_have_ended_the_largest_the_failed_and_the_newest_stay() {
        let mut processes: Vec<_> = (0..100)
            .map(|pid| process(pid, u64::from(pid) * MIB, State::Ended))
            .collect();
        // Pid 0 began last, and failed in 50.
        for (age, process) in processes.iter_mut().enumerate() {
            process.facts.started_ns = 1000 - age as u64;
        }
        processes[50].facts.failures = 1;
        let mut ended: Vec<_> = processes.iter().collect();
        let surplus = surplus(&mut ended, 20);
        let gone: std::collections::BTreeSet<_> = surplus.iter().map(|process| process.facts.pid).collect();
        let stays = [0, 4, 50, 85, 99].map(|pid| !gone.contains(&pid));
        assert_eq!(stays, [true; 5], "{gone:?}");
        assert_eq!((gone.len(), gone.contains(&5), gone.contains(&84)), (79, true, true));
        assert!(super::surplus(&mut ended[..20], 20).is_empty());
    }

    #[test]
    fn a_shell_that_went_on_as_the_program_proper_goes() {
        let mut program = process(1, 80 * MIB, State::Ended);
        program.facts.started_ns = 7;
        assert_eq!(removed(&[process(1, 4096, State::Running), program]), [1]);
    }
}
