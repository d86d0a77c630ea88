//! Colours, on a terminal that wants them and nowhere else: a log, a pipe, `NO_COLOR` and `TERM=dumb` get plain text.
//! `CLICOLOR`, `CLICOLOR_FORCE` and a build server's `CI` are heeded as [`anstream`] heeds them.

use std::fmt::Display;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// What matters most.
    Strong,
    /// What went wrong.
    Bad,
    /// What went well.
    Good,
    /// What is there for completeness.
    Quiet,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Strong => Style::new().bold(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Quiet => Style::new().dimmed(),
        }
    }
}

/// Whether stdout takes colours.
pub fn stdout_has_colours() -> bool {
    AutoStream::choice(&std::io::stdout()) != ColorChoice::Never
}

/// Whether stderr takes colours.
pub fn stderr_has_colours() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

/// The text in a tone, if `has_colours`.
pub fn painted(text: impl Display, tone: Tone, has_colours: bool) -> String {
    if !has_colours {
        return text.to_string();
    }
    let style = tone.style();
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_the_text_is_plain() {
        assert_eq!(painted("text", Tone::Bad, false), "text");
        let bad = painted("text", Tone::Bad, true);
        assert!(
            bad.starts_with("\u{1b}[") && bad.ends_with("\u{1b}[0m") && bad.contains("text"),
            "{bad:?}"
        );
    }
}
