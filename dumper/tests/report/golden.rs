//! The report of one job, word for word. `BLESS=1 cargo test -p dumper` accepts what has changed; look at the difference.

use std::fs;
use std::path::Path;

use dumper::report::Occasion;

use crate::job;

#[test]
fn the_report_of_a_job_that_ran_out_of_memory_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let run = job::run(folder.path());
    let written = job::report(folder.path(), &run, &[job::recording()], Occasion::Ended);

    let here = folder.path().to_str().unwrap();
    let read = |name: &str| {
        fs::read_to_string(folder.path().join(name))
            .unwrap()
            .replace(here, "/run")
    };
    let mut differences = Vec::new();
    let mut compare = |name: &str, text: &str| differences.extend(difference(name, text));
    compare(
        "summary.txt",
        &(written.summary.join("\n").replace(here, "/run") + "\n"),
    );
    compare("index.html", &read("index.html"));
    for stem in ["out-of-memory", "peak-memory"] {
        compare(&format!("{stem}.prof"), &read(&format!("{stem}.prof")));
        compare(&format!("{stem}.svg.txt"), &frames(&read(&format!("{stem}.svg"))));
        compare(
            &format!("{stem}-reversed.svg.txt"),
            &frames(&read(&format!("{stem}-reversed.svg"))),
        );
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// What a picture shows, a frame to a line, without styles and scripts.
fn frames(svg: &str) -> String {
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
    let (number, line) = actual
        .lines()
        .enumerate()
        .find(|(at, line)| expected.lines().nth(*at) != Some(line))?;
    Some(format!(
        "{name}:{}: {line}\n  was {}",
        number + 1,
        expected.lines().nth(number).unwrap_or("not there")
    ))
}
