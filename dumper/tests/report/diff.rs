//! What became better or worse from one run to another, also when somebody has worked on the program in between.

use std::fs;

use dumper::folder::Place;
use dumper::report::{Diff, Side};
use dumper::{LocalSource, Run, Unrecorded, process};

use crate::builder::{Builder, Held};
use crate::golden;

const OLD: &str = "\
def load(path):
    rows = read(path)
    index = {row.key: row for row in rows}
    return rows, index

def plot(rows):
    figures = [draw(row) for row in rows]
    return figures
";
const NEW: &str = "\
# Rows are compact now.

def load(path):
    check(path)
    rows = read(path)
    index = {row.key: row for row in rows}
    copies = list(rows)
    return rows, index
";

/// A folder with a program, the recording of a run of it, and a peak: lines, what they held in MiB, and the deviation.
struct Version {
    folder: tempfile::TempDir,
    run: Run,
}

impl Version {
    fn new(source: &str, sites: &[(u32, &str, u64, u64)]) -> Version {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("job.py"), source).unwrap();
        let mut job = Builder::new(1, &["python3", "job.py"]);
        for (line, function, mib, deviation) in sites {
            let node = job.stack(&[("<frozen runpy>", 88, "_run_code"), ("job.py", *line, function)]);
            let held = Held {
                bytes: mib << 20,
                variance: (deviation << 20).pow(2),
            };
            job.site(node, Held::default(), held, Held::default());
        }
        let node = job.stack(&[("", 0, "[No Python stack]")]);
        job.holds(node, 8 << 20);
        fs::write(folder.path().join("1-0.recording"), job.bytes()).unwrap();
        let run = Run {
            command: vec!["python3".into(), "job.py".into()],
            directory: folder.path().to_owned(),
            started: "2026-01-31T14:05:09.123+01:00".into(),
            source: LocalSource::ThisMachine,
            ..Run::default()
        };
        Version { folder, run }
    }

    fn diff(&self, new: &Version) -> Option<Diff> {
        let [old, newer] =
            [self, new].map(|version| process::load(&crate::job::opened(version.folder.path())).unwrap().0);
        let old = Side {
            run: &self.run,
            processes: &old,
        };
        let new = Side {
            run: &new.run,
            processes: &newer,
        };
        Diff::between(old, new).unwrap()
    }
}

fn versions() -> (Version, Version) {
    let old = [(2, "load", 100, 0), (3, "load", 50, 1), (7, "plot", 40, 0)];
    let new = [(5, "load", 160, 0), (6, "load", 51, 1), (7, "load", 30, 0)];
    (Version::new(OLD, &old), Version::new(NEW, &new))
}

fn picture(diff: &Diff) -> String {
    let mut picture = Vec::new();
    diff.picture(&mut picture).unwrap();
    String::from_utf8(picture).unwrap()
}

#[test]
fn a_difference_is_as_it_was() {
    let (old, new) = versions();
    let diff = old.diff(&new).unwrap();
    golden::check_texts(&[
        ("diff/summary.txt", &(diff.text().join("\n") + "\n")),
        ("diff/difference.svg.txt", &golden::frames(&picture(&diff))),
    ]);
}

#[test]
fn lines_are_matched_by_what_they_say_and_small_differences_are_chance() {
    let (old, new) = versions();
    let diff = old.diff(&new).unwrap();
    assert_eq!(diff.totals(), (198 << 20, 249 << 20));
    let text = diff.text().join("\n");
    assert!(
        text.contains("+60.0 MiB  job.py:5 (load), was line 2  100.0 MiB → 160.0 MiB"),
        "{text}"
    );
    assert!(text.contains("+30.0 MiB  job.py:7 (load)  new"), "{text}");
    assert!(text.contains("-40.0 MiB  job.py:7 (plot)  gone"), "{text}");
    // One MiB more, known to within one and a half.
    assert!(!text.contains("job.py:6"), "{text}");
    assert!(
        text.ends_with("2 more call sites are as before, or so little off that it may be chance."),
        "{text}"
    );
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn the_picture_shows_what_grew_what_shrank_and_what_is_gone() {
    let (old, new) = versions();
    let picture = picture(&old.diff(&new).unwrap());
    for title in [
        "job.py:5 (load)\n100.0 MiB → 160.0 MiB, +60.0 MiB (+60.0 %)\nrows = read(path)",
        "job.py:7 (plot)\n40.0 MiB → 0 B, gone\nfigures = [draw(row) for row in rows]",
        "job.py:7 (load)\n0 B → 30.0 MiB, new\ncopies = list(rows)",
        "[No Python stack]\n8.0 MiB → 8.0 MiB, as before",
        "all\n198.0 MiB → 249.0 MiB, +51.0 MiB (+25.8 %)",
    ] {
        assert!(
            picture.contains(&format!("<title>{title}</title>")),
            "{title}: {picture}"
        );
    }
}

#[test]
fn a_run_is_as_it_was_compared_with_itself_and_nothing_compares_with_nothing() {
    let (old, _) = versions();
    let diff = old.diff(&old).unwrap();
    let text = diff.text();
    assert_eq!(
        text[0],
        "Peak memory: 198.0 MiB ± 1.0 MiB → 198.0 MiB ± 1.0 MiB, as before"
    );
    assert_eq!(text[3..], ["No call site changed by as much as matters."]);
    assert!(!picture(&diff).contains("gone"));

    let empty = Version::new(OLD, &[]);
    fs::remove_file(empty.folder.path().join("1-0.recording")).unwrap();
    assert!(old.diff(&empty).is_none());
}

#[test]
fn what_is_too_small_to_see_is_counted_in_both_runs() {
    let sites = |mib: u64| -> Vec<(u32, &str, u64, u64)> {
        let small = (1..=300).map(|line| (line, "load", mib, 0));
        small.chain([(400, "load", 2000, 0)]).collect()
    };
    let (old, new) = (Version::new("", &sites(1)), Version::new("", &sites(2)));
    let picture = picture(&old.diff(&new).unwrap());
    assert!(
        picture.contains("<title>(small)\n300.0 MiB → 600.0 MiB, +300.0 MiB (+100.0 %)</title>"),
        "{picture}"
    );
}

#[test]
fn a_bundle_is_compared_by_the_lines_that_it_has_brought_along() {
    let (old, new) = versions();
    let expected = old.diff(&new).unwrap().text();
    let processes = process::load(&crate::job::opened(old.folder.path())).unwrap().0;
    let path = dumper::bundle::write(
        &crate::job::opened(old.folder.path()),
        &old.run,
        &processes,
        &[],
        &Unrecorded::default(),
        None,
    )
    .unwrap()
    .path;
    // The program has gone on.
    fs::write(old.folder.path().join("job.py"), NEW).unwrap();
    let bundle = dumper::bundle::read(&Place::of(&path).unwrap()).unwrap();
    let newer = process::load(&crate::job::opened(new.folder.path())).unwrap().0;
    let old = Side {
        run: &bundle.run,
        processes: &bundle.processes,
    };
    let new = Side {
        run: &new.run,
        processes: &newer,
    };
    assert_eq!(Diff::between(old, new).unwrap().unwrap().text(), expected);
}
