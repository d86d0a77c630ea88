//! What is compared: bytes as they were asked for, or as many of them as are in memory.

/// What call sites are ranked by, and pictures drawn of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rank {
    /// Bytes that were asked for.
    #[default]
    Requested,
    /// Bytes of them that were in memory when that was last measured.
    Resident,
}

impl Rank {
    /// Both.
    pub const ALL: [Rank; 2] = [Rank::Requested, Rank::Resident];

    /// As in `--rank`, in `run.json` and in `report.json`.
    pub fn name(self) -> &'static str {
        match self {
            Rank::Requested => "requested",
            Rank::Resident => "resident",
        }
    }

    /// The one with this name.
    pub fn from_name(name: &str) -> Option<Rank> {
        Rank::ALL.into_iter().find(|known| known.name() == name)
    }
}
