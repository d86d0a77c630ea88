//! `fil-profile completions` and `fil-profile man`: what shells and `man` read of the command line, made from its definition.

use clap_complete::Shell;

use crate::error::Error;
use crate::options::help;
use crate::options::parse::definition;

/// The completions for a shell.
pub fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    let mut command = help::with_options_everywhere(&definition());
    clap_complete::generate(shell, &mut command, "fil-profile", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The manual page of the program or of one of its commands, in roff.
pub fn page(name: Option<&str>) -> Result<String, Error> {
    let command = help::manual(&definition(), name)?;
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut text);
    rendered.map_err(|error| Error::Report(error.to_string()))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
