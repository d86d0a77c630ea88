//! What happened, in words.

use recording::protocol::{OOM_STATUS, OnOom};
use recording::{EventKind, Trouble};

use crate::label::printable;
use crate::outcome::Outcome;
use crate::profile::{Event, Facts, FailedAllocation, Moment, Profile, Rank, State, Tally, Weight};
use crate::run::Run;
use crate::units::Bytes;

/// How far a process got; it `is_replaced` if it went on as another program.
pub(super) fn state(run: &Run, facts: &Facts, is_replaced: bool) -> &'static str {
    match facts.state {
        _ if is_replaced => "ran another program",
        State::Running if run.killed(facts.pid).is_some() => "killed by the kernel for memory",
        State::Running => "still running, or ended by a signal",
        State::Ended => "ended",
        State::Left => "left at a failed allocation, or ran another program",
    }
}

/// `When it was killed`, for what happened at the moment that `out-of-memory.*` shows.
pub(super) fn moment(moment: Moment, run: &Run) -> &'static str {
    let is_killed = run.outcome.as_ref().is_some_and(Outcome::is_killed_for_memory);
    match moment {
        Moment::OutOfMemory => "When it ran out",
        Moment::Live if is_killed => "When it was killed",
        Moment::Live => "When it was made to leave",
        Moment::Peak => "At the peak",
    }
}

/// `1.2 GiB ± 4.0 MiB`.
pub(super) fn with_error(held: Tally) -> String {
    match held.error() {
        0 => Bytes(held.bytes).to_string(),
        error => format!("{} ± {}", Bytes(held.bytes), Bytes(error)),
    }
}

/// As [`with_error`]; ranked by what is in memory, that first: `162.0 MiB ± 4.0 MiB (in memory, of 1.2 GiB asked for)`.
pub(super) fn held(weight: &Weight, rank: Rank) -> String {
    let ranked = weight.by(rank);
    let shown = with_error(ranked);
    let (ranked, asked) = (
        Bytes(ranked.bytes).to_string(),
        Bytes(weight.requested.bytes).to_string(),
    );
    match ranked == asked {
        true => shown,
        false => format!("{shown} (in memory, of {asked} asked for)"),
    }
}

/// `malloc of 1.2 GiB`.
fn request(failure: &FailedAllocation) -> String {
    asked(failure.function.map(|function| function.name()), failure.request_bytes)
}

fn asked(function: Option<&str>, bytes: u64) -> String {
    let function = function.unwrap_or("a request");
    match bytes {
        // fork knows no size.
        0 => function.to_owned(),
        bytes => format!("{function} of {}", Bytes(bytes)),
    }
}

/// `load.py:31 (load)`, and for a library's line the line of the user's own code that called it; none where the
/// callstack is not known.
pub(super) fn place(profile: &Profile, node: u32, directory: &str) -> Option<String> {
    let innermost = profile.stack(node).next()?;
    let place = innermost.short(directory);
    Some(match profile.own_line(node).map(|own| (own, own.short(directory))) {
        None => place,
        Some((own, told)) if (own.file, own.line) == (innermost.file, innermost.line) => told,
        Some((_, told)) => format!("{place}, called from {told}"),
    })
}

/// `malloc of 1.2 GiB failed at load.py:31 (load)`.
pub(super) fn failed(profile: &Profile, failure: &FailedAllocation, directory: &str) -> String {
    match place(profile, failure.node, directory) {
        Some(place) => format!("{} failed at {place}", request(failure)),
        None => format!("{} failed (its callstack is not known)", request(failure)),
    }
}

/// That more than one allocation has failed. Those that fail while a program unwinds come after the one that is shown.
pub(super) fn of_several(facts: &Facts) -> Option<String> {
    let shown = facts.failure.as_ref().filter(|_| facts.failures > 1)?;
    let failed = |event: &&Event| event.kind == Some(EventKind::AllocationFailed);
    let last = facts.events.iter().rfind(failed);
    let which = match last.is_none_or(|last| last.time_ns <= shown.time_ns) {
        true => "the last",
        false => "one",
    };
    Some(format!("It was {which} of {} allocations that failed.", facts.failures))
}

/// What became of the program after an allocation had failed.
pub(super) fn aftermath(run: &Run) -> String {
    let Some(ending) = &run.ending else {
        return "The program is still running.".to_owned();
    };
    match (ending.status, ending.signal) {
        (Some(0), _) => "The program went on, and ended with status 0.".to_owned(),
        (Some(OOM_STATUS), _) if run.on_oom == OnOom::Exit => {
            format!("The program was ended there with status {OOM_STATUS}, as --on-oom=exit asks.")
        }
        (Some(status), _) => format!("The program ended with status {status}."),
        (None, Some(signal)) => format!("The program was killed by {}.", signal_name(signal)),
        (None, None) => "How the program ended is not known.".to_owned(),
    }
}

/// How the program ended.
pub(super) fn ending(run: &Run) -> String {
    let Some(ending) = &run.ending else {
        return "The program was still running when this was written.".to_owned();
    };
    let after = format!("after {:.1} s", ending.seconds);
    match (ending.status, ending.signal) {
        (Some(status), _) => format!("The program ended with status {status} {after}."),
        (None, Some(signal)) => format!("The program was killed by {} {after}.", signal_name(signal)),
        (None, None) => format!("The program ended {after}."),
    }
}

pub(super) fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}

/// The name of the program in a command line.
pub(super) fn program(command: &str) -> &str {
    let program = command.split_whitespace().next().unwrap_or("unknown program");
    program.rsplit('/').next().unwrap_or(program)
}

/// What impaired the recording, one sentence for each kind.
pub(super) fn troubles(facts: &Facts) -> Vec<String> {
    let mut troubles = Vec::new();
    for event in &facts.events {
        if event.kind == Some(EventKind::Trouble) {
            let trouble = trouble(event);
            if !troubles.contains(&trouble) {
                troubles.push(trouble);
            }
        }
    }
    troubles
}

fn trouble(event: &Event) -> String {
    let Some(trouble) = Trouble::from_code(event.detail) else {
        return format!("Recording was impaired (code {}, of a later version).", event.detail);
    };
    match trouble {
        Trouble::UnknownPython => {
            format!(
                "No Python lines: this version does not know this build of Python {}.{}.",
                event.bytes >> 8,
                event.bytes & 0xff
            )
        }
        Trouble::PythonSelfCheck => {
            "No Python lines: this Python is a debug or patched build, or newer than this version of fil-profile."
                .into()
        }
        Trouble::HiddenPython => {
            "No Python lines: this program has a Python in it, linked without -rdynamic and stripped of its symbols."
                .into()
        }
        Trouble::NewerPython => {
            format!(
                "Python {}.{} is newer than this version of fil-profile, which read its frames as that Python describes them.",
                event.bytes >> 8,
                event.bytes & 0xff
            )
        }
        Trouble::CannotGrow => {
            format!(
                "INCOMPLETE: no space to record in (errno {}): later call sites are put together with their callers.",
                event.bytes
            )
        }
        Trouble::Full => {
            "INCOMPLETE: the recording is full: later call sites are put together with their callers.".into()
        }
        Trouble::NoMemory => "INCOMPLETE: no memory was left to record in: some samples are missing.".into(),
        Trouble::Busy => "A failed allocation's callstack is missing: recording was busy.".into(),
        Trouble::NoPythonAllocator => "Python's small objects are seen only as mallocs (no pymalloc).".into(),
        Trouble::TooManyMappings => "INCOMPLETE: too many mappings to follow: later ones are not counted.".into(),
    }
}

/// An event in one sentence, without its time; `place` is where its callstack ends.
pub(super) fn event(event: &Event, place: Option<String>) -> String {
    let bytes = Bytes(event.bytes);
    let sentence = match event.kind {
        None => "something that this version does not know".to_owned(),
        Some(EventKind::AllocationFailed) => {
            let function = recording::AllocFunction::from_code(event.detail).map(|function| function.name());
            let asked = asked(function, event.bytes);
            let held = Bytes(event.live_bytes);
            match place {
                Some(place) => format!("{asked} failed at {place}, with {held} in use"),
                None => format!("{asked} failed, with {held} in use"),
            }
        }
        Some(EventKind::StashReleased) => format!("the stash of {bytes} was released"),
        Some(EventKind::StashTaken) if event.detail == 1 => {
            format!("a stash of {bytes} was taken, less than asked for, since the limit leaves no more room")
        }
        Some(EventKind::StashTaken) => format!("a stash of {bytes} was taken"),
        Some(EventKind::ReportRequested) => "a report was asked for".to_owned(),
        Some(EventKind::Trouble) => trouble(event),
        Some(EventKind::Forked) => format!("forked from process {}", event.detail),
        Some(EventKind::Mark) => {
            let times = match event.repeats {
                0 => String::new(),
                repeats => format!(" (and {repeats} times again)"),
            };
            let name = printable(&event.name);
            return format!("phase {name} began{times}; at most {bytes} were in use while it lasted");
        }
        Some(EventKind::Ended) => format!("ended with status {}", event.detail.cast_signed()),
        Some(EventKind::PythonFound) => format!("found Python {}.{}", event.detail >> 8, event.detail & 0xff),
    };
    match event.repeats {
        0 | 1 => sentence,
        repeats => format!("{sentence} ({repeats} times in a row; this is the last)"),
    }
}
