//! From the bytes of recordings to the files and words of a report.

mod builder;
mod damage;
mod golden;
mod job;
mod moments;
mod pictures;
