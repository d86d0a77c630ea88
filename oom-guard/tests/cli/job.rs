//! What the job sees of us: its environment, and nothing else.

use std::fs;
use std::process::Stdio;

use crate::place::Place;

#[test]
fn the_settings_reach_the_job_in_one_form() {
    let place = Place::with_library();
    let script = "echo $FIL_PROFILE_ON_OOM $FIL_PROFILE_STASH ${FIL_PROFILE_EXACT-none} ${FIL_PROFILE_SAMPLE_INTERVAL-none}; \
                  echo $FIL_PROFILE_RUN; echo $FIL_PROFILE_SUPERVISOR $PPID; echo ${FIL_PROFILE_RECORDING-none}";
    let outcome = place.run(&[
        "--on-oom=exit",
        "--stash",
        "2MiB",
        "--exact",
        "--sample-interval=1k",
        "run",
        "sh",
        "-c",
        script,
    ]);
    let lines: Vec<_> = outcome.stdout.lines().collect();
    assert_eq!(lines[0], "exit 2097152 1 1024");
    assert_eq!(lines[1], place.run_folder().to_str().unwrap());
    let (supervisor, parent) = lines[2].split_once(' ').unwrap();
    assert_eq!(supervisor, parent);
    assert_eq!(lines[3], "none");
    fs::remove_dir_all(place.path("fil-result")).unwrap();

    let mut command = place.command(&["run", "sh", "-c", script]);
    for (name, value) in [
        ("ON_OOM", "exit"),
        ("STASH", "1K"),
        ("EXACT", "no"),
        ("RECORDING", "off"),
        ("RUN", "/x"),
    ] {
        command.env(format!("FIL_PROFILE_{name}"), value);
    }
    let stdout = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines[0], "exit 1024 none none");
    assert_eq!(lines[1], place.run_folder().to_str().unwrap());
    assert_eq!(lines[3], "none");
}

#[test]
fn the_users_own_preloaded_libraries_stay() {
    let place = Place::with_library();
    let own = place.path("own.so");
    fs::copy(place.library(), &own).unwrap();
    let mut command = place.command(&["run", "sh", "-c", "echo $LD_PRELOAD"]);
    let output = command.env("LD_PRELOAD", &own).output().unwrap();
    let expected = format!("{}:{}\n", place.library().display(), own.display());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn a_library_below_a_folder_with_a_space_is_loaded_all_the_same() {
    let place = Place::with_library_in("my programs");
    let outcome = place.run(&["run", "sh", "-c", "echo $LD_PRELOAD; cat /proc/self/maps"]);
    let (preload, maps) = outcome.stdout.split_once('\n').unwrap();
    assert!(preload.starts_with('/') && !preload.contains(' '), "{preload}");
    assert!(maps.contains("my programs/libpreload.so"), "{outcome:?}");
}

#[test]
fn the_program_finds_its_library_through_a_link() {
    let place = Place::with_library();
    let link = place.path("linked");
    std::os::unix::fs::symlink(place.library().with_file_name("fil-profile"), &link).unwrap();
    let output = std::process::Command::new(link)
        .args(["-o", "fil-result", "run", "sh", "-c", "echo $LD_PRELOAD"])
        .current_dir(place.path(""))
        .env_remove("LD_PRELOAD")
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("{}\n", place.library().display())
    );
}

#[test]
fn signals_and_descriptors_are_as_without_us() {
    let place = Place::with_library();
    let look = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; ls /proc/self/fd; ps -o pgid= -o sid= -p $$";
    for before in ["true", "trap '' PIPE CHLD USR1 HUP", "exec 5</dev/null"] {
        let shell = |script: String| {
            let mut command = std::process::Command::new("sh");
            command.args(["-c", &script]).stdin(Stdio::null());
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        let mut ours = place.command_after(before, &["run", "sh", "-c", look]);
        let ours = String::from_utf8(ours.stdin(Stdio::null()).output().unwrap().stdout).unwrap();
        assert_eq!(ours, shell(format!("{before}; exec sh -c \"{look}\"")), "{before}");
    }
}
