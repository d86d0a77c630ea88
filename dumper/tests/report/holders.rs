//! Which variables held the memory: in the log, the page, the picture and `report.json`, and in a bundle. Whatever a name has in it, it is
//! only a name.

use std::fs;
use std::path::Path;

use dumper::folder::Place;
use dumper::holders::{Frame, Holders, Look, Part, Site, TypeRow, Variable, VariableKind};
use dumper::report::{Occasion, Written};
use dumper::{Unrecorded, bundle, process};
use recording::is_hidden;
use serde_json::Value;

use crate::hostile::EVIL;
use crate::job;
use crate::json::validator;

const GIB: u64 = 1 << 30;

/// A list in `load`, which the recording's first large site has allocated.
fn look(name: &str, failed: u32) -> Look {
    let part = |parent, step: &str, type_name: &str| Part {
        parent,
        step: step.to_owned(),
        type_name: type_name.to_owned(),
        bytes: GIB,
        objects: 81,
    };
    let variable = Variable {
        frame: Frame {
            file: "oom.py".to_owned(),
            line: 7,
            function: "load".to_owned(),
            thread: "main thread".to_owned(),
        },
        name: name.to_owned(),
        kind: VariableKind::Local,
        type_name: "list".to_owned(),
        length: Some(81),
        item_type: Some("ndarray".to_owned()),
        bytes: GIB,
        exclusive_bytes: GIB,
        objects: 82,
        path: vec!["[i]".to_owned()],
        path_type: "ndarray".to_owned(),
        tree: vec![part(0, "", name), part(0, "[i]", "ndarray")],
        sites: (0..5)
            .map(|site| Site {
                site: Some(site),
                bytes: GIB,
                ..Site::default()
            })
            .collect(),
        ..Variable::default()
    };
    Look {
        time_ns: 1,
        occasion: "when an allocation failed".to_owned(),
        oom_epoch: failed,
        live_bytes: 3 * GIB / 2,
        stopped: true,
        covered_bytes: GIB,
        variables: vec![variable],
        types: vec![TypeRow {
            name: name.to_owned(),
            bytes: GIB,
            objects: 81,
        }],
        ..Look::default()
    }
}

/// The report of the job that ran out, with a variable of this name.
fn reported(folder: &Path, name: &str) -> Written {
    let run = job::run(folder);
    job::report(folder, &run, &[job::recording()], Occasion::Ended);
    let place = Place::of(&folder.join("4711-0.recording")).unwrap();
    let epoch = process::read(&place).unwrap().facts.kinds.oom_epoch;
    let mut holders = Holders::default();
    holders.add(look(name, epoch), true);
    holders.save(&place).unwrap();
    let (processes, unreadable) = process::load(&job::opened(folder)).unwrap();
    dumper::report::write(&job::opened(folder), &run, &processes, &unreadable, Occasion::Ended)
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn all_views_tell_the_variable_with_its_way_and_the_line_that_allocated_it() {
    let folder = tempfile::tempdir().unwrap();
    let written = reported(folder.path(), "parts");
    let said = job::said(&written).join(" ");
    let said: Vec<&str> = said.split_whitespace().collect();
    let line = "Held by: parts in load() at oom.py:7, list of 81 ndarray: 1.0 GiB (66.7 %)";
    assert!(said.join(" ").contains(line), "{said:?}");
    let page = text(folder.path(), "index.html");
    for shown in [
        "Who holds it",
        "parts in load() at oom.py:7",
        "kept by parts in load()",
        "held by no variable that was found",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
    assert!(text(folder.path(), "holders.svg").contains("[i] ndarray × 81"));
    let report: Value = serde_json::from_str(&text(folder.path(), "report.json")).unwrap();
    let schema = validator(include_str!("../../schema/report.schema.json"), true);
    if let Err(error) = schema.validate(&report) {
        panic!("{error} at {}", error.instance_path());
    }
    let holders = &report["holders"];
    assert_eq!((&holders["stopped"], &holders["age_ms"]), (&true.into(), &0.into()));
    let sites = holders["variables"][0]["sites"].as_array().unwrap();
    assert!(sites.iter().any(|site| site["file"] == "oom.py"), "{sites:?}");
    assert!(sites.iter().all(|site| site.get("site").is_none()), "{sites:?}");
}

#[test]
fn a_bundle_has_them_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    reported(folder.path(), "parts");
    let report: Value = serde_json::from_str(&text(folder.path(), "report.json")).unwrap();
    let (processes, _) = process::load(&job::opened(folder.path())).unwrap();
    let run = job::run(folder.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let to = job::opened(elsewhere.path());
    bundle::write(&to, &run, &processes, &[], &Unrecorded::default(), None).unwrap();
    let read = bundle::read(&bundle::of(&to).unwrap()).unwrap();
    dumper::report::write(&to, &run, &read.processes, &[], Occasion::Ended);
    let again: Value = serde_json::from_str(&text(elsewhere.path(), "report.json")).unwrap();
    assert_eq!(again["holders"], report["holders"]);
}

#[test]
fn a_name_that_would_command_is_only_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let written = reported(folder.path(), EVIL);
    for line in job::said(&written) {
        assert!(!line.contains(is_hidden), "{line:?}");
    }
    for name in ["index.html", "holders.svg", "report.json"] {
        let text = text(folder.path(), name);
        assert!(!text.contains(|c| is_hidden(c) && c != '\n' && c != '\t'), "{name}");
        assert!(name == "report.json" || !text.contains("</script><b>"), "{name}");
    }
}
