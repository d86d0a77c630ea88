//! Lines to stderr, all beginning with `=fil-profile= `: stdout, and every other line, is the job's.

use std::fmt::Display;
use std::io::Write;

use crate::paint::{Tone, painted, stderr_has_colours};

/// What every line of ours begins with.
pub const PREFIX: &str = "=fil-profile= ";

/// Writes one line, in a tone where there are colours.
pub fn say_in(tone: Tone, line: &str) {
    write(&painted(printable(line), tone, stderr_has_colours()));
}

/// Writes one line. Control characters are escaped, so that no name can end the line or command the terminal.
pub fn say(line: impl Display) {
    write(&printable(&line.to_string()));
}

fn write(line: &str) {
    let line = format!("{PREFIX}{line}\n");
    // One write, so that lines of several processes do not mix; a closed stderr is no reason to fail.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Writes to stdout, for a reader who may have seen enough: if it is closed, that is no failure.
pub fn show(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, char| {
        if char.is_control() {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_the_line_or_command_the_terminal() {
        assert_eq!(printable("a\nb\x1b[2Jü"), "a\\nb\\u{1b}[2Jü");
    }
}
