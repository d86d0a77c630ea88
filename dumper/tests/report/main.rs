//! From the bytes of recordings to the files and words of a report.

mod builder;
mod damage;
mod family;
mod golden;
mod job;
mod json;
mod many;
mod merge;
mod moments;
mod pictures;
mod stacks;
mod verdicts;
