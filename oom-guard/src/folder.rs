//! The run folder, and the links beside it to the newest run.
//!
//! Hazard: anybody may have made a folder that looks like a run's: in a shared folder, in an archive, in a cloned repository. Only a
//! folder for which [`RunFolder::is_ours`] is true is written to. All others are only read, and their reports go elsewhere
//! ([`crate::commands::elsewhere`]).

pub mod find;
pub mod lock;
pub mod names;
pub mod recordings;
pub mod scratch;
pub mod termination;
pub mod tidy;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use dumper::run::Run;
use dumper::{Folder, timeline, unrecorded};
use jiff::Zoned;

use crate::folder::names::{LATEST, LIBRARY, OUT_OF_MEMORY, OUTPUT};
use crate::kernel::host::Host;
use crate::kernel::procfs;
use crate::terminal::say::say;
use recording::protocol::files::{LOCK, MESSAGE_PIPE, RECORDINGS, RUN};

/// The number after the names of folders that would have the same name is below this.
const MOST_OF_ONE_NAME: u32 = 1000;

/// One run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    /// The folder, open: all its files are reached through it.
    pub folder: Folder,
    /// Absolute; for messages.
    pub path: PathBuf,
    /// The folder that it is in.
    output: Folder,
}

impl RunFolder {
    /// Makes a new folder, open to its owner alone, in `output`, and `output` too where it is missing. `label` becomes a part
    /// of its name.
    pub fn create(output: &Path, now: &Zoned, label: Option<&str>) -> io::Result<Self> {
        let output = make_output(output)?;
        let name = label.map_or_else(|| name(now), |label| format!("{}-{label}", name(now)));
        Self::make(&output, &name, |_| false)
    }

    /// Makes a folder with this name in `output`, with a number after it if the name is taken. An existing folder of the user for which
    /// `may_take` returns true is used again.
    pub fn make(output: &Folder, name: &str, may_take: impl Fn(&Run) -> bool) -> io::Result<Self> {
        let names = std::iter::once(name.to_owned());
        let names = names.chain((2..MOST_OF_ONE_NAME).map(|number| format!("{name}-{number}")));
        let mut taken = None;
        for name in names {
            let made = match output.make(&name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    taken = Some(error);
                    match output.folder(&name) {
                        Ok(found) => found,
                        Err(_) => continue,
                    }
                }
                made => return Ok(Self::within(output, made?)),
            };
            let found = Self::within(output, made);
            if found.made_here().is_some_and(|run| may_take(&run)) {
                return Ok(found);
            }
        }
        Err(taken.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()))
    }

    fn within(output: &Folder, folder: Folder) -> Self {
        Self {
            path: folder.path().to_owned(),
            output: output.clone(),
            folder,
        }
    }

    /// An existing folder, whose path is resolved; [`find::open`] also knows folders of recordings.
    fn at(path: &Path) -> io::Result<Self> {
        let folder = Folder::open(path)?;
        let output = path.parent().map_or_else(|| Ok(folder.clone()), Folder::open)?;
        Ok(Self::within(&output, folder))
    }

    /// Whether it is a run folder at all.
    pub fn is_run(&self) -> bool {
        self.folder.has_file(RUN)
    }

    /// Whether this user's fil-profile has made this folder, here. Only then may it be written to, and only then may lines of files of
    /// this machine that its run names be shown. It is false for a copy, for a folder from a repository or an archive, for one that others
    /// can write to, and for a folder with the report of such a run.
    pub fn is_ours(&self) -> bool {
        self.made_here().is_some_and(|run| !run.is_copy)
    }

    /// Notes in `run.json` that the folder was made here, if another program of ours has made it.
    pub fn claim(&self) -> io::Result<()> {
        if !self.folder.is_own_file(RUN) {
            return Err(io::Error::other("its run.json is not this user's alone"));
        }
        let run = Run::load(&self.folder).map_err(io::Error::other)?;
        let run = Run {
            made_in: Some(self.folder.birth()?),
            ..run
        };
        run.save(&self.folder).map_err(io::Error::other)
    }

    /// Its `run.json`, if this user's fil-profile has made the folder, here.
    fn made_here(&self) -> Option<Run> {
        let run = Run::load(&self.folder).ok().filter(|_| self.folder.is_own())?;
        self.folder.is_own_file(RUN).then_some(())?;
        run.made_in?.is(&self.folder.birth().ok()?).then_some(run)
    }

    /// Removes the folder of a run that did not start, with the files that were made for it.
    pub fn discard(&self) {
        for name in [
            RUN,
            LOCK,
            MESSAGE_PIPE,
            RECORDINGS,
            LIBRARY,
            timeline::FILE,
            unrecorded::FILE,
        ] {
            let _ = self.folder.remove(name);
        }
        tidy::remove_unfinished(&self.folder);
        let _ = self.output.remove_folder(self.name());
    }

    /// Points the link `latest` to this run.
    pub fn link_latest(&self) -> io::Result<()> {
        self.link(LATEST, Path::new(self.name()))
    }

    /// Points the link `out-of-memory.svg` to this run's picture, unless it points to a newer run already.
    pub fn link_out_of_memory(&self) -> io::Result<()> {
        let target = Path::new(self.name()).join(OUT_OF_MEMORY);
        let newer = |old: PathBuf| old > target && self.output.path().join(old).exists();
        if self.output.link_target(OUT_OF_MEMORY).is_ok_and(newer) {
            return Ok(());
        }
        self.link(OUT_OF_MEMORY, &target)
    }

    /// Whether nobody else can exchange files of the user in the folder around it.
    pub fn is_safely_kept(&self) -> bool {
        self.output.keeps_what_is_ours()
    }

    fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// Makes a link, or replaces one to another run, in one step. Anything else with this name stays: a file, a folder, or a link to
    /// something else.
    fn link(&self, name: &str, target: &Path) -> io::Result<()> {
        let is_ours = self
            .output
            .link_target(name)
            .is_ok_and(|old| leads_to_a_run(&old, name));
        if !is_ours && self.output.has(name) {
            let path = self.output.path().join(name);
            say(format!(
                "{} was not made by fil-profile and stays as it is",
                path.display()
            ));
            return Ok(());
        }
        let new = format!(".{name}.{}", std::process::id());
        self.output.link(target, &new)?;
        let linked = self.output.rename(&new, name);
        linked.inspect_err(|_| drop(self.output.remove(&new)))
    }
}

/// Whether a run has made a link with this name and target: it points to a run folder, or to the picture in one.
fn leads_to_a_run(target: &Path, name: &str) -> bool {
    let folder = match name {
        LATEST => Some(target),
        _ => target.parent().filter(|_| target.file_name() == Some(OsStr::new(name))),
    };
    let folder = folder.map(|folder| folder.as_os_str().as_bytes());
    folder.is_some_and(|folder| !folder.contains(&b'/') && is_named_for_a_time(folder))
}

/// Whether a name begins like those of [`name`]: `2026-11-20T123456.`
fn is_named_for_a_time(name: &[u8]) -> bool {
    const PATTERN: &[u8] = b"0000-00-00T000000.";
    let fits = |(byte, pattern): (&u8, &u8)| match pattern {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    };
    name.len() > PATTERN.len() && name.iter().zip(PATTERN).all(fits)
}

/// Opens the folder for results, and makes it where it is missing.
pub fn make_output(output: &Path) -> io::Result<Folder> {
    is_usable(output)?;
    Folder::open_own_way(output, true)
}

/// Opens the folder for results if it is there.
pub fn open_output(output: &Path) -> io::Result<Folder> {
    is_usable(output)?;
    Folder::open_own_way(output, false)
}

/// Fails if the folder for results is a link that nobody has named: it may have come with a repository.
pub fn is_usable(output: &Path) -> io::Result<()> {
    if output != OUTPUT || !output.is_symlink() {
        return Ok(());
    }
    let target = fs::read_link(output).unwrap_or_default();
    let (output, target) = (output.display(), target.display());
    Err(io::Error::other(format!(
        "it is a link to {target}; to use it, name it: -o ./{output}"
    )))
}

/// The name of a run folder: ISO 8601 without colons, which have a meaning to some tools. Names sort by time.
pub fn name(now: &Zoned) -> String {
    now.strftime("%Y-%m-%dT%H%M%S%.3f").to_string()
}

/// Removes temporary links for [`LATEST`] or [`OUT_OF_MEMORY`] whose processes were ended before they could rename them.
pub fn remove_unfinished_links(output: &Folder) {
    if !output.is_own() {
        return;
    }
    for entry in output.entries().unwrap_or_default() {
        let name = entry.name.to_str().and_then(|name| name.strip_prefix('.'));
        let pid = name.and_then(|name| {
            let rest = name.strip_prefix(LATEST).or(name.strip_prefix(OUT_OF_MEMORY))?;
            rest.strip_prefix('.')?.parse().ok()
        });
        let is_left = pid.is_some_and(|pid| !procfs::is_running(&Host::this(), pid));
        if is_left && output.link_target(&entry.name).is_ok() {
            let _ = output.remove(&entry.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;

    fn at(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    #[test]
    fn a_folder_is_named_for_its_local_time_and_is_its_owners() {
        let output = tempfile::tempdir().unwrap();
        let now = at("2026-11-20T12:34:56.7894+01:00[+01:00]");
        let folder = RunFolder::create(&output.path().join("a/b"), &now, None).unwrap();
        assert_eq!(folder.path, output.path().join("a/b/2026-11-20T123456.789"));
        for path in [&folder.path, &folder.output.path().to_owned()] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_label_stands_after_the_time() {
        let output = tempfile::tempdir().unwrap();
        let now = at("2026-11-20T12:34:56+00:00[+00:00]");
        let folder = RunFolder::create(output.path(), &now, Some("job7_3-rank0")).unwrap();
        assert_eq!(folder.name(), "2026-11-20T123456.000-job7_3-rank0");
    }

    #[test]
    fn runs_are_listed_with_the_newest_first_and_without_the_links() {
        let output = tempfile::tempdir().unwrap();
        let times = ["2026-11-20T12:34:56+00:00[+00:00]", "2026-11-20T12:34:57+00:00[+00:00]"];
        let [old, new] = times.map(|time| RunFolder::create(output.path(), &at(time), None).unwrap());
        for folder in [&old, &new] {
            fs::write(folder.path.join(RUN), "{}").unwrap();
            folder.link_latest().unwrap();
        }
        fs::create_dir(output.path().join("else")).unwrap();
        assert!(find::runs(output.path()).map(|run| run.path).eq([new.path, old.path]));
    }

    #[test]
    fn two_runs_of_one_moment_have_two_folders() {
        let output = tempfile::tempdir().unwrap();
        let now = at("2026-11-20T12:34:56+00:00[+00:00]");
        let names = [(); 3].map(|()| RunFolder::create(output.path(), &now, None).unwrap().path);
        assert_eq!(
            names.each_ref().map(|path| path.file_name().unwrap().to_str().unwrap()),
            [
                "2026-11-20T123456.000",
                "2026-11-20T123456.000-2",
                "2026-11-20T123456.000-3",
            ]
        );
    }

    #[test]
    fn what_was_not_made_by_a_run_keeps_its_name() {
        let output = tempfile::tempdir().unwrap();
        let path = |name: &str| output.path().join(name);
        let folder = RunFolder::create(output.path(), &at("2026-11-20T12:34:56+00:00[+00:00]"), None).unwrap();
        let lead = || {
            folder.link_latest().unwrap();
            folder.link_out_of_memory().unwrap();
        };
        for name in [LATEST, OUT_OF_MEMORY] {
            fs::write(path(name), "mine").unwrap();
        }
        lead();
        for name in [LATEST, OUT_OF_MEMORY] {
            assert_eq!(fs::read_to_string(path(name)).unwrap(), "mine");
            assert!(!path(name).is_symlink());
            fs::remove_file(path(name)).unwrap();
        }
        for target in [
            "v1",
            "../2026-11-20T123456.000",
            "/2026-11-20T123456.000",
            "2026-11-20T12345x.000",
        ] {
            for name in [LATEST, OUT_OF_MEMORY] {
                symlink(target, path(name)).unwrap();
            }
            lead();
            for name in [LATEST, OUT_OF_MEMORY] {
                assert_eq!(fs::read_link(path(name)).unwrap(), Path::new(target));
                fs::remove_file(path(name)).unwrap();
            }
        }
        // Those of an earlier run, which has gone meanwhile.
        symlink("2026-01-01T000000.000-job7", path(LATEST)).unwrap();
        symlink("2026-01-01T000000.000-job7/out-of-memory.svg", path(OUT_OF_MEMORY)).unwrap();
        lead();
        assert_eq!(fs::read_link(path(LATEST)).unwrap(), Path::new(folder.name()));
        assert_eq!(
            fs::read_link(path(OUT_OF_MEMORY)).unwrap(),
            Path::new(folder.name()).join(OUT_OF_MEMORY)
        );
        assert_eq!(fs::read_dir(output.path()).unwrap().count(), 3);
    }

    #[test]
    fn only_links_that_an_ended_process_has_left_unfinished_are_removed() {
        let output = tempfile::tempdir().unwrap();
        let path = |name: &str| output.path().join(name);
        let running = format!(".{LATEST}.{}", std::process::id());
        // No process has this id: it is above the kernel's limit.
        let left = [format!(".{LATEST}.99999999"), format!(".{OUT_OF_MEMORY}.99999999")];
        let kept = [
            running,
            format!(".{LATEST}.x"),
            format!("{LATEST}.99999999"),
            ".other.99999999".to_owned(),
        ];
        for name in left.iter().chain(&kept) {
            symlink("2026-01-01T000000.000", path(name)).unwrap();
        }
        fs::write(path(".latest.99999998"), "a file").unwrap();
        remove_unfinished_links(&Folder::open(output.path()).unwrap());
        assert!(left.iter().all(|name| !path(name).is_symlink()));
        assert!(kept.iter().all(|name| path(name).is_symlink()));
        assert!(path(".latest.99999998").is_file());
    }

    #[test]
    fn an_output_folder_at_the_end_of_somebody_elses_link_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let (own, link) = (place.path().join("own"), place.path().join("link"));
        fs::create_dir(&own).unwrap();
        symlink(&own, &link).unwrap();
        assert!(make_output(&link).is_ok() && make_output(&link.join("deep")).is_ok());
        if !nix::unistd::geteuid().is_root() {
            println!("left out: only root can make a link that is another user's");
            return;
        }
        std::os::unix::fs::lchown(&link, Some(65534), Some(65534)).unwrap();
        let chain = place.path().join("chain");
        symlink(&link, &chain).unwrap();
        for output in [
            link.clone(),
            link.join("deep"),
            link.join("deeper/still"),
            chain.clone(),
            chain.join("deep"),
        ] {
            let error = make_output(&output).unwrap_err().to_string();
            assert!(error.contains("another user"), "{error}");
        }
        assert!(!own.join("deeper").exists());
    }

    #[test]
    fn the_link_to_the_newest_failure_never_goes_back() {
        let output = tempfile::tempdir().unwrap();
        let [old, new] = ["2026-11-20T12:34:56+00:00[+00:00]", "2026-11-20T12:34:57+00:00[+00:00]"].map(|time| {
            let folder = RunFolder::create(output.path(), &at(time), None).unwrap();
            fs::write(folder.path.join(OUT_OF_MEMORY), time).unwrap();
            folder
        });
        for folder in [&old, &new, &old] {
            folder.link_out_of_memory().unwrap();
        }
        let leads_to = fs::read_link(output.path().join(OUT_OF_MEMORY)).unwrap();
        assert_eq!(leads_to, Path::new(new.name()).join(OUT_OF_MEMORY));
    }
}
