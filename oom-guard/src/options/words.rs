//! The words of a command line before they are parsed: default options from the environment are put in, and an option that was written
//! after a command, but is not one of that command's own, is moved before it.

use std::env;
use std::ffi::{OsStr, OsString};

use clap::{ArgAction, Command};

use crate::error::Error;

/// The environment variable with options that stand before those of the command line, quoted as for a shell.
pub const DEFAULTS: &str = "FIL_PROFILE_OPTIONS";

/// The words in the order in which `command` can parse them. The first word is the program's name.
pub fn prepared(command: &Command, mut words: Vec<OsString>) -> Result<Vec<OsString>, Error> {
    let moved = options_first(command, words.split_off(words.len().min(1)));
    words.extend(defaults(command)?);
    words.extend(moved);
    Ok(words)
}

fn defaults(command: &Command) -> Result<Vec<OsString>, Error> {
    let Some(text) = env::var_os(DEFAULTS) else {
        return Ok(Vec::new());
    };
    let wrong = |what: &str| Error::Usage(format!("cannot read {DEFAULTS}: {what}"));
    let text = text.to_str().ok_or_else(|| wrong("it is not UTF-8"))?;
    let words = shlex::split(text).ok_or_else(|| wrong("a quotation mark is not closed"))?;
    let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
    match words.get(options_at(command, &words)) {
        None => Ok(words),
        Some(word) => Err(wrong(&format!("{} is not an option", word.to_string_lossy()))),
    }
}

/// The place of the command: behind the options that stand before it.
pub fn options_at(command: &Command, words: &[OsString]) -> usize {
    let mut at = 0;
    while let Some(length) = words.get(at).and_then(|word| option_length(command, word)) {
        at += length;
    }
    at
}

fn options_first(command: &Command, words: Vec<OsString>) -> Vec<OsString> {
    let at = options_at(command, &words);
    let name = words.get(at).and_then(|word| word.to_str());
    let Some(own) = name.and_then(|name| command.find_subcommand(name)) else {
        return words;
    };
    // What follows `python` is the interpreter's.
    if own.get_name() == "python" {
        return words;
    }
    let mut words = words.into_iter();
    let mut before: Vec<OsString> = words.by_ref().take(at).collect();
    let mut after: Vec<OsString> = words.by_ref().take(1).collect();
    while let Some(word) = words.next() {
        let (into, length) = match (option_length(own, &word), option_length(command, &word)) {
            (Some(length), _) => (&mut after, length),
            (None, Some(length)) => (&mut before, length),
            // From here on, the words are the job's.
            (None, None) if is_job(own) || word == "--" => {
                after.push(word);
                after.extend(words);
                break;
            }
            (None, None) => (&mut after, 1),
        };
        into.push(word);
        into.extend(words.by_ref().take(length - 1));
    }
    before.extend(after);
    before
}

/// Whether the arguments of a command are a job with arguments of its own.
fn is_job(command: &Command) -> bool {
    command
        .get_positionals()
        .any(|argument| argument.is_trailing_var_arg_set())
}

/// The number of words that an option of `command` takes, of which `word` is the first; `None` if it is no such option.
fn option_length(command: &Command, word: &OsStr) -> Option<usize> {
    let word = word.to_str()?;
    let (name, has_value) = match word.split_once('=') {
        Some((name, _)) => (name, true),
        None => (word, false),
    };
    let takes_value = |argument: &clap::Arg| matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    if let Some(name) = name.strip_prefix("--") {
        let argument = command
            .get_arguments()
            .find(|argument| argument.get_long() == Some(name))?;
        return Some(1 + usize::from(takes_value(argument) && !has_value));
    }
    let mut letters = word.strip_prefix('-')?.chars();
    let letter = letters.next()?;
    let argument = command
        .get_arguments()
        .find(|argument| argument.get_short() == Some(letter))?;
    let is_joined = letters.next().is_some();
    // Letters that are joined to a switch are not ours to divide.
    match (takes_value(argument), is_joined) {
        (true, joined) => Some(1 + usize::from(!joined)),
        (false, false) => Some(1),
        (false, true) => None,
    }
}
