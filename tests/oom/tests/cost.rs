//! "What being watched costs", counted in instructions, which do not depend on what else the machine does.

use std::ffi::OsStr;

use oom::{Job, MIB, Outcome, Python};

/// Instructions of a job, as callgrind counts them.
fn instructions(job: &Outcome) -> u64 {
    assert_eq!(job.status, Some(0), "{job}");
    let counted = job
        .stderr
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
    counted.unwrap_or_else(|| panic!("callgrind has counted nothing: {job}"))
}

const ROUNDS: u64 = 100_000;

/// Instructions of one more round of a loop: the difference between two lengths, so that starting and ending fall out.
fn per_round(rounds: u64, run: impl Fn(u64) -> Outcome + Sync) -> f64 {
    let (short, long) = std::thread::scope(|scope| {
        let short = scope.spawn(|| instructions(&run(rounds)));
        let long = instructions(&run(3 * rounds));
        (short.join().expect("its panic is printed"), long)
    });
    (long as f64 - short as f64) / (2 * rounds) as f64
}

fn under_callgrind(program: &[&OsStr], rounds: u64) -> Job {
    let job = Job::words(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let job = program.iter().fold(job, |job, word| job.arg(word));
    // Python's hashes, and so its dictionaries, are the same each time.
    job.arg(rounds.to_string()).env("PYTHONHASHSEED", "0")
}

/// What one round costs more under us than alone; the report shows that the rounds were really watched.
fn extra(what: &str, rounds: u64, options: &[&str], program: &[&OsStr]) -> f64 {
    let alone = per_round(rounds, |rounds| under_callgrind(program, rounds).unwatched().run());
    let watched = per_round(rounds, |rounds| {
        // Most of what shows it is never touched.
        let job = under_callgrind(program, rounds).option("--rank=requested");
        let outcome = options.iter().fold(job, |job, option| job.option(option)).run();
        assert!(outcome.peak().total() >= 50 * MIB, "{outcome}");
        outcome
    });
    oom::announce(&format!("{what}: {alone:.1} instructions alone, {watched:.1} watched"));
    watched - alone
}

#[test]
fn a_pair_of_malloc_and_free_costs_few_instructions_more() {
    let program = oom::c_program("pairs.c");
    let program = [program.as_os_str()];
    let hooks = extra(
        "a pair of malloc and free, hooks only",
        ROUNDS,
        &["--sample-interval=1GiB"],
        &program,
    );
    assert!(hooks < 22.5, "{hooks:.1} instructions");
    // As at first by itself. How many samples chance takes moves it by 0.1.
    let sampled = extra(
        "a pair of malloc and free, sampled",
        16 * ROUNDS,
        &["--sample-interval=4KiB"],
        &program,
    );
    assert!(sampled < 40.0, "{sampled:.1} instructions");
}

#[test]
fn a_python_object_costs_few_instructions_more() {
    let script = oom::victim("objects.py");
    Python::each_of(Python::kinds(), |python| {
        let program = [python.path.as_os_str(), "-sS".as_ref(), script.as_os_str()];
        let extra = extra(&format!("an object of {python}"), ROUNDS, &[], &program);
        assert!(extra < 100.0, "{extra:.1} instructions");
    });
}

/// A sample that begins anew at the bottom of the callstack, which no cache of the frames makes shorter.
#[test]
fn a_sample_at_depth_30_and_the_free_of_a_sampled_block_cost_so_many_instructions() {
    let (python, script) = (Python::any(), oom::victim("samples.py"));
    let cost = |what: &str| {
        let program = [
            python.path.as_os_str(),
            "-sS".as_ref(),
            script.as_os_str(),
            what.as_ref(),
        ];
        let what = format!("a sample at depth 30 that is {what}, of {python}");
        extra(&what, 4000, &["--sample-interval=64"], &program)
    };
    let (held, freed) = (cost("held"), cost("freed"));
    assert!(held < 9000.0, "{held:.0} instructions");
    assert!(freed < 8900.0, "{freed:.0} instructions");
}
