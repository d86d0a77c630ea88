//! The library inside the job. It counts allocations, samples some of them with their Python callstack into the recording, and
//! notes when one fails. No error of ours reaches the job, and nothing here uses the job's heap: without `std` and without
//! `alloc` the compiler proves it.
//!
//! From the most dangerous to the least:
//!
//! * [`interpose`], [`interpose_maps`], [`interpose_signals`], [`interpose_ends`]: the exported C functions, without logic; [`api`]: those that the Python package calls; [`real`]:
//!   the next definition of each; [`chunk`]: reads the word before a block; [`memory_file`]: asks what a mapping shows; [`objects`]: goes
//!   through the loaded libraries;
//! * [`sanitizer`]: starts a program anew in which we must not be;
//! * [`python::allocator`]: hooks in CPython's allocator; [`python::memory`]: the reader of the interpreter's memory;
//!   [`python::hidden`]: the program's table of symbols; [`python::adopt`]: finds the interpreter, at the start or later;
//! * [`bus`]: the handler of SIGBUS; [`request`]: that of SIGUSR2; [`signal_mask`]: whether SIGBUS is blocked;
//! * [`arch`]: what depends on the processor; [`thread`]: thread-local state; [`sys`]: system calls; [`lock`], [`file`], [`array`]: mapped memory;
//! * [`emergency`], [`message_pipe`], [`stash`], [`refused`]: what happens when an allocation fails, or something else is refused;
//! * safe: [`hooks`], [`state`], [`live`], [`shadow`], [`mappings`], [`tree`], [`tally`], [`counter`], [`peak`],
//!   [`snapshot`], [`earlier`], [`kinds`], [`windows`], [`lost`], [`phases`], [`copy`], [`run_folder`], [`callstack`], [`traceback`],
//!   [`python::walk`], [`sampler`], [`index`], [`events`], [`say`], [`text`].

#![cfg_attr(not(test), no_std)]
#![cfg_attr(
    test,
    allow(
        dead_code,
        reason = "a test does not export the C functions, from which the rest is reached"
    )
)]

mod api;
mod arch;
mod array;
mod bus;
mod callstack;
mod chunk;
mod copy;
mod counter;
mod earlier;
mod emergency;
mod errno;
mod events;
mod file;
mod header;
mod hooks;
mod index;
mod interpose;
mod interpose_ends;
mod interpose_maps;
mod interpose_signals;
mod kinds;
mod live;
mod lock;
mod lost;
mod mappings;
mod memory_file;
mod message_pipe;
mod objects;
mod peak;
mod phases;
mod python;
mod real;
mod refused;
mod request;
mod run_folder;
mod sampler;
mod sanitizer;
mod say;
mod sender;
mod settings;
mod shadow;
mod signal_mask;
mod snapshot;
mod start;
mod stash;
mod state;
mod switches;
mod sys;
mod tally;
mod text;
mod thread;
mod traceback;
mod tree;
mod windows;
