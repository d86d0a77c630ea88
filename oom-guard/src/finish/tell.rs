//! What is printed when a report has been written.

use dumper::report::Written;
use dumper::run::Run;

use super::Trigger;
use crate::terminal::paint::Tone;
use crate::terminal::say::{say, say_in};

/// Prints the summary of a report, or a line or two where the terminal belongs to a job that runs or is about to start.
pub fn tell(trigger: Trigger, run: &Run, written: &Written) {
    let index = written.index.display();
    let picture = written.out_of_memory.as_ref();
    match trigger {
        Trigger::JobEnded | Trigger::Command { .. } | Trigger::ReadOnly { .. } | Trigger::Requested => {
            tell_summary(written);
        }
        Trigger::LeftBehind => {
            if let Some(outcome) = &run.outcome {
                say(&outcome.sentence);
            }
            let shown = picture.unwrap_or(&written.index);
            say(format!("its report: {}", shown.display()));
        }
        Trigger::NearLimit => say(format!("the report so far: {index}")),
        Trigger::Terminating => say(format!("the job was told to end; the report so far: {index}")),
        Trigger::AllocationFailed => match picture {
            Some(picture) => {
                let picture = picture.display();
                say(format!("an allocation failed, the job goes on; so far: {picture}"));
            }
            None => tell_summary(written),
        },
    }
    // A command returns them as its error.
    if matches!(trigger, Trigger::JobEnded | Trigger::LeftBehind) {
        written.failed.iter().for_each(say);
    }
}

fn tell_summary(written: &Written) {
    let first = match written.out_of_memory {
        Some(_) => Tone::Bad,
        None => Tone::Strong,
    };
    let culprit = written.summary.iter().position(|line| is_share(line));
    for (index, line) in written.summary.iter().enumerate() {
        match index {
            0 => say_in(first, line),
            index if Some(index) == culprit => say_in(Tone::Strong, line),
            _ if line.starts_with("Wrote ") => say_in(Tone::Quiet, line),
            _ => say(line),
        }
    }
}

/// Whether a line begins with a share, as that of a call site.
fn is_share(line: &str) -> bool {
    let share = line.trim_start().split_once(" % ");
    share.is_some_and(|(share, _)| share.parse::<f64>().is_ok())
}
