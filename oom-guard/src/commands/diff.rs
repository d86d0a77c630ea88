//! `fil-profile diff`: what grew and what shrank from one run to another, with an exit status for automated checks.

use std::path::{Path, PathBuf};

use dumper::report::{Diff, Side};
use dumper::units::{Bytes, Share};

use crate::commands::subject::Subject;
use crate::error::Error;
use crate::kernel::end::End;
use crate::options::allowance::Allowance;
use crate::options::settings::Settings;
use crate::terminal::paint::{PaintedLine, Tone};
use crate::terminal::progress::Progress;
use crate::terminal::say::{say, show};

/// The exit status if memory grew by more than is allowed.
const GREW: i32 = 3;

/// Compares two runs: in words on stdout, and as a flame graph in `file`.
pub fn compare(
    old: PathBuf,
    new: PathBuf,
    file: Option<&Path>,
    allowed: Option<Allowance>,
    settings: &Settings,
) -> Result<End, Error> {
    let progress = Progress::on_terminal("comparing");
    let [old, new] = [old, new].map(|path| Subject::find(Some(path), settings));
    let (old, new) = (old?, new?);
    let failed = |error: dumper::Error| Error::Report(error.to_string());
    let diff = Diff::between(side(&old), side(&new)).map_err(failed)?;
    let diff = diff.ok_or_else(|| {
        let nothing = if new.material.is_empty() { &new } else { &old };
        Error::Report(format!(
            "cannot compare: nothing was recorded in {}",
            nothing.path.display()
        ))
    })?;
    if let Some(file) = file {
        dumper::save_as(file, |out| diff.picture(out)).map_err(failed)?;
    }
    drop(progress);
    let (was, is) = diff.totals();
    for (index, line) in diff.text().into_iter().enumerate() {
        let line = match index {
            0 => PaintedLine::toned(tone(was, is), line),
            _ => PaintedLine::plain(line),
        };
        show(&line);
    }
    match allowed.filter(|allowed| allowed.is_exceeded(was, is)) {
        None => Ok(End::Status(0)),
        Some(allowed) => {
            let most = match allowed {
                Allowance::Percent(percent) => format!("{percent} %"),
                Allowance::Bytes(bytes) => Bytes(bytes).to_string(),
            };
            let by = Bytes(is.saturating_sub(was));
            let share = Share::of(is.saturating_sub(was), was);
            say(format!("memory grew by {by} ({share}), more than the {most} allowed"));
            Ok(End::Status(GREW))
        }
    }
}

fn tone(old: u64, new: u64) -> Tone {
    match new > old {
        true => Tone::Bad,
        false => Tone::Good,
    }
}

fn side(subject: &Subject) -> Side<'_> {
    Side {
        run: &subject.run,
        processes: &subject.material.processes,
    }
}
