//! "Options stand before the job; what is wrong with them is one clear line and status 2."

use std::process::{Command, Output};

use oom::{Job, MIB, Python, fil_profile};

fn fil(args: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut command = Command::new(fil_profile());
    command.args(args).current_dir(folder.path());
    command.output().expect("fil-profile can be run")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("what we print is UTF-8")
}

#[test]
fn no_arguments_and_help_are_help_with_status_0() {
    // Without an argument, and for `-h`, the options that are used most.
    let few = &["run", "--on-oom", "--exact", "-o"][..];
    let all = &["run", "--on-oom", "--stash", "--exact", "--sample-interval", "-o"][..];
    for (args, words) in [
        (&[][..], few),
        (&["-h"], few),
        (&["--help"], all),
        (&["help", "run"], all),
    ] {
        let output = fil(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        let help = text(&output.stdout);
        for word in words {
            assert!(help.contains(word), "{args:?} does not tell of {word}:\n{help}");
        }
    }
}

#[test]
fn mistakes_are_one_clear_line_and_status_2() {
    for args in [
        &["run"][..],
        &["run", "not-there.py"],
        &["run", "a-folder-that-is-not/there.py"],
        &["run", "-c"],
        &["run", "-m"],
        &["--unknown", "run", "x.py"],
        &["unknown"],
        &["--on-oom=explode", "run", "x.py"],
        &["--stash=lots", "run", "x.py"],
        &["--sample-interval=-1", "run", "x.py"],
        &["--python", "/not/there", "run", "-c", "pass"],
        &["-o"],
    ] {
        let output = fil(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
        let stderr = text(&output.stderr);
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        assert!(stderr.starts_with("=fil-profile= "), "{args:?}: {stderr}");
        assert!(!stderr.contains("RUST_BACKTRACE"), "{args:?}: {stderr}");
    }
}

#[test]
fn the_version_and_the_licences_of_us_and_of_every_dependency() {
    let version = fil(&["--version"]);
    assert_eq!(
        text(&version.stdout),
        concat!("fil-profile ", env!("CARGO_PKG_VERSION"), "\n")
    );
    let output = fil(&["--license"]);
    assert_eq!(output.status.code(), Some(0));
    let licences = text(&output.stdout);
    assert!(licences.contains("Apache License"), "ours is missing");
    let tree = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args([
            "tree",
            "-p",
            "oom-guard",
            "-p",
            "preload",
            "-e",
            "normal",
            "--prefix=none",
        ])
        .args(["--format", "{p}"])
        .current_dir(oom::workspace())
        .output()
        .expect("cargo can be run");
    let ours = ["dumper", "recording", "cpython", "holders", "preload", "oom-guard"];
    let names = text(&tree.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| !ours.contains(name)) {
        assert!(licences.contains(name), "the licence of {name} is missing");
    }
}

#[test]
fn options_after_run_belong_to_the_job() {
    let code = "import sys; print(sys.argv[1:])";
    let job = Job::code(Python::any(), code).arg("--exact").arg("-o").arg("--help");
    assert_eq!(job.run().text(), "['--exact', '-o', '--help']\n");
}

#[test]
fn every_option_is_an_environment_variable_too() {
    let job = Job::python(Python::any(), "steady_arrays.py").limit_address_space(200 * MIB);
    let outcome = job.env("FIL_PROFILE_ON_OOM", "exit").run();
    assert_eq!(outcome.status, Some(53), "{outcome}");
}

#[test]
fn a_script_runs_under_the_virtual_environment_s_python_or_path_s() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let fake = |name: &str| {
        let bin = folder.path().join(name);
        std::fs::create_dir_all(&bin).expect("the folder is writable");
        let python = bin.join(if name == "venv/bin" { "python" } else { "python3" });
        std::fs::write(&python, format!("#!/bin/sh\necho {name}\n")).expect("the folder is writable");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&python, executable).expect("it is ours");
        bin
    };
    let (venv, path) = (fake("venv/bin"), fake("path"));
    let search = format!("{}:/usr/bin:/bin", path.display());
    let job = || Job::words(["-c", "pass"]).env("PATH", &search);
    let in_venv = job().env("VIRTUAL_ENV", venv.parent().expect("it has one")).run();
    assert_eq!(in_venv.text(), "venv/bin\n", "{in_venv}");
    let on_path = job().run();
    assert_eq!(on_path.text(), "path\n", "{on_path}");
}

#[test]
fn an_interpreter_with_recording_off() {
    let python = Python::any();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut command = Command::new(fil_profile());
    command.args(["--python".as_ref(), python.path.as_os_str()]);
    command.args([
        "python",
        "-c",
        "import os, sys; print(sys.argv, 'libpreload' in open('/proc/self/maps').read())",
    ]);
    let output = command
        .current_dir(folder.path())
        .output()
        .expect("fil-profile can be run");
    assert_eq!(text(&output.stdout), "['-c'] True\n", "{output:?}");
    assert!(!folder.path().join("fil-result/latest/peak-memory.svg").exists());
}

#[test]
fn it_works_from_anywhere_through_a_link() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let link = folder.path().join("fil-profile");
    std::os::unix::fs::symlink(fil_profile(), &link).expect("the folder is writable");
    let mut command = Command::new("fil-profile");
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
    command
        .args(["--no-browser", "run", "sh", "-c", "exit 4"])
        .current_dir(folder.path());
    let output = command.output().expect("fil-profile can be run");
    assert_eq!(output.status.code(), Some(4), "{output:?}");
}
