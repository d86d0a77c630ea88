//! "The test suites of others have the same outcome as without us": CPython's own and numpy's. docs/suites.md has the table.

use std::process::Command;

use oom::{Python, announce, fil_profile, workspace};

#[test]
fn of_cpython_s_and_numpy_s_own_tests_every_difference_is_explained() {
    if std::env::var_os("OOM_TESTS_LONG").is_none() {
        announce("left out: the test suites of CPython and numpy, which take half an hour; OOM_TESTS_LONG=1 runs them");
        return;
    }
    // pyenv keeps them; a distribution's Python comes without.
    let has_tests = |python: &&Python| {
        let mut ask = Command::new(&python.path);
        let asked = ask.args(["-c", "import test.libregrtest, test.test_signal"]).output();
        python.version >= (3, 11, 0) && asked.is_ok_and(|asked| asked.status.success())
    };
    let Some(python) = Python::all().iter().rfind(has_tests) else {
        return announce(
            "left out: the test suites of CPython and numpy, for no Python from 3.11 on has its own tests",
        );
    };
    let suites = Command::new(workspace().join("scripts/suites"))
        .arg("--python")
        .arg(&python.path)
        .arg("--fil-profile")
        .arg(fil_profile())
        .output();
    let suites = suites.expect("it can be run");
    let said = String::from_utf8_lossy(&suites.stdout);
    announce(&said);
    let errors = String::from_utf8_lossy(&suites.stderr);
    assert!(suites.status.success(), "{said}{errors}");
}
