//! The report of one job, word for word. `BLESS=1 cargo test -p dumper` accepts what has changed; look at the difference.

use std::fs;
use std::path::Path;

use dumper::Run;
use dumper::report::Occasion;

use crate::{formats, job, protobuf};

#[test]
fn the_report_of_a_job_that_ran_out_of_memory_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let run = job::run(folder.path());
    check("failed", folder.path(), &run, job::recording());
}

#[test]
fn the_report_of_a_job_that_was_killed_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let run = job::killed_run(folder.path());
    fs::write(
        folder.path().join("timeline.csv"),
        "seconds,tracked_bytes,resident_bytes,cgroup_bytes,limit_bytes,mark\n\
         0.100,1048576,20971520,25165824,536870912,\n\
         4.900,448790528,520093696,536608768,536870912,close to the limit\n",
    )
    .unwrap();
    check("killed", folder.path(), &run, job::killed());
}

/// Compares texts with what they were.
pub fn check_texts(texts: &[(&str, &str)]) {
    let differences: Vec<String> = texts.iter().filter_map(|(name, text)| difference(name, text)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Compares all of a report with what it was.
fn check(case: &str, folder: &Path, run: &Run, recording: Vec<u8>) {
    let written = job::report(folder, run, &[recording], Occasion::Ended);
    let here = folder.to_str().unwrap();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap().replace(here, "/run");
    let mut differences = Vec::new();
    let mut compare = |name: &str, text: &str| differences.extend(difference(&format!("{case}/{name}"), text));
    compare(
        "summary.txt",
        &(job::said(&written).join("\n").replace(here, "/run") + "\n"),
    );
    compare("index.html", &without_program(&read("index.html")));
    compare("report.json", &read("report.json"));
    for stem in ["out-of-memory", "peak-memory"] {
        compare(&format!("{stem}.prof"), &read(&format!("{stem}.prof")));
        compare(&format!("{stem}.svg.txt"), &frames(&read(&format!("{stem}.svg"))));
        compare(
            &format!("{stem}-reversed.svg.txt"),
            &frames(&read(&format!("{stem}-reversed.svg"))),
        );
    }
    let document = |format| String::from_utf8(formats::document(format, folder, run)).unwrap();
    let here = |text: String| text.replace(here, "/run");
    compare("table.csv", &here(document("csv")));
    compare("speedscope.json", &here(document("speedscope")));
    let profile = formats::gunzipped(&formats::document("pprof", folder, run));
    compare("pprof.txt", &here(protobuf::text(&profile)));
    // The other formats are the files that have been compared above. A page on its own has no links, see `page.rs`.
    for (format, name) in [
        ("folded", "out-of-memory.prof"),
        ("json", "report.json"),
        ("svg", "out-of-memory.svg"),
        ("svg-reversed", "out-of-memory-reversed.svg"),
    ] {
        let file = fs::read_to_string(folder.join(name)).unwrap();
        assert!(document(format) == file, "{case}: {format:?} is not {name}");
    }
    let said = job::said(&written);
    let pictures = said.iter().filter(|line| line.starts_with("Wrote "));
    let lines = said.len() - pictures.count();
    assert_eq!(document("text"), said[..lines].join("\n") + "\n");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// A page without its style and script, and without the policy that names them.
fn without_program(page: &str) -> String {
    let mut page = page.to_owned();
    for (begin, end) in [
        ("<style>", "</style>"),
        ("<script type=\"module\">", "</script>"),
        ("<meta http-equiv", ">"),
    ] {
        let (before, rest) = page.split_once(begin).unwrap();
        page = format!("{before}{begin}{end}{}", rest.split_once(end).unwrap().1);
    }
    page
}

/// What a picture shows, a frame to a line, without styles and scripts.
pub fn frames(svg: &str) -> String {
    let mut picture = svg.to_owned();
    for element in ["style", "script"] {
        while let Some((before, rest)) = picture.split_once(&format!("<{element}")) {
            picture = format!("{before}{}", rest.split_once(&format!("</{element}>")).unwrap().1);
        }
    }
    picture.replace("</text><", "</text>\n<").replace("<g>", "\n<g>")
}

fn difference(name: &str, actual: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, actual).unwrap();
        return None;
    }
    let Ok(expected) = fs::read_to_string(&path) else {
        return Some(format!("{} is missing", path.display()));
    };
    if actual == expected {
        return None;
    }
    let (mut now, mut was) = (actual.lines(), expected.lines());
    let mut number = 1;
    loop {
        match (now.next(), was.next()) {
            (None, None) => return Some(format!("{name}: other line ends")),
            (now, was) if now == was => number += 1,
            (now, was) => {
                let gone = "not there";
                return Some(format!(
                    "{name}:{number}: {}\n  was {}",
                    now.unwrap_or(gone),
                    was.unwrap_or(gone)
                ));
            }
        }
    }
}
