//! fil-profile.

fn main() {}
