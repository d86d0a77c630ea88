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
    /// The culprit.
    pub place: &'static str,
    /// Where in libraries it held the most, or what imports the most.
    pub inside: Option<&'static str>,
    /// What the culprit held, and all that was held, by what ranks the run.
    pub bytes: u64,
    pub total: u64,
    /// The first in tables of the lines that allocated.
    pub site: Site,
    pub is_by_resident: bool,
    /// Whether what is compared is the peak.
    pub is_at_the_peak: bool,
}

/// A line that allocated.
pub struct Site {
    pub place: &'static str,
    pub bytes: u64,
    /// The lines of the user's own that it was for, with what it held for each, in MiB.
    pub callers: &'static [(&'static str, u64)],
}

impl Truth {
    pub fn share(&self) -> Share {
        Share::of(self.bytes, self.total)
    }

    /// As texts have it.
    pub fn named(&self) -> String {
        match self.inside {
            Some(inside) => format!("{}, {inside}", self.place),
            None => self.place.to_owned(),
        }
    }

    fn stands_out(&self) -> bool {
        self.bytes >= self.total / 10
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
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace(',', "");
    let (said, named) = (words(&text), words(&truth.named()));
    let (share, bytes, total) = (truth.share(), Bytes(truth.bytes), Bytes(truth.total));
    assert!(said.contains(&format!(": {total}")), "{total}: {said}");
    let culprit = match (truth.stands_out(), said.contains("Peak memory")) {
        (true, true) => format!("of which {share} at {named}"),
        (true, false) => format!("most of it at {share} {bytes} {named}"),
        (false, _) => format!("no line stands out the largest are {share} {bytes} {named}"),
    };
    assert!(said.contains(&culprit), "{culprit}: {said}");
    let outcome = run.outcome.as_ref().unwrap();
    assert_eq!(
        said.contains(&words(&outcome.sentence)),
        outcome.kind != Kind::Finished,
        "{said}"
    );
    if let Some(limit) = &outcome.limit {
        assert!(said.contains(&format!("Limit: {}", Bytes(limit.bytes))), "{said}");
    }
    check_brief_log(written, outcome, truth);
}

fn check_brief_log(written: &Written, outcome: &dumper::outcome::Outcome, truth: &Truth) {
    let lines = job::said_briefly(written);
    assert!(lines.len() <= 10, "{lines:?}");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace(',', "");
    let (said, place) = (words(&lines.join(" ")), words(truth.place));
    let (share, bytes, total) = (truth.share(), Bytes(truth.bytes), Bytes(truth.total));
    assert!(said.ends_with("/index.html"), "{said}");
    if outcome.kind == Kind::ExitedNonZero {
        assert_eq!(lines.len(), 1, "{said}");
        return;
    }
    assert!(said.contains(&format!(": {total}")), "{total}: {said}");
    let culprit = match (truth.stands_out(), said.contains("Peak memory")) {
        // Of a place that is too long for the line, the end is there.
        (true, true) => {
            let from = place.chars().count().saturating_sub(10);
            assert!(
                said.contains(&place.chars().skip(from).collect::<String>()),
                "{place}: {said}"
            );
            format!(" {share} at ")
        }
        (true, false) => format!("most of it at {share} {bytes} {place}"),
        (false, true) => "no line stands out".to_owned(),
        (false, false) => format!("no line stands out the largest are {share} {bytes} {place}"),
    };
    assert!(said.contains(&culprit), "{culprit}: {said}");
    if let Some(limit) = &outcome.limit {
        assert!(said.contains(&Bytes(limit.bytes).to_string()), "{said}");
    }
}

pub fn check_headline(written: &Written, truth: &Truth) {
    let headline = written.headline.as_ref().unwrap();
    assert_eq!(headline.culprit.as_deref(), Some(truth.place));
    assert_eq!(headline.from, None);
    assert_eq!(headline.share, truth.share().fraction());
    if truth.is_at_the_peak {
        assert_eq!(headline.peak_bytes, truth.total);
    }
}

pub fn check_page(page: &str, run: &Run, truth: &Truth) {
    let escaped = |text: &str| text.replace('<', "&#60;").replace('>', "&#62;").replace('"', "&#34;");
    let inside = truth
        .inside
        .map(|inside| format!(" <span class=\"faint\">{}</span>", escaped(inside)));
    let (bytes, total, share) = (Bytes(truth.bytes), Bytes(truth.total), truth.share());
    let (before, most) = match truth.stands_out() {
        true => ("", ""),
        false => ("No line stands out; ", "the most, "),
    };
    let culprit = format!(
        "<p>{before}<code class=\"place\">{}</code>{} held {most}<strong>{bytes} of {total}, {share}</strong>",
        escaped(truth.place),
        inside.unwrap_or_default()
    );
    assert!(page.contains(&culprit), "{culprit}: {page}");
    assert!(page.contains(&run.outcome.as_ref().unwrap().sentence));
    if let Some(limit) = &run.outcome.as_ref().unwrap().limit {
        assert!(
            page.contains(&format!("<dt>limit</dt><dd>{}", Bytes(limit.bytes))),
            "{page}"
        );
    }
    // The view of that moment: its table, in which the line that allocated the most is the first row.
    let (number, view) = page
        .split("<div class=\"view\"")
        .skip(1)
        .enumerate()
        .find(|(_, view)| !view.contains("processes together"))
        .unwrap();
    let row = view.split("<tbody>").nth(1).unwrap().split("</tr>").next().unwrap();
    let weight = match truth.is_by_resident {
        true => format!("data-resident=\"{}\"", truth.site.bytes),
        false => format!("data-own=\"{}\"", truth.site.bytes),
    };
    let place = escaped(truth.site.place);
    assert!(row.contains(&weight) && row.contains(&place), "{weight}: {row}");
    let share = Share::of(truth.site.bytes, truth.total);
    assert!(row.contains(&format!("<span>{share}</span>")), "{share}: {row}");
    match truth.site.callers {
        [] => assert!(!row.contains("lines of yours"), "{row}"),
        [(caller, _)] => assert!(row.contains(&format!("for {}", escaped(caller))), "{row}"),
        callers => {
            assert!(row.contains(&format!("{} lines of yours", callers.len())), "{row}");
            for (caller, mib) in callers {
                let caller = format!("<li>{} {}", Bytes(mib * MIB), escaped(caller));
                assert!(row.contains(&caller), "{caller}: {row}");
            }
        }
    }
    // Its graph, in which all adds up and that line holds as much, with all below it if it stands for imports.
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
    let up = numbers("up");
    let mut is_of_site = vec![false; calls.len()];
    for (id, call) in calls.iter().enumerate() {
        let parent = id - up[id] as usize;
        let is_own = call
            .checked_sub(1)
            .is_some_and(|call| graph["calls"][call as usize][4] == 0);
        let is_below = place.contains("importing") && id > 0 && is_of_site[parent] && !is_own;
        is_of_site[id] = is_below || name(*call) == truth.site.place;
    }
    let of_site = is_of_site.iter().zip(&weights).filter(|(is_of_site, _)| **is_of_site);
    assert_eq!(of_site.map(|(_, weight)| weight).sum::<u64>(), truth.site.bytes);
}

/// A row for each line that allocated and each line of the user's own that it was for.
fn check_csv(table: &[u8], truth: &Truth) {
    let mut table = csv::Reader::from_reader(table);
    let mut sums = [0; 2];
    let mut callers = Vec::new();
    let mut last = u64::MAX;
    for row in table.records().map(Result::unwrap) {
        let place = match (&row[1], &row[2]) {
            ("", _) => row[3].to_owned(),
            (file, line) => {
                let file = file.rsplit("site-packages/").next().unwrap();
                format!("{file}:{line} ({})", &row[3])
            }
        };
        let column = if truth.is_by_resident { 10 } else { 4 };
        let bytes: u64 = row[column].parse().unwrap();
        assert!(bytes <= last, "the largest first");
        last = bytes;
        let is_import = place == "[importing modules]";
        let holder = if row[7].is_empty() || is_import {
            &place
        } else {
            &row[7]
        };
        sums[0] += u64::from(holder == truth.place) * bytes;
        if place == truth.site.place {
            sums[1] += bytes;
            callers.extend(Some((row[7].to_owned(), bytes / MIB)).filter(|(caller, _)| !caller.is_empty()));
        }
    }
    assert_eq!(sums, [truth.bytes, truth.site.bytes]);
    let expected: Vec<_> = truth
        .site
        .callers
        .iter()
        .map(|(place, mib)| ((*place).to_owned(), *mib))
        .collect();
    callers.sort_by_key(|(place, _)| expected.iter().position(|(known, _)| known == place));
    assert_eq!(callers, expected);
}

fn check_json(report: &Value, run: &Run, truth: &Truth) {
    let (culprit, site, moment) = (&report["culprit"], &report["call_sites"][0], &report["moment"]);
    let (ranked_by, column) = match truth.is_by_resident {
        true => ("resident", "resident_bytes"),
        false => ("requested", "bytes"),
    };
    assert_eq!(moment["ranked_by"], ranked_by);
    assert_eq!(
        (&moment[column], &culprit[column], &site[column]),
        (&truth.total.into(), &truth.bytes.into(), &truth.site.bytes.into())
    );
    assert_eq!(culprit["place"], truth.place);
    assert_eq!(culprit, &report["own_lines"][0]);
    assert_eq!(culprit["share"].as_f64(), Some(truth.share().fraction()));
    assert_eq!(culprit["stands_out"], truth.stands_out());
    let callers = site["callers"].as_array().unwrap().iter();
    let callers: Vec<_> = callers
        .map(|caller| {
            (
                caller["place"].as_str().unwrap(),
                caller[column].as_u64().unwrap() / MIB,
            )
        })
        .collect();
    assert_eq!(callers, truth.site.callers);
    assert_eq!(
        site["caller"].as_str(),
        truth.site.callers.first().map(|(place, _)| *place)
    );
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
    if !truth.is_by_resident {
        let text = diff.text();
        let first = text.iter().skip_while(|line| *line != "Grew:").nth(1).unwrap();
        assert!(first.contains(&format!("+{}", Bytes(truth.site.bytes))), "{first}");
        assert!(first.contains(truth.site.place), "{first}");
    }
}
