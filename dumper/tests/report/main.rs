//! From the bytes of recordings to the files and words of a report.

mod builder;
mod damage;
mod golden;
mod job;
mod json;
mod many;
mod moments;
mod pictures;
mod stacks;
mod verdicts;
