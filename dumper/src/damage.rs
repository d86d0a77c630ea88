//! What is wrong with a recording that can nevertheless be read.

use std::fmt;

use recording::{MAX_CHUNKS, Table};
use serde::{Deserialize, Serialize};

use crate::profile::Moment;
use crate::units::Bytes;

/// Something in a recording that is not as it should be. The rest of the recording is used nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Damage {
    /// The header states other sizes than this version's.
    Sizes,
    /// The header states more chunks than a recording can have.
    TooManyChunks(u32),
    /// The file is shorter than its header says.
    Truncated {
        /// Bytes that the header promises.
        expected: u64,
        /// Bytes that there are.
        actual: u64,
    },
    /// So many chunks belong to no known table.
    UnknownChunks(u32),
    /// The header publishes more records than the file holds.
    MissingRecords {
        /// Of which table.
        #[serde(with = "crate::profile::table_code")]
        table: Table,
        /// As many should be there.
        published: u32,
        /// As many are there.
        present: u32,
    },
    /// So many records point at something that does not exist.
    BadReferences(u32),
    /// So many names lie outside of the strings, or in one another.
    BadNames(u32),
    /// So many numbers cannot be true; they count as zero.
    AbsurdNumbers(u32),
    /// So many events are not numbered as their place demands.
    BadEvents(u32),
    /// The process stopped in the middle of writing a sample.
    SampleInFlight,
    /// The sum over all sites is not the total that the header states. Reports show the sum.
    SumsDiffer {
        /// Of which moment.
        moment: Moment,
        /// Bytes that the header states.
        stated: u64,
        /// Bytes that the sites add up to.
        sum: u64,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Sizes => write!(f, "its header states sizes that no recording has"),
            Damage::TooManyChunks(count) => {
                write!(
                    f,
                    "its header states {count} chunks, more than the {MAX_CHUNKS} that a recording can have"
                )
            }
            Damage::Truncated { expected, actual } => {
                write!(f, "it is cut off: {} of {} are there", Bytes(*actual), Bytes(*expected))
            }
            Damage::UnknownChunks(count) => write!(f, "{count} of its chunks are of no known kind"),
            Damage::MissingRecords {
                table,
                published,
                present,
            } => {
                write!(f, "of {published} {} only {present} are there", table_name(*table))
            }
            Damage::BadReferences(count) => write!(f, "{count} records point at something that does not exist"),
            Damage::BadNames(count) => write!(f, "{count} names are not readable"),
            Damage::AbsurdNumbers(count) => write!(f, "{count} numbers cannot be true and count as zero"),
            Damage::BadEvents(count) => write!(f, "{count} events are not readable"),
            Damage::SampleInFlight => write!(f, "a sample was being written at that very moment"),
            Damage::SumsDiffer { moment, stated, sum } => {
                let moment = match moment {
                    Moment::Live => "now",
                    Moment::Peak => "at the peak",
                    Moment::OutOfMemory => "when an allocation failed",
                };
                let off = Bytes(stated.abs_diff(*sum));
                let less = if stated < sum { "less" } else { "more" };
                let sum = Bytes(*sum);
                write!(
                    f,
                    "what was in use {moment} adds up to {sum}, which is shown; its header says {off} {less}"
                )
            }
        }
    }
}

fn table_name(table: Table) -> &'static str {
    match table {
        Table::Nodes => "nodes",
        Table::Functions => "functions",
        Table::Sites => "sites",
        Table::Blocks => "large blocks",
        Table::Strings => "bytes of names",
    }
}

/// Damage as it is found: what can occur in every record is counted, so that the list stays short.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) damage: Vec<Damage>,
    pub(crate) bad_references: u32,
    pub(crate) bad_names: u32,
    pub(crate) absurd_numbers: u32,
    pub(crate) bad_events: u32,
    /// Samples were written while the file was read, so that nothing needs to add up.
    pub(crate) is_being_written: bool,
}

impl Findings {
    /// Everything found.
    pub(crate) fn into_damage(self) -> Vec<Damage> {
        let counted = [
            (self.bad_references, Damage::BadReferences as fn(u32) -> Damage),
            (self.bad_names, Damage::BadNames),
            (self.absurd_numbers, Damage::AbsurdNumbers),
            (self.bad_events, Damage::BadEvents),
        ];
        let mut damage = self.damage;
        damage.extend(
            counted
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, damage)| damage(count)),
        );
        damage
    }
}
