//! The bundle as one of the formats.

use std::io::{self, Write};

use super::format::{About, Format, Input, Needs};
use crate::bundle;

/// All of a run in one file.
pub(super) struct Fil;

impl Format for Fil {
    fn about(&self) -> About {
        About::new("fil", ".fil", Needs::Run, "The bundle: the whole run in one file").binary()
    }

    fn write(&self, input: &Input, out: &mut dyn Write) -> io::Result<()> {
        let account = input.account;
        bundle::to(
            out,
            account.run,
            account.processes,
            account.timeline,
            account.unrecorded,
        )
        .map(drop)
    }
}
