//! "`fil-profile inspect` tells which variables hold the memory of a Python process that was never watched."

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use oom::{Python, allocators_python, announce, fil_profile, numpy_python, pandas_python, victim};
use serde_json::Value;

/// Those that can be inspected: from 3.7 on, with the interpreter's lock.
fn each(test: impl Fn(&Python)) {
    each_of(Python::all(), test);
}

/// For what depends little on the version: the oldest, one of the middle and the newest; all with `OOM_TESTS_LONG=1`.
fn some(test: impl Fn(&Python)) {
    let is_long = std::env::var_os("OOM_TESTS_LONG").is_some();
    let is_chosen = |python: &&Python| is_long || [7, 11, 15].contains(&python.version.1);
    each_of(Python::all().iter().filter(is_chosen), test);
}

fn each_of<'a>(pythons: impl IntoIterator<Item = &'a Python>, test: impl Fn(&Python)) {
    Python::each_of(pythons, |python| {
        if python.is_free_threaded || python.version < (3, 7, 0) {
            announce(&format!("{python} cannot be inspected"));
        } else {
            test(python);
        }
    });
}

/// A program that has said what it holds, and waits.
struct Holding {
    process: Child,
    truth: Value,
}

impl Holding {
    fn start(python: &Path, name: &str) -> Self {
        let mut command = Command::new(python);
        let mut process = command
            .arg(victim(&format!("holders/{name}")))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter was found");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let mut line = || lines.next().and_then(Result::ok).unwrap_or_default();
        let truth = line();
        let truth = serde_json::from_str(&truth).unwrap_or_else(|error| panic!("{name} said {truth:?}: {error}"));
        assert_eq!(line(), "ready", "{name}");
        let holding = Self { process, truth };
        holding.wait_until_it_waits();
        holding
    }

    /// Until then it still runs the end of `print`, and its memory changes.
    fn wait_until_it_waits(&self) {
        let status = format!("/proc/{}/status", self.process.id());
        let deadline = Instant::now() + Duration::from_secs(60);
        while !std::fs::read_to_string(&status).is_ok_and(|status| status.contains("State:\tS")) {
            assert!(Instant::now() < deadline, "it does not come to rest");
            std::thread::yield_now();
        }
    }

    /// The name and the bytes of each variable, the largest first.
    fn held(&self) -> Vec<(String, f64)> {
        let variables = self.truth["variables"].as_object().expect("there are variables");
        let mut held: Vec<_> = variables
            .iter()
            .map(|(name, bytes)| (name.clone(), bytes.as_f64().expect("bytes are a number")))
            .collect();
        held.sort_by(|a, b| b.1.total_cmp(&a.1));
        held
    }

    fn total(&self) -> f64 {
        self.truth["total"].as_f64().expect("it is a number")
    }

    fn inspect(&self) -> Value {
        let output = inspect(&self.process.id().to_string(), &["--json", "-"]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("it is JSON")
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn inspect(what: &str, options: &[&str]) -> Output {
    let mut command = Command::new(fil_profile());
    command.arg("inspect").arg(what).args(options);
    command.output().expect("fil-profile was built")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

/// The variable of this name in a function of the program itself, or a global of it.
fn find<'r>(report: &'r Value, name: &str) -> Option<&'r Value> {
    let mut variables = report["variables"].as_array().expect("it is a list").iter();
    variables.find(|variable| {
        let function = variable["frame"]["function"].as_str();
        variable["name"] == name && matches!(function, Some("hold" | "<module>"))
    })
}

/// Prints a table of file, variable, truth, what is told, and how far off that is.
///
/// Each variable with a hundredth or more of all is within a tenth of the truth, the first five are in the right order, and
/// all together hold nearly all that there is.
fn is_true(python: &Path, file: &str) -> Value {
    let holding = Holding::start(python, file);
    let report = holding.inspect();
    let held = holding.held();
    let total = holding.total();
    let mut reported = Vec::new();
    let mut off = Vec::new();
    for (name, truth) in held.iter().filter(|(_, truth)| *truth >= total / 100.0) {
        let bytes = find(&report, name).map_or(0.0, |variable| number(&variable["bytes"]));
        reported.push((name, bytes));
        let part = (bytes / truth - 1.0) * 100.0;
        println!(
            "| {file} | {name} | {:.3} MB | {:.3} MB | {part:+.1} % |",
            truth / 1e6,
            bytes / 1e6
        );
        if (bytes - truth).abs() > truth / 10.0 {
            off.push(format!("{name}: {truth} true, {bytes} told"));
        }
    }
    assert!(off.is_empty(), "{file}: {off:#?}");
    for pair in reported.iter().zip(&held).take(5).collect::<Vec<_>>().windows(2) {
        let ((_, first), (_, second)) = (pair[0].0, pair[1].0);
        let ((_, larger), (_, smaller)) = (pair[0].1, pair[1].1);
        // Those that are nearly the same have no order.
        assert!(first >= second || larger < &(smaller * 1.1), "{file}: {reported:?}");
    }
    let sum: f64 = reported.iter().map(|(_, bytes)| bytes).sum();
    let truth: f64 = held.iter().map(|(_, bytes)| bytes).sum();
    assert!(sum > 0.95 * truth, "{file}: {sum} told in all, {truth} true");
    report
}

fn path(report: &Value, name: &str) -> String {
    let variable = find(report, name).unwrap_or_else(|| panic!("no {name} in {report}"));
    let steps = variable["path"].as_array().expect("it is a list").iter();
    let steps: Vec<_> = steps.filter_map(Value::as_str).collect();
    format!("{} {}", variable["type"].as_str().unwrap_or_default(), steps.join(" "))
}

#[test]
fn containers_hold_what_is_in_them() {
    each(|python| {
        let report = is_true(&python.path, "containers.py");
        let list = find(&report, "in_list").expect("it holds much");
        assert_eq!(
            (&list["length"], &list["item_type"]),
            (&3000.into(), &"bytes".into()),
            "{list}"
        );
        assert_eq!(list["kind"], "local", "{list}");
        assert!(
            list["frame"]["file"]
                .as_str()
                .is_some_and(|file| file.ends_with("containers.py"))
        );
        assert_eq!(list["frame"]["thread"], "main thread", "{list}");
        // Nobody else has it: all of it would go.
        assert_eq!(list["exclusive_bytes"], list["bytes"], "{list}");
        assert_eq!(path(&report, "in_dict"), "dict [key]");
    });
}

#[test]
fn instances_hold_their_attributes() {
    each(|python| {
        let report = is_true(&python.path, "instances.py");
        assert_eq!(path(&report, "slotted"), "list [i] .payload");
        assert_eq!(path(&report, "points"), "list [i] .label");
        assert_eq!(path(&report, "replaced"), "list [i] .body");
        assert_eq!(path(&report, "one"), "Plain .payload");
    });
}

#[test]
fn functions_keep_what_they_use() {
    each(|python| {
        let report = is_true(&python.path, "functions.py");
        assert!(path(&report, "coroutine").contains("variable inside"), "{report}");
        assert!(path(&report, "error").contains("variable inside"), "{report}");
        assert!(path(&report, "method").starts_with("method .data"), "{report}");
        let cache = find(&report, "cached").expect("it holds much");
        assert_eq!(cache["kind"], "global", "{cache}");
    });
}

#[test]
fn large_objects_are_measured_exactly() {
    some(|python| {
        is_true(&python.path, "leaves.py");
    });
}

#[test]
fn a_pointer_in_an_unknown_type_takes_nothing_from_a_known_owner() {
    some(|python| {
        let report = is_true(&python.path, "borrowed.py");
        for borrower in ["a_borrower", "z_borrower", "inside", "remain"] {
            let bytes = find(&report, borrower).map_or(0.0, |variable| number(&variable["bytes"]));
            assert!(bytes < 10_000.0, "{borrower} has what is not its own: {report}");
        }
        assert!(
            number(&report["supposed_bytes"]) > 3_600_000.0,
            "what was only supposed is told: {report}"
        );
    });
}

#[test]
fn what_several_hold_is_split_and_cycles_end() {
    some(|python| {
        let report = is_true(&python.path, "shared.py");
        let both = find(&report, "both").expect("it holds much");
        assert_eq!(both["exclusive_bytes"], 0, "{both}");
    });
}

#[test]
fn each_thread_has_its_variables() {
    each(|python| {
        let report = is_true(&python.path, "threads.py");
        let variables = report["variables"].as_array().expect("it is a list");
        let mut mine: Vec<_> = variables.iter().filter(|variable| variable["name"] == "mine").collect();
        mine.sort_by_key(|variable| variable["bytes"].as_u64());
        assert_eq!(mine.len(), 2, "{report}");
        assert_ne!(mine[0]["frame"]["thread"], mine[1]["frame"]["thread"], "{mine:?}");
        assert!(number(&mine[1]["bytes"]) > 1.9 * number(&mine[0]["bytes"]), "{mine:?}");
        // What a loop goes over has no name.
        let loops = variables.iter().find(|variable| variable["name"] == "temporary value");
        let bytes = number(&loops.unwrap_or_else(|| panic!("{report}"))["bytes"]);
        assert!((1_900_000.0..2_100_000.0).contains(&bytes), "{bytes}");
    });
}

#[test]
fn arrays_own_their_data_and_views_do_not() {
    let report = is_true(&numpy_python().path, "arrays.py");
    assert_eq!(path(&report, "view"), "ndarray base");
    let types = report["types"].as_array().expect("it is a list");
    assert_eq!(types[0]["name"], "ndarray", "{types:?}");
}

#[test]
fn frames_of_pandas_hold_their_blocks() {
    let report = is_true(&pandas_python().path, "frames.py");
    assert!(path(&report, "numbers").starts_with("DataFrame ._mgr"), "{report}");
}

#[test]
fn buffers_behind_pointers_of_native_code_are_held_too() {
    let python = allocators_python();
    // The packages of older ones are too old for some of this.
    if python.version < (3, 10, 0) {
        announce(&format!("{python}: buffers of Arrow are not looked at"));
        return;
    }
    let report = is_true(&python.path, "libraries.py");
    assert_eq!(
        find(&report, "table").map(|table| &table["type"]),
        Some(&"Table".into())
    );
}

#[test]
fn what_a_caller_passes_on_is_split_with_the_function() {
    some(|python| {
        let holding = Holding::start(&python.path, "passed.py");
        let report = holding.inspect();
        let variables = report["variables"].as_array().expect("it is a list");
        let bytes = |name: &str| {
            let mut named = variables.iter().filter(|variable| variable["name"] == name);
            named.next().map_or(0.0, |variable| number(&variable["bytes"]))
        };
        let truth = holding.held();
        // The list that the caller does not keep is the function's alone, though it is an argument of the call, too.
        for (told, (name, true_bytes)) in [bytes("rows") + bytes("passed"), bytes("more")].into_iter().zip(truth) {
            assert!(
                (told - true_bytes).abs() < true_bytes / 20.0,
                "{name}: {told} told, {true_bytes} true"
            );
        }
        assert_eq!(bytes("rows"), bytes("passed"));
    });
}

#[test]
fn the_cost_does_not_grow_with_the_heap() {
    let code = "import sys, time\n\
                def hold():\n    \
                    rows = [{'a': number, 'b': float(number)} for number in range(int(sys.argv[1]))]\n    \
                    print('ready', flush=True)\n    \
                    time.sleep(600)\n\
                hold()\n";
    let inspected = ["10000", "1000000"].map(|count| {
        let mut command = Command::new(&Python::any().path);
        let mut process = command
            .args(["-c", code, count])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was found");
        let mut line = String::new();
        let mut out = BufReader::new(process.stdout.take().expect("it is piped"));
        out.read_line(&mut line).expect("it says that it is ready");
        let output = inspect(&process.id().to_string(), &["--json", "-"]);
        // It may not be gone before it was read.
        process.kill().expect("it runs");
        process.wait().expect("it was killed");
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    });
    let [small, large] = inspected.each_ref().map(|report| number(&report["visits"]));
    assert!(
        large < 1.5 * small,
        "{small} visits of a small heap, {large} of a large one"
    );
    let [small, large] = inspected.each_ref().map(|report| number(&report["reads"]));
    announce(&format!(
        "inspect: {small} reads for 30,000 objects, {large} for 3,000,000"
    ));
    assert!(large < 15_000.0, "{large} reads");
}

#[test]
fn neither_values_nor_keys_of_dicts_are_told() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let script = folder.path().join("secret.py");
    let code = "import time\nsecret = {'password-of-anna': ['hunter2' * 100_000]}\nprint('ready', flush=True)\ntime.sleep(600)\n";
    std::fs::write(&script, code).expect("the folder is writable");
    let mut command = Command::new(&Python::any().path);
    let mut process = command
        .arg(&script)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was found");
    let mut line = String::new();
    let mut out = BufReader::new(process.stdout.take().expect("it is piped"));
    out.read_line(&mut line).expect("it says that it is ready");
    let pid = process.id().to_string();
    let outputs = [inspect(&pid, &["--json", "-"]), inspect(&pid, &[])];
    // It may not be gone before it was read.
    process.kill().expect("it runs");
    process.wait().expect("it was killed");
    for output in outputs {
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("secret") && text.contains("list"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("anna"), "{text}");
    }
}

#[test]
fn a_core_file_tells_the_same() {
    if !oom::is_on_path("gcore") {
        announce("no gcore, which makes core files: core files are not inspected");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let packers = RefCell::new(["gzip", "zstd", "xz", "lz4", "bzip2"].into_iter());
    some(|python| {
        let holding = Holding::start(&python.path, "containers.py");
        let live = holding.inspect();
        let pid = holding.process.id();
        let mut gcore = Command::new("gcore");
        let made = gcore
            .arg("-o")
            .arg(folder.path().join("core"))
            .arg(pid.to_string())
            .output();
        assert!(made.is_ok_and(|made| made.status.success()));
        let mut core: PathBuf = folder.path().join(format!("core.{pid}"));
        // With each Python another compression is tried.
        match packers.borrow_mut().next() {
            Some(packer) if oom::is_on_path(packer) => core = packed(packer, &core),
            Some(packer) => announce(&format!(
                "no {packer}: core files that it has compressed are not inspected"
            )),
            None => {}
        }
        let output = inspect(core.to_str().expect("it is UTF-8"), &["--json", "-"]);
        assert!(output.status.success(), "{output:?}");
        let dead: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        assert_eq!(dead["moment"], "core");
        assert_eq!(dead["pid"], pid);
        assert_eq!(dead["variables"], live["variables"]);
        assert_eq!(dead["types"], live["types"]);
        std::fs::remove_file(core).expect("it is there");
    });
}

/// The same file compressed by this program, and not its own any more.
fn packed(packer: &str, file: &Path) -> PathBuf {
    let path = file.with_extension(packer);
    let out = std::fs::File::create(&path).expect("the folder is writable");
    let packed = Command::new(packer).arg("-1c").arg(file).stdout(out).status();
    assert!(packed.is_ok_and(|status| status.success()), "{packer}");
    std::fs::remove_file(file).expect("it is there");
    path
}

#[test]
fn what_cannot_be_inspected_is_told_in_one_line() {
    let mut sleeping = Command::new("sleep").arg("600").spawn().expect("sleep is there");
    let pid = sleeping.id().to_string();
    let here = std::env::current_exe().expect("it has a path");
    let here = here.to_str().expect("it is UTF-8");
    let said: Vec<_> = [
        (&*pid, "no CPython"),
        ("999999999", "no such process"),
        ("/no/core", "no such"),
        (here, "no core file"),
    ]
    .map(|(what, expected)| (inspect(what, &[]), expected))
    .into();
    sleeping.kill().expect("it runs");
    sleeping.wait().expect("it was killed");
    for (output, expected) in said {
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.starts_with("=fil-profile= cannot inspect ") && text.contains(expected),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
