//! Jobs that end after a signal from outside, or a crash, has ended one of their processes: a pool may then fail, or wait for ever.

use dumper::outcome::{Certainty, Kind, Outcome};
use nix::libc::SIGKILL;

use super::failure;
use super::observed::{Died, Ending, Observed};
use super::words;

/// The verdict, if a process died so and it may be the reason for the end. A job that waits for a process that was killed does so until
/// somebody ends it.
pub fn verdict(observed: &Observed) -> Option<Outcome> {
    let waited = matches!(observed.ending, Ending::Signal(_));
    let may_be_the_reason = |died: &&Died| match waited {
        true => died.signal == SIGKILL,
        false => failure::is_last_word(observed, died.time_ns),
    };
    let died = observed.died.iter().find(may_be_the_reason)?;
    Some(Outcome {
        kind: match died.signal {
            SIGKILL => Kind::Terminated,
            _ => Kind::Crashed,
        },
        certainty: Certainty::Likely,
        sentence: words::died_before_the_end(observed, died),
        process: Some(died.process.clone()),
        signal: Some(died.signal),
        ..Outcome::default()
    })
}
