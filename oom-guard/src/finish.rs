//! What is done when a job has ended, now or by a later command.

pub mod orphans;
pub mod unsupervised;
