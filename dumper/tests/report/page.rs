//! What the page holds for its script and for those who read its text.

use std::fs;
use std::path::Path;

use dumper::Run;
use dumper::report::{self, Occasion};
use serde_json::Value;

use crate::builder::{Builder, Held};
use crate::job;

fn page(folder: &Path, jobs: Vec<Builder>, run: &Run) -> String {
    let recordings: Vec<Vec<u8>> = jobs.into_iter().map(Builder::bytes).collect();
    let written = job::report(folder, run, &recordings, Occasion::Ended);
    fs::read_to_string(written.index).unwrap()
}

/// What the page's script reads.
fn data(page: &str) -> Value {
    let (_, rest) = page
        .split_once("<script type=\"application/json\" id=\"data\">")
        .unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn sum(graph: &Value) -> u64 {
    let own = graph["own"].as_array().unwrap().iter();
    own.map(|bytes| bytes.as_u64().unwrap()).sum()
}

#[test]
fn a_graph_has_all_that_was_held_and_every_caller_before_what_it_calls() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path(), vec![tests_job(3000)], &Run::default());
    let graph = &data(&page)["graphs"][0];
    assert_eq!(sum(graph), (1..3000u64).sum::<u64>());
    let up: Vec<u64> = graph["up"]
        .as_array()
        .unwrap()
        .iter()
        .map(|up| up.as_u64().unwrap())
        .collect();
    assert_eq!(up[0], 0);
    for (index, up) in up.iter().enumerate().skip(1) {
        assert!(*up >= 1 && *up <= index as u64, "frame {index} hangs {up} before it");
    }
}

fn tests_job(stacks: u32) -> Builder {
    let mut job = Builder::new(1, &["python3", "job.py"]);
    for line in 1..stacks {
        let file = format!("/home/ada/lib/module_{}.py", line % 1000);
        let node = job.stack(&[("job.py", line % 7, "main"), (file.as_str(), line, "work")]);
        job.holds(node, line.into());
    }
    job
}

#[test]
fn a_page_of_very_many_stacks_is_bounded_and_still_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = Builder::new(1, &["python3", "job.py"]);
    let mut total = 0;
    let name = "a_function_with_quite_a_long_name_".repeat(4);
    for number in 0..70_000u32 {
        let name = format!("{name}{number}");
        let node = job.stack(&[("job.py", 1 + number % 7, "main"), ("/home/ada/lib.py", number, &name)]);
        let bytes = u64::from(number % 1000 + 1);
        job.holds(node, bytes);
        total += bytes;
    }
    let page = page(folder.path(), vec![job], &Run::default());
    assert!(page.len() < 8 << 20, "{} bytes", page.len());
    let graph = &data(&page)["graphs"][0];
    assert_eq!(sum(graph), total);
    let frames = graph["up"].as_array().unwrap().len();
    assert!(frames > 10_000 && frames <= 81_000, "{frames} frames");
}

#[test]
fn callstacks_that_are_put_together_are_still_of_the_line_that_allocated() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = Builder::new(1, &["python3", "job.py"]);
    for number in 0..50_000u32 {
        let way = ("job.py", 10 + number, "work");
        let last = if number % 2 == 0 { "even" } else { "odd" };
        let node = job.stack(&[("job.py", 1, last), way, ("job.py", 2, last)]);
        job.holds(node, 10);
    }
    let page = page(folder.path(), vec![job], &Run::default());
    let data = data(&page);
    let graph = &data["graphs"][0];
    let number = |column: &str, index: usize| graph[column][index].as_u64().unwrap();
    let mut by_line: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    for frame in 0..graph["own"].as_array().unwrap().len() {
        let own = number("own", frame);
        if own > 0 {
            let call = number("call", frame).checked_sub(1).expect("it has a line");
            let call = &graph["calls"][call as usize];
            let name = &data["strings"][call[1].as_u64().unwrap() as usize];
            *by_line
                .entry(format!("{} {}", name.as_str().unwrap(), call[2]))
                .or_default() += own;
        }
    }
    let expected = ["even 2", "odd 2"].map(|line| (line.to_owned(), 250_000));
    assert_eq!(by_line.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn no_name_can_become_part_of_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let evil = "</script><script>alert(1)</script><!--&quot;'";
    let mut job = Builder::new(1, &["python3", evil]);
    let node = job.stack(&[(evil, 1, evil), ("job.py", 2, "</title><img src=x onerror=alert(1)>")]);
    job.holds(node, 1 << 20);
    let run = Run {
        command: vec![evil.into()],
        host: evil.into(),
        started: evil.into(),
        version: evil.into(),
        ..Run::default()
    };
    fs::write(
        folder.path().join("timeline.csv"),
        format!("seconds,tracked_bytes,resident_bytes,cgroup_bytes,limit_bytes,mark\n1.0,1,1,,,{evil}\n2.0,1,1,,,\n"),
    )
    .unwrap();
    let page = page(folder.path(), vec![job], &run);
    assert_eq!(page.matches("<script").count(), 2, "{page}");
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<img") && !page.contains("<!--"));
    let data = data(&page);
    let strings = data["strings"].as_array().unwrap();
    assert!(strings.iter().any(|string| string == evil), "{strings:?}");
    let marks = data["chart"]["marks"].as_array().unwrap();
    assert!(marks.iter().any(|mark| mark["what"] == evil), "{marks:?}");
}

#[test]
fn the_page_names_the_users_own_line_that_held_the_most_and_where_that_was() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path(), vec![], &Run::default());
    assert!(!page.contains("class=\"culprit\""));
    let folder = tempfile::tempdir().unwrap();
    let run = job::run(folder.path());
    let written = job::report(folder.path(), &run, &[job::recording()], Occasion::Ended);
    let page = fs::read_to_string(written.index).unwrap();
    let culprit = "<code class=\"place\">oom.py:7 (load)</code> <span class=\"faint\">in numpy/_core/numeric.py:235 (ones)</span> \
                   held <strong>1.3 GiB of 1.5 GiB, 81.8 %</strong>";
    assert!(page.contains(culprit), "{page}");
    // What numpy allocated for it is in the margin of its line.
    let listing = page.split("<table class=\"listing\">").nth(1).unwrap();
    let row = listing.split("<tr").find(|row| row.contains("parts.append(np.ones"));
    let row = row.unwrap();
    assert!(row.contains("1.3 GiB") && row.contains("204.8 KiB"), "{row}");
}

#[test]
fn of_a_killed_job_all_processes_that_ran_are_together_and_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = job::killed_run(folder.path());
    let jobs = [(4711, 300u64), (5000, 200), (5001, 100)].map(|(pid, mib)| {
        let mut job = Builder::new(pid, &["python3", "oom.py"]);
        job.running();
        let node = job.stack(&[("oom.py", 23, "<module>"), ("oom.py", 7, "load")]);
        job.holds(node, mib << 20);
        job
    });
    let page = page(folder.path(), jobs.into(), &run);
    assert!(
        page.contains(">When it was killed: 3 processes together, 600.0 MiB</option>"),
        "{page}"
    );
    assert!(page.contains(">When it was killed: process 5000 (oom.py), 200.0 MiB</option>"));
    let culprit = "<code class=\"place\">oom.py:7 (load)</code> held <strong>300.0 MiB of 300.0 MiB, 100.0 %</strong>";
    assert!(page.contains(culprit));
    assert!(page.contains("<dt>all processes</dt><dd>600.0 MiB <small>3 processes together</small></dd>"));
    let data = data(&page);
    let sums: Vec<u64> = data["graphs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|graph| sum(graph) >> 20)
        .collect();
    // Together, the one that was killed, its peak, and the others.
    assert_eq!(sums, [600, 300, 300, 200, 100]);
}

#[test]
fn a_recursion_is_counted_once_with_its_calls() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = Builder::new(1, &["python3", "job.py"]);
    let [f, g] = [("job.py", 3, "f"), ("job.py", 5, "g")];
    let node = job.stack(&[("job.py", 9, "<module>"), f, g, f, g, f]);
    let held = Held {
        bytes: 64 << 20,
        variance: 0,
    };
    job.site(node, held, held, held);
    let page = page(folder.path(), vec![job], &Run::default());
    assert!(
        page.contains(&format!("data-own=\"{0}\" data-total=\"{0}\"", 64 << 20)),
        "{page}"
    );
    assert!(page.contains(&format!("data-own=\"0\" data-total=\"{}\"", 64 << 20)));
    assert!(!page.contains(&format!("data-total=\"{}\"", 128 << 20)));
}

#[test]
fn a_page_on_its_own_has_the_same_graphs_and_leads_to_no_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let run = job::run(folder.path());
    let written = job::report(folder.path(), &run, &[job::recording()], Occasion::Ended);
    let beside = fs::read_to_string(written.index).unwrap();
    let (processes, unreadable) = dumper::process::load(&crate::job::opened(folder.path())).unwrap();
    let subject = report::Subject {
        run: &run,
        processes: &processes,
        unreadable: &unreadable,
        timeline: &[],
        unrecorded: &dumper::Unrecorded::default(),
        occasion: Occasion::Ended,
    };
    let mut alone = Vec::new();
    report::export(&mut alone, report::format("html").unwrap(), &subject).unwrap();
    let alone = String::from_utf8(alone).unwrap();
    assert_eq!(data(&alone)["graphs"], data(&beside)["graphs"]);
    assert!(beside.contains("href=\"report.json\"") && beside.contains("href=\"peak-memory.svg\""));
    assert!(!alone.contains(".json\"") && !alone.contains(".svg\""));
}
