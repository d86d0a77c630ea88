//! What is looked at while a job runs: how close it is to each limit, which processes it has, and what is in memory.

pub mod deaths;
pub mod entered;
pub mod family;
pub mod holders;
pub mod kills;
pub mod limit_poller;
pub mod measure;
pub mod message_pipe;
pub mod notifications;
pub mod refusals;
pub mod room;
pub mod sampling;
pub mod unrecorded;
pub mod usage_reader;
