//! Reads the command line and the environment.

use std::ffi::OsString;

use clap::{Command, CommandFactory, FromArgMatches};

use crate::error::Error;
use crate::options::cli::Cli;
use crate::options::{help, mistakes, project, words};

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
        Ok(cli) => {
            // Only now, so that no file of a project prevents a help text.
            let mut wanted = project::options(&command)?;
            if wanted.is_empty() {
                return Ok(Typed::Work(Box::new(cli)));
            }
            let (name, rest) = words.split_at(1);
            wanted.splice(0..0, name.iter().cloned());
            wanted.extend(rest.iter().cloned());
            let cli = parsed(&command, &wanted).map_err(|error| {
                let what = mistakes::one_line(&command, &error, after_name);
                Error::Usage(format!("{}: {what}", project::SOURCE))
            })?;
            Ok(Typed::Work(Box::new(cli)))
        }
        Err(text) if !text.use_stderr() => Ok(Typed::Text(text.render().to_string())),
        Err(error) => Err(Error::Usage(mistakes::one_line(&command, &error, after_name))),
    }
}

fn parsed(command: &Command, words: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = command.clone().try_get_matches_from(words)?;
    Cli::from_arg_matches(&matches)
}
