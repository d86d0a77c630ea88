//! "Source text is read from disk; whatever files, lines and names look like, the pictures stay valid XML."

use std::path::Path;
use std::process::Command;

use oom::{Job, MIB, Outcome, Place, Python, Svg, assert_close};

/// Runs a script of these bytes and checks that line `line` holds 20 MiB at the peak, in a well-formed picture.
fn holds(python: &Python, folder: &Path, name: &str, source: &[u8], line: u32) -> Outcome {
    let script = folder.join(name);
    std::fs::write(&script, source).expect("the folder is writable");
    let outcome = Job::script(python, &script).run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let place = Place {
        file: name.to_owned(),
        line,
    };
    assert_close(outcome.peak().through(&place), 20 * MIB, 2.0, &outcome);
    outcome
}

fn titles(outcome: &Outcome) -> Vec<String> {
    Svg::load(&outcome.file("peak-memory.svg")).titles
}

fn shows(outcome: &Outcome, text: &str) {
    let titles = titles(outcome);
    assert!(
        titles.iter().any(|title| title.contains(text)),
        "no {text:?} in {titles:#?}"
    );
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

#[test]
fn the_text_of_the_line_stands_under_its_frame() {
    let folder = folder();
    Python::each_of(Python::kinds(), |python| {
        let outcome = holds(
            python,
            folder.path(),
            "plain.py",
            b"kept = bytearray(20 << 20)  # why\n",
            1,
        );
        shows(&outcome, "kept = bytearray(20 << 20)");
        shows(&outcome, "plain.py:1 (<module>)");
    });
}

#[test]
fn encodings_tabs_and_very_long_lines() {
    let folder = folder();
    let long = format!("kept = bytearray(20 << 20)  # {}\n", "x".repeat(1 << 20));
    let latin = b"# -*- coding: latin-1 -*-\nif True:\n\tkept = bytearray(20 << 20)  # gr\xf6\xdfer\n";
    let marked = "\u{feff}kept = bytearray(20 << 20)  # größer\n";
    Python::each_of(Python::kinds(), |python| {
        let outcome = holds(python, folder.path(), "latin.py", latin, 3);
        shows(&outcome, "größer");
        let outcome = holds(python, folder.path(), "marked.py", marked.as_bytes(), 1);
        shows(&outcome, "größer");
        let outcome = holds(python, folder.path(), "long.py", long.as_bytes(), 1);
        let picture = Svg::load(&outcome.file("peak-memory.svg"));
        assert!(picture.bytes < MIB, "{} bytes", picture.bytes);
        let windows = b"\r\nkept = bytearray(20 << 20)\r\n";
        shows(
            &holds(python, folder.path(), "windows.py", windows, 2),
            "kept = bytearray",
        );
    });
}

#[test]
fn names_that_are_not_plain() {
    let folder = folder();
    Python::each_of(Python::kinds(), |python| {
        for name in [
            "größe.py",
            "with space.py",
            "a&b<c>\"d'.py",
            "semi;colon.py",
            "tab\tline\nfeed.py",
        ] {
            let script = folder.path().join(name);
            std::fs::write(&script, "kept = bytearray(20 << 20)\n").expect("the folder is writable");
            let outcome = Job::script(python, &script).run();
            assert_eq!(outcome.status, Some(0), "{outcome}");
            let held = outcome.peak().in_function("<module>");
            assert!(held >= 20 * MIB, "{held} of {name:?}: {outcome}");
        }
    });
}

#[test]
fn files_that_are_made_up_gone_or_zipped() {
    let folder = folder();
    let zip = folder.path().join("library.zip");
    let code = "import sys, zipfile; \
                zipfile.ZipFile(sys.argv[1], 'w').writestr('zipped.py', '\\nkept = bytearray(20 << 20)\\n')";
    let made = Command::new(&Python::any().path).args(["-c", code]).arg(&zip).status();
    assert!(made.is_ok_and(|status| status.success()));
    let odd = r#"
for name in ["<a & 'b' \"c\">", "new\nline", "\udc80", "\x01\x1b[31m", "", "a;b", "/", "\U0001f40d", "x" * 10000]:
    names = {}
    exec(compile("kept = bytearray(2 << 20)", name, "exec"), names)
    globals()[repr(name)] = names
last = bytearray(20 << 20)
"#;
    Python::each(|python| {
        holds(python, folder.path(), "odd.py", odd.as_bytes(), 6);

        let gone = b"import os\nos.remove(__file__)\nkept = bytearray(20 << 20)\n";
        holds(python, folder.path(), "gone.py", gone, 3);

        let outcome = Job::code(python, "import zipped").env("PYTHONPATH", &zip).run();
        let place = Place {
            file: "zipped.py".to_owned(),
            line: 2,
        };
        assert_close(outcome.peak().through(&place), 20 * MIB, 2.0, &outcome);
        shows(&outcome, "zipped.py:2 (<module>)");
    });
}

#[test]
fn lines_are_32_bit() {
    let folder = folder();
    let mut source = "\n".repeat(70_000);
    source += "kept = bytearray(20 << 20)\n";
    Python::each_of(Python::kinds(), |python| {
        holds(python, folder.path(), "long_file.py", source.as_bytes(), 70_001);
    });
}
