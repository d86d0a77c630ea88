//! Allocators of their own that libraries bring along, and those that replace malloc: how their memory is attributed.

use recording::Kind;
use serde::Serialize;

use crate::profile::measured::Measured;

/// Less than one part in this many of what is held is not worth a word.
const WORTH: u64 = 20;

/// Libraries with an allocator, by the beginning of the file's name: who that is, and what makes it tell more.
const KNOWN: [(&str, &str, Option<&str>); 6] = [
    (
        "libarrow.so",
        "PyArrow's memory pool",
        Some("ARROW_DEFAULT_MEMORY_POOL=system"),
    ),
    ("_polars_runtime", "Polars' jemalloc", None),
    ("polars.abi3.so", "Polars' jemalloc", None),
    ("libjemalloc.so", "jemalloc", None),
    ("libtcmalloc", "tcmalloc", None),
    ("libmimalloc.so", "mimalloc", None),
];

/// How an allocator's memory is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Each block, for the line that asked for it.
    Blocks,
    /// What it maps, for the line that made it grow.
    Mappings,
}

/// One that a process has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Allocator {
    /// Who it is.
    pub name: &'static str,
    /// The file that it is in.
    pub library: String,
    /// How its memory is counted.
    pub counted: Counted,
    /// An environment variable with which each block is counted for its own line.
    pub instead: Option<&'static str>,
}

/// Whether the file of this name has an allocator.
pub fn is_in(library: &str) -> bool {
    KNOWN.iter().any(|(begin, ..)| library.starts_with(begin))
}

/// Those of a process, as far as they have a part in what it holds.
pub fn find(measured: &Measured) -> Vec<Allocator> {
    let held = |kind| measured.kinds.of(kind).bytes;
    let is_worth = |kind| held(kind) > 0 && held(kind) >= measured.live_bytes / WORTH;
    let known = measured.allocators.iter().filter_map(|library| {
        let (_, name, instead) = KNOWN.iter().find(|(begin, ..)| library.starts_with(begin))?;
        // PyArrow and Polars never replace malloc.
        let is_in_place = library.starts_with("lib") && instead.is_none() && held(Kind::Foreign) > 0;
        let (counted, kind) = match is_in_place {
            true => (Counted::Blocks, Kind::Foreign),
            false => (Counted::Mappings, Kind::Mapping),
        };
        is_worth(kind).then(|| Allocator {
            name,
            library: library.clone(),
            counted,
            instead: *instead,
        })
    });
    known.collect()
}

impl Allocator {
    /// For people.
    pub fn sentence(&self) -> String {
        let Allocator { name, library, .. } = self;
        match (self.counted, self.instead) {
            (Counted::Blocks, _) => format!(
                "{name} ({library}) stands in the place of malloc: each of its blocks counts for the line that asked for it."
            ),
            (Counted::Mappings, instead) => {
                let instead = instead.map(|variable| format!(" With {variable}, each block counts for its own line."));
                format!(
                    "{name} ({library}) is seen by what it maps, which counts for the line that made it grow.{}",
                    instead.unwrap_or_default()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::KindBytes;

    fn measured(kind: Kind, libraries: &[&str]) -> Measured {
        let mut measured = Measured {
            live_bytes: 100,
            allocators: libraries.iter().map(|&name| name.to_owned()).collect(),
            ..Measured::default()
        };
        *measured.kinds.of_mut(kind) = KindBytes { bytes: 5, occupied: 5 };
        measured
    }

    #[test]
    fn an_allocator_is_named_where_it_has_a_part_in_what_is_held() {
        let found = find(&measured(Kind::Mapping, &["libarrow.so.2600", "libz.so"]));
        let sentences: Vec<String> = found.iter().map(Allocator::sentence).collect();
        assert_eq!(
            sentences,
            [
                "PyArrow's memory pool (libarrow.so.2600) is seen by what it maps, which counts for the line that made it grow. \
                 With ARROW_DEFAULT_MEMORY_POOL=system, each block counts for its own line."
            ]
        );
        let in_place = find(&measured(Kind::Foreign, &["libjemalloc.so.2", "libarrow.so.2600"]));
        assert_eq!((in_place.len(), in_place[0].counted), (1, Counted::Blocks));
        let mut little = measured(Kind::Mapping, &["libarrow.so.2600"]);
        little.live_bytes = 101 * WORTH;
        assert_eq!(find(&little), []);
        assert!(is_in("_polars_runtime_32.abi3.so") && !is_in("libc.so.6"));
    }
}
