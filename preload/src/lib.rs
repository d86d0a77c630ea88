//! The library inside the job.
