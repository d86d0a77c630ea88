//! The flame graphs of one moment: callers with what they call, or the lines that allocated with their callers.

use std::io::{self, Write};

use super::account::Shown;
use super::drawing::Drawing;
use super::flamegraph::{self, Caption, Labels};
use super::format::{About, Format, Input, Needs};
use super::words;
use crate::label::cut;
use crate::profile::{Moment, Rank};
use crate::run::Run;
use crate::units::{Bytes, Share};

/// Characters that fit below a title.
const SUBTITLE: usize = 150;

/// The flame graph, callers above what they call.
pub(super) struct Svg;

/// The flame graph from the allocating lines outwards.
pub(super) struct SvgReversed;

impl Format for Svg {
    fn about(&self) -> About {
        About::new("svg", ".svg", Needs::Moment, "The flame graph")
    }

    fn write(&self, input: &Input, out: &mut dyn Write) -> io::Result<()> {
        draw(input, out, &Drawing::by_caller(input.condensed()?), false)
    }
}

impl Format for SvgReversed {
    fn about(&self) -> About {
        About::new(
            "svg-reversed",
            ".svg",
            Needs::Moment,
            "The flame graph from the allocating lines to their callers",
        )
    }

    fn write(&self, input: &Input, out: &mut dyn Write) -> io::Result<()> {
        draw(input, out, &Drawing::by_callee(input.condensed()?), true)
    }
}

fn draw(input: &Input, out: &mut dyn Write, drawing: &Drawing, is_reversed: bool) -> io::Result<()> {
    let (shown, run) = (input.shown()?, input.account.run);
    let ran_out = match shown.moment {
        Moment::OutOfMemory => shown.failed.as_deref(),
        Moment::Live => run.outcome.as_ref().map(|outcome| outcome.sentence.as_str()),
        Moment::Peak => None,
    };
    let caption = Caption {
        title: title(shown, run),
        subtitle: subtitle(ran_out, is_reversed),
    };
    let mut sources = input.sources.borrow_mut();
    let mut labels = Labels::new(input.condensed()?, &mut sources, input.account.directory);
    flamegraph::write(out, drawing, &mut labels, caption)
}

fn subtitle(ran_out: Option<&str>, is_reversed: bool) -> String {
    let by_callee = "each line that allocated, with its callers below";
    match (ran_out, is_reversed) {
        (ran_out, false) => cut(ran_out.unwrap_or(""), SUBTITLE).into_owned(),
        (None, true) => by_callee.to_owned(),
        (Some(ran_out), true) => {
            let room = SUBTITLE - " · ".len() - by_callee.len();
            format!("{} · {by_callee}", cut(ran_out, room))
        }
    }
}

fn title(shown: &Shown, run: &Run) -> String {
    let what = match shown.moment {
        Moment::OutOfMemory => "Memory at the moment it ran out".to_owned(),
        Moment::Peak => "Memory at its peak".to_owned(),
        Moment::Live => words::moment(shown.moment, run).replace("When", "Memory when"),
    };
    let requested = shown.weight.requested;
    if let (Rank::Resident, Some(resident)) = (shown.rank, shown.weight.resident) {
        let (there, asked) = (Bytes(resident), Bytes(requested.bytes));
        return format!(
            "{what}: {there} resident, of {asked} asked for ({})",
            shown.process.name()
        );
    }
    let held = match requested.error() {
        error if error <= requested.bytes / 1000 => words::with_error(requested),
        error => format!("{} ± {}", Bytes(requested.bytes), Share::of(error, requested.bytes)),
    };
    format!("{what}: {held} ({})", shown.process.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sentence_is_cut_and_what_the_rows_are_is_not() {
        let sentence = "killed ".repeat(40);
        let plain = subtitle(Some(&sentence), false);
        assert!(plain.chars().count() == SUBTITLE && plain.ends_with('…'), "{plain}");
        let reversed = subtitle(Some(&sentence), true);
        assert!(reversed.chars().count() <= SUBTITLE, "{reversed}");
        assert!(reversed.contains("… · each line that allocated"), "{reversed}");
        assert!(reversed.ends_with("its callers below"), "{reversed}");
        assert_eq!(subtitle(None, false), "");
    }
}
