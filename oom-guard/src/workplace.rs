//! Where the recordings of a run are while it lasts: in the run folder, unless that is on a network's file system; then in a
//! folder of this machine, to which a link in the run folder leads, and from which they are brought home at the end.
//!
//! Hazard: a run folder may have been made by somebody else, and its link may lead to any folder of the user's. So the folder at the
//! end of the link counts only if it carries the token that `run.json` has too, and nothing is removed there but files that a run makes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use dumper::run::Run;
use nix::dir::Dir;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, geteuid, mkdtemp, unlinkat};

use crate::doorbell::DOORBELL;
use crate::filesystem::{Kind, kind};
use crate::folder::{RUN, RunFolder};
use crate::say::say;

/// The link in the run folder.
pub const RECORDINGS: &str = "recordings";
/// The file that tells which run a folder elsewhere belongs to.
const TOKEN: &str = "token";
/// Random bytes of a token; twice as many characters.
const TOKEN_BYTES: usize = 16;
/// Never a link, a device or a pipe that somebody has put there.
const READ: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_CLOEXEC);

/// Where the recordings of a run are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workplace {
    /// Absolute.
    pub path: PathBuf,
    /// What the folder and `run.json` carry, if it is not the run folder.
    pub token: Option<String>,
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

    /// That of an existing run. A link to a folder that was not made for this run is not followed.
    pub fn of(run: &RunFolder) -> Self {
        let link = run.path.join(RECORDINGS);
        let Ok(path) = fs::read_link(&link) else {
            return Self::home(run);
        };
        let token = Run::load(&run.path).ok().and_then(|run| run.token);
        let is_of_run = match &token {
            Some(token) => !path.exists() || open(&path, token).is_ok(),
            None => false,
        };
        if is_of_run {
            return Self { path, token };
        }
        say(format!(
            "{} is not followed: it leads to a folder that was not made for this run",
            link.display()
        ));
        Self::home(run)
    }

    fn home(run: &RunFolder) -> Self {
        Self {
            path: run.path.clone(),
            token: None,
        }
    }

    /// In the first of `places` on a disk of this machine, or else in memory.
    fn away(run: &RunFolder, places: &[PathBuf]) -> Option<Self> {
        let token = random_token().ok()?;
        let in_kind = |wanted| places.iter().filter(move |place| kind(place) == wanted);
        let mut candidates = in_kind(Kind::Local).chain(in_kind(Kind::Memory));
        // Nobody but us can enter it, and it did not exist before.
        let path = candidates.find_map(|place| mkdtemp(&place.join("fil-profile-XXXXXX")).ok())?;
        let workplace = Self {
            token: Some(token.clone()),
            path,
        };
        let path = &workplace.path;
        let linked = create(&path.join(TOKEN))
            .and_then(|mut file| file.write_all(token.as_bytes()))
            .and_then(|()| symlink(run.path.join(RUN), path.join(RUN)))
            .and_then(|()| symlink(path, run.path.join(RECORDINGS)));
        if linked.is_err() {
            workplace.discard();
            return None;
        }
        Some(workplace)
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
        let Some(token) = &self.token else {
            return Ok(());
        };
        let folder = open(&self.path, token)?;
        for name in names(&folder)?.iter().filter(|name| is_kept(name)) {
            copy(&folder, name, &run.path)?;
        }
        fs::remove_file(run.path.join(RECORDINGS))?;
        self.remove(folder)
    }

    /// Removes the folder of a run that has not come about.
    pub fn discard(&self) {
        if let Some(folder) = self.token.as_ref().and_then(|token| open(&self.path, token).ok()) {
            let _ = self.remove(folder);
        } else if self.token.is_some() {
            // Its token could not be written: it is empty.
            let _ = fs::remove_dir(&self.path);
        }
    }

    /// Removes the files that a run makes, and the folder unless there are others.
    fn remove(&self, folder: OwnedFd) -> io::Result<()> {
        for name in names(&folder)?.iter().filter(|name| is_made_by_a_run(name)) {
            unlinkat(&folder, name.as_str(), UnlinkatFlags::NoRemoveDir)?;
        }
        fs::remove_dir(&self.path)
    }
}

/// A folder elsewhere that was made for the run with this token.
fn open(path: &Path, token: &str) -> io::Result<OwnedFd> {
    let mut options = File::options();
    options
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC);
    let folder = options.open(path)?;
    let file = File::from(openat(&folder, TOKEN, READ, Mode::empty())?);
    if !is_own(&folder)? || !is_own(&file)? || !file.metadata()?.is_file() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut text = String::new();
    file.take(2 * TOKEN_BYTES as u64 + 1).read_to_string(&mut text)?;
    match text == token && text.len() == 2 * TOKEN_BYTES {
        true => Ok(folder.into()),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// Whether it is the user's, and nobody else can write to it.
fn is_own(file: &File) -> io::Result<bool> {
    let about = file.metadata()?;
    Ok(about.uid() == geteuid().as_raw() && about.mode() & 0o022 == 0)
}

fn random_token() -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The names in a folder that can be names of ours.
fn names(folder: &OwnedFd) -> io::Result<Vec<String>> {
    let entries = Dir::openat(folder, ".", READ | OFlag::O_DIRECTORY, Mode::empty())?.into_iter();
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str().ok()?.to_owned()));
    Ok(names.collect())
}

/// `<pid>-<n>.recording` or `<pid>-<n>.measured`.
fn is_kept(name: &str) -> bool {
    let stem = name.strip_suffix(".recording").or(name.strip_suffix(".measured"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    stem.and_then(|stem| stem.split_once('-'))
        .is_some_and(|(pid, number)| is_number(pid) && is_number(number))
}

fn is_made_by_a_run(name: &str) -> bool {
    let is_unfinished = name.starts_with('.') && name.ends_with(".unfinished");
    [TOKEN, RUN, DOORBELL].contains(&name) || is_kept(name) || is_unfinished
}

/// Under another name until it is whole: a report that is written meanwhile must not see half of it.
fn copy(from: &impl AsFd, name: &str, folder: &Path) -> io::Result<()> {
    let mut from = File::from(openat(from, name, READ, Mode::empty())?);
    if !from.metadata()?.is_file() {
        return Ok(());
    }
    let half = folder.join(name).with_extension("unfinished");
    let copied = create(&half).and_then(|mut to| {
        io::copy(&mut from, &mut to)?;
        to.sync_all()?;
        fs::rename(&half, folder.join(name))
    });
    copied.inspect_err(|_| drop(fs::remove_file(&half)))
}

fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
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

    /// As a run does that keeps its recordings in `place`.
    fn away(run: &RunFolder, place: &Path) -> Workplace {
        let away = Workplace::away(run, &[place.join("missing"), place.to_owned()]).unwrap();
        save(run, &away);
        away
    }

    fn save(run: &RunFolder, away: &Workplace) {
        let known = Run {
            token: away.token.clone(),
            ..Run::default()
        };
        known.save(&run.path).unwrap();
    }

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn recordings_kept_elsewhere_are_found_from_both_sides_and_come_home() {
        let output = tempfile::tempdir().unwrap();
        let place = tempfile::tempdir().unwrap();
        let run = run(output.path());
        let away = away(&run, place.path());
        assert!(away.path.starts_with(place.path()));
        assert_eq!(fs::metadata(&away.path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(Workplace::of(&run), away);
        assert_eq!(RunFolder::open(&away.path).unwrap().path, run.path);

        fs::write(away.path.join("7-0.recording"), "bytes").unwrap();
        fs::write(away.path.join(".7-0.measured.9.unfinished"), "half").unwrap();
        away.bring_home(&run).unwrap();
        assert!(away.is_missing());
        assert_eq!(Workplace::of(&run), Workplace::home(&run));
        let recording = run.path.join("7-0.recording");
        assert_eq!(fs::read_to_string(&recording).unwrap(), "bytes");
        assert_eq!(fs::metadata(&recording).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names_in(place.path()), [""; 0]);
    }

    #[test]
    fn what_a_run_has_not_made_stays_where_it_is() {
        let output = tempfile::tempdir().unwrap();
        let place = tempfile::tempdir().unwrap();
        let run = run(output.path());
        let away = away(&run, place.path());
        for name in ["7-0.recording", "x-0.recording", "7-0.recording.txt", "thesis.tex"] {
            fs::write(away.path.join(name), "bytes").unwrap();
        }
        fs::create_dir(away.path.join("more")).unwrap();
        assert!(away.bring_home(&run).is_err());
        assert_eq!(
            names_in(&away.path),
            ["7-0.recording.txt", "more", "thesis.tex", "x-0.recording"]
        );
        assert_eq!(names_in(&run.path), ["7-0.recording", "run.json"]);
    }

    #[test]
    fn a_folder_without_the_runs_token_is_nobodys_workplace() {
        let output = tempfile::tempdir().unwrap();
        let place = tempfile::tempdir().unwrap();
        let run = run(output.path());
        let away = away(&run, place.path());
        let token = away.token.clone().unwrap();
        let of_run = || Workplace::of(&run) == away;
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(of_run());

        set(&away.path, 0o770);
        assert!(!of_run());
        set(&away.path, 0o700);
        for other in ["", "0", "00000000000000000000000000000000"] {
            fs::write(away.path.join(TOKEN), other).unwrap();
            save(
                &run,
                &Workplace {
                    token: Some("f".to_owned() + other),
                    ..away.clone()
                },
            );
            assert!(!of_run(), "{other}");
        }
        // Neither a token that is empty on both sides, nor a run that has none.
        fs::write(away.path.join(TOKEN), "").unwrap();
        for known in [Some(String::new()), None] {
            save(
                &run,
                &Workplace {
                    token: known,
                    ..away.clone()
                },
            );
            assert!(!of_run());
        }
        save(&run, &away);
        fs::remove_file(away.path.join(TOKEN)).unwrap();
        assert!(!of_run());
        let elsewhere = place.path().join("token");
        fs::write(&elsewhere, &token).unwrap();
        symlink(&elsewhere, away.path.join(TOKEN)).unwrap();
        assert!(!of_run());
        fs::remove_file(away.path.join(TOKEN)).unwrap();
        fs::write(away.path.join(TOKEN), &token).unwrap();
        assert!(of_run());
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
