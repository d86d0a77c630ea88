//! Reads the command line and the environment.

use std::ffi::OsString;

use clap::{Command, CommandFactory, FromArgMatches};

use crate::error::Error;
use crate::options::cli::Cli;
use crate::options::{help, mistakes, project, words};
use crate::terminal::say::say;

/// What the command line asks for: a text to show, or work to do.
pub enum Typed {
    /// For stdout, with status 0.
    Text(String),
    /// Anything else.
    Work(Box<Cli>),
}

/// The commands and options, without the environment variables that are set and empty: those count as not set.
pub fn definition() -> Command {
    Cli::command().mut_args(|argument| match argument.get_env() {
        Some(name) if std::env::var_os(name).is_some_and(|value| value.is_empty()) => argument.env(None::<&str>),
        _ => argument,
    })
}

/// Reads the command line and the environment; an environment variable that is empty counts as not set.
pub fn parse(typed: Vec<OsString>) -> Result<Typed, Error> {
    let command = definition();
    let is_alone = typed.len() <= 1;
    let words = words::prepared(&command, typed)?;
    let after_name = words.get(1..).unwrap_or_default();
    let topic = match is_alone {
        true => Some(help::Topic::Overview),
        false => help::asked(&command, after_name),
    };
    if let Some(topic) = topic {
        return help::text(&command, &topic).map(Typed::Text);
    }
    match parsed(&command, &words) {
        Ok(typed) => {
            // Only now, so that no file of a project prevents a help text. What is wrong with it is no reason not to run a job.
            let cli = with_project(&command, &words, after_name).unwrap_or_else(|wrong| {
                say(wrong);
                None
            });
            Ok(Typed::Work(Box::new(cli.unwrap_or(typed))))
        }
        Err(text) if !text.use_stderr() => Ok(Typed::Text(text.render().to_string())),
        Err(error) => Err(Error::Usage(mistakes::one_line(&command, &error, after_name))),
    }
}

/// The command line with the options of the project before it, if there are any.
fn with_project(command: &Command, words: &[OsString], after_name: &[OsString]) -> Result<Option<Cli>, String> {
    let wanted = project::options(command)?;
    if wanted.is_empty() {
        return Ok(None);
    }
    let (name, rest) = words.split_at(1);
    let all = [name, &wanted, rest].concat();
    let cli = parsed(command, &all).map_err(|error| {
        let what = mistakes::one_line(command, &error, after_name);
        format!("left out: [tool.fil-profile] of pyproject.toml: {what}")
    });
    cli.map(Some)
}

fn parsed(command: &Command, words: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = command.clone().try_get_matches_from(words)?;
    Cli::from_arg_matches(&matches)
}
