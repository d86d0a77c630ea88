//! "A job that limits its own memory has as much of it as without us."

use oom::{Job, MIB, Python};

const CODE: &str = "
import resource, subprocess, sys
which, how = getattr(resource, sys.argv[1]), sys.argv[2]
limits = (200 << 20, resource.RLIM_INFINITY if how == 'soft' else 200 << 20)
source = '''
def fill():
    kept = []
    try:
        while True:
            kept.append(bytearray(1 << 20))
    except MemoryError:
        return len(kept)
'''
exec(source)
kept = [bytearray(1 << 20) for _ in range(80)]
if how == 'child':
    code = source + 'import resource; print(resource.getrlimit(%d), fill())' % which
    set_limits = lambda: resource.setrlimit(which, limits)
    print(subprocess.check_output([sys.executable, '-c', code], preexec_fn=set_limits).decode().strip())
    sys.exit()
if how == 'prlimit':
    resource.prlimit(0, which, limits)
else:
    resource.setrlimit(which, limits)
print(resource.getrlimit(which), fill())
";

/// The library itself, its tables and the recording take about 2 MiB of it.
#[test]
fn a_job_that_sets_its_own_limit_has_all_of_it_but_what_the_library_takes() {
    Python::each_of(Python::kinds(), |python| {
        for which in ["RLIMIT_AS", "RLIMIT_DATA"] {
            for how in ["soft", "hard", "prlimit", "child"] {
                let job = Job::code(python, CODE).arg(which).arg(how);
                let alone = job.clone().unwatched().run();
                assert_eq!(alone.status, Some(0), "{which}, {how}: {alone}");
                let watched = job.run();
                assert_eq!(watched.status, Some(0), "{which}, {how}: {watched}");
                let parts = |text: &str| {
                    let (limits, held) = text.trim().rsplit_once(' ').expect("two words");
                    (limits.to_owned(), held.parse::<u64>().expect("a number") * MIB)
                };
                let (alone, watched) = (parts(&alone.text()), parts(&watched.text()));
                assert_eq!(watched.0, alone.0);
                assert!(
                    watched.1 + 3 * MIB >= alone.1,
                    "{which}, {how}: {} of {}",
                    watched.1,
                    alone.1
                );
            }
        }
    });
}
