//! What is said of a command line that is wrong: one line with the wrong word and what to type instead.

use std::ffi::OsString;
use std::path::Path;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::options::words::options_at;

/// clap's error in one line. `words` are those after the program's name.
pub fn one_line(command: &Command, error: &clap::Error, words: &[OsString]) -> String {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(" and ")),
        _ => None,
    };
    let at = options_at(command, words);
    let name = words
        .get(at)
        .and_then(|word| word.to_str())
        .filter(|name| command.find_subcommand(name).is_some());
    let what = match error.kind() {
        ErrorKind::InvalidSubcommand => return no_command(command, words, at),
        ErrorKind::MissingRequiredArgument => match said(ContextKind::InvalidArg) {
            Some(missing) if missing.contains(" and ") => format!("{} are missing", missing.replace(['<', '>'], "")),
            Some(missing) => format!("{} is missing", missing.replace(['<', '>'], "")),
            None => "something is missing".to_owned(),
        },
        _ => {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        }
    };
    let values = said(ContextKind::ValidValue).filter(|values| !values.is_empty());
    let values = values.map(|values| format!(" (one of: {})", values.replace(" and ", ", ")));
    let meant = said(ContextKind::SuggestedArg).or_else(|| said(ContextKind::SuggestedValue));
    let meant = meant.map(|meant| format!("; did you mean {meant}?"));
    let variable = said(ContextKind::InvalidValue).and_then(|value| variable_with(command, &value, words));
    let variable = variable.map(|name| format!(" (from {name})"));
    format!(
        "{what}{}{}{}; {} explains",
        values.unwrap_or_default(),
        variable.unwrap_or_default(),
        meant.unwrap_or_default(),
        match name {
            Some(name) => format!("fil-profile help {name}"),
            None => "fil-profile --help".to_owned(),
        }
    )
}

/// The word at `at` is no command: a command that is spelled almost so, or a job.
fn no_command(command: &Command, words: &[OsString], at: usize) -> String {
    let text = |word: &OsString| word.to_string_lossy().into_owned();
    let wrong = words.get(at).map(text).unwrap_or_default();
    let line = |instead: &[&str]| {
        let own = words.iter().take(at).map(text);
        let instead = instead.iter().map(|word| (*word).to_owned());
        let rest = words.iter().skip(at + 1).map(text);
        let words: Vec<String> = own.chain(instead).chain(rest).collect();
        format!("fil-profile {}", dumper::label::command_line(&words))
    };
    let alike = alike(command, &wrong).filter(|_| !Path::new(&wrong).exists());
    match alike {
        Some(name) => format!("{wrong} is not a command; did you mean: {}", line(&[&name])),
        None => format!("{wrong} is not a command; to run it: {}", line(&["run", &wrong])),
    }
}

/// That there is no help on something.
pub fn unknown_command(command: &Command, wrong: &str) -> String {
    let meant = alike(command, wrong).map(|name| format!("; did you mean: fil-profile help {name}"));
    format!(
        "{wrong} is not a command{}",
        meant.unwrap_or_else(|| "; fil-profile --help lists them".to_owned())
    )
}

/// The command whose name is spelled almost so.
fn alike(command: &Command, wrong: &str) -> Option<String> {
    let mut command = command.clone().ignore_errors(false);
    let error = command.try_get_matches_from_mut(["fil-profile", wrong]).err()?;
    match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::String(name)) => Some(name.clone()),
        Some(ContextValue::Strings(names)) => names.first().cloned(),
        _ => None,
    }
}

/// The environment variable that a bad value came from, if it was not typed.
fn variable_with(command: &Command, value: &str, words: &[OsString]) -> Option<String> {
    if words.iter().any(|word| word.to_string_lossy().contains(value)) {
        return None;
    }
    let mut names = command.get_arguments().filter_map(|argument| argument.get_env());
    let name = names.find(|name| std::env::var_os(name).is_some_and(|found| found == value))?;
    Some(name.to_string_lossy().into_owned())
}
