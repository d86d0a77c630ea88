//! The flame graphs: valid whatever the names contain, quick however many stacks there are, right in their numbers.

use std::fs;

use dumper::Run;
use dumper::report::Occasion;
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::builder::Builder;
use crate::job;

const PICTURES: [&str; 2] = ["peak-memory.svg", "peak-memory-reversed.svg"];

/// A frame as the picture's script sees it: the lines of its title, and its bytes.
struct Frame {
    title: Vec<String>,
    bytes: u64,
}

/// The frames of a picture, all of which is read as XML; panics if it is not.
fn frames(svg: &str) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut reader = Reader::from_str(svg);
    reader.config_mut().check_end_names = true;
    let mut text = String::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return frames,
            Event::Start(_) => text.clear(),
            Event::Text(piece) => {
                let piece = piece.into_inner();
                assert!(piece.chars().all(|c| c >= ' ' || c == '\n'), "{piece:?}");
                text.push_str(&piece);
            }
            Event::GeneralRef(reference) => {
                let name = reference.clone().into_inner();
                let known = match &*name {
                    "amp" => Some('&'),
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    _ => reference.resolve_char_ref().unwrap(),
                };
                text.push(known.unwrap());
            }
            Event::End(end) if end.name().as_ref() == "title" => {
                frames.push(Frame {
                    title: text.split('\n').map(str::to_owned).collect(),
                    bytes: 0,
                });
            }
            Event::Empty(element) if element.name().as_ref() == "rect" => {
                let attributes: Vec<_> = element.attributes().map(Result::unwrap).collect();
                let count = attributes.iter().find(|attribute| attribute.key.as_ref() == "fg:w");
                if let (Some(frame), Some(count)) = (frames.last_mut(), count) {
                    frame.bytes = count.value.parse().unwrap();
                }
            }
            _ => {}
        }
    }
}

fn draw(job: Builder) -> [Vec<Frame>; 2] {
    let folder = tempfile::tempdir().unwrap();
    job::report(folder.path(), &Run::default(), &[job.bytes()], Occasion::Ended);
    PICTURES.map(|name| frames(&fs::read_to_string(folder.path().join(name)).unwrap()))
}

fn bytes_of(frames: &[Frame], label: &str) -> Vec<u64> {
    frames
        .iter()
        .filter(|frame| frame.title[0] == label)
        .map(|frame| frame.bytes)
        .collect()
}

#[test]
fn both_pictures_have_the_same_total_and_the_line_of_code() {
    let folder = tempfile::tempdir().unwrap();
    let run = job::run(folder.path());
    job::report(folder.path(), &run, &[job::recording()], Occasion::Ended);
    let [by_caller, by_callee] = PICTURES.map(|name| frames(&fs::read_to_string(folder.path().join(name)).unwrap()));
    let total = dumper::recording::read(&job::recording()).unwrap().0.facts.peak_bytes;
    assert_eq!(bytes_of(&by_caller, "all"), [total]);
    assert_eq!(bytes_of(&by_callee, "all"), [total]);
    let load = by_caller
        .iter()
        .find(|frame| frame.title[0] == "oom.py:7 (load)")
        .unwrap();
    assert_eq!(load.title[1], "1.3 GiB, 76.9 %");
    assert_eq!(load.title[2], "parts.append(np.ones((1024, 1024, 16)))");
}

#[test]
fn a_title_leaves_room_for_what_stands_beside_it() {
    let title = |command: &str| {
        let mut job = Builder::new(1, &[command]);
        let node = job.stack(&[("a.py", 1, "main")]);
        job.holds(node, 1_000_000);
        let folder = tempfile::tempdir().unwrap();
        job::report(folder.path(), &Run::default(), &[job.bytes()], Occasion::Ended);
        let svg = fs::read_to_string(folder.path().join(PICTURES[0])).unwrap();
        let (_, rest) = svg.split_once("<text id=\"title\"").unwrap();
        let (_, rest) = rest.split_once('>').unwrap();
        rest.split_once("</text>").unwrap().0.to_owned()
    };
    let short = title("job");
    assert!(
        short.starts_with("Memory at its peak: ") && short.ends_with("(job)"),
        "{short}"
    );
    // Each of them is as wide as two letters.
    let long = title(&"数".repeat(40));
    let columns = |title: &str| title.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>();
    assert!((96..=98).contains(&columns(&long)), "{long}");
    assert!(long.ends_with("数.."), "{long}");
}

#[test]
fn what_is_too_small_to_see_is_one_frame_for_each_parent() {
    let mut job = Builder::new(1, &["a"]);
    let main = ("a.py", 1, "main");
    let big = job.stack(&[main, ("a.py", 2, "big")]);
    job.holds(big, 1_000_000);
    for line in 100..300 {
        let node = job.stack(&[main, ("a.py", line, "tiny"), ("a.py", line, "tinier")]);
        job.holds(node, 7);
        let node = job.stack(&[("b.py", line, "other")]);
        job.holds(node, 3);
    }
    let [by_caller, by_callee] = draw(job);
    let mut small = bytes_of(&by_caller, "(small)");
    small.sort();
    assert_eq!(small, [600, 1400]);
    assert_eq!(bytes_of(&by_callee, "(small)"), [2000]);
    assert_eq!(by_caller.len(), 5);
    assert_eq!(bytes_of(&by_caller, "a.py:1 (main)"), [1_001_400]);
}

#[test]
fn a_recursion_is_drawn_once_around() {
    let mut job = Builder::new(1, &["a"]);
    let mut stack = vec![("a.py", 9, "<module>")];
    for _ in 0..1000 {
        stack.extend([("a.py", 3, "visit"), ("a.py", 5, "visit_all")]);
        let mut leaf = stack.clone();
        leaf.push(("a.py", 2, "visit"));
        let node = job.stack(&leaf);
        job.holds(node, 100);
    }
    let [by_caller, by_callee] = draw(job);
    for frames in [by_caller, by_callee] {
        assert!(frames.len() <= 6, "{}", frames.len());
        assert_eq!(bytes_of(&frames, "a.py:2 (visit)"), [100_000]);
        assert_eq!(bytes_of(&frames, "a.py:3 (visit)"), [100_000]);
    }
}

#[test]
fn imports_are_one_frame_up_to_a_line_of_the_users_own() {
    let import = |line, name| ("<frozen importlib._bootstrap>", line, name);
    let mut job = Builder::new(1, &["a"]);
    let steps = [
        import(1, "_find_and_load"),
        import(2, "_load_unlocked"),
        import(3, "_call_with_frames_removed"),
    ];
    let mut stack = vec![("a.py", 1, "<module>")];
    for module in ["b.py", "c.py"] {
        stack.extend(steps);
        let node = job.stack(&stack);
        job.holds(node, 500);
        stack.push((module, 1, "<module>"));
    }
    stack.extend(steps);
    stack.push(("/venv/lib/python3.11/site-packages/numpy/core.py", 1, "<module>"));
    let node = job.stack(&stack);
    job.holds(node, 500);
    let [by_caller, by_callee] = draw(job);
    let imports = |frames| bytes_of(frames, "[importing modules]");
    assert_eq!(imports(&by_caller), [1500, 1000, 500]);
    // From the allocating end, what all imports hold is one.
    assert_eq!(imports(&by_callee).iter().max(), Some(&1500));
    assert!(bytes_of(&by_callee, "numpy/core.py:1 (<module>)").is_empty());
    for frames in [by_caller, by_callee] {
        assert!(frames.iter().all(|frame| !frame.title[0].starts_with("<frozen")));
    }
}

#[test]
fn what_is_too_deep_to_draw_is_one_frame_with_the_right_bytes() {
    let mut job = Builder::new(1, &["a"]);
    let names: Vec<String> = (0..5000).map(|depth| format!("f{depth}")).collect();
    let stack: Vec<_> = names.iter().map(|name| ("a.py", 1, name.as_str())).collect();
    let node = job.stack(&stack);
    job.holds(node, 123_456);
    for frames in draw(job) {
        assert_eq!(bytes_of(&frames, "(deeper)"), [123_456]);
        assert_eq!(frames.len(), 101);
    }
}

#[test]
fn of_more_frames_than_anybody_looks_at_the_largest_are_drawn() {
    let mut job = Builder::new(1, &["a"]);
    let names: Vec<String> = (0..900).map(|number| format!("f{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let stack: Vec<_> = (1..=5).map(|line| ("a.py", line, name.as_str())).collect();
        let node = job.stack(&stack);
        job.holds(node, 1_000_000 - number as u64);
    }
    let total = (0..900).map(|number| 1_000_000 - number).sum::<u64>();
    for frames in draw(job) {
        let (folded, own): (Vec<&Frame>, _) = frames.iter().partition(|frame| frame.title[0] == "(small)");
        assert_eq!(own.len(), 2001);
        assert!(folded.len() <= 900, "{}", folded.len());
        assert_eq!(bytes_of(&frames, "all"), [total]);
        assert_eq!(bytes_of(&frames, "a.py:3 (f0)"), [1_000_000]);
    }
}

#[test]
fn absurd_totals_are_drawn_in_proportion() {
    let mut job = Builder::new(1, &["a"]);
    for line in 1..=100 {
        let node = job.stack(&[("a.py", line, "f")]);
        job.holds(node, 1 << 51);
    }
    for frames in draw(job) {
        assert_eq!(frames.len(), 101);
        let one = bytes_of(&frames, "a.py:1 (f)")[0] as f64;
        assert!((one / bytes_of(&frames, "all")[0] as f64 - 0.01).abs() < 1e-6);
    }
}

#[test]
fn the_largest_comes_first_and_is_the_reddest() {
    let mut job = Builder::new(1, &["a"]);
    for (line, bytes) in [(1, 100), (2, 700), (3, 200)] {
        let node = job.stack(&[("a.py", line, "f")]);
        job.holds(node, bytes);
    }
    let folder = tempfile::tempdir().unwrap();
    job::report(folder.path(), &Run::default(), &[job.bytes()], Occasion::Ended);
    let svg = fs::read_to_string(folder.path().join("peak-memory.svg")).unwrap();
    let attribute = |line: u32, name: &str| {
        let frame = svg.split_once(&format!("<title>a.py:{line} (f)")).unwrap().1;
        frame
            .split_once(&format!(" {name}=\""))
            .unwrap()
            .1
            .split_once('"')
            .unwrap()
            .0
            .to_owned()
    };
    assert_eq!([2, 3, 1].map(|line| attribute(line, "fg:x")), ["0", "700", "900"]);
    let green = |line| {
        attribute(line, "fill")
            .split(',')
            .nth(1)
            .unwrap()
            .parse::<u32>()
            .unwrap()
    };
    assert!(green(2) < green(3) && green(3) < green(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_name_makes_a_valid_picture_and_valid_lines(
        names in proptest::collection::vec((any::<String>(), any::<u32>(), name()), 1..8),
        command in name(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut job = Builder::new(1, &["python", &command]);
        let calls: Vec<_> = names.iter().map(|(file, line, name)| (file.as_str(), *line, name.as_str())).collect();
        let mut sum = 0;
        for depth in 1..=calls.len() {
            let node = job.stack(&calls[..depth]);
            job.holds(node, 1000);
            sum += 1000;
        }
        job::report(folder.path(), &Run::default(), &[job.bytes()], Occasion::Ended);
        for name in PICTURES {
            let drawn = frames(&fs::read_to_string(folder.path().join(name)).unwrap());
            prop_assert_eq!(drawn.iter().map(|frame| frame.bytes).max(), Some(sum));
            prop_assert!(drawn.iter().all(|frame| frame.title.len() == 2));
        }
        let folded = fs::read_to_string(folder.path().join("peak-memory.prof")).unwrap();
        let mut folded_sum = 0;
        for (depth, line) in folded.lines().enumerate() {
            let (stack, bytes) = line.rsplit_once(' ').unwrap();
            prop_assert_eq!(stack.split(';').count(), depth + 1);
            folded_sum += bytes.parse::<u64>().unwrap();
        }
        prop_assert_eq!(folded_sum, sum);
    }
}

/// Names with everything that has ever broken a picture.
fn name() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "<",
        ">",
        "&",
        "\"",
        "'",
        "]]>",
        "<![CDATA[",
        "--",
        "&#0;",
        ";",
        "\n",
        "\r",
        "\0",
        "\u{1b}[31m",
        "\u{ffff}",
        "\u{fffe}",
        "\u{7f}",
        "\u{85}",
        "🎉",
        "שלום",
        "\u{202e}",
        "é",
        " ",
        "(",
        ") 5",
        "f",
        "\u{10ffff}",
        "_[k]",
    ]);
    prop_oneof![
        proptest::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}
