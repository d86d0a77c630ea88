//! Lines for a terminal: escaped text, with colours of our own.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};
use dumper::label::printable;

/// The role of a piece of text, which decides its colour.
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

/// A line for a terminal. All control characters in its text are escaped; only [`painted`](PaintedLine::painted) writes control sequences,
/// for colours.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PaintedLine {
    pieces: Vec<(Option<Tone>, String)>,
}

impl PaintedLine {
    /// This text, without a tone.
    pub fn plain(text: impl Display) -> Self {
        Self::default().and(None, text)
    }

    /// All of it in a tone.
    pub fn toned(tone: Tone, text: impl Display) -> Self {
        Self::default().and(Some(tone), text)
    }

    /// The line, and this after it.
    pub fn and(mut self, tone: Option<Tone>, text: impl Display) -> Self {
        self.pieces.push((tone, printable(&text.to_string()).into_owned()));
        self
    }

    /// With its colours, if there are any.
    pub fn painted(&self, has_colours: bool) -> String {
        let pieces = self
            .pieces
            .iter()
            .map(|(tone, text)| match tone.filter(|_| has_colours) {
                Some(tone) => {
                    let style = tone.style();
                    format!("{style}{text}{style:#}")
                }
                None => text.clone(),
            });
        pieces.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_the_text_is_plain() {
        let line = PaintedLine::plain("some ").and(Some(Tone::Bad), "text");
        assert_eq!(line.painted(false), "some text");
        let bad = line.painted(true);
        assert!(
            bad.starts_with("some \u{1b}[") && bad.ends_with("text\u{1b}[0m"),
            "{bad:?}"
        );
    }

    #[test]
    fn no_text_can_end_the_line_or_command_the_terminal() {
        let line = PaintedLine::plain("a\nb\x1b[2Jü").and(Some(Tone::Good), "\u{202e}\u{9b}x");
        assert_eq!(line.painted(false), "a\\nb\\u{1b}[2Jü\\u{202e}\\u{9b}x");
    }
}
