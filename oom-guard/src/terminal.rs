//! All text for the user: lines on stderr, text on stdout, colours, progress and local time.

pub mod browser;
pub mod local_time;
pub mod paint;
pub mod progress;
pub mod say;
