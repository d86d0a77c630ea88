//! Where the recordings of a run are while it lasts: in the run folder, unless that is on a network's file system; then in a
//! folder of this machine, to which a link in the run folder leads, and from which they are brought home at the end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::unistd::mkdtemp;

use crate::filesystem::{Kind, kind};
use crate::folder::{RUN, RunFolder};

/// The link in the run folder.
const RECORDINGS: &str = "recordings";

/// Where the recordings of a run are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workplace {
    /// Absolute.
    pub path: PathBuf,
    is_away: bool,
}

impl Workplace {
    /// For a new run.
    pub fn choose(run: &RunFolder) -> Self {
        let home = Self::home(run);
        if kind(&run.path) != Kind::Network {
            return home;
        }
        let places = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
        Self::away(run, &places).unwrap_or(home)
    }

    /// That of an existing run.
    pub fn of(run: &RunFolder) -> Self {
        match fs::read_link(run.path.join(RECORDINGS)) {
            Ok(path) => Self { path, is_away: true },
            Err(_) => Self::home(run),
        }
    }

    fn home(run: &RunFolder) -> Self {
        Self {
            path: run.path.clone(),
            is_away: false,
        }
    }

    /// In the first of `places` on a disk of this machine, or else in memory.
    fn away(run: &RunFolder, places: &[PathBuf]) -> Option<Self> {
        let in_kind = |wanted| places.iter().filter(move |place| kind(place) == wanted);
        let mut candidates = in_kind(Kind::Local).chain(in_kind(Kind::Memory));
        // Nobody but us can enter it, and it did not exist before.
        let path = candidates.find_map(|place| mkdtemp(&place.join("fil-profile-XXXXXX")).ok())?;
        let linked = symlink(run.path.join(RUN), path.join(RUN))
            .and_then(|()| symlink(&path, run.path.join(RECORDINGS)))
            .inspect_err(|_| drop(fs::remove_dir_all(&path)));
        linked.ok().map(|()| Self { path, is_away: true })
    }

    /// Whether it is gone or on another machine.
    pub fn is_missing(&self) -> bool {
        !self.path.is_dir()
    }

    /// Whether the recordings are held in memory, as those of a run on tmpfs are.
    pub fn is_in_memory(&self) -> bool {
        kind(&self.path) == Kind::Memory
    }

    /// Moves the recordings into the run folder. Where that fails, they stay and the link goes on to lead to them.
    pub fn bring_home(&self, run: &RunFolder) -> io::Result<()> {
        if !self.is_away {
            return Ok(());
        }
        for entry in fs::read_dir(&self.path)? {
            let file = entry?.path();
            if ["recording", "measured"]
                .iter()
                .any(|kind| file.extension() == Some(OsStr::new(kind)))
            {
                copy(&file, &run.path)?;
            }
        }
        fs::remove_file(run.path.join(RECORDINGS))?;
        fs::remove_dir_all(&self.path)
    }

    /// Removes the folder of a run that has not come about.
    pub fn discard(&self) {
        if self.is_away {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Under another name until it is whole: a report that is written meanwhile must not see half of it.
fn copy(file: &Path, folder: &Path) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default();
    let half = folder.join(name).with_extension("unfinished");
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    let mut from = File::open(file)?;
    let copied = options.open(&half).and_then(|mut to| {
        io::copy(&mut from, &mut to)?;
        to.sync_all()?;
        fs::rename(&half, folder.join(name))
    });
    copied.inspect_err(|_| drop(fs::remove_file(&half)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_time;
    use std::os::unix::fs::PermissionsExt;

    fn run(output: &Path) -> RunFolder {
        let run = RunFolder::create(output, &local_time::now(), None).unwrap();
        fs::write(run.path.join(RUN), "{}").unwrap();
        run
    }

    #[test]
    fn recordings_kept_elsewhere_are_found_from_both_sides_and_come_home() {
        let output = tempfile::tempdir().unwrap();
        let place = tempfile::tempdir().unwrap();
        let run = run(output.path());
        let away = Workplace::away(&run, &[place.path().join("missing"), place.path().to_owned()]).unwrap();
        assert!(away.path.starts_with(place.path()));
        assert_eq!(fs::metadata(&away.path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(Workplace::of(&run), away);
        assert_eq!(RunFolder::open(&away.path).unwrap().path, run.path);

        fs::write(away.path.join("7-0.recording"), "bytes").unwrap();
        away.bring_home(&run).unwrap();
        assert!(away.is_missing());
        assert_eq!(Workplace::of(&run), Workplace::home(&run));
        let recording = run.path.join("7-0.recording");
        assert_eq!(fs::read_to_string(&recording).unwrap(), "bytes");
        assert_eq!(fs::metadata(&recording).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_disk_is_preferred_to_memory() {
        let output = tempfile::tempdir_in("/var/tmp").unwrap();
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        let disk = tempfile::tempdir_in("/var/tmp").unwrap();
        let run = run(output.path());
        let away = Workplace::away(&run, &[memory.path().to_owned(), disk.path().to_owned()]).unwrap();
        assert!(away.path.starts_with(disk.path()) && !away.is_in_memory());
        away.discard();
        assert!(away.is_missing());
    }

    #[test]
    fn on_a_disk_the_recordings_are_at_home() {
        let output = tempfile::tempdir_in("/var/tmp").unwrap();
        let run = run(output.path());
        let home = Workplace::choose(&run);
        assert_eq!(home.path, run.path);
        home.bring_home(&run).unwrap();
        assert!(!home.is_missing());
    }
}
