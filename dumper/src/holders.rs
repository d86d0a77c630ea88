//! Which variables held the memory of a process, in the file `<recording>.holders` beside its recording: names of variables, attributes
//! and types, never a value.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bounded::{self, LISTED};
use crate::error::Error;
use crate::folder::Place;
use crate::profile::{Facts, Moment, Profile};
use crate::save::save;

/// Three looks of 100 variables with 40 parts each, whose names have 120 characters.
const MOST_BYTES: u64 = 8 << 20;
/// A look while at least this many percent of the peak were held tells of the peak.
const NEAR_PERCENT: u64 = 50;

/// The looks at one process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holders {
    /// Version of this file's format: 1.
    pub format: u32,
    /// The last look.
    pub latest: Option<Look>,
    /// The look at which the process held most.
    pub highest: Option<Look>,
    /// The look at a failed allocation, while the thread waited.
    pub failed: Option<Look>,
    /// Why the last attempt found nothing; empty if it found something.
    pub trouble: String,
}

/// What variables held at one time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Look {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// How long it took, in nanoseconds.
    pub took_ns: u64,
    /// `close to the limit`, and so on.
    pub occasion: String,
    /// Failed allocations that began a moment of their own, until then.
    pub oom_epoch: u32,
    /// What the recording said was held then.
    pub live_bytes: u64,
    /// Whether the thread that runs Python waited meanwhile.
    pub stopped: bool,
    /// How many objects were looked at.
    pub visits: u64,
    /// Bytes that some variable holds, and the standard error of that.
    pub covered_bytes: u64,
    /// See `covered_bytes`.
    pub covered_error_bytes: u64,
    /// Bytes of `covered_bytes` in blocks behind pointers of unknown types.
    pub supposed_bytes: u64,
    /// Whether something was left out since there was too much of it.
    pub is_cut: bool,
    /// The variables, the largest share first.
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    pub variables: Vec<Variable>,
    /// The types of what they hold, by their bytes.
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    pub types: Vec<TypeRow>,
}

/// A variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Variable {
    /// Where it belongs.
    pub frame: Frame,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: VariableKind,
    /// The type of its object.
    #[serde(rename = "type")]
    pub type_name: String,
    /// How many items that has, if it is a container.
    pub length: Option<u64>,
    /// The type of most of them.
    pub item_type: Option<String>,
    /// Its share: what several hold is split between them.
    pub bytes: u64,
    /// The standard error of that.
    pub error_bytes: u64,
    /// What would be freed if this alone went away.
    pub exclusive_bytes: u64,
    /// How many objects it holds, by shares.
    pub objects: u64,
    /// The steps to where most of it is.
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    pub path: Vec<String>,
    /// The type of what is there.
    pub path_type: String,
    /// Its parts, each after the one above it; the first is the variable.
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    pub tree: Vec<Part>,
    /// Who allocated it, the largest first.
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    pub sites: Vec<Site>,
}

/// Where a variable belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Frame {
    /// The source file.
    pub file: String,
    /// The line that ran; 0 for a global of a module.
    pub line: u32,
    /// The function; `<module>` for a global.
    pub function: String,
    /// The thread; empty for a global.
    pub thread: String,
}

/// What a variable is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VariableKind {
    /// Of a function that ran.
    Local,
    /// Of a module, or an attribute of a class.
    Global,
    /// Of the interpreter.
    #[default]
    #[serde(other)]
    Other,
}

/// All that is reached from a variable in the same steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Part {
    /// Its place in the list of the part above it; the first is its own.
    pub parent: usize,
    /// The step from there; empty if it has no name.
    pub step: String,
    /// The type of what was found there first.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its bytes with those of all parts below it.
    pub bytes: u64,
    /// How many objects it is, without those below it.
    pub objects: u64,
}

/// A line that allocated blocks which a variable holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Site {
    /// Its place in the recording. It means nothing elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<u32>,
    /// The source file; as the other fields, it is known only where the recording has been read.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The function.
    pub function: String,
    /// Bytes in its blocks.
    pub bytes: u64,
}

/// A type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeRow {
    /// Its name.
    pub name: String,
    /// Bytes of its objects, with the blocks that each has for itself.
    pub bytes: u64,
    /// How many.
    pub objects: u64,
}

impl Holders {
    /// What is known of the process of a recording; empty where nothing is.
    pub fn load(recording: &Place) -> Holders {
        let name = path(recording);
        let name = name.file_name().unwrap_or_default();
        let read = recording.reach().and_then(|folder| folder.read(name, MOST_BYTES));
        Holders::parse(&read.unwrap_or_default())
    }

    /// What the text of a `.holders` says; empty where it is not understood.
    pub fn parse(text: &[u8]) -> Holders {
        serde_json::from_slice(text).unwrap_or_default()
    }

    /// Puts it beside the recording.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn save(&self, recording: &Place) -> Result<(), Error> {
        let path = path(recording);
        let text = serde_json::to_vec(self).map_err(|reason| Error::json(&path, reason))?;
        let folder = recording.reach().map_err(|reason| Error::write(&path, reason))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        save(folder, &name, |out| out.write_all(&text)).map(drop)
    }

    /// Adds a look as the latest, and as the highest or that of a failed allocation where it is one.
    pub fn add(&mut self, look: Look, has_failed: bool) {
        self.format = 1;
        self.trouble.clear();
        if self
            .highest
            .as_ref()
            .is_none_or(|highest| look.live_bytes >= highest.live_bytes)
        {
            self.highest = Some(look.clone());
        }
        if has_failed {
            self.failed = Some(look.clone());
        }
        self.latest = Some(look);
    }

    fn all(&self) -> impl Iterator<Item = &Look> {
        [&self.latest, &self.highest, &self.failed].into_iter().flatten()
    }

    /// How many rows all its lists have.
    pub(crate) fn rows(&self) -> usize {
        let of_variable = |variable: &Variable| 1 + variable.path.len() + variable.tree.len() + variable.sites.len();
        self.all()
            .map(|look| look.types.len() + look.variables.iter().map(of_variable).sum::<usize>())
            .sum()
    }

    /// The look that tells most of a moment; none if none is near it.
    pub fn at(&self, moment: Moment, facts: &Facts) -> Option<&Look> {
        let latest = || self.all().max_by_key(|look| look.time_ns);
        match moment {
            Moment::Live => latest(),
            Moment::OutOfMemory => {
                let failed = self.failed.as_ref();
                let of_moment = failed.filter(|look| look.oom_epoch == facts.kinds.oom_epoch);
                of_moment.or_else(latest)
            }
            Moment::Peak => {
                let least = facts.peak_bytes / 100 * NEAR_PERCENT;
                let near = self.all().filter(|look| look.live_bytes >= least);
                near.min_by_key(|look| look.live_bytes.abs_diff(facts.peak_bytes))
            }
        }
    }

    /// Tells of each number of a site which line that is.
    pub fn name_sites(&mut self, profile: &Profile) {
        let looks = [&mut self.latest, &mut self.highest, &mut self.failed];
        let variables = looks.into_iter().flatten().flat_map(|look| &mut look.variables);
        for site in variables.flat_map(|variable| &mut variable.sites) {
            let holding = site
                .site
                .take()
                .and_then(|number| profile.holdings.get(number as usize));
            let call = holding.and_then(|holding| {
                let own = profile.own_line(holding.node);
                own.or_else(|| profile.stack(holding.node).next())
            });
            if let Some(call) = call {
                site.file = call.file.to_owned();
                site.line = call.line;
                site.function = call.function.to_owned();
            }
        }
        // Of one line, several callstacks are one.
        let looks = [&mut self.latest, &mut self.highest, &mut self.failed];
        for variable in looks.into_iter().flatten().flat_map(|look| &mut look.variables) {
            let mut sites: Vec<Site> = Vec::new();
            for site in variable.sites.drain(..).filter(|site| !site.function.is_empty()) {
                let is_same = |known: &&mut Site| (&known.file, known.line) == (&site.file, site.line);
                match sites.iter_mut().find(is_same) {
                    Some(known) => known.bytes = known.bytes.saturating_add(site.bytes),
                    None => sites.push(site),
                }
            }
            variable.sites = sites;
        }
    }
}

impl Look {
    /// The report of the crate `holders`, as JSON.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn parse(text: &[u8]) -> Result<Look, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// All that was held then, as far as it is known: of it, the variables have their shares.
    pub fn whole(&self) -> u64 {
        self.live_bytes.max(self.covered_bytes)
    }
}

/// Removes what is known of the process of a recording.
///
/// # Errors
///
/// There is nothing, or it cannot be removed.
pub fn remove(recording: &Place) -> std::io::Result<()> {
    recording
        .reach()?
        .remove(path(recording).file_name().unwrap_or_default())
}

/// Where it is kept.
pub fn path(recording: &Path) -> PathBuf {
    recording.with_extension("holders")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(time_ns: u64, live_bytes: u64) -> Look {
        Look {
            time_ns,
            live_bytes,
            ..Look::default()
        }
    }

    #[test]
    fn of_a_moment_the_look_that_was_nearest_is_told() {
        let mut holders = Holders::default();
        let mut facts = Facts {
            peak_bytes: 1000,
            ..Facts::default()
        };
        assert_eq!(holders.at(Moment::Live, &facts), None);
        holders.add(look(1, 400), false);
        assert_eq!(holders.at(Moment::Peak, &facts), None, "too little was held");
        holders.add(look(2, 900), false);
        holders.add(look(3, 100), false);
        assert_eq!(holders.at(Moment::Peak, &facts).unwrap().time_ns, 2);
        assert_eq!(holders.at(Moment::Live, &facts).unwrap().time_ns, 3);
        holders.add(look(4, 50), true);
        holders.add(look(5, 60), false);
        assert_eq!(holders.at(Moment::OutOfMemory, &facts).unwrap().time_ns, 4);
        facts.kinds.oom_epoch = 1;
        assert_eq!(holders.at(Moment::OutOfMemory, &facts).unwrap().time_ns, 5);
    }

    #[test]
    fn what_is_of_a_later_version_or_no_json_at_all_is_read_as_far_as_it_is_known() {
        let read = Holders::parse(
            br#"{"format": 2, "latest": {"time_ns": 7, "more": [1], "variables": [{"kind": "cell", "name": "x"}]}}"#,
        );
        let latest = read.latest.unwrap();
        assert_eq!((latest.time_ns, latest.variables[0].kind), (7, VariableKind::Other));
        assert_eq!(Holders::parse(b"\0{"), Holders::default());
        let many = vec!["{}"; LISTED + 1].join(",");
        let many = format!("{{\"latest\": {{\"types\": [{many}]}}}}");
        assert_eq!(Holders::parse(many.as_bytes()), Holders::default());
    }
}
