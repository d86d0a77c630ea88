//! What is looked at while a job runs: how close it is to each limit, which processes it has, and what is in memory.

pub mod alarms;
pub mod doorbell;
pub mod entered;
pub mod family;
pub mod limit_poller;
pub mod measure;
pub mod room;
pub mod sampling;
pub mod unrecorded;
pub mod usage_reader;
