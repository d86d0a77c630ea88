//! The bundle as one of the formats.

use std::io::{self, Write};

use super::format::{Format, Input, Needs};
use crate::bundle;

/// All of a run in one file.
pub(super) struct Fil;

impl Format for Fil {
    fn name(&self) -> &'static str {
        "fil"
    }

    fn ending(&self) -> &'static str {
        ".fil"
    }

    fn about(&self) -> &'static str {
        "The bundle"
    }

    fn is_binary(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::Run
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
