//! `fil-profile inspect`: which variables hold the memory of a Python process, one that runs or one that left a core file. It need not
//! have been started by us, and is neither stopped nor changed.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use dumper::Run;
use dumper::label::cut;
use dumper::units::{Bytes, Share};
use holders::core_file::CoreFile;
use holders::live::{Live, own_number};
use holders::report::{Report, Thread, TypeRow, Variable, VariableKind};
use holders::{Options, Trouble};
use nix::unistd::geteuid;

use crate::error::Error;
use crate::finish::from_disk;
use crate::finish::material::Material;
use crate::folder::find;
use crate::folder::scratch::Scratch;
use crate::terminal::paint::{PaintedLine, Tone};
use crate::terminal::say::{self, show};

/// Frames of a thread that are shown, variables of a frame, and types.
const FRAMES: usize = 30;
const VARIABLES: usize = 12;
const GLOBALS: usize = 20;
const TYPES: usize = 15;
/// Characters of a command line and of a name.
const COMMAND: usize = 300;
const NAME: usize = 60;

/// Shows who holds the memory of what is named, a process id, a core file or a run whose job runs, or writes it to a file as JSON; `-` is
/// stdout.
pub fn inspect(what: &OsStr, json: Option<&Path>, output: &Path) -> Result<(), Error> {
    let cannot = |why: String| Error::Report(format!("cannot inspect {}: {why}", what.to_string_lossy()));
    let pid = what.to_str().and_then(|text| text.parse::<u32>().ok());
    let report = match pid.filter(|_| !Path::new(what).exists()) {
        Some(pid) => of_process(pid),
        None => of_path(Path::new(what), output),
    };
    let report = report.map_err(cannot)?;
    match json {
        None => show_report(&report),
        Some(file) if file == Path::new("-") => {
            let mut out = say::document();
            match write_json(&mut out, &report) {
                // Whoever reads it has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                written => written.map_err(|error| cannot(error.to_string()))?,
            }
        }
        Some(file) => {
            let written = dumper::save_as(file, |out| write_json(out, &report));
            written.map_err(|error| cannot(error.to_string()))?;
        }
    }
    Ok(())
}

/// Names are those of another process: what would command a terminal is escaped.
fn write_json(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    dumper::to_json_pretty(out, report)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn of_path(named: &Path, output: &Path) -> Result<Report, String> {
    let path = find::meant(named, output)?;
    if !path.is_dir() {
        return of_core(&path);
    }
    let folder = find::run_at(&path)?;
    // What somebody else has made could name any process.
    if !folder.is_ours() {
        return Err("your own fil-profile has not made this run folder: name the process by its id".to_owned());
    }
    let run = Run::load(&folder.folder).unwrap_or_default();
    let scratch = Scratch::open(&folder).ok().filter(|_| run.ending.is_none());
    let material = scratch.map(|scratch| Material::load(&scratch.folder)).transpose()?;
    let processes = material.map(|material| material.processes).unwrap_or_default();
    match processes
        .iter()
        .find(|process| from_disk::is_running(std::slice::from_ref(process)))
    {
        Some(process) => of_process(process.facts.pid),
        None => Err("its job does not run: `fil-profile report` has who held its memory".to_owned()),
    }
}

fn of_process(pid: u32) -> Result<Report, String> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    if !process.is_dir() {
        return Err("no such process".to_owned());
    }
    let memory = Live::open(&process).map_err(|error| why_not(&process, &error))?;
    let options = Options {
        pid: Some(own_number(&process).unwrap_or(pid.into())),
        ..Options::default()
    };
    let report = holders::inspect(&memory, &options);
    // What could not be read may be that of a process which has ended meanwhile.
    let mut report = report.map_err(|trouble| match process.is_dir() {
        true => trouble.to_string(),
        false => "it has ended".to_owned(),
    })?;
    report.pid = Some(pid.into());
    let command = fs::read(process.join("cmdline")).unwrap_or_default();
    report.command = String::from_utf8_lossy(&command)
        .trim_end_matches('\0')
        .replace('\0', " ");
    report.private_bytes = private_bytes(&process);
    Ok(report)
}

/// Resident memory that is in no file, from `/proc/PID/status`.
fn private_bytes(process: &Path) -> Option<u64> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

/// Why the kernel does not let us read a process, and what would help.
fn why_not(process: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => return "it has ended".to_owned(),
        io::ErrorKind::PermissionDenied => {}
        _ => return format!("cannot read its memory: {error}"),
    }
    let owner = fs::metadata(process).map(|about| about.uid()).ok();
    if owner.is_some_and(|owner| owner != geteuid().as_raw()) && !geteuid().is_root() {
        return "it belongs to another user: run this as that user or as root".to_owned();
    }
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match scope.trim() {
        "1" | "2" if !geteuid().is_root() => format!(
            "kernel.yama.ptrace_scope is {}, so the kernel lets only root read it: run this as root, or set it to 0",
            scope.trim()
        ),
        "3" => "kernel.yama.ptrace_scope is 3, so the kernel lets nobody read it".to_owned(),
        _ => "the kernel does not let us read it: that needs the capability CAP_SYS_PTRACE, which containers are often without \
              (docker run --cap-add=SYS_PTRACE)"
            .to_owned(),
    }
}

fn of_core(path: &Path) -> Result<Report, String> {
    let memory = CoreFile::open(path, Path::new("/")).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "no such process and no such file".to_owned(),
        _ => error.to_string(),
    })?;
    let options = Options {
        moment: "core",
        pid: memory.pid(),
        ..Options::default()
    };
    let mut report = holders::inspect(&memory, &options).map_err(|trouble| match trouble {
        Trouble::NoPython => format!(
            "{trouble}; a core file has no program text: the job's program and libraries must be here as they were"
        ),
        _ => trouble.to_string(),
    })?;
    report.command = memory.command().to_owned();
    Ok(report)
}

fn show_report(report: &Report) {
    for line in lines(report) {
        show(&line);
    }
}

/// The report for a terminal.
fn lines(report: &Report) -> Vec<PaintedLine> {
    let mut lines = vec![PaintedLine::toned(Tone::Strong, cut(&report.command, COMMAND))];
    let process = report.pid.map_or(String::new(), |pid| format!("process {pid}, "));
    let held = format!(
        "{process}Python {}. Its variables hold {}",
        report.python,
        give_or_take(report.covered_bytes, report.covered_error_bytes)
    );
    let held = match report.private_bytes {
        Some(private) => format!("{held}; {} of private memory are resident.", Bytes(private)),
        None => held + ".",
    };
    lines.push(PaintedLine::plain(held));
    let mut variables: Vec<(&Variable, bool)> = report.variables.iter().map(|variable| (variable, false)).collect();
    for thread in &report.threads {
        lines.push(PaintedLine::default());
        lines.push(PaintedLine::toned(Tone::Strong, &thread.name));
        show_thread(&mut lines, report, thread, &mut variables);
    }
    show_others(&mut lines, report, VariableKind::Other, "held by the interpreter");
    show_others(&mut lines, report, VariableKind::Global, "globals");
    lines.push(PaintedLine::default());
    lines.push(PaintedLine::toned(Tone::Strong, "types"));
    for row in report.types.iter().take(TYPES).filter(|row| row.bytes > 0) {
        lines.push(type_line(row, report.covered_bytes));
    }
    lines.push(PaintedLine::default());
    lines.extend(
        limits(report)
            .into_iter()
            .map(|text| PaintedLine::toned(Tone::Quiet, text)),
    );
    lines
}

/// `  1.1 GiB   82.0 %          900  ndarray`.
fn type_line(row: &TypeRow, covered: u64) -> PaintedLine {
    let (bytes, share) = (Bytes(row.bytes).to_string(), Share::of(row.bytes, covered).to_string());
    let count = grouped(row.objects);
    PaintedLine::plain(format!(
        "  {bytes:>10} {share:>7} {count:>14}  {}",
        cut(&row.name, NAME)
    ))
}

fn show_thread(lines: &mut Vec<PaintedLine>, report: &Report, thread: &Thread, variables: &mut [(&Variable, bool)]) {
    for frame in thread.frames.iter().take(FRAMES) {
        lines.push(PaintedLine::plain(format!(
            "  {}:{} {}",
            frame.file, frame.line, frame.function
        )));
        let is_here = |variable: &Variable| {
            let place = &variable.frame;
            variable.kind == VariableKind::Local
                && place.thread == thread.name
                && (&place.file, place.line, &place.function) == (&frame.file, frame.line, &frame.function)
        };
        // Of two frames at the same line, the first has those of both.
        let here = variables
            .iter_mut()
            .filter(|(variable, is_shown)| !is_shown && is_here(variable));
        for (variable, is_shown) in here.take(VARIABLES) {
            *is_shown = true;
            lines.push(variable_line(variable, report));
        }
    }
    if let Some(more) = thread.frames.len().checked_sub(FRAMES).filter(|more| *more > 0) {
        lines.push(PaintedLine::toned(Tone::Quiet, format!("  and {more} more frames")));
    }
}

fn show_others(lines: &mut Vec<PaintedLine>, report: &Report, kind: VariableKind, title: &str) {
    let mut file = None;
    for variable in report
        .variables
        .iter()
        .filter(|variable| variable.kind == kind)
        .take(GLOBALS)
    {
        if file.is_none() {
            lines.push(PaintedLine::default());
            lines.push(PaintedLine::toned(Tone::Strong, title));
        }
        let place = match kind {
            VariableKind::Other => &variable.frame.thread,
            _ => &variable.frame.file,
        };
        if file.replace(place) != Some(place) {
            lines.push(PaintedLine::plain(format!("  {place}")));
        }
        lines.push(variable_line(variable, report));
    }
}

/// `fleet  1.1 GiB  82 %  list of 300 Machine, through .spectra`.
fn variable_line(variable: &Variable, report: &Report) -> PaintedLine {
    let share = Share::of(variable.bytes, report.covered_bytes);
    let name = format!("    {:<16} ", cut(&variable.name, NAME));
    let bytes = give_or_take(variable.bytes, variable.error_bytes);
    PaintedLine::default()
        .and(Some(Tone::Strong), name)
        .and(None, format!("{bytes} ({share}), {}", describe(variable)))
}

/// `list of 300 Machine, through .spectra to bytearray; 1.0 GiB of it by this alone`.
fn describe(variable: &Variable) -> String {
    let mut text = variable.type_name.clone();
    match (variable.length, &variable.item_type) {
        (Some(length), Some(item)) => text += &format!(" of {} {item}", grouped(length)),
        (Some(length), None) if length > 0 => text += &format!(" of {}", grouped(length)),
        _ => {}
    }
    // That a list has items goes without saying.
    let steps: Vec<&str> = variable.path.iter().map(String::as_str).collect();
    let steps = match steps.split_first() {
        Some((&("[i]" | "[key]"), rest)) => rest,
        _ => &steps,
    };
    if !steps.is_empty() {
        let path = steps.iter().map(|step| match step.starts_with(['.', '[']) {
            true => (*step).to_owned(),
            false => format!(" {step}"),
        });
        let path: String = path.collect();
        text += &format!(", through {}", path.trim_start());
        if variable.path_type != variable.type_name {
            text += &format!(" ({})", variable.path_type);
        }
    }
    if variable.exclusive_bytes < variable.bytes / 100 * 95 {
        text += &format!("; {} by it alone", Bytes(variable.exclusive_bytes));
    }
    text
}

fn give_or_take(bytes: u64, error: u64) -> String {
    match error.saturating_mul(100) > bytes {
        true => format!("{} ± {}", Bytes(bytes), Bytes(error)),
        false => Bytes(bytes).to_string(),
    }
}

/// What the numbers do not have.
fn limits(report: &Report) -> Vec<String> {
    let mut limits = Vec::new();
    if let Some(rest) = report
        .private_bytes
        .and_then(|private| private.checked_sub(report.covered_bytes))
    {
        limits.push(format!(
            "{} of the resident memory are held by no variable that was found: native libraries, free blocks, code and modules, or \
             objects that only native code refers to.",
            Bytes(rest)
        ));
    }
    if report.supposed_bytes > report.covered_bytes / 100 {
        limits.push(format!(
            "{} are in blocks that objects of unknown types point to; they may be shared.",
            Bytes(report.supposed_bytes)
        ));
    }
    if report.is_cut {
        limits.push(
            "Some chains of references were longer than is followed: what hangs on them counts in part.".to_owned(),
        );
    }
    limits.push(format!(
        "{} objects were looked at; the rest is estimated from them.",
        grouped(report.visits)
    ));
    limits
}

/// `1,200,000`.
fn grouped(number: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn variable() -> Variable {
        Variable {
            name: "fleet".to_owned(),
            type_name: "list".to_owned(),
            length: Some(1300),
            item_type: Some("Machine".to_owned()),
            bytes: 900 << 20,
            exclusive_bytes: 900 << 20,
            path: vec!["[i]".to_owned(), ".spectra".to_owned()],
            path_type: "ndarray".to_owned(),
            ..Variable::default()
        }
    }

    #[test]
    fn json_has_names_as_given_and_commands_no_terminal() {
        let report = Report {
            command: "a\u{202e}\u{9b}b.py".to_owned(),
            ..Report::default()
        };
        let mut out = Vec::new();
        write_json(&mut out, &report).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(r"a\u202e\u009bb.py"), "{text}");
        assert_eq!(text, text.replace(['\u{202e}', '\u{9b}'], ""));
    }

    #[test]
    fn a_variable_is_told_in_one_line() {
        let report = Report {
            covered_bytes: 1000 << 20,
            ..Report::default()
        };
        let line = variable_line(&variable(), &report).painted(false);
        assert_eq!(
            line,
            "    fleet            900.0 MiB (90.0 %), list of 1,300 Machine, through .spectra (ndarray)"
        );
        let mut shared = variable();
        shared.exclusive_bytes = 1 << 20;
        shared.path.clear();
        assert_eq!(describe(&shared), "list of 1,300 Machine; 1.0 MiB by it alone");
    }

    #[test]
    fn types_stand_in_columns() {
        let row = |bytes, objects| TypeRow {
            name: "dict".to_owned(),
            bytes,
            objects,
        };
        let lines = [row(5 << 20, 1_234_567), row(900 << 20, 2)].map(|row| type_line(&row, 1000 << 20).painted(false));
        assert_eq!(lines[0], "     5.0 MiB   0.5 %      1,234,567  dict");
        assert_eq!(lines[0].len(), lines[1].len());
    }

    #[test]
    fn no_name_can_command_the_terminal() {
        let mut variable = variable();
        variable.name = "\u{1b}[2J\n".to_owned();
        variable.type_name = "\u{202e}".to_owned();
        let line = variable_line(&variable, &Report::default()).painted(false);
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
    }
}
