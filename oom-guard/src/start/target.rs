//! Finds out what the words after `run` mean: a script, a module or code for Python, or a program.
//!
//! An existing file or folder that only Python can run is given to Python. Anything else is looked up on PATH as in a shell. At last an
//! executable of that name in the current folder is taken.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, eaccess};

use crate::error::Error;

/// A program and the arguments that it will see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The file to execute.
    pub program: PathBuf,
    /// `argv[0]`: the program as it was named.
    pub name: OsString,
    /// The other arguments.
    pub args: Vec<OsString>,
}

impl Target {
    /// The whole command line, for people.
    pub fn command(&self) -> Vec<String> {
        let words = std::iter::once(&self.name).chain(&self.args);
        words.map(|word| word.to_string_lossy().into_owned()).collect()
    }
}

/// What decides which Python and which programs are found.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `--python`.
    pub python: Option<PathBuf>,
    /// `$VIRTUAL_ENV`.
    pub virtual_env: Option<PathBuf>,
    /// `$PATH`.
    pub path: Option<OsString>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process(python: Option<PathBuf>) -> Self {
        Self {
            python,
            virtual_env: std::env::var_os("VIRTUAL_ENV")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            path: std::env::var_os("PATH"),
        }
    }

    /// The file that a name without a slash stands for on PATH.
    fn on_path(&self, name: &OsStr) -> Option<PathBuf> {
        // The default of the C library if PATH is not set.
        let path = self.path.as_deref().unwrap_or(OsStr::new("/bin:/usr/bin"));
        // The current folder may have been removed; only relative folders on PATH need it.
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        which::which_in(name, Some(path), here).ok()
    }

    /// The interpreter with these arguments.
    pub fn python(&self, args: Vec<OsString>) -> Result<Target, Error> {
        let (program, name) = self.interpreter()?;
        Ok(Target { program, name, args })
    }

    fn interpreter(&self) -> Result<(PathBuf, OsString), Error> {
        if let Some(python) = &self.python {
            let found = if has_slash(python.as_os_str()) {
                is_executable_file(python).then(|| python.clone())
            } else {
                self.on_path(python.as_os_str())
            };
            let missing = || Error::Usage(format!("cannot use --python {}: no such program", python.display()));
            return Ok((found.ok_or_else(missing)?, python.clone().into()));
        }
        let of_environment = self.virtual_env.iter().map(|folder| folder.join("bin/python"));
        if let Some(python) = of_environment.into_iter().find(|python| is_executable_file(python)) {
            return Ok((python.clone(), python.into()));
        }
        let names = ["python3", "python"].map(OsStr::new).into_iter();
        names
            .filter_map(|name| Some((self.on_path(name)?, name.to_owned())))
            .next()
            .ok_or_else(|| Error::Usage("no python3 on PATH; name one: fil-profile --python PATH run …".to_owned()))
    }
}

/// Finds out what `words`, the words after `run`, are to run.
pub fn resolve(words: &[OsString], around: &Surroundings) -> Result<Target, Error> {
    let (word, args) = words
        .split_first()
        .ok_or_else(|| Error::Usage("nothing to run".to_owned()))?;
    if word.as_bytes().starts_with(b"-") {
        check_python_option(word, args)?;
        return around.python(words.to_vec());
    }
    let path = Path::new(word);
    let found = classify(path);
    if found == Found::ForPython {
        return around.python(words.to_vec());
    }
    let on_path = if has_slash(word) { None } else { around.on_path(word) };
    if let Some(file) = on_path {
        return Ok(program(file, word, args));
    }
    match found {
        Found::Program if has_slash(word) => Ok(program(path.to_owned(), word, args)),
        Found::Program => {
            let here = Path::new(".").join(path);
            Ok(program(here.clone(), here.as_os_str(), args))
        }
        Found::NotExecutable => Err(Error::NotExecutable(path.to_owned())),
        Found::Folder => Err(Error::Usage(format!(
            "cannot run {}: no __main__.py in it",
            path.display()
        ))),
        Found::ForPython | Found::Nothing if has_python_suffix(path) => Err(Error::NoSuchScript(word.clone())),
        Found::ForPython | Found::Nothing => Err(Error::NoSuchProgram(word.clone())),
    }
}

fn check_python_option(word: &OsStr, args: &[OsString]) -> Result<(), Error> {
    match (word.to_str(), args.is_empty()) {
        (Some("-m" | "-c"), false) => Ok(()),
        (Some("-m"), true) => Err(Error::Usage("`run -m` needs the name of a module".to_owned())),
        (Some("-c"), true) => Err(Error::Usage("`run -c` needs Python code".to_owned())),
        _ => Err(Error::Usage(format!(
            "{0} cannot come first after `run`: our options stand before it (fil-profile {0} run …), Python's after its \
             name (run python3 {0} …)",
            word.to_string_lossy()
        ))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A script, a zip file, a folder with a `__main__.py`, or the pipe that `<(command)` of a shell gives.
    ForPython,
    /// Anything else that may be executed.
    Program,
    /// A program or a script of another language that may not be executed.
    NotExecutable,
    /// A folder that Python cannot run.
    Folder,
    Nothing,
}

fn classify(path: &Path) -> Found {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
        // Reading or executing it will fail with the right error message.
        Err(_) if has_python_suffix(path) => Found::ForPython,
        Err(_) => Found::Program,
        Ok(about) if about.is_dir() && path.join("__main__.py").is_file() => Found::ForPython,
        Ok(about) if about.is_dir() => Found::Folder,
        Ok(about) if !about.is_file() || has_python_suffix(path) => Found::ForPython,
        Ok(_) if is_executable_file(path) => Found::Program,
        Ok(_) if is_for_another_interpreter(path) => Found::NotExecutable,
        Ok(_) => Found::ForPython,
    }
}

fn program(program: PathBuf, name: &OsStr, args: &[OsString]) -> Target {
    Target {
        program,
        name: name.to_owned(),
        args: args.to_vec(),
    }
}

fn has_slash(word: &OsStr) -> bool {
    word.as_bytes().contains(&b'/')
}

fn has_python_suffix(path: &Path) -> bool {
    let suffix = path.extension().and_then(OsStr::to_str);
    suffix.is_some_and(|suffix| ["py", "pyw", "pyz", "pyc"].contains(&suffix))
}

fn is_executable_file(path: &Path) -> bool {
    let is_file = fs::metadata(path).map(|about| about.is_file());
    is_file.unwrap_or_else(|error| is_passing(error.raw_os_error()))
        && eaccess(path, AccessFlags::X_OK)
            .or_else(|error| is_passing(Some(error as i32)).then_some(()).ok_or(error))
            .is_ok()
}

/// Whether an error is not about the file itself; then only executing it can tell.
fn is_passing(error: Option<i32>) -> bool {
    let of_the_file = [
        libc::ENOENT,
        libc::ENOTDIR,
        libc::EACCES,
        libc::EPERM,
        libc::ELOOP,
        libc::ENAMETOOLONG,
        libc::EROFS,
        libc::ETXTBSY,
    ];
    error.is_some_and(|error| !of_the_file.contains(&error))
}

/// Whether a file is a program, or a script for an interpreter other than Python. Python could not run it.
fn is_for_another_interpreter(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(256).read_to_end(&mut start));
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let names_python = || line.windows(6).any(|part| part == b"python");
    read.is_ok() && (line.starts_with(b"\x7fELF") || line.starts_with(b"#!") && !names_python())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            place.executable("bin/python3", b"\x7fELF");
            place.executable("bin/tool", b"\x7fELF");
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn file(&self, name: &str, content: &[u8]) -> OsString {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            path.into()
        }

        fn executable(&self, name: &str, content: &[u8]) -> OsString {
            let path = self.file(name, content);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        }

        fn around(&self) -> Surroundings {
            Surroundings {
                path: Some(self.path("bin").into()),
                ..Surroundings::default()
            }
        }

        fn resolve(&self, words: &[&OsStr]) -> Result<Target, Error> {
            resolve(
                &words.iter().map(|word| word.to_os_string()).collect::<Vec<_>>(),
                &self.around(),
            )
        }
    }

    #[test]
    fn what_only_python_can_run_goes_to_python_with_its_arguments() {
        let place = Place::new();
        place.file("package/__main__.py", b"");
        for script in [
            place.file("job.py", b""),
            place.executable("tool.py", b"#!/usr/bin/env python3"),
            place.file("job.pyz", b""),
            place.file("plain", b"print(1)"),
            place.file("plain-with-line", b"#!/usr/bin/python3\n"),
            place.path("package").into(),
        ] {
            let target = place.resolve(&[&script, OsStr::new("--"), OsStr::new("-h")]).unwrap();
            assert_eq!(target.program, place.path("bin/python3"));
            assert_eq!(target.name, "python3");
            assert_eq!(target.args, [script, "--".into(), "-h".into()]);
        }
    }

    #[test]
    fn a_module_and_code_go_to_python() {
        let place = Place::new();
        for words in [["-m", "pytest"], ["-c", "print(1)"]] {
            assert_eq!(place.resolve(&words.map(OsStr::new)).unwrap().args, words);
        }
        for words in [&["-m"][..], &["-c"], &["-u", "job.py"], &["--exact"]] {
            let words: Vec<_> = words.iter().map(OsStr::new).collect();
            assert_eq!(place.resolve(&words).unwrap_err().status(), 2, "{words:?}");
        }
    }

    #[test]
    fn a_program_runs_as_it_is_named() {
        let place = Place::new();
        let script = place.executable("job.sh", b"#!/bin/sh\n");
        let target = place.resolve(&[&script, OsStr::new("x")]).unwrap();
        assert_eq!((target.program, target.name), (script.clone().into(), script));
        let target = place.resolve(&[OsStr::new("tool")]).unwrap();
        assert_eq!((target.program, target.name), (place.path("bin/tool"), "tool".into()));
    }

    #[test]
    fn what_is_missing_or_not_executable_has_a_status_of_its_own() {
        let place = Place::new();
        let folder: OsString = place.path("bin").into();
        let script = place.file("job.sh", b"#!/bin/sh\n");
        let status = |word: &OsStr| place.resolve(&[word]).unwrap_err().status();
        assert_eq!(status(OsStr::new("missing.py")), 2);
        assert_eq!(status(OsStr::new("missing")), 127);
        assert_eq!(status(OsStr::new("./missing")), 127);
        assert_eq!(status(&folder), 2);
        assert_eq!(status(&script), 126);
    }

    #[test]
    fn the_python_asked_for_goes_before_the_environments_and_that_before_the_paths() {
        let place = Place::new();
        let python = place.executable("venv/bin/python", b"\x7fELF");
        let mut around = place.around();
        assert_eq!(around.interpreter().unwrap().0, place.path("bin/python3"));
        around.virtual_env = Some(place.path("gone"));
        assert_eq!(around.interpreter().unwrap().0, place.path("bin/python3"));
        around.virtual_env = Some(place.path("venv"));
        assert_eq!(around.interpreter().unwrap(), (python.clone().into(), python));
        around.python = Some("tool".into());
        assert_eq!(around.interpreter().unwrap(), (place.path("bin/tool"), "tool".into()));
        around.python = Some("missing".into());
        assert_eq!(around.interpreter().unwrap_err().status(), 2);
        around = Surroundings {
            path: Some("".into()),
            ..Surroundings::default()
        };
        assert!(around.interpreter().is_err());
    }
}
