//! The program as a shell sees it: what it prints, how it ends, what it passes on. Needs no preload: where one must be
//! there, a library that does nothing takes its place.

mod documents;
mod folders;
mod history;
mod hostile;
mod identity;
mod job;
mod licences;
mod limits;
mod orphans;
mod place;
mod recordings;
mod signals;
mod snapshot;
mod status;
mod termination;
mod usage;
mod verdict;
