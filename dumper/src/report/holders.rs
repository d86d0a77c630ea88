//! Which variables held the memory, in words: for the log, the page and the picture, and for `report.json`.

mod hints;
pub(crate) mod picture;

pub(super) use hints::hints;

use serde::Serialize;

use crate::holders::{Look, Site, TypeRow, Variable, VariableKind};
use crate::label::{Call, cut, printable};
use crate::process::Process;
use crate::profile::{Moment, Profile, State};
use crate::units::{Bytes, Seconds, Share};

/// Characters of a name, and of a path from a variable.
const NAME: usize = 60;
const PATH: usize = 80;
/// Variables that the log tells, and the part of all that makes one worth a line of it.
const TOLD: usize = 3;
const WORTH: u64 = 20;
/// A look that was so near to the moment was at it.
const AT_ONCE_MS: u64 = 100;
/// The thread that began the process.
const MAIN: &str = "main thread";

/// A look at the variables of a process, for one moment of it.
#[derive(Clone, Debug)]
pub(crate) struct HeldBy {
    /// Process id.
    pub(crate) pid: u32,
    /// What was seen; the sites have names.
    pub(crate) look: Look,
    /// How long before the moment that was, or after it, in milliseconds; 0 if nothing has changed in between.
    pub(crate) age_ms: i64,
    /// Paths are shown relative to it.
    directory: String,
}

impl HeldBy {
    /// What is known of a moment; `ended_ns` is when the process or the job ended. None if nothing was seen near it.
    pub(crate) fn compute(
        process: &Process,
        profile: &Profile,
        moment: Moment,
        ended_ns: Option<u64>,
        directory: &str,
    ) -> Option<HeldBy> {
        let mut holders = process.holders();
        holders.name_sites(profile);
        let facts = &profile.facts;
        let look = holders.at(moment, facts)?.clone();
        let time_ns = match moment {
            Moment::Live => ended_ns,
            Moment::Peak => Some(facts.peak_time_ns),
            Moment::OutOfMemory => facts.failure.as_ref().map(|failure| failure.time_ns),
        };
        let is_of_moment = moment == Moment::OutOfMemory && look.stopped && look.oom_epoch == facts.kinds.oom_epoch;
        let age = time_ns.map_or(0, |time| i128::from(time) - i128::from(look.time_ns));
        Some(HeldBy {
            pid: facts.pid,
            age_ms: if is_of_moment { 0 } else { (age / 1_000_000) as i64 },
            look,
            directory: directory.to_owned(),
        })
    }

    /// What was seen of a process that the report is not about, last or at its peak if it has ended; the sites stay without names.
    pub(crate) fn of_other(process: &Process, directory: &str) -> Option<HeldBy> {
        let mut holders = process.holders();
        holders.name_sites(&Profile::default());
        let facts = &process.facts;
        let moment = match facts.state {
            State::Running => Moment::Live,
            State::Ended | State::Left => Moment::Peak,
        };
        let look = holders.at(moment, facts)?.clone();
        Some(HeldBy {
            pid: facts.pid,
            age_ms: 0,
            look,
            directory: directory.to_owned(),
        })
    }

    /// `2.1 s before`; none if it was at the moment.
    pub(crate) fn age(&self) -> Option<String> {
        let ms = self.age_ms.unsigned_abs();
        let when = if self.age_ms < 0 { "later" } else { "before" };
        (ms >= AT_ONCE_MS).then(|| format!("{} {when}", Seconds(ms as f64 / 1000.0)))
    }

    /// The share of these bytes in all that was held then.
    pub(crate) fn share(&self, bytes: u64) -> Share {
        Share::of(bytes, self.look.whole())
    }

    /// The lines for the log.
    pub(crate) fn lines(&self) -> Vec<String> {
        let least = self.look.whole() / WORTH;
        let variables = self.look.variables.iter().filter(|variable| variable.bytes > least);
        let age = self.age().map_or(String::new(), |age| format!(" ({age})"));
        variables
            .take(TOLD)
            .map(|variable| format!("Held by{age}: {}", self.sentence(variable)))
            .collect()
    }

    /// `fleet in main() at sensors.py:74, list of 300 Machine: 1.1 GiB (82.0 %), through .spectra`.
    pub(crate) fn sentence(&self, variable: &Variable) -> String {
        let held = format!(
            "{}, {}: {} ({})",
            self.place(variable),
            kind(variable),
            Bytes(variable.bytes),
            self.share(variable.bytes)
        );
        match path(variable) {
            path if path.is_empty() => held,
            path => format!("{held}, through {path}"),
        }
    }

    /// `fleet in main() at sensors.py:74`.
    pub(crate) fn place(&self, variable: &Variable) -> String {
        let frame = &variable.frame;
        let (name, function) = (shown(&variable.name), shown(&frame.function));
        let file = self.file(&frame.file, &frame.function);
        let thread = match frame.thread.as_str() {
            "" | MAIN => String::new(),
            thread => format!(" ({})", shown(thread)),
        };
        match variable.kind {
            VariableKind::Local if frame.function == "<module>" => format!("{name} at {file}:{}{thread}", frame.line),
            VariableKind::Local => format!("{name} in {function}() at {file}:{}{thread}", frame.line),
            VariableKind::Global => format!("{name}, global in {file}"),
            VariableKind::Other => format!("{name}, held by the interpreter{thread}"),
        }
    }

    /// The lines that allocated what a variable holds: `sensors.py:43 (load)`.
    pub(crate) fn allocated_at(&self, variable: &Variable) -> Vec<String> {
        let name = |site: &Site| {
            let call = Call {
                file: &site.file,
                function: &site.function,
                line: site.line,
            };
            call.short(&self.directory)
        };
        variable.sites.iter().map(name).collect()
    }

    /// The variables that keep what a line has allocated, the largest part first.
    pub(crate) fn keepers(&self, place: &str) -> Vec<String> {
        let mut keepers: Vec<(u64, String)> = Vec::new();
        for variable in &self.look.variables {
            let places = self.allocated_at(variable);
            let bytes = places.iter().zip(&variable.sites).filter(|(name, _)| *name == place);
            let bytes: u64 = bytes.map(|(_, site)| site.bytes).fold(0, u64::saturating_add);
            if bytes > 0 {
                keepers.push((bytes, self.place(variable)));
            }
        }
        keepers.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        keepers.into_iter().map(|(_, place)| place).collect()
    }

    fn file(&self, file: &str, function: &str) -> String {
        let call = Call {
            file,
            function,
            line: 0,
        };
        call.short_file(&self.directory).into_owned()
    }

    /// What the figures are, and what they do not have.
    pub(crate) fn notes(&self) -> Vec<String> {
        let look = &self.look;
        let mut notes = Vec::new();
        let when = match (look.stopped, self.age()) {
            (true, None) => "while the thread waited whose allocation had failed".to_owned(),
            (_, None) => format!("{}, while the program ran", shown(&look.occasion)),
            (_, Some(age)) => format!(
                "{}, {age}, when {} were in use",
                shown(&look.occasion),
                Bytes(look.live_bytes)
            ),
        };
        notes.push(format!(
            "Looked at {when}. If several variables hold the same object, its bytes are split between them."
        ));
        if look.covered_error_bytes > look.covered_bytes / 100 {
            notes.push(format!(
                "Variables hold {} ± {} in all: items of large containers are sampled.",
                Bytes(look.covered_bytes),
                Bytes(look.covered_error_bytes)
            ));
        }
        if look.supposed_bytes > look.covered_bytes / 100 {
            notes.push(format!(
                "{} are in blocks that objects of unknown types point to; they may be shared.",
                Bytes(look.supposed_bytes)
            ));
        }
        if look.is_cut {
            notes.push(
                "There was more than is followed in the time of a look: what was left out counts in part or not at all.".into(),
            );
        }
        notes
    }
}

/// `list of 300 Machine`.
pub(crate) fn kind(variable: &Variable) -> String {
    let type_name = shown(&variable.type_name);
    match (variable.length, &variable.item_type) {
        (Some(length), Some(item)) => format!("{type_name} of {} {}", grouped(length), shown(item)),
        (Some(length), None) if length > 0 => format!("{type_name} of {}", grouped(length)),
        _ => type_name,
    }
}

/// `.spectra (ndarray)`: the way to most of it; empty if that is the variable itself.
pub(crate) fn path(variable: &Variable) -> String {
    // That a container has items goes without saying.
    let mut steps = variable.path.iter().map(String::as_str).peekable();
    steps.next_if(|step| matches!(*step, "[i]" | "[key]"));
    let steps: String = steps
        .map(|step| match step.starts_with(['.', '[']) {
            true => step.to_owned(),
            false => format!(" {step}"),
        })
        .collect();
    let steps = steps.trim_start();
    match steps.is_empty() {
        true => String::new(),
        false if variable.path_type == variable.type_name => cut(&printable(steps), PATH).into_owned(),
        false => format!("{} ({})", cut(&printable(steps), PATH), shown(&variable.path_type)),
    }
}

/// A name as a reader may see it.
pub(crate) fn shown(name: &str) -> String {
    cut(&printable(name), NAME).into_owned()
}

/// `1,200,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// As it stands in `report.json`.
#[derive(Serialize)]
pub(super) struct HoldersPart<'a> {
    process: u32,
    moment: &'a str,
    age_ms: i64,
    stopped: bool,
    visits: u64,
    live_bytes: u64,
    covered_bytes: u64,
    covered_error_bytes: u64,
    supposed_bytes: u64,
    is_cut: bool,
    variables: &'a [Variable],
    types: &'a [TypeRow],
}

impl<'a> HoldersPart<'a> {
    pub(super) fn of(held: &'a HeldBy) -> HoldersPart<'a> {
        let look = &held.look;
        HoldersPart {
            process: held.pid,
            moment: &look.occasion,
            age_ms: held.age_ms,
            stopped: look.stopped,
            visits: look.visits,
            live_bytes: look.live_bytes,
            covered_bytes: look.covered_bytes,
            covered_error_bytes: look.covered_error_bytes,
            supposed_bytes: look.supposed_bytes,
            is_cut: look.is_cut,
            variables: &look.variables,
            types: &look.types,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::holders::{Frame, Part};

    /// One of `whole` bytes, of which a list of 300 machines holds `bytes`.
    pub(in crate::report) fn held(bytes: u64, whole: u64) -> HeldBy {
        let part = |parent, step: &str, type_name: &str, bytes| Part {
            parent,
            step: step.to_owned(),
            type_name: type_name.to_owned(),
            bytes,
            objects: 1,
        };
        let fleet = Variable {
            frame: Frame {
                file: "/home/ada/sensors.py".to_owned(),
                line: 74,
                function: "main".to_owned(),
                thread: MAIN.to_owned(),
            },
            name: "fleet".to_owned(),
            kind: VariableKind::Local,
            type_name: "list".to_owned(),
            length: Some(300),
            item_type: Some("Machine".to_owned()),
            bytes,
            path: vec!["[i]".to_owned(), ".spectra".to_owned()],
            path_type: "ndarray".to_owned(),
            tree: vec![
                part(0, "", "list", bytes),
                part(0, "[i]", "Machine", bytes),
                part(1, ".spectra", "ndarray", bytes / 10 * 9),
            ],
            sites: vec![Site {
                file: "/home/ada/sensors.py".to_owned(),
                line: 43,
                function: "load".to_owned(),
                bytes: bytes / 10 * 9,
                site: None,
            }],
            ..Variable::default()
        };
        HeldBy {
            pid: 7,
            look: Look {
                occasion: "in passing".to_owned(),
                live_bytes: whole,
                covered_bytes: bytes,
                variables: vec![fleet],
                ..Look::default()
            },
            age_ms: 0,
            directory: "/home/ada".to_owned(),
        }
    }

    #[test]
    fn a_variable_is_told_in_one_sentence() {
        let mut held = held(820 << 20, 1000 << 20);
        let sentence =
            "fleet in main() at sensors.py:74, list of 300 Machine: 820.0 MiB (82.0 %), through .spectra (ndarray)";
        assert_eq!(held.lines(), [format!("Held by: {sentence}")]);
        held.age_ms = 2100;
        assert_eq!(held.lines(), [format!("Held by (2.1 s before): {sentence}")]);
        held.look.live_bytes *= 100;
        assert_eq!(held.lines(), [""; 0], "too little of all");
    }

    #[test]
    fn where_a_variable_belongs_is_said_as_python_has_it() {
        let held = held(1, 1);
        let mut variable = held.look.variables[0].clone();
        let mut place = |kind, function: &str, thread: &str| {
            variable.kind = kind;
            variable.frame.function = function.to_owned();
            variable.frame.thread = thread.to_owned();
            held.place(&variable)
        };
        assert_eq!(place(VariableKind::Local, "<module>", MAIN), "fleet at sensors.py:74");
        assert_eq!(
            place(VariableKind::Local, "f", "thread 9"),
            "fleet in f() at sensors.py:74 (thread 9)"
        );
        assert_eq!(
            place(VariableKind::Global, "<module>", ""),
            "fleet, global in sensors.py"
        );
        assert_eq!(place(VariableKind::Other, "", MAIN), "fleet, held by the interpreter");
    }

    #[test]
    fn what_a_line_has_allocated_is_kept_by_those_who_hold_it() {
        let held = held(100, 100);
        assert_eq!(held.allocated_at(&held.look.variables[0]), ["sensors.py:43 (load)"]);
        assert_eq!(
            held.keepers("sensors.py:43 (load)"),
            ["fleet in main() at sensors.py:74"]
        );
        assert_eq!(held.keepers("sensors.py:44 (load)"), [""; 0]);
    }
}
