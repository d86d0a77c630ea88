//! The program as a shell sees it: what it prints, how it ends, what it passes on. Needs no preload: where one must be
//! there, a library that does nothing takes its place.

mod folders;
mod job;
mod licences;
mod limits;
mod place;
mod signals;
mod status;
mod usage;
