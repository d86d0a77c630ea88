//! The run folder, and the links beside it that lead to the newest.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use jiff::Zoned;

use crate::doorbell::DOORBELL;
use crate::library::LIBRARY;
use crate::lock::LOCK;
use crate::workplace::RECORDINGS;

/// What makes a folder a run's.
pub const RUN: &str = "run.json";
/// The link to the newest run folder.
pub const LATEST: &str = "latest";
/// The link to the picture of the newest run that ran out of memory.
pub const OUT_OF_MEMORY: &str = "out-of-memory.svg";

/// One run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    /// Absolute.
    pub path: PathBuf,
}

impl RunFolder {
    /// Makes a new folder, open to its owner alone, in `output`, and `output` too where it is missing. `label` becomes a part
    /// of its name.
    pub fn create(output: &Path, now: &Zoned, label: Option<&str>) -> io::Result<Self> {
        let output = std::path::absolute(output)?;
        if let Some(parent) = output.parent() {
            fs::create_dir_all(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(&output) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && output.is_dir() => {}
            made => made?,
        }
        let name = label.map_or_else(|| name(now), |label| format!("{}-{label}", name(now)));
        let names = std::iter::once(name.clone()).chain((2..1000).map(|number| format!("{name}-{number}")));
        let mut taken = None;
        for name in names {
            let path = output.join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(taken.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()))
    }

    /// An existing one, by its own name where a link leads to it, also where its recordings are.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let home = fs::canonicalize(path.join(RUN)).ok();
        let home = home.and_then(|run| Some(run.parent()?.to_owned()));
        Ok(Self {
            path: home.unwrap_or(path),
        })
    }

    /// Removes the folder of a run that has not come about, with the files that were made for it.
    pub fn discard(&self) {
        for name in [RUN, LOCK, DOORBELL, RECORDINGS, LIBRARY] {
            let _ = fs::remove_file(self.path.join(name));
        }
        let _ = fs::remove_dir(&self.path);
    }

    /// Leads `latest` here.
    pub fn link_latest(&self) -> io::Result<()> {
        self.link(LATEST, Path::new(self.name()))
    }

    /// Leads `out-of-memory.svg` here, unless it leads to a newer run already.
    pub fn link_out_of_memory(&self) -> io::Result<()> {
        let target = Path::new(self.name()).join(OUT_OF_MEMORY);
        let newer = |old: PathBuf| old > target && self.output().join(old).exists();
        if fs::read_link(self.output().join(OUT_OF_MEMORY)).is_ok_and(newer) {
            return Ok(());
        }
        self.link(OUT_OF_MEMORY, &target)
    }

    fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    fn output(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Makes or replaces a link in one step. What a link that stands there leads to is never touched.
    fn link(&self, name: &str, target: &Path) -> io::Result<()> {
        let new = self.output().join(format!(".{name}.{}", std::process::id()));
        symlink(target, &new)?;
        fs::rename(&new, self.output().join(name)).inspect_err(|_| drop(fs::remove_file(&new)))
    }
}

/// The name of a run folder: ISO 8601 without the colons, which many a tool takes for something else. Sorts by time.
pub fn name(now: &Zoned) -> String {
    now.strftime("%Y-%m-%dT%H%M%S%.3f").to_string()
}

/// The run folders in `output`, the newest first.
pub fn runs(output: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(output).into_iter().flatten().flatten();
    // A link may lead here from a folder of recordings, or from anywhere.
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut folders: Vec<_> = folders.map(|entry| entry.path()).collect();
    folders.sort_unstable_by(|a, b| b.cmp(a));
    folders.into_iter().filter(|path| is_run(path))
}

/// Whether this is a run folder, or one of recordings.
pub fn is_run(path: &Path) -> bool {
    path.join(RUN).is_file()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn at(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    #[test]
    fn a_folder_is_named_for_its_local_time_and_is_its_owners() {
        let output = tempfile::tempdir().unwrap();
        let now = at("2026-11-20T12:34:56.7894+01:00[+01:00]");
        let folder = RunFolder::create(&output.path().join("a/b"), &now, None).unwrap();
        assert_eq!(folder.path, output.path().join("a/b/2026-11-20T123456.789"));
        for path in [&folder.path, folder.output()] {
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
        assert!(runs(output.path()).eq([new.path, old.path]));
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
    fn a_planted_link_is_replaced_and_what_it_leads_to_is_not_touched() {
        let output = tempfile::tempdir().unwrap();
        let precious = output.path().join("precious");
        fs::write(&precious, "x").unwrap();
        symlink(&precious, output.path().join(OUT_OF_MEMORY)).unwrap();
        let folder = RunFolder::create(output.path(), &at("2026-11-20T12:34:56+00:00[+00:00]"), None).unwrap();
        fs::write(folder.path.join(OUT_OF_MEMORY), "svg").unwrap();
        folder.link_out_of_memory().unwrap();
        folder.link_latest().unwrap();
        assert_eq!(fs::read_to_string(precious).unwrap(), "x");
        assert_eq!(
            fs::read_to_string(output.path().join("out-of-memory.svg")).unwrap(),
            "svg"
        );
        assert_eq!(
            fs::read_link(output.path().join("latest")).unwrap(),
            Path::new("2026-11-20T123456.000")
        );
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
