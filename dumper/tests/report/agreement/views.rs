//! Every view of a run is compared with what is true of the run.

use std::fs;

use dumper::measured::Measurements;
use dumper::merge::Merged;
use dumper::outcome::Kind;
use dumper::report::{self, Diff, Occasion, Side, Subject, Written};
use dumper::units::{Bytes, Share};
use dumper::{Process, Run, Unrecorded};
use serde_json::Value;

use crate::builder::Builder;
use crate::job;

use super::{Case, MIB, SCRIPT, reserved};

/// What is true of a run.
pub struct Truth {
    pub place: &'static str,
    /// The line of the user's own code that it was for.
    pub from: Option<&'static str>,
    /// What the culprit held, and all that was held, by what ranks the run.
    pub bytes: u64,
    pub total: u64,
    pub is_by_resident: bool,
    /// Whether what is compared is the peak.
    pub is_at_the_peak: bool,
    /// Whether pictures show callstacks as they are: imports and recursions are put together.
    pub is_drawn_as_it_is: bool,
}

impl Truth {
    pub fn share(&self) -> Share {
        Share::of(self.bytes, self.total)
    }

    /// As texts have it.
    pub fn named(&self) -> String {
        match self.from {
            Some(from) => format!("{}, from {from}", self.place),
            None => self.place.to_owned(),
        }
    }
}

pub fn check(run: &Run, processes: &[Process], truth: &Truth) {
    let folder = tempfile::tempdir().unwrap();
    let written = report::write(&job::opened(folder.path()), run, processes, &[], Occasion::Ended);
    check_log(&written, run, truth);
    check_headline(&written, truth);
    check_page(&fs::read_to_string(&written.index).unwrap(), run, truth);
    let document = |format| {
        let subject = Subject {
            run,
            processes,
            unreadable: &[],
            timeline: &[],
            unrecorded: &Unrecorded::default(),
            occasion: Occasion::Ended,
        };
        let mut out = Vec::new();
        report::export(&mut out, report::format(format).unwrap(), &subject).unwrap();
        out
    };
    check_csv(&document("csv"), truth);
    check_json(&serde_json::from_slice(&document("json")).unwrap(), run, truth);
    let stacks = String::from_utf8(document("folded")).unwrap();
    let weights = stacks
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
    assert_eq!(weights.sum::<u64>(), truth.total, "folded");
    check_merge(run, processes, truth);
    if truth.is_at_the_peak {
        check_diff(run, processes, truth);
    }
}

fn check_log(written: &Written, run: &Run, truth: &Truth) {
    // A place that is long has a line for each of its parts.
    let text = job::said(written).join(" ");
    let said = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace(", from", " from");
    let named = truth.named().replace(", from", " from");
    let (share, bytes, total) = (truth.share(), Bytes(truth.bytes), Bytes(truth.total));
    assert!(said.contains(&format!(": {total}")), "{total}: {said}");
    let culprit = match said.contains("Peak memory") {
        true => format!("of which {share} at {named}"),
        false => format!("most of it at {share} {bytes} {named}"),
    };
    assert!(said.contains(&culprit), "{culprit}: {said}");
    let outcome = run.outcome.as_ref().unwrap();
    assert_eq!(
        said.contains(&outcome.sentence),
        outcome.kind != Kind::Finished,
        "{said}"
    );
    if let Some(limit) = &outcome.limit {
        assert!(said.contains(&format!("Limit: {}", Bytes(limit.bytes))), "{said}");
    }
}

pub fn check_headline(written: &Written, truth: &Truth) {
    let headline = written.headline.as_ref().unwrap();
    assert_eq!(headline.culprit.as_deref(), Some(truth.place));
    assert_eq!(headline.from.as_deref(), truth.from);
    assert_eq!(headline.share, truth.share().fraction());
    if truth.is_at_the_peak {
        assert_eq!(headline.peak_bytes, truth.total);
    }
}

pub fn check_page(page: &str, run: &Run, truth: &Truth) {
    let escaped = |text: &str| text.replace('<', "&#60;").replace('>', "&#62;");
    let (place, from) = (escaped(truth.place), truth.from.map(escaped));
    let code = from
        .iter()
        .map(|from| format!(", from <code class=\"place\">{from}</code>"));
    let (bytes, total, share) = (Bytes(truth.bytes), Bytes(truth.total), truth.share());
    let culprit = format!(
        "<code class=\"place\">{}</code>{} held <strong>{bytes} of {total}, {share}</strong>",
        place,
        code.collect::<String>()
    );
    assert!(page.contains(&culprit), "{culprit}: {page}");
    assert!(page.contains(&run.outcome.as_ref().unwrap().sentence));
    if let Some(limit) = &run.outcome.as_ref().unwrap().limit {
        assert!(
            page.contains(&format!("<dt>limit</dt><dd>{}", Bytes(limit.bytes))),
            "{page}"
        );
    }
    // The view of that moment: its table, in which the culprit is the first row.
    let (number, view) = page
        .split("<div class=\"view\"")
        .skip(1)
        .enumerate()
        .find(|(_, view)| !view.contains("processes together"))
        .unwrap();
    let row = view.split("<tbody>").nth(1).unwrap().split("</tr>").next().unwrap();
    let weight = match truth.is_by_resident {
        true => format!("data-resident=\"{}\"", truth.bytes),
        false => format!("data-own=\"{}\"", truth.bytes),
    };
    assert!(row.contains(&weight) && row.contains(&place), "{weight}: {row}");
    assert!(row.contains(&format!("<span>{share}</span>")), "{share}: {row}");
    if let Some(from) = from {
        assert!(row.contains(&format!("for {from}")), "{row}");
    }
    // Its graph, in which all adds up and the culprit's line holds as much.
    let (_, data) = page.split_once("id=\"data\">").unwrap();
    let data: Value = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
    let graph = &data["graphs"][number];
    assert_eq!(graph["by_resident"] == true, truth.is_by_resident);
    let column = if truth.is_by_resident { "resident" } else { "own" };
    let numbers = |column: &str| -> Vec<u64> {
        let column = graph[column].as_array().unwrap().iter();
        column.map(|number| number.as_u64().unwrap()).collect()
    };
    let (weights, calls) = (numbers(column), numbers("call"));
    assert_eq!(weights.iter().sum::<u64>(), truth.total);
    let string = |number: &Value| data["strings"][number.as_u64().unwrap() as usize].as_str().unwrap();
    let name = |call: u64| match call.checked_sub(1).map(|call| &graph["calls"][call as usize]) {
        None => String::new(),
        Some(call) if call[2] == 0 => string(&call[1]).to_owned(),
        Some(call) => format!("{}:{} ({})", string(&call[0]), call[2], string(&call[1])),
    };
    let of_culprit = calls
        .iter()
        .zip(&weights)
        .filter(|(call, _)| name(**call) == truth.place);
    if truth.is_drawn_as_it_is {
        assert_eq!(of_culprit.map(|(_, weight)| weight).sum::<u64>(), truth.bytes);
    }
}

fn check_csv(table: &[u8], truth: &Truth) {
    let mut table = csv::Reader::from_reader(table);
    let first = table.records().next().unwrap().unwrap();
    let place = match (&first[1], &first[2]) {
        ("", _) => first[3].to_owned(),
        (file, line) => format!(
            "{}:{line} ({})",
            file.rsplit("site-packages/").next().unwrap(),
            &first[3]
        ),
    };
    assert_eq!(place, truth.place);
    assert_eq!(Some(&first[7]).filter(|from| !from.is_empty()), truth.from);
    let column = if truth.is_by_resident { 10 } else { 4 };
    assert_eq!(first[column].parse::<u64>().unwrap(), truth.bytes);
}

fn check_json(report: &Value, run: &Run, truth: &Truth) {
    let (site, moment) = (&report["call_sites"][0], &report["moment"]);
    let (ranked_by, column) = match truth.is_by_resident {
        true => ("resident", "resident_bytes"),
        false => ("requested", "bytes"),
    };
    assert_eq!(moment["ranked_by"], ranked_by);
    assert_eq!(
        (&moment[column], &site[column]),
        (&truth.total.into(), &truth.bytes.into())
    );
    assert_eq!(site["share"].as_f64(), Some(truth.share().fraction()));
    assert_eq!(site["caller"].as_str(), truth.from);
    let outcome = run.outcome.as_ref().unwrap();
    assert_eq!(report["outcome"]["kind"], serde_json::to_value(outcome.kind).unwrap());
    let limit = outcome.limit.as_ref().map(|limit| limit.bytes);
    assert_eq!(report["outcome"]["limit"]["bytes"].as_u64(), limit);
}

/// Of a run that is merged with itself.
fn check_merge(run: &Run, processes: &[Process], truth: &Truth) {
    let folder = tempfile::tempdir().unwrap();
    let opened = job::opened(folder.path());
    let mut merged = Merged::new();
    merged.add(&opened, run, processes);
    merged.add(&opened, run, processes);
    let written = merged.write(&opened).unwrap();
    let merged: Value = serde_json::from_slice(&fs::read(folder.path().join("merged.json")).unwrap()).unwrap();
    let outcome = run.outcome.as_ref().unwrap();
    for task in merged["runs"].as_array().unwrap() {
        assert_eq!(task["place"], truth.named());
        assert_eq!(task["place_bytes"], truth.bytes);
        assert_eq!(task["kind"], serde_json::to_value(outcome.kind).unwrap());
        if let Some(limit) = &outcome.limit {
            assert_eq!(task["limit_bytes"], limit.bytes);
        }
    }
    let stacks = fs::read_to_string(folder.path().join("merged.prof")).unwrap();
    let weights = stacks
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
    assert_eq!(weights.sum::<u64>(), 2 * truth.total, "{stacks}");
    assert!(written.picture.exists());
}

/// Against a run that held next to nothing.
fn check_diff(run: &Run, processes: &[Process], truth: &Truth) {
    let (mut small, mut measurements) = reserved(9);
    if !truth.is_by_resident {
        measurements = Measurements::default();
        small = Builder::new(9, &["python3", SCRIPT]);
        let node = small.stack(&[("other.py", 1, "other")]);
        small.holds(node, MIB);
    }
    let before = Case::new(Kind::Finished, None, vec![(small, measurements)]);
    let old = before.processes();
    let side = |run, processes| Side { run, processes };
    let diff = Diff::between(side(&before.run, &old), side(run, processes))
        .unwrap()
        .unwrap();
    assert_eq!(diff.totals().1, truth.total);
    if truth.is_drawn_as_it_is && !truth.is_by_resident {
        let text = diff.text();
        let first = text.iter().skip_while(|line| *line != "Grew:").nth(1).unwrap();
        assert!(first.contains(&format!("+{}", Bytes(truth.bytes))), "{first}");
        assert!(first.contains(truth.place), "{first}");
    }
}
