//! A whole report, in all formats, on a bundle of values that may be anything. They are packed here: no engine finds gzip's checksum.
#![no_main]

use dumper::trial::{Kind, bundle_of, report_on};

libfuzzer_sys::fuzz_target!(|values: &[u8]| {
    report_on(Kind::Bundle, &bundle_of(values), &[]);
});
