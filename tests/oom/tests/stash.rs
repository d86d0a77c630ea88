//! "The stash is reserved from the start and takes no memory, scaled down where there is little room, released at the first failure, taken again."

use oom::{Job, MIB, Outcome, Python};

/// What the page's list of events says of the stash, in order.
fn stash_events(outcome: &Outcome) -> Vec<String> {
    let page = std::fs::read_to_string(outcome.file("index.html")).expect("it is UTF-8");
    let events = page.split("stash of ").skip(1);
    events
        .map(|event| event.split('<').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn it_is_address_space_from_the_start_and_takes_no_memory() {
    let measure = |line: &str, stash: &str| {
        let code = format!(
            "print(int([l for l in open('/proc/self/status') if l.startswith('{line}:')][0].split()[1]) << 10)"
        );
        let job = Job::code(Python::any(), &code).option("--stash").option(stash);
        job.run().truth()
    };
    let (without, with) = (measure("VmSize", "0"), measure("VmSize", "64MiB"));
    assert!(with > without + 60 * MIB, "{without} mapped without, {with} with");
    let (without, with) = (measure("VmRSS", "0"), measure("VmRSS", "64MiB"));
    assert!(with < without + 4 * MIB, "{without} resident without, {with} with");
}

#[test]
fn it_is_released_at_the_first_failure_and_taken_again_when_there_is_room() {
    // It is not taken again at once: who has just run out may do so again.
    let code = "import time\nkept = []\n\
                try:\n while True: kept.append(bytearray(1 << 20))\n\
                except MemoryError: del kept\n\
                end = time.monotonic() + 1.5\n\
                while time.monotonic() < end: kept = bytearray(1 << 20)\n";
    let outcome = Job::code(Python::any(), code).limit_address_space(300 * MIB).run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let events = stash_events(&outcome);
    let shown: Vec<&str> = events.iter().map(String::as_str).collect();
    assert_eq!(
        shown,
        ["16.0 MiB was taken", "16.0 MiB was released", "16.0 MiB was taken"],
        "{outcome}"
    );
}

#[test]
fn it_is_scaled_down_where_a_hard_limit_leaves_little_room() {
    let job = Job::code(Python::any(), "print('end')").limit_address_space_for_good(80 * MIB);
    let outcome = job.run();
    assert_eq!(outcome.text(), "end\n", "{outcome}");
    let events = stash_events(&outcome);
    assert!(
        events.iter().any(|event| event.starts_with("5.0 MiB")),
        "{events:?}: {outcome}"
    );
}
