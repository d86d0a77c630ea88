//! A `report.json`: the verdict and the call sites, as a machine reads them.

use std::path::Path;

use serde_json::Value;

use crate::{Outcome, Place};

/// A report for machines.
#[derive(Debug)]
pub struct Report {
    json: Value,
}

impl Report {
    /// That of a run.
    #[track_caller]
    pub fn of(outcome: &Outcome) -> Report {
        Report::load(&outcome.file("report.json"))
    }

    /// Reads a file; panics where it is not JSON.
    #[track_caller]
    pub fn load(path: &Path) -> Report {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Report { json }
    }

    /// A value by its JSON pointer; null where there is none.
    pub fn at(&self, pointer: &str) -> &Value {
        self.json.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// A text by its JSON pointer; empty where there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    /// A number by its JSON pointer.
    pub fn number(&self, pointer: &str) -> Option<u64> {
        self.at(pointer).as_u64()
    }

    /// `outcome.kind`.
    pub fn kind(&self) -> &str {
        self.text("/outcome/kind")
    }

    /// Whether a log has the verdict's sentence, however it was broken into lines there.
    pub fn is_told_in(&self, log: &str) -> bool {
        let words = log.split_whitespace().filter(|word| *word != "=fil-profile=");
        let log = words.collect::<Vec<_>>().join(" ");
        let sentence = self.text("/outcome/sentence");
        !sentence.is_empty() && log.contains(sentence)
    }

    /// Bytes of the call sites at this line, and one standard deviation of the largest.
    #[track_caller]
    pub fn held_at(&self, place: &Place) -> (u64, u64) {
        let sites = self.at("/call_sites").as_array();
        let here = sites.into_iter().flatten().filter(|site| {
            let file = site["file"].as_str().unwrap_or_default();
            file.rsplit('/').next() == Some(&place.file) && site["line"].as_u64() == Some(u64::from(place.line))
        });
        let (mut bytes, mut error) = (0, 0);
        for site in here {
            bytes += site["bytes"].as_u64().expect("bytes are a number");
            error = error.max(site["error_bytes"].as_u64().expect("an error is a number"));
        }
        assert!(bytes > 0, "no call site at {place}: {self}");
        (bytes, error)
    }
}

impl Report {
    /// What the call sites at this line asked for, and those of libraries on its behalf.
    pub fn held_through(&self, place: &Place) -> u64 {
        self.sum_at(place, "bytes")
    }

    /// What of that is in memory.
    pub fn resident_at(&self, place: &Place) -> u64 {
        self.sum_at(place, "resident_bytes")
    }

    fn sum_at(&self, place: &Place, what: &str) -> u64 {
        let sites = self.at("/call_sites").as_array().into_iter().flatten();
        let line = format!("{}:{} ", place.file, place.line);
        let here = sites.filter(|site| {
            let file = site["file"].as_str().unwrap_or_default();
            let is_line =
                file.rsplit('/').next() == Some(&place.file) && site["line"].as_u64() == Some(place.line.into());
            is_line || site["caller"].as_str().is_some_and(|caller| caller.contains(&line))
        });
        here.filter_map(|site| site[what].as_u64()).sum()
    }

    /// What the call sites at this line are ranked by, in bytes.
    #[track_caller]
    pub fn ranked_at(&self, place: &Place) -> u64 {
        let resident = self.text("/moment/ranked_by") == "resident";
        let sites = self.at("/call_sites").as_array();
        let here = sites.into_iter().flatten().filter(|site| {
            let file = site["file"].as_str().unwrap_or_default();
            file.rsplit('/').next() == Some(&place.file) && site["line"].as_u64() == Some(u64::from(place.line))
        });
        let of = |site: &Value| {
            let name = if resident { "resident_bytes" } else { "bytes" };
            site[name].as_u64().unwrap_or_else(|| panic!("no {name} in {site}"))
        };
        here.map(of).sum()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.json)
    }
}
