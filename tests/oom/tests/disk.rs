//! "The recording must not hurt": full disks, read-only folders, planted links, and files that are private.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use oom::{Disk, Folded, Job, MIB, Outcome, Python, Report, assert_close, fil_profile, place};

const KIB: u64 = 1 << 10;

/// Status and output are the victim's own.
#[track_caller]
fn is_unharmed(outcome: &Outcome, status: i32, text: &str) {
    assert_eq!((outcome.status, outcome.signal), (Some(status), None), "{outcome}");
    assert_eq!(outcome.text(), text, "{outcome}");
}

#[test]
fn a_job_ends_as_without_us_however_little_room_the_disk_has() {
    let Some(disk) = Disk::new(8 * MIB) else { return };
    let python = Python::any();
    for room in [
        0,
        4 * KIB,
        16 * KIB,
        64 * KIB,
        128 * KIB,
        300 * KIB,
        600 * KIB,
        MIB,
        2 * MIB,
    ] {
        disk.clear();
        disk.fill_but(room);
        let job = Job::python(python, "waits.py")
            .arg("/")
            .option("-o")
            .option(disk.path().join("out"));
        let outcome = job.run();
        println!("{room} bytes left: {:?}", outcome.our_lines());
        is_unharmed(&outcome, 4, "holding\ndone\n");
        assert_eq!(outcome.job_stderr(), "", "{room} bytes left: {outcome}");
        let picture = disk.path().join("out/latest/peak-memory.svg");
        let left = Command::new("find")
            .arg(disk.path().join("out"))
            .args(["-name", "*.recording", "-size", "0"])
            .output();
        assert_eq!(
            left.expect("find can be run").stdout,
            b"",
            "{room} bytes left: {outcome}"
        );
        for noise in ["not a recording", "no recording can be read", "nothing was recorded"] {
            assert!(!outcome.stderr.contains(noise), "{room} bytes left: {outcome}");
        }
        // What is there is whole; what is not there is spoken of.
        if picture.exists() {
            oom::Svg::load(&picture);
        } else {
            assert!(
                !outcome.our_lines().is_empty(),
                "{room} bytes left, and not a word: {outcome}"
            );
        }
    }
}

#[test]
fn a_job_that_runs_out_of_memory_on_a_full_disk_still_says_where() {
    let Some(disk) = Disk::new(8 * MIB) else { return };
    for room in [0, 128 * KIB, 600 * KIB, 2 * MIB] {
        disk.clear();
        disk.fill_but(room);
        let job = Job::python(Python::any(), "steady_arrays.py").limit_address_space(200 * MIB);
        let outcome = job.option("-o").option(disk.path().join("out")).run();
        assert_eq!(
            (outcome.status, outcome.signal),
            (Some(1), None),
            "{room} bytes left: {outcome}"
        );
        assert!(
            outcome.job_stderr().contains("MemoryError"),
            "{room} bytes left: {outcome}"
        );
        let lines = outcome.our_lines();
        // The page is written last, so that with it there was room for everything.
        assert!(
            lines.iter().any(|line| line.contains("No space left"))
                || disk.path().join("out/latest/index.html").exists(),
            "{room} bytes left: {outcome}"
        );
        // A recording has found room; where there is none for the pictures, the log is told.
        let here = place("steady_arrays.py", "HERE").to_string();
        let is_told = lines.iter().any(|line| line.contains(&here));
        assert!(
            is_told || room < 2 * MIB,
            "{room} bytes left, and no line names {here}: {outcome}"
        );
    }
}

#[test]
fn a_disk_that_gets_full_while_the_job_runs_makes_the_report_incomplete_and_says_so() {
    let Some(disk) = Disk::new(8 * MIB) else { return };
    let job = Job::python(Python::any(), "fills_disk.py").arg(disk.path());
    // Finely sampled, so that what there is to record needs more than the disk has.
    let job = job
        .option("--sample-interval=4096")
        .option("-o")
        .option(disk.path().join("out"));
    let outcome = job.run();
    is_unharmed(&outcome, 6, "full\nend\n");
    let said = outcome.stderr.contains("No space left") || outcome.stderr.contains("INCOMPLETE");
    assert!(said, "not a word about the disk: {outcome}");
    // With room again, the report of what was recorded is whole, and says what is not in it.
    std::fs::remove_file(disk.path().join("filler")).expect("the victim has filled it");
    let mut report = Command::new(fil_profile());
    let report = report
        .args(["--no-browser", "report"])
        .arg(disk.path().join("out"))
        .output();
    let report = report.expect("it can be run");
    assert_eq!(report.status.code(), Some(0), "{report:?}");
    let run = disk.path().join("out/latest");
    let folded = Folded::load(&run.join("peak-memory.prof"));
    assert_close(folded.at(&place("fills_disk.py", "HERE")), 30 * MIB, 2.0, &folded);
    // Nothing is lost but the names of places: 20,000 blocks of 2 KB, and the functions.
    let total = folded.total();
    let rest = "[not recorded apart]";
    assert!(
        total > 30 * MIB + 20_000 * 2000,
        "{total} bytes, {} of them {rest}",
        folded.in_function(rest)
    );
    // What had no room for a name is at its caller.
    let caller = folded.at(&place("fills_disk.py", "CALLER"));
    assert!(caller > 10 * MIB, "the disk was not full: {folded}");
    assert!(folded.in_function(rest) < MIB, "{folded}");
    let page = std::fs::read_to_string(run.join("index.html")).expect("it is UTF-8");
    assert!(
        page.contains("INCOMPLETE"),
        "the page does not say that something is missing"
    );
    let json = Report::load(&run.join("report.json"));
    assert!(
        json.at("/trouble")
            .as_array()
            .is_some_and(|trouble| !trouble.is_empty()),
        "{json}"
    );
}

#[test]
fn a_read_only_folder_is_found_before_the_job_starts() {
    let Some(disk) = Disk::new(MIB) else { return };
    disk.make_read_only();
    let output = disk.path().join("out");
    let job = Job::python(Python::any(), "waits.py")
        .arg("/")
        .option("-o")
        .option(&output);
    let outcome = job.run();
    is_unharmed(&outcome, 4, "holding\ndone\n");
    let lines = outcome.our_lines();
    assert_eq!(lines.len(), 1, "{outcome}");
    assert!(lines[0].contains(output.to_str().expect("a plain name")), "{outcome}");
    assert!(lines[0].contains("Read-only"), "{outcome}");
}

#[test]
fn files_are_their_owners_alone_under_any_umask() {
    let job = Job::python(Python::any(), "steady_arrays.py").limit_address_space(200 * MIB);
    let outcome = job.launched_by(["/bin/sh", "-c", "umask 0 && exec \"$@\"", "sh"]).run();
    outcome.out_of_memory();
    let run = outcome.run_folder();
    assert_eq!(mode(&run), 0o700);
    let mut seen = 0;
    for entry in std::fs::read_dir(&run).expect("a folder").flatten() {
        assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
        seen += 1;
    }
    assert!(seen >= 8, "{outcome}");
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777
}

/// In a folder that others may write to: links that lead to a file which is not ours to change.
#[test]
fn planted_links_are_not_followed() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let precious = folder.path().join("precious");
    std::fs::write(&precious, "precious").expect("the folder is writable");
    let output = folder.path().join("fil-result");
    std::fs::create_dir(&output).expect("the folder is writable");
    for name in ["latest", "out-of-memory.svg"] {
        symlink(&precious, output.join(name)).expect("the folder is writable");
    }
    let job = Job::python(Python::any(), "steady_arrays.py").limit_address_space(200 * MIB);
    let outcome = job.start_in(folder).finish();
    // They stay, and the run folder is the only folder.
    for name in ["latest", "out-of-memory.svg"] {
        let link = outcome.folder().join("fil-result").join(name);
        assert_eq!(std::fs::read_link(link).expect("it is still there"), precious);
    }
    let entries = std::fs::read_dir(outcome.folder().join("fil-result")).expect("it is there");
    let folders = entries.map(|entry| entry.expect("it can be listed").path());
    let mut folders = folders.filter(|path| !path.is_symlink());
    let run = folders.next().expect("the run has a folder");
    // And when the report is written again, in the run folder itself.
    let names = [
        "out-of-memory.svg",
        "out-of-memory.prof",
        "index.html",
        "report.json",
        "run.json",
    ];
    for name in names.iter().filter(|name| **name != "run.json") {
        std::fs::remove_file(run.join(name)).expect("it is there");
        symlink(&precious, run.join(name)).expect("the folder is writable");
    }
    let mut report = Command::new(fil_profile());
    let report = report
        .args(["--no-browser", "report"])
        .arg(&run)
        .output()
        .expect("it can be run");
    assert_eq!(report.status.code(), Some(0), "{report:?}");
    let text = std::fs::read_to_string(outcome.folder().join("precious")).expect("it is still there");
    assert_eq!(text, "precious");
    for name in names {
        let about = std::fs::symlink_metadata(run.join(name)).expect("it is there");
        assert!(about.is_file() && about.nlink() == 1, "{name} is still a link");
    }
}
