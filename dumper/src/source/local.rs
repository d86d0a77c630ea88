//! Files of this machine: which of them a report may show lines of, and how they are opened.
//!
//! Which file a line is of is under the control of the job, or of whoever made a bundle: `compile(text, "/etc/shadow", "exec")` is enough.
//! So a file is shown only if it looks like the source of a program, and only where the user who reads the report is the one who ran
//! the job on this machine, or has said in which folder to look.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

/// Longer files are data, whatever their name says.
const LARGEST_FILE: u64 = 4 << 20;
/// Opening must never wait for the other end of a FIFO, nor make a terminal ours.
const FLAGS: i32 = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW;
/// What the kernel makes up, and devices.
const NO_SOURCE: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Of a path in another machine's folders, at most so many of its last parts are looked for below a folder.
const MOST_PARTS: usize = 16;

/// What the names of source files end in.
const ENDINGS: [&str; 44] = [
    "py", "pyw", "pyx", "pxd", "pxi", "pyi", "ipy", "c", "cc", "cpp", "cxx", "cu", "cuh", "h", "hh", "hpp", "hxx",
    "inl", "ipp", "tcc", "rs", "go", "f", "for", "f77", "f90", "f95", "f03", "f08", "java", "kt", "scala", "jl", "r",
    "lua", "js", "mjs", "ts", "rb", "pl", "pm", "d", "zig", "sh",
];

/// Which files of this machine a report may show lines of, beside the text that a run brings along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocalSource {
    /// None: the run is of another machine or of another user, or nobody knows.
    #[default]
    Nothing,
    /// Those that the job ran from: this user has run it on this machine.
    ThisMachine,
    /// Those in this folder, and nothing that a link in it leads to outside.
    Inside(PathBuf),
}

/// The same, ready to be read.
#[derive(Clone, Debug)]
pub(super) enum Local {
    Nothing,
    ThisMachine {
        /// What was run, which need not have the name of a source file.
        scripts: Vec<PathBuf>,
    },
    Inside(Arc<Dir>, PathBuf),
}

impl Local {
    /// `command` was run in `directory`.
    pub(super) fn of(source: &LocalSource, directory: &Path, command: &[String]) -> Local {
        match source {
            LocalSource::Nothing => Local::Nothing,
            LocalSource::ThisMachine => Local::ThisMachine {
                // The program, or the interpreter and its script.
                scripts: command.iter().take(2).map(|word| directory.join(word)).collect(),
            },
            LocalSource::Inside(folder) => match Dir::open_ambient_dir(folder, ambient_authority()) {
                Ok(dir) => Local::Inside(
                    Arc::new(dir),
                    fs::canonicalize(folder).unwrap_or_else(|_| folder.clone()),
                ),
                Err(_) => Local::Nothing,
            },
        }
    }

    /// The bytes of a source file that Python calls `file`, if it may be shown and can be had.
    pub(super) fn read(&self, directory: &Path, file: &str) -> Option<Vec<u8>> {
        match self {
            Local::Nothing => None,
            Local::ThisMachine { scripts } => {
                let path = directory.join(file);
                read_here(&path, scripts.contains(&path))
            }
            Local::Inside(dir, folder) => names_inside(folder, directory, Path::new(file))
                .into_iter()
                .find_map(|name| read_inside(dir, folder, &name)),
        }
    }
}

fn read_here(path: &Path, is_script: bool) -> Option<Vec<u8>> {
    // By the name that no link stands behind: the job may have made a link with the name of a source file.
    let path = fs::canonicalize(path).ok()?;
    if is_no_source(&path) || !fs::metadata(&path).ok()?.is_file() {
        return None;
    }
    let file = File::options().read(true).custom_flags(FLAGS).open(&path).ok()?;
    let is_other = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).is_ok_and(|opened| opened != path);
    let about = file.metadata().ok()?;
    (!is_other && about.is_file()).then_some(())?;
    source(file, about.len(), is_script || has_ending(&path))
}

/// `folder` is the path of `dir`, with no link in it.
fn read_inside(dir: &Dir, folder: &Path, name: &Path) -> Option<Vec<u8>> {
    use cap_std::fs::OpenOptionsExt;

    // What a link leads to must look like a source file, too.
    let name = dir.canonicalize(name).ok()?;
    if is_no_source(&folder.join(&name)) || !dir.metadata(&name).ok()?.is_file() {
        return None;
    }
    let mut options = cap_std::fs::OpenOptions::new();
    let file = dir
        .open_with(
            &name,
            options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY),
        )
        .ok()?;
    let about = file.metadata().ok().filter(|about| about.is_file())?;
    source(file, about.len(), has_ending(&name))
}

fn is_no_source(path: &Path) -> bool {
    NO_SOURCE.iter().any(|root| path.starts_with(root))
}

/// All of it, if it is the source of a program. Files that claim to be empty are so, or the kernel's.
fn source(file: impl Read, size: u64, is_named_as_source: bool) -> Option<Vec<u8>> {
    if size == 0 || size > LARGEST_FILE {
        return None;
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(LARGEST_FILE).read_to_end(&mut bytes).ok()?;
    let is_text = !bytes.contains(&0);
    (is_text && (is_named_as_source || bytes.starts_with(b"#!"))).then_some(bytes)
}

fn has_ending(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending))
}

/// Where in a folder a file of another machine may be, the best first: below the folder as it was below the job's directory; where
/// Python found it; or by as many of the last parts of its path as there are, but at least two of them.
fn names_inside(folder: &Path, directory: &Path, file: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    let relative = match file.is_absolute() {
        false => Some(file),
        true => file.strip_prefix(folder).or_else(|_| file.strip_prefix(directory)).ok(),
    };
    names.extend(relative.map(Path::to_owned));
    let parts: Vec<&std::ffi::OsStr> = file
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => Some(part),
            _ => None,
        })
        .collect();
    let last = &parts[parts.len().saturating_sub(MOST_PARTS)..];
    names.extend((0..last.len().saturating_sub(1)).map(|from| last[from..].iter().collect()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("app/pkg")).unwrap();
        for name in ["job.py", "app/pkg/mod.py", "secret", "app/.env"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        fs::write(folder.path().join("tool"), "#!/usr/bin/python3\n").unwrap();
        fs::write(folder.path().join("data.py"), b"\0").unwrap();
        symlink("secret", folder.path().join("link.py")).unwrap();
        symlink("/etc/passwd", folder.path().join("passwd.py")).unwrap();
        symlink("app/pkg/mod.py", folder.path().join("alias.py")).unwrap();
        folder
    }

    fn text(local: &Local, directory: &Path, file: &str) -> Option<String> {
        Some(String::from_utf8(local.read(directory, file)?).unwrap())
    }

    #[test]
    fn of_this_machine_only_what_looks_like_source_is_read() {
        let folder = folder();
        let local = Local::of(&LocalSource::ThisMachine, folder.path(), &[]);
        let read = |file: &str| text(&local, folder.path(), file);
        assert_eq!(read("job.py").as_deref(), Some("job.py"));
        assert_eq!(read("alias.py").as_deref(), Some("app/pkg/mod.py"));
        assert!(read("tool").is_some());
        let passwd = "/etc/passwd";
        for file in [
            "secret",
            "app/.env",
            "link.py",
            "passwd.py",
            "data.py",
            passwd,
            "/proc/self/maps",
            "/dev/zero",
        ] {
            assert_eq!(read(file), None, "{file}");
        }
        let run = ["python3".to_owned(), "secret".to_owned(), "/etc/passwd".to_owned()];
        let local = Local::of(&LocalSource::ThisMachine, folder.path(), &run);
        assert_eq!(text(&local, folder.path(), "secret").as_deref(), Some("secret"));
        assert_eq!(text(&local, folder.path(), passwd), None);
    }

    #[test]
    fn of_a_folder_that_was_named_nothing_outside_is_read() {
        let outside = folder();
        let folder = folder();
        symlink(outside.path().join("job.py"), folder.path().join("out.py")).unwrap();
        symlink(outside.path(), folder.path().join("away")).unwrap();
        let local = Local::of(&LocalSource::Inside(folder.path().to_owned()), folder.path(), &[]);
        let there = Path::new("/home/ada/work");
        let read = |file: &str| text(&local, there, file);
        for name in ["job.py", "./job.py", "/home/ada/work/job.py"] {
            assert_eq!(read(name).as_deref(), Some("job.py"), "{name}");
        }
        for name in [
            "app/pkg/mod.py",
            "/srv/venv/app/pkg/mod.py",
            "/other/pkg/pkg/../app/pkg/mod.py",
            "alias.py",
        ] {
            assert_eq!(read(name).as_deref(), Some("app/pkg/mod.py"), "{name}");
        }
        let outside = outside.path().join("job.py");
        let up = format!("..{}", outside.display());
        for name in [
            "out.py",
            "away/job.py",
            "../job.py",
            &up,
            outside.to_str().unwrap(),
            "/x/job.py",
            "secret",
            "passwd.py",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
        for gone in ["/nowhere", "job.py"] {
            let local = Local::of(&LocalSource::Inside(gone.into()), there, &[]);
            assert_eq!(text(&local, there, "job.py"), None);
        }
    }

    #[test]
    fn a_folder_that_was_named_does_not_make_devices_source_files() {
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        fs::create_dir(memory.path().join("src")).unwrap();
        fs::write(memory.path().join("src/mod.py"), "x = 1").unwrap();
        let name = memory.path().file_name().unwrap();
        for folder in [
            memory.path().to_owned(),
            "/dev".into(),
            "/".into(),
            Path::new("/proc/self/root").join(memory.path().strip_prefix("/").unwrap()),
        ] {
            let local = Local::of(&LocalSource::Inside(folder.clone()), Path::new("/x"), &[]);
            for file in [
                Path::new("/x/src/mod.py").to_owned(),
                memory.path().join("src/mod.py"),
                Path::new("/x/shm").join(name).join("src/mod.py"),
            ] {
                assert_eq!(
                    local.read(Path::new("/x"), file.to_str().unwrap()),
                    None,
                    "{folder:?} {file:?}"
                );
            }
        }
    }

    #[test]
    fn of_nobodys_run_nothing_is_read() {
        let folder = folder();
        let local = Local::of(&LocalSource::default(), folder.path(), &[]);
        assert_eq!(text(&local, folder.path(), "job.py"), None);
    }
}
