//! "On cgroups of version 2: kills, kills of everything at once, and throttling, by a real kernel in a virtual machine."

use std::path::Path;

use oom::{Boot, Folded, MIB, Place, Python, Report, Svg, assert_close, c_program, fil_profile, place, victim};

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

# run NAME CGROUP WORDS…: the job and its supervisor in a cgroup, to their end, with $options and in $output, once.
run() {
    name=$1
    echo "$(cut -d' ' -f1 /proc/uptime): $name"
    folder="$cgroups/$2"
    shift 2
    sh -c 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"' sh "$folder" \
        "$fil" $options -o "${output:-/mnt/$name}" run "$@" > "/mnt/out/$name.stdout" 2> "/mnt/out/$name.stderr"
    echo $? > "/mnt/out/$name.status"
    cat "$folder/memory.events" > "/mnt/out/$name.events"
    [ -n "$output" ] || cp -r "/mnt/$name" "/mnt/out/$name"
    options= output=
}
options= output=

# go_on_when COMMAND FILE: makes the file as soon as the command succeeds, or when it will not any more.
go_on_when() {
    (
        deadline=$(($(cut -d. -f1 /proc/uptime) + 300))
        until eval "$1" 2>/dev/null || [ "$(cut -d. -f1 /proc/uptime)" -gt "$deadline" ]; do sleep 0.1; done
        touch "$2"
    ) &
}
"#;

const CHECKS: &str = r#"
echo +memory > $cgroups/cgroup.subtree_control
# What is larger than so little memory shall not be refused.
echo 1 > /proc/sys/vm/overcommit_memory

# The first to read a page of a file has it counted; a full cgroup that has all the programs' pages fights for them, with us or without.
"$fil" -o /mnt/before run $python $victims/lives_within.py untouched > /mnt/out/before 2>&1
rm -r /mnt/before

cgroup parent memory.max=$limit
echo +memory > $cgroups/parent/cgroup.subtree_control
cgroup parent/leaf
run killed parent/leaf $python $victims/steady_arrays.py

cgroup worker memory.max=$limit
go_on_when 'grep -q "the job is still running; its report so far" /mnt/out/worker.stderr' /mnt/go-on-worker
run worker worker $python $victims/loses_workers.py until /mnt/go-on-worker

cgroup group memory.max=$limit memory.oom.group=1
go_on_when 'test -e /mnt/group/latest/index.html' /mnt/go-on-group
run group group $python $victims/comes_close.py $cgroups/group/memory.current $((limit - 5000000)) /mnt/go-on-group grow
"$fil" -o /mnt/group run $python -c 'print("end")' > /mnt/out/next.stdout 2> /mnt/out/next.stderr
ls /mnt/out/group/latest/ > /mnt/out/group.before
rm -r /mnt/out/group
cp -r /mnt/group /mnt/out/group

cgroup high memory.high=$limit
run high high $python $victims/is_throttled.py $cgroups/high/memory.events $cgroups/high/memory.pressure

cgroup whole memory.max=$limit
options=--on-oom=exit
run whole whole $python $victims/fills_at_once.py 500

cgroup untouched memory.max=$limit
options=--on-oom=exit
run untouched untouched $python $victims/lives_within.py untouched

cgroup close memory.max=$limit
go_on_when 'grep -q "Close to the limit" /mnt/out/close.stderr' /mnt/go-on-close
run close close $python $victims/comes_close.py $cgroups/close/memory.current $((limit - 5000000)) /mnt/go-on-close

# On a network's file system.
cgroup nine
(
    until [ -n "$(cat /mnt/out/nine.stdout 2>/dev/null)" ]; do sleep 0.1; done
    readlink /mnt/out/nine/latest/recordings > /mnt/out/nine.link
    ls "$(readlink /mnt/out/nine/latest/recordings)" > /mnt/out/nine.away
    ls /mnt/out/nine/latest/ > /mnt/out/nine.home
    touch /mnt/go-on-nine
) &
output=/mnt/out/nine
run nine nine $python $victims/waits.py /mnt/go-on-nine
cgroup cut
output=/mnt/out/cut
run cut cut $python $victims/waits.py /mnt/never &
until [ -n "$(cat /mnt/out/cut.stdout 2>/dev/null)" ]; do sleep 0.1; done
echo 1 > $cgroups/cut/cgroup.kill
wait $!
output=
ls "$(readlink /mnt/out/cut/latest/recordings)" > /mnt/out/cut.away
"$fil" --no-browser report /mnt/out/cut > /mnt/out/cut.report 2>&1
ls /mnt/out/cut/latest/ > /mnt/out/cut.home

# look NAME CGROUP WORDS…: runs the job, takes a snapshot when it has said something, and lets it go on. What the kernel says of the job
# before and after is kept, if the job has said its process.
look() {
    (
        until [ -s "/mnt/out/$1.stdout" ] && [ -e "/mnt/$1/latest" ]; do sleep 0.1; done
        job=$(sed -n 's/^process //p' "/mnt/out/$1.stdout")
        [ -z "$job" ] || cat "/proc/$job/smaps_rollup" > "/mnt/out/$1.before"
        "$fil" --verbose -o "/mnt/$1" snapshot "/mnt/$1/latest" > "/mnt/out/$1.snapshot" 2>&1
        [ -z "$job" ] || cat "/proc/$job/smaps_rollup" > "/mnt/out/$1.after"
        touch /mnt/go-on
    ) &
    looking=$!
    rm -f /mnt/go-on
    run "$@"
    wait $looking
}

# Huge pages, which the limit does not count.
echo 8 > /proc/sys/vm/nr_hugepages
cgroup huge memory.max=$limit
look huge huge $kinds huge
echo 0 > /proc/sys/vm/nr_hugepages

# More than fits, with a disk to swap to.
mkswap /dev/vda > /dev/null && swapon /dev/vda
cgroup swapped memory.max=41943040
look swapped swapped $python -c 'import os, time
kept = bytearray(60 << 20)
print("process", os.getpid(), flush=True)
while not os.path.exists("/mnt/go-on"):
    time.sleep(0.01)'
swapoff /dev/vda

# The machine itself: little is left of it.
mount -o remount,size=90% /mnt
dd if=/dev/zero of=/mnt/filler bs=1M count=650 2>/dev/null
cgroup machine
run machine machine $python $victims/steady_arrays.py 8
rm /mnt/filler
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

    /// The report of a snapshot that was taken.
    fn snapshot(&self) -> Report {
        let folders = std::fs::read_dir(self.run()).expect("it is there").flatten();
        let mut folders = folders.map(|entry| entry.path());
        let snapshot = folders.find(|path| path.to_string_lossy().contains("snapshot-"));
        let snapshot = snapshot.unwrap_or_else(|| panic!("no snapshot: {self}"));
        Report::load(&snapshot.join("report.json"))
    }

    /// Bytes of the job that are in swap, as the kernel said before or after the snapshot.
    fn kernel_says(&self, when: &str) -> u64 {
        let sums = self.file(when);
        let swapped = sums.lines().find_map(|line| line.strip_prefix("Swap:"));
        let kib = swapped.and_then(|swapped| swapped.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.unwrap_or_else(|| panic!("no Swap in {sums}: {self}")) << 10
    }

    fn is_not_an_oom(&self) {
        assert_eq!(self.status(), 0, "{self}");
        assert_eq!(self.counter("oom_kill"), 0, "{self}");
        assert!(!self.run().join("out-of-memory.svg").exists(), "{self}");
        assert_eq!(self.report().kind(), "finished", "{self}");
    }

    /// The growing job's line, with what it says it held.
    fn names_the_line(&self, victim: &str) {
        let run = self.run();
        Svg::load(&run.join("out-of-memory.svg"));
        let folded = Folded::load(&run.join("out-of-memory.prof"));
        let truth = self.file("stdout").lines().last().and_then(|line| line.parse().ok());
        let truth = truth.unwrap_or_else(|| panic!("it does not say how much: {self}"));
        assert_close(folded.at(&place(victim, "HERE")), truth, 5.0, self);
    }

    /// Whether the evidence has an item from such a source that says so.
    fn is_evident(&self, source: &str, says: &str) -> bool {
        let report = self.report();
        let evidence = report.at("/outcome/evidence").as_array().cloned().unwrap_or_default();
        let has = |item: &serde_json::Value, key: &str, text: &str| {
            item[key].as_str().is_some_and(|said| said.contains(text))
        };
        evidence
            .iter()
            .any(|item| has(item, "source", source) && has(item, "says", says))
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
        "fil={} kinds={} python={python} victims={victims} limit={LIMIT}\n",
        fil_profile().display(),
        c_program("kinds_of_memory.c").display()
    );
    let Some(boot) = Boot::run(&(names + OFFERS + CHECKS)) else {
        return;
    };
    // When each began, in seconds since the boot.
    println!("{}", boot.text("log"));
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
    killed.names_the_line("steady_arrays.py");
    assert!(
        killed.is_evident("/parent/memory.events", "the kernel notified"),
        "{killed}{report}"
    );

    // It kills a worker: that is told while the job runs on, and is the verdict.
    let worker = check("worker");
    assert_eq!(
        (worker.status(), worker.counter("oom_kill") >= 1),
        (0, true),
        "{worker}"
    );
    let report = worker.report();
    assert_eq!(report.kind(), "oom_killed_by_cgroup", "{worker}{report}");
    let stdout = worker.file("stdout");
    let pid = stdout
        .lines()
        .find_map(|line| line.strip_prefix("worker ")?.parse().ok());
    assert_eq!(report.number("/outcome/killed/0/process/pid"), pid, "{worker}{report}");
    let stderr = worker.file("stderr");
    assert!(
        stderr.contains("the job is still running; its report so far"),
        "{worker}"
    );
    let line = place("loses_workers.py", "WORKER");
    assert!(stderr.contains(&line.to_string()), "{worker}");
    assert!(
        Folded::load(&worker.run().join("out-of-memory.prof")).at(&line) > 50 * MIB,
        "{worker}"
    );

    // It kills everything in the cgroup at once: the next run tells of it.
    let group = check("group");
    assert_eq!(group.status(), 137, "{group}");
    assert_eq!(group.counter("oom_group_kill"), 1, "{group}");
    assert_eq!(boot.text("next.stdout"), "end\n", "{}", boot.text("next.stderr"));
    let told = boot.text("next.stderr");
    assert!(told.contains("found a run that ended without a report"), "{told}");
    let report = group.report();
    assert_eq!(report.kind(), "everything_killed", "{group}{report}");
    group.names_the_line("comes_close.py");
    // Before that it was told what held the memory, and in the folder the report as of then.
    let stderr = group.file("stderr");
    assert!(stderr.contains("Close to the limit"), "{group}");
    assert!(stderr.contains(&place("comes_close.py", "HERE").to_string()), "{group}");
    assert!(boot.text("group.before").contains("index.html"), "{group}");

    // memory.high makes it wait, and kills nobody.
    let high = check("high");
    assert!(high.counter("high") >= 3, "it was not throttled: {high}");
    high.is_not_an_oom();
    assert!(high.is_evident("memory.pressure", "the kernel notified"), "{high}");

    // Close to the limit it is told, with the line.
    let close = check("close");
    close.is_not_an_oom();
    let stderr = close.file("stderr");
    assert!(stderr.contains("Close to the limit"), "{close}");
    assert!(stderr.contains(&place("comes_close.py", "HERE").to_string()), "{close}");

    // Under --on-oom=exit a block filled at once ends the job, and one that is not filled does not.
    let whole = check("whole");
    assert_eq!((whole.status(), whole.counter("oom_kill")), (53, 0), "{whole}");
    let report = whole.report();
    assert_eq!(report.kind(), "allocation_failed_fatal", "{whole}{report}");
    let here = place("fills_at_once.py", "HERE");
    assert_close(report.held_at(&here).0, 500 * MIB, 1.0, &whole);
    // As far as it has been filled, if that was measured.
    let folded = Folded::load(&whole.run().join("out-of-memory.prof"));
    assert!(
        folded.at(&here).abs_diff(report.ranked_at(&here)) <= 1,
        "{whole}{report}"
    );
    // And it counts only if four fifths of the limit were in use then, of which all else has less than 50 MiB.
    assert!(folded.at(&here) >= LIMIT * 4 / 5 - 50 * MIB, "{whole}{report}");
    let untouched = check("untouched");
    assert_eq!(
        (untouched.status(), untouched.counter("oom_kill")),
        (6, 0),
        "{untouched}"
    );
    assert!(!untouched.run().join("out-of-memory.svg").exists(), "{untouched}");

    // On a network's file system the recordings are elsewhere meanwhile, and come home as a bundle.
    let nine = check("nine");
    assert_eq!(nine.status(), 4, "{nine}");
    let (away, home) = (boot.text("nine.away"), boot.text("nine.home"));
    assert!(boot.text("nine.link").starts_with("/mnt/fil-profile-"), "{nine}");
    assert!(
        away.contains(".recording") && !home.contains(".recording"),
        "{away}\n{home}"
    );
    let folded = Folded::load(&nine.run().join("peak-memory.prof"));
    assert_close(folded.at(&place("waits.py", "HERE")), 40 * MIB, 1.0, &nine);
    let at_the_end = files(&nine.run());
    assert!(at_the_end.iter().any(|name| name == "profile.fil"), "{at_the_end:?}");
    assert!(
        !at_the_end.iter().any(|name| name.contains("recording")),
        "{at_the_end:?}"
    );

    // Also when everything was killed: the link has said where they were.
    let cut = check("cut");
    assert_eq!(cut.status(), 137, "{cut}");
    assert!(boot.text("cut.away").contains(".recording"), "{cut}");
    assert_eq!(
        cut.report().kind(),
        "everything_killed",
        "{cut}{}",
        boot.text("cut.report")
    );
    let home = boot.text("cut.home");
    assert!(home.contains("profile.fil") && home.contains("index.html"), "{home}");

    // What no limit counts, and what is not in memory, are beside the ledger.
    let huge = check("huge");
    let report = huge.snapshot();
    assert_eq!(report.apart("hugetlb"), 16 * MIB, "{huge}{report}");
    assert_eq!(report.ledger("mappings"), 0, "{huge}{report}");
    assert!(report.number("/ledger/total_bytes") < Some(16 * MIB), "{huge}{report}");
    let swapped = check("swapped");
    swapped.is_not_an_oom();
    let report = swapped.snapshot();
    println!(
        "in swap: {}, {} before, {} after",
        report.apart("swapped"),
        swapped.kernel_says("before"),
        swapped.kernel_says("after")
    );
    // At most the 40 MiB of the limit are in memory. How much more than the rest the kernel swaps out is its own choice, and it says so.
    // Meanwhile the job touches what it needs to wait, and what measures it takes room.
    let (in_swap, total) = (report.apart("swapped"), report.number("/ledger/total_bytes"));
    let (least, most) = (swapped.kernel_says("before"), swapped.kernel_says("after"));
    assert!(in_swap >= 20 * MIB, "{swapped}{report}");
    assert!(
        (least.saturating_sub(4 * MIB)..=most + 4 * MIB).contains(&in_swap),
        "{in_swap}, not {least} to {most}: {swapped}{report}"
    );
    assert!(total.is_some_and(|total| total <= 41 * MIB), "{swapped}{report}");
    let here = Place {
        file: "<string>".to_owned(),
        line: 2,
    };
    let (asked, there) = (report.held_at(&here).0, report.resident_at(&here));
    assert_eq!(asked / MIB, 60, "{swapped}{report}");
    assert!(there <= 40 * MIB, "{swapped}{report}");
    assert!(
        boot.text("swapped.snapshot").contains(" in swap"),
        "{}",
        boot.text("swapped.snapshot")
    );

    // Without a limit on a cgroup, the machine's memory is one.
    let machine = check("machine");
    assert_eq!((machine.status(), machine.counter("oom")), (137, 0), "{machine}");
    let report = machine.report();
    assert_eq!(report.kind(), "oom_killed_by_machine", "{machine}{report}");
    assert_eq!(report.text("/outcome/limit/kind"), "machine", "{machine}{report}");
    assert!(
        machine.is_evident("/proc/vmstat", "oom_kill: the OOM killer killed on this machine"),
        "{report}"
    );
    machine.names_the_line("steady_arrays.py");
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("it is there").flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
