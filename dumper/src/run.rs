//! `run.json`: what was run, where, under which limits, and how it ended.

use std::collections::BTreeMap;
use std::path::PathBuf;

use recording::protocol::OnOom;
use recording::protocol::files::RUN as FILE;
use serde::{Deserialize, Serialize};

use crate::bounded::{self, LISTED, NAMES};
use crate::error::Error;
use crate::folder::{Birth, Folder};
use crate::label::{command_line, printable};
use crate::outcome::{Killed, Limit, Outcome};
use crate::outlet::to_json_pretty;
use crate::profile::Rank;
use crate::save::save;
use crate::source::LocalSource;

/// More than the longest command line and all that is noted beside it.
const MOST_BYTES: u64 = 8 << 20;

/// One run of a job. Fields that a file does not have are empty; fields that this version does not know are ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// Version of this file's format: 1.
    pub format: u32,
    /// Version of fil-profile.
    pub version: String,
    /// Argument vector of the job, as spawned.
    #[serde(deserialize_with = "bounded::list::<_, _, NAMES>")]
    pub command: Vec<String>,
    /// Working directory of the job.
    pub directory: PathBuf,
    /// Name of the machine.
    pub host: String,
    /// RFC 3339, local time with its offset.
    pub started: String,
    /// The folder that it was made in, by which a copy or the clone of a repository is told from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_in: Option<Birth>,
    /// Whether its folder holds the report of a bundle, or of a run folder that is not the user's, and nothing else.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_copy: bool,
    /// What the folder of its recordings carries too, where that is not the run folder; see docs/internals.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The supervisor's process id.
    pub supervisor: u32,
    /// What was to happen at a failed allocation.
    #[serde(with = "on_oom")]
    pub on_oom: OnOom,
    /// The soft `RLIMIT_AS` that the user set, in bytes, before we granted our own share; none if unlimited.
    pub address_space_limit: Option<u64>,
    /// The soft `RLIMIT_DATA` in bytes; none if unlimited.
    pub data_limit: Option<u64>,
    /// Filled in when the job has ended.
    pub ending: Option<Ending>,
    /// The verdict; none until there is one.
    pub outcome: Option<Outcome>,
    /// Who the job is to those who run the machines: variables of the environment that are no secret, and the control
    /// group.
    #[serde(deserialize_with = "bounded::map::<_, _, _, LISTED>")]
    pub identity: BTreeMap<String, String>,
    /// The limits in force at the start, the smallest first.
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    pub limits: Vec<Limit>,
    /// What call sites are ranked by; none for what the limit counts.
    #[serde(with = "rank")]
    pub rank: Option<Rank>,
    /// Whether the recordings stay where they are when the bundle has been written.
    pub keep_recording: bool,
    /// What its report says, in short; none until there is one.
    pub headline: Option<Headline>,
    /// Whether the last report is on disk. A run whose supervisor is gone and that says no ended without one.
    pub report_written: bool,
    /// Whether a table of the user's own lines is wanted on the terminal.
    pub text: bool,
    /// Whether it is not to be looked at which variables hold the memory.
    pub no_holders: bool,
    /// Which source files of this machine its reports may show. Not in the file: the reader of the file decides.
    #[serde(skip)]
    pub source: LocalSource,
}

/// The most of a report that fits a line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Headline {
    /// Bytes that were held at the moment that matters most, when it ran out or else at the peak: what of them was in memory, if that ranks
    /// the call sites.
    pub peak_bytes: u64,
    /// The call site that held the most, for a reader.
    pub culprit: Option<String>,
    /// If that is a library's line, the line of the user's own code that it held the most for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What the call site held of the memory of its process, as a fraction.
    pub share: f64,
}

/// How a job ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ending {
    /// Its exit status, unless a signal killed it.
    pub status: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// RFC 3339, local time with its offset.
    pub ended: String,
    /// How long it ran.
    pub seconds: f64,
}

impl Run {
    /// The command line as people remember it: the script or program without its folders and without the interpreter, and its
    /// arguments.
    pub fn short_command(&self) -> String {
        let base = |word: &String| word.rsplit('/').next().unwrap_or(word).to_owned();
        let script = match &self.command[..] {
            [program, script, ..] if base(program).starts_with("python") && !script.starts_with('-') => 1,
            _ => 0,
        };
        let words = self.command.iter().skip(script);
        let words = words.enumerate().map(|(index, word)| match index {
            0 => base(word),
            _ => word.clone(),
        });
        printable(&command_line(&words.collect::<Vec<_>>())).into_owned()
    }

    /// That the kernel killed this process for memory while the job ran on.
    pub fn killed(&self, pid: u32) -> Option<&Killed> {
        let killed = &self.outcome.as_ref()?.killed;
        killed.iter().find(|killed| killed.process.pid == pid)
    }

    /// Reads `run.json` in a run folder.
    pub fn load(folder: &Folder) -> Result<Run, Error> {
        let path = || folder.path().join(FILE);
        let text = folder
            .read(FILE, MOST_BYTES)
            .map_err(|reason| Error::read(&path(), reason))?;
        Run::parse(&text).map_err(|reason| Error::json(&path(), reason))
    }

    /// Whether `run.json` in this folder says [`is_copy`](Run::is_copy). Nothing else of it is kept.
    pub fn is_copy_in(folder: &Folder) -> bool {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Kind {
            is_copy: bool,
        }
        let text = folder.read(FILE, MOST_BYTES);
        text.is_ok_and(|text| serde_json::from_slice(&text).is_ok_and(|kind: Kind| kind.is_copy))
    }

    /// Reads the text of `run.json`. Of n bytes it takes at most 32 n + 32 MiB of memory: no list is longer than those that are written.
    ///
    /// # Errors
    ///
    /// It is not JSON, or not of a run.
    pub fn parse(text: &[u8]) -> Result<Run, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Writes `run.json` into a run folder.
    pub fn save(&self, folder: &Folder) -> Result<(), Error> {
        save(folder, FILE, |out| {
            to_json_pretty(out, self)?;
            out.write_all(b"\n")
        })?;
        Ok(())
    }
}

/// Nanoseconds since the Unix epoch of a time as run.json has it, `2026-01-31T14:05:09.123+01:00`.
pub(crate) fn nanoseconds(time: &str) -> Option<u64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok()
}

/// [`OnOom`] by its name.
mod on_oom {
    use recording::protocol::OnOom;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(on_oom: &OnOom, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(on_oom.name())
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<OnOom, D::Error> {
        let name = String::deserialize(from)?;
        Ok(OnOom::from_name(&name).unwrap_or_default())
    }
}

/// A [`Rank`] by its name; an empty one is none.
mod rank {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::profile::Rank;

    pub fn serialize<S: Serializer>(rank: &Option<Rank>, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(rank.map_or("", Rank::name))
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Option<Rank>, D::Error> {
        let name = String::deserialize(from)?;
        Ok(Rank::from_name(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_run_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let run = Run {
            format: 1,
            command: vec!["python3".into(), "oom.py".into()],
            address_space_limit: Some(1 << 30),
            ending: Some(Ending {
                status: Some(1),
                seconds: 1.5,
                ..Ending::default()
            }),
            ..Run::default()
        };
        run.save(&Folder::open(folder.path()).unwrap()).unwrap();
        assert_eq!(Run::load(&Folder::open(folder.path()).unwrap()).unwrap(), run);
    }

    #[test]
    fn an_option_is_written_by_its_name_and_one_that_is_not_known_counts_as_not_given() {
        let run = |text: &str| Run::parse(text.as_bytes()).unwrap();
        let known = run(r#"{"on_oom":"exit","rank":"resident"}"#);
        assert_eq!((known.on_oom, known.rank), (OnOom::Exit, Some(Rank::Resident)));
        let text = serde_json::to_string(&known).unwrap();
        assert!(
            text.contains(r#""on_oom":"exit""#) && text.contains(r#""rank":"resident""#),
            "{text}"
        );
        for text in [
            "{}",
            r#"{"on_oom":"","rank":""}"#,
            r#"{"on_oom":"later","rank":"later"}"#,
        ] {
            assert_eq!((run(text).on_oom, run(text).rank), (OnOom::Report, None), "{text}");
        }
    }

    #[test]
    fn a_command_is_remembered_by_its_script() {
        let short = |line: &str| {
            let command = line.split(' ').map(str::to_owned).collect();
            Run {
                command,
                ..Run::default()
            }
            .short_command()
        };
        assert_eq!(
            short("/usr/bin/python3 /home/ada/job.py --in /data/x"),
            "job.py --in /data/x"
        );
        assert_eq!(short("/usr/bin/python3 -m pytest"), "python3 -m pytest");
        assert_eq!(short("/bin/sh job.sh"), "sh job.sh");
        assert_eq!(short("python3"), "python3");
        assert_eq!(Run::default().short_command(), "");
    }

    #[test]
    fn a_run_of_another_version_is_read_as_far_as_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join(FILE),
            r#"{"host": "a", "novelty": [1], "ending": {"signal": 9}}"#,
        )
        .unwrap();
        let run = Run::load(&Folder::open(folder.path()).unwrap()).unwrap();
        assert_eq!(run.host, "a");
        assert_eq!(run.ending.unwrap().signal, Some(9));
    }

    #[test]
    fn times_are_read_as_run_json_has_them() {
        let second = 1_000_000_000;
        assert_eq!(nanoseconds("1970-01-01T00:00:00.000+00:00"), Some(0));
        assert_eq!(nanoseconds("2023-11-14T23:13:20+01:00"), Some(1_700_000_000 * second));
        assert_eq!(
            nanoseconds("2024-02-29T12:00:00.250-05:00"),
            Some(1_709_226_000 * second + second / 4)
        );
        assert_eq!(nanoseconds("2024-02-29T12:00:00Z"), Some(1_709_208_000 * second));
        assert_eq!(nanoseconds("yesterday"), None);
    }
}
