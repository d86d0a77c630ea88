//! From words on a command line to a running job: find the program, check limits and room, start it with the library.

pub mod capacity;
pub mod fallback;
pub mod inherited;
pub mod launch;
pub mod library;
pub mod limits;
pub mod preloadable;
pub mod sanitizer;
pub mod target;
