//! Where what is in memory ranks, it is the first number of every text and picture.

use std::fs;
use std::mem::offset_of;
use std::path::Path;

use dumper::measured::{Measured, Measurements, Pages, SitePages};
use dumper::outcome::{Limit, LimitKind};
use dumper::report::{self, Occasion, Written};
use dumper::{Run, process};
use recording::{Header, Kind};

use crate::builder::Builder;
use crate::{formats, job};

const MIB: u64 = 1 << 20;

/// A process that has reserved 1000 MiB in line 1, of which so much is there, and filled 100 MiB in line 2.
fn process(pid: u32, there: u64) -> (Vec<u8>, Measurements) {
    let mut job = Builder::new(pid, &["python3", "work.py"]);
    job.running();
    job.u32(offset_of!(Header, ppid), 4710);
    let [reserves, fills] = [("work.py", 1, "reserve"), ("work.py", 2, "fill")].map(|call| job.stack(&[call]));
    job.holds(reserves, 1000 * MIB);
    job.holds(fills, 100 * MIB);
    let pages = Pages {
        bytes: 1000 * MIB,
        resident: there * MIB,
        ..Pages::default()
    };
    let measured = Measured {
        live_bytes: 1100 * MIB,
        blocks: [(Kind::Mapping as u32, pages)].into(),
        // Site 0 is for what finds no place.
        sites: vec![SitePages {
            site: 1,
            pages,
            ..SitePages::default()
        }],
        ..Measured::default()
    };
    let mut measurements = Measurements::default();
    measurements.add(measured, false);
    (job.bytes(), measurements)
}

fn report_of(folder: &Path, run: &Run, processes: &[(Vec<u8>, Measurements)]) -> Written {
    for (number, (_, measurements)) in processes.iter().enumerate() {
        let recording = folder.join(format!("{}-{number}.recording", 7 + number));
        measurements
            .save(&dumper::folder::Place::of(&recording).unwrap())
            .unwrap();
    }
    let recordings: Vec<_> = processes.iter().map(|(bytes, _)| bytes.clone()).collect();
    job::report(folder, run, &recordings, Occasion::Ended)
}

/// Without the ends of its lines and the width of its columns.
fn flat(lines: &[String]) -> String {
    let words: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
    words.join(" ")
}

#[test]
fn of_memory_that_is_mostly_untouched_what_is_there_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run {
        text: true,
        address_space_limit: None,
        ..job::run(folder.path())
    };
    let written = report_of(folder.path(), &run, &[process(7, 50)]);
    let said = flat(&job::said(&written));
    assert!(
        said.contains("Peak memory: 150.0 MiB (in memory, of 1.1 GiB asked for), of which 66.7 % at work.py:2 (fill)"),
        "{said}"
    );
    assert!(
        said.contains("At the peak 150.0 MiB (in memory, of 1.1 GiB asked for) were in use")
            && said.contains("66.7 % 100.0 MiB"),
        "{said}"
    );
    let headline = written.headline.unwrap();
    assert_eq!(headline.peak_bytes, 150 * MIB);
    assert_eq!(headline.culprit.as_deref(), Some("work.py:2 (fill)"));
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let picture = text("peak-memory.svg");
    assert!(
        picture.contains("150.0 MiB resident, of 1.1 GiB asked for"),
        "{picture}"
    );
    let page = text("index.html");
    for words in [
        "At the peak: 150.0 MiB (in memory, of 1.1 GiB asked for)",
        "The most memory in use was 150.0 MiB (in memory, of 1.1 GiB asked for).",
        "<code class=\"place\">work.py:2 (fill)</code> held <strong>100.0 MiB of 150.0 MiB, 66.7 %</strong>",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[test]
fn a_document_that_is_written_apart_is_about_what_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run {
        address_space_limit: None,
        ..job::run(folder.path())
    };
    report_of(folder.path(), &run, &[process(7, 50)]);
    let document = |format| formats::document(format, folder.path(), &run);
    let table = document("csv");
    let mut table = csv::Reader::from_reader(&table[..]);
    let numbers = |row: &csv::StringRecord| [4, 10].map(|column: usize| row[column].parse::<u64>().unwrap() / MIB);
    let rows: Vec<_> = table.records().map(|row| numbers(&row.unwrap())).collect();
    assert_eq!(rows, [[100, 100], [1000, 50]]);
    for (format, name) in [
        ("svg", "peak-memory.svg"),
        ("svg-reversed", "peak-memory-reversed.svg"),
        ("folded", "peak-memory.prof"),
    ] {
        let written = fs::read(folder.path().join(name)).unwrap();
        assert!(document(format) == written, "{name}");
    }
    let speedscope = String::from_utf8(document("speedscope")).unwrap();
    assert!(speedscope.contains("At the peak, resident (work.py)"), "{speedscope}");
    assert!(speedscope.contains(&(150 * MIB).to_string()), "{speedscope}");
}

#[test]
fn all_processes_together_are_drawn_by_what_ranks_each() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run {
        address_space_limit: None,
        ..job::run(folder.path())
    };
    report_of(folder.path(), &run, &[process(7, 50), process(8, 20)]);
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let picture = text("process-tree.svg");
    assert!(
        picture.contains("270.0 MiB resident, of 2.1 GiB asked for"),
        "{picture}"
    );
    let held: u64 = text("process-tree.prof")
        .lines()
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(held, 270 * MIB);
}

#[test]
fn close_to_a_limit_that_counts_pages_they_are_told_first() {
    let folder = tempfile::tempdir().unwrap();
    let limit = Limit {
        kind: LimitKind::CgroupV2,
        bytes: 200 * MIB,
        ..Limit::default()
    };
    let run = Run {
        rank: Some(dumper::Rank::Resident),
        limits: vec![limit],
        ending: None,
        ..job::run(folder.path())
    };
    report_of(folder.path(), &run, &[process(7, 50)]);
    let (processes, _) = process::load(&crate::job::opened(folder.path())).unwrap();
    let said = flat(&report::text(&report::near_limit(&run, &processes)));
    assert!(
        said.contains("holds 150.0 MiB (in memory, of 1.1 GiB asked for), most"),
        "{said}"
    );
}
