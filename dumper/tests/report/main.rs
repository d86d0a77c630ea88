//! From the bytes of recordings to the files and words of a report.

mod agreement;
mod builder;
mod bundle;
mod damage;
mod diff;
mod family;
mod formats;
mod golden;
mod growth;
mod holders;
mod hostile;
mod job;
mod json;
mod many;
mod merge;
mod moments;
mod page;
mod pictures;
mod protobuf;
mod resident;
mod seeds;
mod stacks;
mod tables;
mod verdicts;
