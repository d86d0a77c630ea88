//! Where the recordings of a run are while it lasts: in the run folder or, if that is on a network's file system, in a scratch folder on
//! this machine. A link in the run folder leads to the scratch folder. At the end the recordings are moved into the run folder.
//!
//! Hazard: somebody else may have made the run folder, and its link may lead to any folder of the user. So the link is followed only if
//! the scratch folder has the same token as `run.json`, and only files that a run makes are removed there.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use dumper::Folder;
use dumper::run::Run;

use crate::folder::RunFolder;
use crate::kernel::filesystem::{FileSystem, kind};
use crate::terminal::say::say;
use recording::protocol::RecordingName;
use recording::protocol::files::{MESSAGE_PIPE, RECORDINGS, RUN, TOKEN};

/// Random bytes of a token; twice as many characters.
const TOKEN_BYTES: usize = 16;
/// Random characters in the name of a folder.
const NAME_LENGTH: usize = 12;

/// Where the recordings of a run are.
#[derive(Clone, Debug)]
pub struct Scratch {
    /// The folder, open.
    pub folder: Folder,
    /// The token that a scratch folder and `run.json` have; none if the recordings are in the run folder.
    pub token: Option<String>,
}

/// A scratch folder that is gone or on another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub PathBuf);

impl Scratch {
    /// For a new run.
    pub fn choose(run: &RunFolder) -> Self {
        let home = Self::home(run);
        if kind(&run.path) != FileSystem::Network {
            return home;
        }
        let places = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
        Self::away(run, &places).unwrap_or(home)
    }

    /// For an existing run. A link to a folder that was not made for this run is not followed, which is said.
    pub fn open(run: &RunFolder) -> Result<Self, Missing> {
        let Ok(path) = run.folder.link_target(RECORDINGS) else {
            return Ok(Self::home(run));
        };
        let token = Run::load(&run.folder).ok().and_then(|run| run.token);
        let token = token.filter(|_| run.is_ours());
        match token.map(|token| (open_by_token(&path, &token), token)) {
            Some((Ok(folder), token)) => Ok(Self {
                folder,
                token: Some(token),
            }),
            Some((Err(error), _)) if error.kind() == io::ErrorKind::NotFound => Err(Missing(path)),
            _ => {
                say(format!(
                    "{} is not followed: it leads to a folder that was not made for this run",
                    run.path.join(RECORDINGS).display()
                ));
                Ok(Self::home(run))
            }
        }
    }

    /// The same without printing anything, and only if it is not the run folder.
    pub fn open_quietly(run: &RunFolder) -> Option<Self> {
        let token = Run::load(&run.folder).ok()?.token.filter(|_| run.is_ours())?;
        let folder = open_by_token(&run.folder.link_target(RECORDINGS).ok()?, &token).ok()?;
        Some(Self {
            folder,
            token: Some(token),
        })
    }

    /// Whether it is this folder.
    pub fn is_at(&self, folder: &Folder) -> bool {
        self.folder
            .identity()
            .is_ok_and(|own| folder.identity().is_ok_and(|other| own == other))
    }

    /// Absolute; for messages, and for the library.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn home(run: &RunFolder) -> Self {
        Self {
            folder: run.folder.clone(),
            token: None,
        }
    }

    /// Makes a scratch folder in the first of `places` that is on a disk of this machine, or else in memory.
    fn away(run: &RunFolder, places: &[PathBuf]) -> Option<Self> {
        let token = random_token().ok()?;
        let in_kind = |wanted| places.iter().filter(move |place| kind(place) == wanted);
        let mut candidates = in_kind(FileSystem::Local).chain(in_kind(FileSystem::Memory));
        let folder = candidates.find_map(|place| make_in(place).ok())?;
        let path = folder.path().to_owned();
        let linked = folder
            .create(TOKEN)
            .and_then(|mut file| file.write_all(token.as_bytes()))
            .and_then(|()| folder.link(&run.path.join(RUN), RUN))
            .and_then(|()| run.folder.link(&path, RECORDINGS));
        let scratch = Self {
            folder,
            token: Some(token),
        };
        if linked.is_err() {
            scratch.discard();
            return None;
        }
        Some(scratch)
    }

    /// Whether the recordings are held in memory, as those of a run on tmpfs are.
    pub fn is_in_memory(&self) -> bool {
        kind(self.path()) == FileSystem::Memory
    }

    /// Moves the recordings into the run folder. If that fails, they stay, and so does the link to them.
    pub fn bring_home(&self, run: &RunFolder) -> io::Result<()> {
        if self.token.is_none() {
            return Ok(());
        }
        for entry in self.folder.entries()? {
            if let Some(name) = entry.name.to_str().filter(|name| entry.may_be_file && is_kept(name)) {
                let mut from = self.folder.file(name, u64::MAX)?;
                dumper::replace(&run.folder, name, |to| io::copy(&mut from, to).map(drop))?;
                run.folder.file(name, u64::MAX)?.sync_all()?;
            }
        }
        run.folder.remove(RECORDINGS)?;
        self.remove()
    }

    /// Removes the scratch folder of a run that did not start.
    pub fn discard(&self) {
        if self.token.is_some() {
            let _ = self.remove();
        }
    }

    /// Removes the files that a run makes, and then the folder if it is empty.
    fn remove(&self) -> io::Result<()> {
        for entry in self.folder.entries()? {
            if entry.name.to_str().is_some_and(is_made_by_a_run) {
                self.folder.remove(&entry.name)?;
            }
        }
        fs::remove_dir(self.path())
    }
}

/// Opens a scratch folder that was made for the run with this token.
fn open_by_token(path: &Path, token: &str) -> io::Result<Folder> {
    let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(refused());
    };
    if !path.is_absolute() {
        return Err(refused());
    }
    let folder = Folder::open(parent)?.folder(name)?;
    let text = folder.read(TOKEN, 2 * TOKEN_BYTES as u64);
    // A folder with no token, or another one, is not the right one.
    let is_right = text.is_ok_and(|text| text == token.as_bytes()) && token.len() == 2 * TOKEN_BYTES;
    match is_right && folder.is_own() {
        true => Ok(folder),
        false => Err(refused()),
    }
}

/// Makes a folder that nobody but us can enter and that did not exist before. In a folder of several users, its name may lead elsewhere
/// a moment later: then this fails.
fn make_in(place: &Path) -> io::Result<Folder> {
    let name = format!("fil-profile-{}", &random_token()?[..NAME_LENGTH]);
    Folder::open(place)?.make(name)
}

fn random_token() -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_kept(name: &str) -> bool {
    RecordingName::parse(name)
        .or_else(|| RecordingName::parse_beside(name))
        .is_some()
}

fn is_made_by_a_run(name: &str) -> bool {
    let is_unfinished = name.starts_with('.') && name.ends_with(".unfinished");
    [TOKEN, RUN, MESSAGE_PIPE].contains(&name) || is_kept(name) || is_unfinished
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::find;
    use crate::terminal::local_time;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn run(output: &Path) -> RunFolder {
        let run = RunFolder::create(output, &local_time::now(), None).unwrap();
        fs::write(run.path.join(RUN), "{}").unwrap();
        run
    }

    /// As a run does that keeps its recordings in `place`.
    fn away(run: &RunFolder, place: &Path) -> Scratch {
        let away = Scratch::away(run, &[place.join("missing"), place.to_owned()]).unwrap();
        save(run, &away);
        away
    }

    fn save(run: &RunFolder, away: &Scratch) {
        let known = Run {
            made_in: Some(run.folder.birth().unwrap()),
            token: away.token.clone(),
            ..Run::default()
        };
        known.save(&run.folder).unwrap();
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
        assert!(away.path().starts_with(place.path()));
        assert_eq!(fs::metadata(away.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(Scratch::open(&run).unwrap().is_at(&away.folder));
        assert_eq!(find::open(away.path()).unwrap().path, run.path);

        fs::write(away.path().join("7-0.recording"), "bytes").unwrap();
        fs::write(away.path().join(".7-0.measured.9.unfinished"), "half").unwrap();
        away.bring_home(&run).unwrap();
        assert!(!away.path().exists());
        assert!(Scratch::open(&run).unwrap().is_at(&run.folder));
        let recording = run.path.join("7-0.recording");
        assert_eq!(fs::read_to_string(&recording).unwrap(), "bytes");
        assert_eq!(fs::metadata(&recording).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names_in(place.path()), [""; 0]);
    }

    #[test]
    fn a_new_folder_that_becomes_a_link_at_once_leads_nowhere() {
        let output = tempfile::tempdir().unwrap();
        let place = tempfile::tempdir().unwrap();
        let victim = tempfile::tempdir().unwrap();
        let names = [
            ".draft.unfinished",
            "1-0.recording",
            "message-pipe",
            "run.json",
            "thesis.tex",
            "token",
        ];
        for name in names {
            fs::write(victim.path().join(name), "precious").unwrap();
        }
        let run = run(output.path());
        let is_done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            // What another user does who may write to the folder.
            scope.spawn(|| {
                while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                    for name in names_in(place.path())
                        .iter()
                        .filter(|name| name.starts_with("fil-profile-"))
                    {
                        let path = place.path().join(name);
                        if !path.is_symlink() && fs::rename(&path, place.path().join(format!("old-{name}"))).is_ok() {
                            let _ = symlink(victim.path(), &path);
                        }
                    }
                }
            });
            for _ in 0..300 {
                Scratch::away(&run, &[place.path().to_owned()]);
                let _ = run.folder.remove(RECORDINGS);
                let _ = fs::read_dir(place.path())
                    .unwrap()
                    .flatten()
                    .try_for_each(|entry| fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path())));
            }
            is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(names_in(victim.path()), names);
        for name in names {
            assert_eq!(
                fs::read_to_string(victim.path().join(name)).unwrap(),
                "precious",
                "{name}"
            );
        }
    }

    #[test]
    fn what_a_run_has_not_made_stays_where_it_is() {
        let output = tempfile::tempdir().unwrap();
        let place = tempfile::tempdir().unwrap();
        let run = run(output.path());
        let away = away(&run, place.path());
        for name in ["7-0.recording", "x-0.recording", "7-0.recording.txt", "thesis.tex"] {
            fs::write(away.path().join(name), "bytes").unwrap();
        }
        fs::create_dir(away.path().join("more")).unwrap();
        assert!(away.bring_home(&run).is_err());
        assert_eq!(
            names_in(away.path()),
            ["7-0.recording.txt", "more", "thesis.tex", "x-0.recording"]
        );
        assert_eq!(names_in(&run.path), ["7-0.recording", "run.json"]);
    }

    #[test]
    fn a_folder_without_the_runs_token_is_no_scratch_folder() {
        let output = tempfile::tempdir().unwrap();
        let place = tempfile::tempdir().unwrap();
        let run = run(output.path());
        let away = away(&run, place.path());
        let token = away.token.clone().unwrap();
        let of_run = || Scratch::open(&run).unwrap().is_at(&away.folder);
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(of_run());

        set(away.path(), 0o770);
        assert!(!of_run());
        set(away.path(), 0o700);
        for other in ["", "0", "00000000000000000000000000000000"] {
            fs::write(away.path().join(TOKEN), other).unwrap();
            save(
                &run,
                &Scratch {
                    token: Some("f".to_owned() + other),
                    ..away.clone()
                },
            );
            assert!(!of_run(), "{other}");
        }
        // Neither a token that is empty on both sides, nor a run that has none.
        fs::write(away.path().join(TOKEN), "").unwrap();
        for known in [Some(String::new()), None] {
            save(
                &run,
                &Scratch {
                    token: known,
                    ..away.clone()
                },
            );
            assert!(!of_run());
        }
        save(&run, &away);
        fs::remove_file(away.path().join(TOKEN)).unwrap();
        assert!(!of_run());
        let elsewhere = place.path().join("token");
        fs::write(&elsewhere, &token).unwrap();
        symlink(&elsewhere, away.path().join(TOKEN)).unwrap();
        assert!(!of_run());
        fs::remove_file(away.path().join(TOKEN)).unwrap();
        fs::write(away.path().join(TOKEN), &token).unwrap();
        assert!(of_run());

        // Nor that of a copy of the run folder.
        save(
            &run,
            &Scratch {
                token: away.token.clone(),
                ..away.clone()
            },
        );
        let mut copied = Run::load(&run.folder).unwrap();
        copied.made_in = copied.made_in.map(|made| dumper::folder::Birth {
            inode: made.inode + 1,
            ..made
        });
        copied.save(&run.folder).unwrap();
        assert!(!of_run());
        save(&run, &away);
        fs::remove_dir_all(away.path()).unwrap();
        assert_eq!(Scratch::open(&run).err(), Some(Missing(away.path().to_owned())));
    }

    #[test]
    fn a_disk_is_preferred_to_memory() {
        let output = tempfile::tempdir_in("/var/tmp").unwrap();
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        let disk = tempfile::tempdir_in("/var/tmp").unwrap();
        let run = run(output.path());
        let away = Scratch::away(&run, &[memory.path().to_owned(), disk.path().to_owned()]).unwrap();
        assert!(away.path().starts_with(disk.path()) && !away.is_in_memory());
        away.discard();
        assert!(!away.path().exists());
    }

    #[test]
    fn on_a_disk_the_recordings_are_at_home() {
        let output = tempfile::tempdir_in("/var/tmp").unwrap();
        let run = run(output.path());
        let home = Scratch::choose(&run);
        assert!(home.is_at(&run.folder));
        home.bring_home(&run).unwrap();
        assert!(home.path().exists());
    }
}
