//! What was measured of a process that runs: by `fil-profile snapshot`, from the file beside its recording.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::{Report, Running, built};

/// A measurement, with the report that was made of it.
#[derive(Debug)]
pub struct Snapshot {
    /// `report.json` of the snapshot.
    pub report: Report,
    measured: Value,
}

impl Running {
    /// Takes a snapshot of the job as it is now.
    #[track_caller]
    pub fn snapshot(&self) -> Snapshot {
        let run = self.folder().join("fil-result/latest");
        let taken = Command::new(built::fil_profile()).arg("snapshot").arg(&run).output();
        let taken = taken.expect("fil-profile can be run");
        assert!(taken.status.success(), "{taken:?}; {self}");
        let entries = || {
            std::fs::read_dir(&run)
                .expect("the run has a folder")
                .flatten()
                .map(|entry| entry.path())
        };
        let named = |path: &PathBuf, begin: &str, end: &str| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with(begin) && name.ends_with(end)
        };
        let folder = entries()
            .filter(|path| named(path, "snapshot-", ""))
            .max()
            .expect("a snapshot");
        let measured = entries().filter(|path| named(path, "", ".measured"));
        let measured = measured.max_by_key(|path| path.metadata().map_or(0, |about| about.len()));
        let measured = measured.unwrap_or_else(|| panic!("nothing was measured: {self}"));
        let text = std::fs::read_to_string(&measured).expect("it is text");
        let measured: Value = serde_json::from_str(&text).expect("it is JSON");
        Snapshot {
            report: Report::load(&folder.join("report.json")),
            measured: measured["latest"].clone(),
        }
    }
}

impl Snapshot {
    /// What the recording says is held.
    pub fn held(&self) -> u64 {
        self.measured["live_bytes"].as_u64().expect("a number")
    }

    /// What of that is in memory.
    pub fn resident(&self) -> u64 {
        let number = |pages: &Value, name: &str| pages[name].as_u64().unwrap_or(0);
        let counted = |kind: &str| !["6", "7", "8"].contains(&kind);
        let blocks = self.measured["blocks"].as_object().into_iter().flatten();
        let absent = blocks.filter(|(kind, _)| counted(kind.as_str()));
        let absent: u64 = absent
            .map(|(_, pages)| number(pages, "bytes") - number(pages, "resident"))
            .sum();
        // What is written to private mappings of files is in no sum of the recording.
        self.held() - absent + number(&self.measured["blocks"]["8"], "resident")
    }

    /// A number of an area.
    pub fn area(&self, area: &str, what: &str) -> u64 {
        self.measured["areas"][area][what].as_u64().unwrap_or(0)
    }

    /// Bytes of all blocks in huge pages.
    pub fn huge(&self) -> u64 {
        let blocks = self.measured["blocks"].as_object().into_iter().flatten();
        blocks.filter_map(|(_, pages)| pages["huge"].as_u64()).sum()
    }

    /// How much of what is resident has a name, from 0 to 1.
    pub fn explained(&self) -> f64 {
        self.report.explained()
    }
}

impl Report {
    /// How much of what the limit counts has a name, from 0 to 1; 0 if it was not measured.
    pub fn explained(&self) -> f64 {
        self.at("/ledger/explained").as_f64().unwrap_or(0.0)
    }

    /// A line of the ledger in bytes; 0 where there is none.
    pub fn ledger(&self, name: &str) -> u64 {
        let lines = self.at("/ledger/lines").as_array().into_iter().flatten();
        let found = lines.filter(|line| line["name"] == name);
        found.filter_map(|line| line["bytes"].as_u64()).sum()
    }

    /// Pages of one sort in bytes, in whichever line they are; 0 where there are none.
    pub fn apart(&self, name: &str) -> u64 {
        let sorts = self.at("/ledger/apart").as_array().into_iter().flatten();
        let found = sorts.filter(|sort| sort["name"] == name);
        found.filter_map(|sort| sort["bytes"].as_u64()).sum()
    }

    /// The ledger as lines of a table.
    pub fn ledger_table(&self) -> String {
        let mib = |value: &serde_json::Value| value.as_f64().unwrap_or(0.0) / 1_048_576.0;
        let lines = self.at("/ledger/lines").as_array().into_iter().flatten();
        let lines = lines.map(|line| {
            format!(
                "{:10.1} MiB  {}",
                mib(&line["bytes"]),
                line["what"].as_str().unwrap_or("")
            )
        });
        let total = mib(self.at("/ledger/total_bytes"));
        let unexplained = mib(self.at("/ledger/unexplained_bytes"));
        let share = self.explained() * 100.0;
        let end = format!("{unexplained:10.1} MiB  unexplained; {total:.1} MiB in all, {share:.1} % explained");
        lines.chain([end]).collect::<Vec<_>>().join("\n")
    }
}
