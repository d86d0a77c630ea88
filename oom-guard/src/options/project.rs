//! Default options of a project: the table `[tool.fil-profile]` of the nearest `pyproject.toml`, in the working directory or above it.
//!
//! The file may come from somebody else, with a repository. So it cannot name a program to run, a folder outside the working directory to
//! write to, or files to read. A file that others own or can write to does not count, and no mistake in any such file prevents a job from
//! running: it is said, and the table is left out.

use std::env;
use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use clap::{Arg, Command};
use nix::unistd::geteuid;
use toml::de::{DeTable, DeValue};

const NAME: &str = "pyproject.toml";
const TABLE: &str = "fil-profile";
/// No larger file is read, in bytes.
const MOST: u64 = 1 << 20;
/// Options that a repository must not decide, or that are no settings.
const REFUSED: [&str; 5] = ["python", "source", "license", "help", "version"];

/// The options that the project wants, unless they are set in the environment.
///
/// # Errors
///
/// What is wrong with the table, if it has a mistake or the file is not the user's own.
pub fn options(command: &Command) -> Result<Vec<OsString>, String> {
    match env::current_dir().ok().and_then(|folder| nearest(&folder)) {
        Some((path, file)) => read(command, &path, file),
        None => Ok(Vec::new()),
    }
}

fn nearest(folder: &Path) -> Option<(PathBuf, File)> {
    folder.ancestors().find_map(|folder| {
        let path = folder.join(NAME);
        // A pipe that is there instead makes nobody wait.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .ok()?;
        Some((path, file))
    })
}

fn read(command: &Command, path: &Path, file: File) -> Result<Vec<OsString>, String> {
    let Ok(about) = file.metadata() else {
        return Ok(Vec::new());
    };
    let mut text = String::new();
    let is_read = about.is_file() && about.len() <= MOST && file.take(MOST).read_to_string(&mut text).is_ok();
    // What is wrong with a file that has no such table is no business of ours.
    if !is_read || !text.contains(TABLE) {
        return Ok(Vec::new());
    }
    let wrong = |what: String| format!("left out: [tool.{TABLE}] of {}: {what}", path.display());
    let all = match DeTable::parse(&text) {
        Ok(all) => all.into_inner(),
        Err(error) => return Err(wrong(error.message().to_owned())),
    };
    let Some(table) = all.get("tool").and_then(|tools| tools.get_ref().get(TABLE)) else {
        return Ok(Vec::new());
    };
    let Some(table) = table.get_ref().as_table() else {
        return Err(wrong("it is no table".to_owned()));
    };
    if !is_own(&about) {
        return Err(wrong(
            "the file belongs to another user, or others can write to it".to_owned(),
        ));
    }
    let options = table
        .iter()
        .map(|(name, value)| option(command, name.get_ref(), value.get_ref()));
    let options: Result<Vec<_>, String> = options.collect();
    Ok(options.map_err(wrong)?.into_iter().flatten().collect())
}

fn is_own(about: &Metadata) -> bool {
    let others_write = about.mode() & 0o002 != 0;
    (about.uid() == geteuid().as_raw() || about.uid() == 0) && !others_write
}

fn option(command: &Command, name: &str, value: &DeValue) -> Result<Option<OsString>, String> {
    let find = |argument: &&Arg| argument.get_long() == Some(name);
    let Some(argument) = command.get_arguments().find(find).filter(|_| !REFUSED.contains(&name)) else {
        return Err(format!("{name} is no option that can stand there"));
    };
    let takes_value = argument.get_action().takes_values();
    let word = match value {
        DeValue::Boolean(wanted) if !takes_value => wanted.then(|| format!("--{name}")),
        DeValue::String(text) if takes_value => {
            let is_outside = |part: Component| !matches!(part, Component::Normal(_) | Component::CurDir);
            let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|about| about.is_symlink());
            let output = Path::new(text.as_ref());
            if name == "output" && (output.components().any(is_outside) || output.ancestors().any(is_link)) {
                return Err("output must be below the working directory, and no link".to_owned());
            }
            Some(format!("--{name}={text}"))
        }
        DeValue::Integer(number) if takes_value => Some(format!("--{name}={number}")),
        _ if takes_value => return Err(format!("{name} needs a text or a whole number")),
        _ => return Err(format!("{name} needs true or false")),
    };
    let is_set = |variable| env::var_os(variable).is_some_and(|value| !value.is_empty());
    Ok(word
        .filter(|_| !argument.get_env().is_some_and(is_set))
        .map(OsString::from))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::options::parse;

    fn of(text: &str) -> Result<Vec<OsString>, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), text).unwrap();
        let below = folder.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        let (path, file) = nearest(&below).unwrap();
        read(&parse::definition(), &path, file)
    }

    #[test]
    fn the_table_is_options() {
        let words = of(
            "[tool.fil-profile]\nexact = true\ntext = false\nsample-interval = \"64K\"\nstash = 0\noutput = \"runs/here\"\n",
        );
        let mut words = words.unwrap();
        words.sort();
        assert_eq!(
            words,
            ["--exact", "--output=runs/here", "--sample-interval=64K", "--stash=0"]
        );
        assert_eq!(of("[tool.ruff]\nline-length = 140\n"), Ok(Vec::new()));
        assert_eq!(of("# fil-profile\n[tool.ruff]\n"), Ok(Vec::new()));
        assert_eq!(of("this is = = no toml"), Ok(Vec::new()));
    }

    #[test]
    fn a_mistake_is_named_and_a_repository_decides_nothing_dangerous() {
        for (text, part) in [
            ("exat = true", "exat is no option"),
            ("exact = 1", "exact needs true or false"),
            ("rank = true", "rank needs a text"),
            ("python = \"./evil\"", "python is no option that can stand there"),
            ("source = \"/home\"", "source is no option that can stand there"),
            ("output = \"../elsewhere\"", "output must be below"),
            ("output = \"/etc\"", "output must be below"),
            ("exact = ", "left out: [tool.fil-profile]"),
        ] {
            let told = of(&format!("[tool.fil-profile]\n{text}\n")).unwrap_err();
            assert!(told.contains(part), "{text}: {told}");
        }
    }

    #[test]
    fn a_file_that_others_can_write_to_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        fs::write(&path, "[tool.fil-profile]\nexact = true\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let (path, file) = nearest(folder.path()).unwrap();
        let told = read(&parse::definition(), &path, file).unwrap_err();
        assert!(told.contains("others can write to it"), "{told}");
    }
}
