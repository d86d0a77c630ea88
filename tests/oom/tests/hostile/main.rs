//! "A run folder that your `fil-profile` has not made there is read at most: whatever stands in it, nothing of yours is deleted,
//! changed or waited for."

mod copies;
mod links;
mod many;
mod odd_files;
mod place;
