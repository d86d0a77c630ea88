//! What is printed when a report has been written.

use dumper::report::{self, Layout, Line, Written};
use dumper::run::Run;

use super::Trigger;
use crate::terminal::paint::Tone;
use crate::terminal::say::{self, say, say_in};

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
        // It has been told already.
        Trigger::Killed => say(format!(
            "the job is still running; its report so far: {}",
            picture.unwrap_or(&written.index).display()
        )),
        Trigger::NearLimit => say(format!("the report so far: {index}")),
        Trigger::Terminating => say(format!("the job was told to end; the report so far: {index}")),
        Trigger::AllocationFailed => match picture {
            // What failed has been told already.
            Some(picture) => say(format!("the job goes on; its report so far: {}", picture.display())),
            None => tell_summary(written),
        },
    }
    // A command returns them as its error.
    if matches!(trigger, Trigger::JobEnded | Trigger::LeftBehind) {
        written.failed.iter().for_each(say);
    }
}

/// Lines of text that are printed if nobody asks for more.
const ROWS: usize = 10;

fn tell_summary(written: &Written) {
    let layout = say::columns().map_or(Layout::LOG, Layout::terminal);
    let mut lines = written.brief.clone();
    match say::is_verbose() {
        true => lines.clone_from(&written.summary),
        false => report::fit(&mut lines, ROWS, layout),
    }
    let first = match written.out_of_memory {
        Some(_) => Tone::Bad,
        None => Tone::Strong,
    };
    let is_row = |line: &Line| matches!(line, Line::Charged(_) | Line::Row(_));
    let culprit = lines.iter().position(is_row);
    for (index, line) in lines.iter().enumerate() {
        let text = line.text(layout);
        let (begin, rest) = text.split_at(text.len().min(1));
        let tone = match line {
            _ if index == 0 => Some(first),
            _ if Some(index) == culprit => Some(Tone::Strong),
            Line::Wrote(_) => Some(Tone::Quiet),
            _ => None,
        };
        match tone {
            Some(tone) => begin.iter().for_each(|line| say_in(tone, line)),
            None => begin.iter().for_each(say),
        }
        rest.iter().for_each(say);
    }
}
