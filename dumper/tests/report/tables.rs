//! What the page says of the phases that a job has named, of its processes, and of each of them over time.

use std::fs;
use std::mem::offset_of;

use dumper::Run;
use dumper::report::Occasion;
use recording::Header;
use serde_json::{Value, json};

use crate::builder::Builder;
use crate::job;

fn process(pid: u32, script: &str) -> Builder {
    let mut job = Builder::new(pid, &["python3", script]);
    let node = job.stack(&[(script, 1, "f")]);
    job.holds(node, 30 << 20);
    job
}

/// The page of these processes, with this `timeline.csv`, its lines as they are.
fn page(jobs: Vec<Builder>, timeline: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("timeline.csv"), timeline).unwrap();
    let recordings: Vec<Vec<u8>> = jobs.into_iter().map(Builder::bytes).collect();
    let written = job::report(folder.path(), &Run::default(), &recordings, Occasion::Ended);
    fs::read_to_string(written.index).unwrap()
}

/// The rows of the first table after a heading, each as its cells' text.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, rest) = page.split_once(&format!("<h2 id=\"{heading}\">")).unwrap();
    let table = rest.split_once("</table>").unwrap().0;
    let text = |cell: &str| {
        let mut text = String::new();
        let mut in_tag = false;
        for letter in cell.split_once('>').unwrap().1.chars() {
            in_tag = letter == '<' || in_tag && letter != '>';
            text.extend((!in_tag && letter != '>').then_some(letter));
        }
        text.trim().to_owned()
    };
    let rows = table.split("<tr>").skip(1).map(|row| {
        let cells = row.split("<td").flat_map(|cell| cell.split("<th ")).skip(1);
        cells.map(text).collect()
    });
    rows.collect()
}

#[test]
fn phases_are_listed_with_the_most_that_was_held_in_each() {
    let mut job = process(7, "job.py");
    job.phase("load <it>", 20 << 20, 500_000_000);
    job.phase("fit", 80 << 20, 2_000_000_000);
    let page = page(vec![job], "");
    let expected = [
        ["after", "at most", "phase"],
        ["0.5 s", "20.0 MiB", "load &#60;it&#62;"],
        ["2.0 s", "80.0 MiB", "fit"],
    ];
    assert_eq!(rows(&page, "phases"), expected);
    assert!(
        page.contains("<rect width=\"25\" height=\"8\"/>"),
        "a quarter of the highest"
    );
}

#[test]
fn ranks_and_what_was_inherited_are_columns_where_there_are_any() {
    let mut child = process(8, "child.py");
    child.u32(offset_of!(Header, ppid), 7);
    child.u32(offset_of!(Header, rank), 3 + 1);
    child.u64(offset_of!(Header, inherited_bytes), 5 << 20);
    let with = rows(&page(vec![process(7, "job.py"), child], ""), "processes");
    assert_eq!(with[0][..4], ["pid", "rank", "peak", "inherited"]);
    assert_eq!(with[1][..4], ["7", "", "30.0 MiB", ""]);
    assert_eq!(with[2][..4], ["8", "3", "30.0 MiB", "5.0 MiB"]);
    let without = rows(&page(vec![process(7, "job.py")], ""), "processes");
    assert_eq!(without[0][..3], ["pid", "peak", "Python"]);
}

#[test]
fn the_chart_has_a_line_for_each_of_the_processes_that_had_the_most() {
    let timeline = "seconds,tracked_bytes,resident_bytes,cgroup_bytes,limit_bytes,processes,mark\n\
        0.1,10,100,,,,\n\
        0.2,10,100,,,7:5:60 8:5:40,\n\
        0.3,10,100,,,8:5:90 1:1:4 2:1:3 3:1:2 4:1:1,\n";
    let page = page(vec![process(7, "job.py"), process(8, "child.py")], timeline);
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let data: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    let series = data["chart"]["series"].as_array().unwrap().iter();
    let lines: Vec<_> = series
        .filter(|series| series["class"].as_str().unwrap().starts_with("process-"))
        .map(|series| (series["name"].as_str().unwrap(), series["bytes"].clone()))
        .collect();
    let expected = [
        ("process 8 (child.py)", json!([null, 40, 90])),
        ("process 7 (job.py)", json!([null, 60, null])),
        ("process 1", json!([null, null, 4])),
        ("process 2", json!([null, null, 3])),
        ("process 3", json!([null, null, 2])),
    ];
    assert_eq!(lines, expected);
    assert!(
        page.contains("process 8 (child.py): at most 90 B after 0.3 s"),
        "in words"
    );
}
