//! Makes a folder for a report whose run folder must not be written to: of a bundle, of another user's run, of a copy.

use std::path::Path;

use dumper::folder::Folder;
use dumper::{Run, timeline};

use crate::commands::subject::{Origin, Subject};
use crate::folder::{RunFolder, make_output};

/// Makes a folder for the report of `subject`, or takes that of an earlier report of it, and writes into it what a report reads beside the
/// recordings. For a bundle the folder is beside it and has its name. Otherwise, or if that fails, it is in `output`.
pub fn folder_for(subject: &Subject, output: &Path) -> Result<RunFolder, String> {
    let beside = match &subject.origin {
        Origin::Bundle(bundle) => beside(bundle, subject)?,
        Origin::Run | Origin::Recording => None,
    };
    let made = beside.map_or_else(|| in_output(subject, output), Ok)?;
    fill(&made, subject).map_err(|error| error.to_string())?;
    Ok(made)
}

/// None if no folder can be made there.
fn beside(bundle: &Path, subject: &Subject) -> Result<Option<RunFolder>, String> {
    let folder = bundle.with_extension("");
    if folder == bundle {
        return Err("a bundle of this name would be where its report has to be; call it something.fil".to_owned());
    }
    let parent = bundle.parent().filter(|parent| !parent.as_os_str().is_empty());
    let Ok(parent) = Folder::open(parent.unwrap_or(Path::new("."))) else {
        return Ok(None);
    };
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(RunFolder::make(&parent, &name, |known| is_copy_of(known, &subject.run)).ok())
}

fn in_output(subject: &Subject, output: &Path) -> Result<RunFolder, String> {
    let name = match &subject.origin {
        Origin::Bundle(bundle) => bundle.file_stem(),
        Origin::Run | Origin::Recording => subject.folder.path.file_name(),
    };
    let name = format!("report-of-{}", name.unwrap_or_default().to_string_lossy());
    let made =
        make_output(output).and_then(|output| RunFolder::make(&output, &name, |known| is_copy_of(known, &subject.run)));
    made.map_err(|error| {
        format!(
            "cannot make a folder for the report in {}: {error}; another place for it: fil-profile -o DIR report {}",
            output.display(),
            subject.path.display()
        )
    })
}

fn is_copy_of(known: &Run, run: &Run) -> bool {
    let name = |run: &Run| (run.started.clone(), run.host.clone(), run.command.clone());
    known.is_copy && name(known) == name(run)
}

fn fill(folder: &RunFolder, subject: &Subject) -> Result<(), dumper::Error> {
    let run = Run {
        is_copy: true,
        made_in: folder.folder.birth().ok(),
        token: None,
        report_written: true,
        ..subject.run.clone()
    };
    run.save(&folder.folder)?;
    timeline::save_all(&folder.folder, &subject.timeline)?;
    subject.unrecorded.save(&folder.folder)
}
