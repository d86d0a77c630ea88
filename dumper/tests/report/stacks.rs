//! The callstacks as text: all of them, exactly, unless that would fill a disk.

use std::fs;

use dumper::Run;
use dumper::report::Occasion;

use crate::builder::Builder;
use crate::job;

/// The text of a job with one deep chain of calls and `sites` lines at its end, the later the larger.
fn text(depth: usize, sites: u32) -> String {
    let mut job = Builder::new(1, &["a"]);
    let names: Vec<String> = (0..depth).map(|depth| format!("a_function_{depth:08}")).collect();
    let chain: Vec<_> = names.iter().map(|name| ("a_module.py", 1, name.as_str())).collect();
    let deepest = job.stack(&chain);
    for site in 1..=sites {
        let node = job.node(deepest, "a_module.py", site, "leaf");
        job.holds(node, u64::from(site));
    }
    let folder = tempfile::tempdir().unwrap();
    job::report(folder.path(), &Run::default(), &[job.bytes()], Occasion::Ended);
    fs::read_to_string(folder.path().join("peak-memory.prof")).unwrap()
}

fn bytes(line: &str) -> u64 {
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn every_callstack_has_its_line() {
    let text = text(10, 400);
    assert_eq!(text.lines().count(), 400);
    assert_eq!(text.lines().map(bytes).sum::<u64>(), 400 * 401 / 2);
    assert!(!text.contains("smaller"));
}

#[test]
fn of_too_much_text_the_largest_stacks_are_left_and_the_others_are_counted() {
    let text = text(3000, 400);
    assert!((10 << 20..17 << 20).contains(&text.len()), "{}", text.len());
    assert_eq!(text.lines().map(bytes).sum::<u64>(), 400 * 401 / 2);
    let (kept, rest) = text.trim_end().rsplit_once('\n').unwrap();
    assert!(rest.starts_with("[smaller callstacks] "), "{rest}");
    let lines = kept.lines().count() as u64;
    assert!(kept.lines().map(bytes).eq(401 - lines..=400));
}
