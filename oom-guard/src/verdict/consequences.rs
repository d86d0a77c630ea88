//! What follows from a verdict.

use dumper::outcome::{Kind, Outcome};
use dumper::run::Run;

/// Whether a verdict is worth a report though nothing was recorded.
pub fn is_worth_a_report(run: &Run) -> bool {
    let kind = run.outcome.as_ref().map(|outcome| outcome.kind);
    !matches!(
        kind,
        None | Some(Kind::Running | Kind::Finished | Kind::ExitedNonZero | Kind::Unknown)
    )
}

/// Whether the job died because it got no more memory.
pub fn is_about_memory(run: &Run) -> bool {
    let is_about_memory =
        |outcome: &Outcome| outcome.is_killed_for_memory() || outcome.kind == Kind::AllocationFailedFatal;
    run.outcome.as_ref().is_some_and(is_about_memory)
}

/// Whether the job ended well although a child of it was killed for memory, or exited at a failed allocation.
pub fn a_child_ran_out(outcome: &Outcome) -> bool {
    let is_child = outcome.process.as_ref().is_none_or(|process| process.is_child);
    let ran_out = match outcome.kind {
        Kind::OomKilledByCgroup | Kind::OomKilledByMachine => true,
        Kind::AllocationFailedFatal => is_child,
        _ => false,
    };
    outcome.status == Some(0) && ran_out
}
