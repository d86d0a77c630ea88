//! "No name can command the terminal": a script whose name sets a terminal's title, and what is said of it everywhere.

use std::process::Command;

use oom::{Job, Python, fil_profile};

/// No control character, but for the ends of lines, and none that reorders them.
#[track_caller]
fn is_plain(text: &[u8], what: &str) {
    let text = String::from_utf8(text.to_vec()).unwrap_or_else(|_| panic!("{what} is not UTF-8"));
    let hidden = text
        .chars()
        .find(|c| c.is_control() && *c != '\n' || ('\u{202a}'..='\u{202e}').contains(c));
    assert_eq!(hidden, None, "{what}: {text:?}");
}

fn lines_like_ours(stderr: &str) -> Vec<&str> {
    stderr
        .lines()
        .filter(|line| line.starts_with("=fil-profile= "))
        .collect()
}

fn is_forged(line: &str) -> bool {
    line.starts_with("=fil-profile= forged")
}

#[test]
fn a_script_whose_name_commands_a_terminal_is_only_named() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let name = "\u{1b}]0;X\u{7}\u{202e}\n=fil-profile= forged a.py";
    let script = folder.path().join(name);
    let code = "kept = bytearray(20 << 20)\n\ndef f():\n    raise MemoryError\n\nf()\n";
    std::fs::write(&script, code).expect("the folder is writable");
    let outcome = Job::script(Python::any(), &script).option("--text").run();
    assert_eq!(outcome.status, Some(1), "{outcome}");
    let ours = lines_like_ours(&outcome.stderr);
    assert!(
        ours.iter()
            .any(|line| line.contains(r"\u{1b}]0;X\u{7}\u{202e}\n=fil-profile= forged a.py")),
        "{ours:?}"
    );
    for line in &ours {
        is_plain(line.as_bytes(), "stderr");
    }
    // Python's own traceback names the script as it is, which is the job's affair: it does so without us, too. We forge no line beside it.
    let alone = Job::script(Python::any(), &script).unwatched().run();
    let forged: Vec<&str> = ours.into_iter().filter(|line| is_forged(line)).collect();
    assert_eq!(forged, lines_like_ours(&alone.stderr), "{outcome}");
    let run = outcome.run_folder();
    for args in [
        &["ls"][..],
        &["report", "--text"],
        &["report", "-f", "csv"],
        &["report", "-f", "folded"],
        &["report", "-f", "json"],
        &["report", "-f", "svg"],
        &["report", "-f", "speedscope"],
        &["diff"],
    ] {
        let mut command = Command::new(fil_profile());
        command.args(args);
        match args[0] {
            "ls" => command.arg(run.parent().expect("it is in the output folder")),
            "diff" => command.arg(&run).arg(&run),
            _ => command.arg(&run),
        };
        let output = command.output().expect("fil-profile can be run");
        assert!(output.status.success(), "{args:?} {output:?}");
        assert!(!output.stdout.is_empty(), "{args:?}");
        for text in [&output.stdout, &output.stderr] {
            is_plain(text, args[args.len() - 1]);
            let text = String::from_utf8_lossy(text);
            assert!(!text.lines().any(is_forged), "{args:?} {text}");
        }
    }
}
