//! The licences: ours, and those of everything that is built into the program and the library.

const OURS: &str = "fil-profile is licensed under either of the Apache License 2.0 or the MIT licence, at your choice.";

/// The texts of all licences.
pub fn text() -> String {
    [
        OURS,
        include_str!("../../../LICENSE-MIT"),
        include_str!("../../../LICENSE-APACHE"),
        include_str!("../../THIRD-PARTY-LICENCES.txt"),
    ]
    .join("\n\n")
}
