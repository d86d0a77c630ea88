//! "A real numpy script that ran out of memory: the flame graph names its line."

use oom::{Job, MIB, OnOom, assert_close, numpy_python, place};

#[test]
fn arrays_are_attributed_to_the_lines_that_made_them() {
    let line = |marker| place("numpy_arrays.py", marker);
    for (policy, status) in [(OnOom::Report, 1), (OnOom::Exit, 53)] {
        let job = Job::python(numpy_python(), "numpy_arrays.py").limit_address_space(1500 * MIB);
        // One thread: each of OpenBLAS's would take address space of its own.
        let job = job.env("OPENBLAS_NUM_THREADS", "1").on_oom(policy);
        let outcome = job.run();
        assert_eq!(outcome.status, Some(status), "{outcome}");
        let folded = outcome.out_of_memory();
        assert_close(folded.through(&line("ONES")), 10 * MIB, 2.0, &outcome);
        assert_close(folded.at(&line("ZEROS")), 20 * MIB, 2.0, &outcome);
        assert_close(folded.at(&line("PRODUCT")), 10 * MIB, 2.0, &outcome);
        let grown = outcome.truth() - 40 * MIB;
        assert_close(folded.at(&line("GROW")), grown, 2.0, &outcome);
    }
}
