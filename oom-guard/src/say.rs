//! Lines to stderr, all beginning with `=fil-profile= `: stdout, and every other line, is the job's.

use std::fmt::Display;
use std::io::Write;

/// What every line of ours begins with.
pub const PREFIX: &str = "=fil-profile= ";

/// Writes one line. Control characters are escaped, so that no name can end the line or command the terminal.
pub fn say(line: impl Display) {
    let line = format!("{PREFIX}{}\n", printable(&line.to_string()));
    // One write, so that lines of several processes do not mix; a closed stderr is no reason to fail.
    let _ = std::io::stderr().write_all(line.as_bytes());
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
