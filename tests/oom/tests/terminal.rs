//! "The terminal and the process group are as without us: what is typed reaches the job, Ctrl-C once, Ctrl-Z and fg work."

use oom::{Job, Python, fil_profile, victim};

fn at_a_terminal(command: &[&std::ffi::OsStr]) {
    let driver = Job::python(Python::any(), "at_terminal.py").unwatched();
    let driver = command.iter().fold(driver, |job, word| job.arg(word));
    let outcome = driver.arg(victim("in_terminal.py")).run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert_eq!(outcome.text(), "stopped\nwent on\nended with 8\n", "{outcome}");
}

#[test]
fn the_victim_itself_behaves() {
    at_a_terminal(&[Python::any().path.as_os_str()]);
}

#[test]
fn a_job_under_fil_profile_behaves_the_same() {
    let python = Python::any().path.as_os_str();
    let options = ["--no-browser".as_ref(), "--python".as_ref(), python, "run".as_ref()];
    at_a_terminal(&[&[fil_profile().as_os_str()], &options[..]].concat());
}
