//! `fil-profile report`: of a run folder, a bundle, one recording, or of the newest run in a folder.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use dumper::Folder;
use dumper::run::Run;
use recording::protocol::variables::RUN;

use crate::commands::elsewhere;
use crate::commands::subject::{Origin, Subject};
use crate::error::Error;
use crate::finish::{Trigger, finish};
use crate::folder::find;
use crate::folder::lock::SupervisorState;
use crate::kernel::host::Host;
use crate::options::settings::Settings;
use crate::terminal::say::say;
use crate::verdict::consequences::is_worth_a_report;
use crate::watch::measure::{self, Occasion};

/// The Python package has made the folder in a process that waits for this report. Which variables hold its memory is told unless the
/// run that it belongs to wants nobody to look.
fn look_at_holders(path: &Path) {
    let run = std::env::var_os(RUN.name()).and_then(|run| Folder::open(Path::new(&run)).ok());
    let is_unwanted = run.is_some_and(|run| Run::load(&run).is_ok_and(|run| run.no_holders));
    if let Some(folder) = find::open(path).ok().filter(|_| !is_unwanted) {
        let occasion = Occasion {
            says: "when a report was asked for",
            failed: None,
            pages: false,
            holders: true,
        };
        measure::measure_processes(&Host::this(), &folder.folder, occasion);
    }
}

/// Writes the report of a run again, or for the first time, and prints what it says.
pub fn report(path: Option<PathBuf>, settings: &Settings) -> Result<(), Error> {
    if settings.made_here {
        let claimed = path.as_deref().map(|path| find::open(path)?.claim());
        claimed
            .transpose()
            .map_err(|error| Error::Report(format!("the folder of the report: {error}")))?;
    }
    if let Some(path) = path.as_deref().filter(|_| settings.made_here && !settings.no_holders) {
        look_at_holders(path);
    }
    let mut subject = Subject::find(path, settings)?;
    subject.run.rank = settings.rank.or(subject.run.rank);
    let cannot = |error: &dyn Display| Error::Report(format!("cannot report on {}: {error}", subject.path.display()));
    match (subject.material.is_empty(), subject.is_running) {
        (true, true) => return Err(cannot(&"nothing has been recorded so far")),
        (true, false) if !is_worth_a_report(&subject.run) => return Err(cannot(&"nothing was recorded")),
        _ => {}
    }
    let home = match subject.is_ours {
        true => subject.folder.clone(),
        false => elsewhere::folder_for(&subject, &settings.output).map_err(|error| cannot(&error))?,
    };
    if !subject.is_ours && !matches!(subject.origin, Origin::Bundle(_)) {
        say(format!(
            "{} is not a folder that your fil-profile has made here: it is only read, and its report is in {} (--trust: in itself)",
            subject.folder.path.display(),
            home.path.display()
        ));
    }
    let trigger = match (subject.is_ours, subject.is_running) {
        (true, true) => Trigger::Requested,
        (true, false) if subject.origin == Origin::Run => Trigger::Command {
            // A supervisor on another machine, which cannot be asked, may still write its own report.
            settles: subject.supervisor == SupervisorState::Gone && !subject.run.report_written,
        },
        (_, is_running) => Trigger::ReadOnly { is_running },
    };
    let finished = finish(trigger, &home, &home.folder, subject.run, &subject.material).map_err(Error::Report)?;
    match finished.failed.is_empty() {
        true => Ok(()),
        false => Err(Error::Report(finished.failed.join("; "))),
    }
}
