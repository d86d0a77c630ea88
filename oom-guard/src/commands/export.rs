//! `fil-profile report --format`: one document about a run, to a file or to stdout.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use dumper::report::{self, Occasion};

use crate::commands::subject::Subject;
use crate::error::Error;
use crate::options::cli::ReportFormat;
use crate::options::settings::Settings;
use crate::terminal::progress::Progress;
use crate::terminal::say;

/// Writes the document.
pub fn export(
    path: Option<PathBuf>,
    settings: &Settings,
    format: ReportFormat,
    file: Option<&Path>,
) -> Result<(), Error> {
    if file.is_none() && format.about().is_binary && say::is_shown() {
        return Err(Error::Usage(format!(
            "this format is not for a terminal: name a file, as in: -o report{}",
            format.about().ending
        )));
    }
    let _progress = Progress::on_terminal("writing the report");
    let subject = Subject::find(path, settings)?;
    if let Some(file) = file {
        let written = dumper::save_as(file, |out| write(out, format, &subject));
        return written.map_err(|error| Error::Report(error.to_string()));
    }
    let mut out = say::document();
    match write(&mut out, format, &subject).and_then(|()| out.flush()) {
        // The reader has closed the pipe.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => {
            written.map_err(|error| Error::Report(format!("cannot report on {}: {error}", subject.path.display())))
        }
    }
}

fn write(out: &mut dyn Write, format: ReportFormat, subject: &Subject) -> io::Result<()> {
    let material = &subject.material;
    let subject = report::Subject {
        run: &subject.run,
        processes: &material.processes,
        unreadable: &material.unreadable,
        timeline: &subject.timeline,
        unrecorded: &subject.unrecorded,
        occasion: match subject.is_running {
            true => Occasion::Requested,
            false => Occasion::Ended,
        },
    };
    report::export(out, format, &subject)
}
