//! A whole report, in all formats, on bytes that are taken for a `.holders`.
#![no_main]

use dumper::trial::{Kind, report_on};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    report_on(Kind::Holders, bytes, include_bytes!("../seeds/recording/killed"));
});
