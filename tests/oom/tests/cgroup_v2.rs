//! "On cgroups of version 2: kills, kills of everything at once, and throttling, by a real kernel in a virtual machine."

use oom::{Boot, Folded, MIB, Python, Report, Svg, assert_close, fil_profile, place, victim};

const LIMIT: u64 = 150 * MIB;

/// What the shell script of the guest offers to its checks: each has a name, by which its files are found.
const OFFERS: &str = r#"
cgroups=/sys/fs/cgroup
export PYTHONDONTWRITEBYTECODE=1 HOME=/mnt TMPDIR=/mnt
cd /mnt

# cgroup NAME FILE=VALUE…: makes a cgroup.
cgroup() {
    mkdir "$cgroups/$1"
    folder="$cgroups/$1"
    shift
    for setting; do
        echo "${setting#*=}" > "$folder/${setting%%=*}"
    done
}

# run NAME CGROUP WORDS…: the job and its supervisor in a cgroup, to their end.
run() {
    name=$1
    folder="$cgroups/$2"
    shift 2
    sh -c 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"' sh "$folder" \
        "$fil" -o "/mnt/$name" run "$@" > "/mnt/out/$name.stdout" 2> "/mnt/out/$name.stderr"
    echo $? > "/mnt/out/$name.status"
    cat "$folder/memory.events" > "/mnt/out/$name.events"
    cp -r "/mnt/$name" "/mnt/out/$name"
}
"#;

const CHECKS: &str = r#"
echo +memory > $cgroups/cgroup.subtree_control

cgroup parent memory.max=$limit
echo +memory > $cgroups/parent/cgroup.subtree_control
cgroup parent/leaf
run killed parent/leaf $python $victims/steady_arrays.py

cgroup group memory.max=$limit memory.oom.group=1
run group group $python $victims/steady_arrays.py
"$fil" -o /mnt/group run $python -c 'print("end")' > /mnt/out/next.stdout 2> /mnt/out/next.stderr
rm -r /mnt/out/group
cp -r /mnt/group /mnt/out/group

cgroup high memory.high=$limit
run high high $python $victims/is_throttled.py $cgroups/high/memory.events

cgroup close memory.max=$limit
(
    until grep -q 'Close to the limit' /mnt/out/close.stderr 2>/dev/null; do sleep 0.1; done
    touch /mnt/go-on
) &
waiting=$!
(sleep 60; touch /mnt/go-on) &
run close close $python $victims/comes_close.py $cgroups/close/memory.current $((limit - 5000000)) /mnt/go-on
kill $waiting 2>/dev/null
"#;

struct Check<'a> {
    boot: &'a Boot,
    name: &'a str,
}

impl Check<'_> {
    fn file(&self, ending: &str) -> String {
        self.boot.text(&format!("{}.{ending}", self.name))
    }

    /// A counter of memory.events after the job.
    fn counter(&self, name: &str) -> u64 {
        let events = self.file("events");
        let value = events.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("no {name} in {events}"))
    }

    fn status(&self) -> i32 {
        self.file("status").trim().parse().expect("the script writes it")
    }

    /// The first run in the folder of results; a second may have come after it.
    fn run(&self) -> std::path::PathBuf {
        let folder = self.boot.file(self.name);
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{error}: {self}"));
        let folders = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.join("run.json").exists());
        let first = folders.filter(|path| path.file_name() != Some("latest".as_ref())).min();
        first.unwrap_or_else(|| panic!("no run folder: {self}"))
    }

    fn report(&self) -> Report {
        Report::load(&self.run().join("report.json"))
    }

    fn is_not_an_oom(&self) {
        assert_eq!(self.status(), 0, "{self}");
        assert_eq!(self.counter("oom_kill"), 0, "{self}");
        assert!(!self.run().join("out-of-memory.svg").exists(), "{self}");
        assert_eq!(self.report().kind(), "finished", "{self}");
    }

    /// The growing job's line, with what it says it held.
    fn names_the_line(&self) {
        let run = self.run();
        Svg::load(&run.join("out-of-memory.svg"));
        let folded = Folded::load(&run.join("out-of-memory.prof"));
        let truth = self.file("stdout").lines().last().and_then(|line| line.parse().ok());
        let truth = truth.unwrap_or_else(|| panic!("it does not say how much: {self}"));
        assert_close(folded.at(&place("steady_arrays.py", "HERE")), truth, 5.0, self);
    }
}

impl std::fmt::Display for Check<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (stderr, events) = (self.file("stderr"), self.file("events"));
        write!(
            f,
            "{}\n--- stderr\n{stderr}\n--- memory.events\n{events}\n{}",
            self.name, self.boot
        )
    }
}

#[test]
fn kills_throttling_and_pressure_are_told_apart() {
    let python = Python::any().path.display().to_string();
    let victims = victim("steady_arrays.py")
        .parent()
        .expect("it is in a folder")
        .display()
        .to_string();
    let names = format!(
        "fil={} python={python} victims={victims} limit={LIMIT}\n",
        fil_profile().display()
    );
    let Some(boot) = Boot::run(&(names + OFFERS + CHECKS)) else {
        return;
    };
    let check = |name| Check { boot: &boot, name };

    // The kernel kills the job; the limit is the parent's.
    let killed = check("killed");
    assert_eq!(killed.status(), 137, "{killed}");
    let report = killed.report();
    assert_eq!(report.kind(), "oom_killed_by_cgroup", "{killed}{report}");
    assert_eq!(report.text("/outcome/certainty"), "certain", "{killed}{report}");
    assert_eq!(report.text("/outcome/limit/kind"), "cgroup_v2", "{report}");
    assert_eq!(report.text("/outcome/limit/path"), "/parent", "{report}");
    assert_eq!(report.number("/outcome/limit/bytes"), Some(LIMIT), "{report}");
    killed.names_the_line();

    // It kills everything in the cgroup at once: the next run tells of it.
    let group = check("group");
    assert_eq!(group.status(), 137, "{group}");
    assert_eq!(group.counter("oom_group_kill"), 1, "{group}");
    assert_eq!(boot.text("next.stdout"), "end\n", "{}", boot.text("next.stderr"));
    let told = boot.text("next.stderr");
    assert!(told.contains("found a run that ended without a report"), "{told}");
    let report = group.report();
    assert_eq!(report.kind(), "everything_killed", "{group}{report}");
    group.names_the_line();

    // memory.high makes it wait, and kills nobody.
    let high = check("high");
    assert!(high.counter("high") >= 3, "it was not throttled: {high}");
    high.is_not_an_oom();

    // Close to the limit it is told, with the line.
    let close = check("close");
    close.is_not_an_oom();
    let stderr = close.file("stderr");
    assert!(stderr.contains("Close to the limit"), "{close}");
    assert!(stderr.contains(&place("comes_close.py", "HERE").to_string()), "{close}");
}
