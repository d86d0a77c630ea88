//! What all texts of one report are made from: computed, and nothing is written. Of all recordings, at most two stay in memory: those of
//! the moments that the report is about.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use recording::EventKind;

use super::holders::HeldBy;
use super::site::{NamedChargedLine, NamedSite, OwnLine};
use super::{Occasion, Subject, choice, words};
use crate::damage::Damage;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::outcome::Outcome;
use crate::process::Process;
use crate::profile::{CallTree, Facts, Moment, Profile, Rank, State, Weight};
use crate::rank;
use crate::run::{Headline, Run, nanoseconds};
use crate::timeline::Sample;
use crate::unrecorded::Unrecorded;

/// Call sites that are kept of each moment.
const SITES: usize = 200;
/// Lines that are kept of each moment.
const CHARGED_LINES: usize = 50;
/// The most processes that have a line of their own in the report.
const LISTED: usize = 20;

/// The most parents whose callstacks are read to explain what their children inherited.
const PARENTS: usize = 5;

/// Every fork copies some pages of its interpreter.
const LITTLE_COPIED: u64 = 4 << 20;
/// The most of their children whose measurements are read.
const HEIRS: usize = 100;

/// The most other processes of which it is told which variables held their memory.
const OTHER_HOLDERS: usize = 8;

/// All facts about a run that a report is made from.
pub(crate) struct Account<'a> {
    pub(crate) run: &'a Run,
    /// Paths are shown relative to it.
    pub(crate) directory: &'a str,
    pub(crate) processes: &'a [Process],
    pub(crate) occasion: Occasion,
    /// The processes with a line of their own, in the order of their start.
    pub(crate) listed: Vec<Listed>,
    /// All others.
    pub(crate) folded: Vec<&'a Process>,
    pub(crate) out_of_memory: Option<Shown<'a>>,
    pub(crate) peak: Option<Shown<'a>>,
    pub(crate) concerns: Vec<Concern<'a>>,
    pub(crate) unrecorded: &'a Unrecorded,
    /// How much memory the job had over time.
    pub(crate) timeline: &'a [Sample],
    /// Where processes held the most at their peaks from which others inherited memory.
    pub(crate) inherited_from: Vec<(u32, String)>,
    /// Of processes from which others inherited memory, how many of those hold copies of it, and how much.
    pub(crate) copied: BTreeMap<u32, Copied>,
    /// Which variables held the memory of other processes than the one that matters most, with what each is called.
    pub(crate) held_by_others: Vec<(String, HeldBy)>,
}

/// Copies that the forks of one process have made of what they inherited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) processes: usize,
    pub(crate) bytes: u64,
}

/// A process with a line of its own.
pub(crate) struct Listed {
    pub(crate) facts: Facts,
    /// What happened, in words, for each of the events.
    pub(crate) events: Vec<String>,
    /// How far it got, in words.
    pub(crate) state: &'static str,
}

/// One moment of one process.
pub(crate) struct Shown<'a> {
    pub(crate) process: &'a Process,
    pub(crate) moment: Moment,
    pub(crate) profile: Arc<Profile>,
    /// What the call sites are ranked by.
    pub(crate) rank: Rank,
    /// All that was held.
    pub(crate) weight: Weight,
    /// The allocation that failed at this moment, or failed last before it.
    pub(crate) failed: Option<String>,
    /// What the limit counts, and who has it.
    pub(crate) ledger: Ledger,
    /// When the process was killed, or the job ended, in nanoseconds since the Unix epoch; none as long as it runs.
    pub(crate) ended_ns: Option<u64>,
    /// The lines that the most was held for, the culprit first.
    pub(crate) charged: Vec<NamedChargedLine>,
    /// The call sites that held the most, the largest first.
    pub(crate) sites: Vec<NamedSite>,
    /// Which variables held it, as far as that was looked at.
    pub(crate) held_by: Option<HeldBy>,
    /// What each line of the user's own files held, if that is wanted.
    pub(crate) own_lines: Vec<OwnLine>,
}

/// Something that makes the report less than it should be.
pub(crate) struct Concern<'a> {
    pub(crate) process: Option<&'a Process>,
    pub(crate) recording: &'a Path,
    pub(crate) what: What,
}

/// The nature of a concern.
pub(crate) enum What {
    Trouble(String),
    Damage(Damage),
}

impl<'a> Account<'a> {
    /// Reads what is needed of the recordings.
    pub(crate) fn compute(subject: &Subject<'a>) -> Account<'a> {
        let Subject {
            run,
            processes,
            occasion,
            ..
        } = *subject;
        let mut account = Account {
            run,
            directory: run.directory.to_str().unwrap_or(""),
            processes,
            occasion,
            listed: Vec::new(),
            folded: Vec::new(),
            out_of_memory: None,
            peak: None,
            concerns: subject.unreadable.iter().map(Concern::unreadable).collect(),
            unrecorded: subject.unrecorded,
            timeline: subject.timeline,
            inherited_from: Vec::new(),
            copied: BTreeMap::new(),
            held_by_others: Vec::new(),
        };
        let ran_out = choice::out_of_memory(run, processes, occasion);
        let peak = choice::peak(processes).map(|process| (process, Moment::Peak));
        let is_listed = worth_a_line(
            processes,
            [ran_out, peak].map(|chosen| chosen.map(|(process, _)| process)),
        );
        for ((process, is_listed), is_replaced) in processes.iter().zip(is_listed).zip(choice::replaced(processes)) {
            let chosen = [ran_out, peak].into_iter().flatten();
            let moments = chosen
                .filter(|(chosen, _)| std::ptr::eq(*chosen, process))
                .map(|(_, moment)| moment);
            let moments: Vec<Moment> = moments.collect();
            let profile = account.look_at(process, !moments.is_empty() || is_listed && has_failed(process));
            if let Some(profile) = &profile {
                for moment in moments {
                    let shown = Shown::compute(run, process, profile, moment);
                    match moment {
                        Moment::Peak => account.peak = Some(shown),
                        Moment::OutOfMemory | Moment::Live => account.out_of_memory = Some(shown),
                    }
                }
            }
            if is_listed {
                let state = words::state(run, &process.facts, is_replaced);
                let listed = Listed::new(process, profile.as_deref(), account.directory, state);
                account.listed.push(listed);
            } else {
                account.folded.push(process);
            }
        }
        account.find_inheritance();
        account.held_by_others = account.find_other_holders();
        account
    }

    /// The verdict, as soon as there is one.
    pub(crate) fn judged(&self) -> Option<&'a Outcome> {
        self.occasion.verdict(self.run)
    }

    /// The moment that matters most.
    pub(crate) fn foremost(&self) -> Option<&Shown<'a>> {
        self.out_of_memory.as_ref().or(self.peak.as_ref())
    }

    /// What matters most, in short.
    pub(crate) fn headline(&self) -> Option<Headline> {
        let shown = self.foremost()?;
        let culprit = shown.culprit();
        Some(Headline {
            peak_bytes: shown.ranked(),
            culprit: culprit.map(|culprit| culprit.line.place.clone()),
            from: None,
            share: culprit.map_or(0.0, |culprit| culprit.share.fraction()),
        })
    }

    fn find_other_holders(&self) -> Vec<(String, HeldBy)> {
        let foremost = self.foremost().map(|shown| shown.process);
        let is_other = |process: &&Process| foremost.is_some_and(|foremost| !std::ptr::eq(foremost, *process));
        let mut others: Vec<&Process> = self.processes.iter().filter(is_other).collect();
        others.sort_by_key(|process| Reverse(process.facts.peak_bytes));
        let others = others.into_iter().take(OTHER_HOLDERS);
        let held = others.filter_map(|process| Some((process.who(), HeldBy::of_other(process, self.directory)?)));
        held.collect()
    }

    /// Looks up what is behind memory that was inherited.
    fn find_inheritance(&mut self) {
        let heirs = self
            .processes
            .iter()
            .filter(|process| process.facts.inherited_bytes > 0);
        let mut parents: Vec<u32> = heirs.clone().map(|process| process.facts.ppid).collect();
        let mut note = |parent: u32, bytes: u64| {
            if bytes < LITTLE_COPIED {
                return;
            }
            let copied = self.copied.entry(parent).or_default();
            copied.processes += 1;
            copied.bytes = copied.bytes.saturating_add(bytes);
        };
        for heir in heirs.take(HEIRS) {
            if let Some(latest) = heir.measurements().latest {
                note(heir.facts.ppid, Ledger::copied(&latest));
            }
        }
        for process in self.processes.iter().take(HEIRS) {
            for fork in process.measurements().forks {
                note(process.facts.pid, fork.copied_bytes);
                parents.push(process.facts.pid);
            }
        }
        parents.sort_unstable();
        parents.dedup();
        let of_pid = |pid: u32| self.processes.iter().filter(move |process| process.facts.pid == pid);
        let place = |pid: u32| {
            let parent = of_pid(pid).max_by_key(|process| process.facts.peak_bytes)?;
            let (profile, _) = parent.read().ok()?;
            let culprit = rank::tree(self.run, &profile, Moment::Peak).culprit()?;
            Some((pid, culprit.call.short(self.directory)))
        };
        self.inherited_from = parents.into_iter().take(PARENTS).filter_map(place).collect();
    }

    /// Notes what is wrong with a process's recording, all of which is read only if it is `wanted`.
    fn look_at(&mut self, process: &'a Process, wanted: bool) -> Option<Arc<Profile>> {
        let mut concern = |what| {
            self.concerns.push(Concern {
                process: Some(process),
                recording: &process.path,
                what,
            });
        };
        let (profile, damage) = match wanted.then(|| process.read()) {
            Some(Ok((profile, damage))) => (Some(profile), damage),
            Some(Err(error)) => {
                concern(What::Trouble(format!("Its callstacks are lost: {error}.")));
                (None, process.damage.clone())
            }
            None => (None, process.damage.clone()),
        };
        words::troubles(&process.facts)
            .into_iter()
            .for_each(|trouble| concern(What::Trouble(trouble)));
        damage.into_iter().for_each(|damage| concern(What::Damage(damage)));
        profile
    }
}

impl Listed {
    fn new(process: &Process, profile: Option<&Profile>, directory: &str, state: &'static str) -> Listed {
        let facts = profile.map_or(&process.facts, |profile| &profile.facts).clone();
        let place = |node| profile.and_then(|profile| words::place(profile, node, directory));
        let events = facts.events.iter().map(|event| words::event(event, place(event.node)));
        Listed {
            events: events.collect(),
            facts,
            state,
        }
    }
}

impl<'a> Shown<'a> {
    fn compute(run: &Run, process: &'a Process, profile: &Arc<Profile>, moment: Moment) -> Shown<'a> {
        let directory = run.directory.to_str().unwrap_or("");
        let tree = rank::tree(run, profile, moment);
        let grown = profile.at(moment).growth();
        let charged = tree.charged_lines(CHARGED_LINES).into_iter();
        let sites = tree.sites(SITES).into_iter().map(|site| NamedSite {
            growth: grown.as_ref().map(|grown| grown.site(&site.call)),
            ..NamedSite::new(&site, directory)
        });
        let failure = profile.facts.failure.as_ref();
        let killed = run.killed(process.facts.pid).map(|killed| &killed.time);
        let ended = killed.or(run.ending.as_ref().map(|ending| &ending.ended));
        let ended_ns = ended.and_then(|time| nanoseconds(time));
        Shown {
            process,
            moment,
            profile: Arc::clone(profile),
            rank: tree.rank(),
            weight: tree.weight(),
            failed: failure.map(|failure| words::failed(profile, failure, directory)),
            ledger: Ledger::choose(profile, moment, rank::counts(run), run.ending.is_none()),
            ended_ns,
            held_by: HeldBy::compute(process, profile, moment, ended_ns, directory),
            charged: charged
                .map(|charged| NamedChargedLine::new(&charged, directory))
                .collect(),
            sites: sites.collect(),
            own_lines: match run.text {
                true => OwnLine::all(&tree, directory),
                false => Vec::new(),
            },
        }
    }

    /// What is known of its process.
    pub(crate) fn facts(&self) -> &Facts {
        &self.profile.facts
    }

    /// Whether what was resident then was measured.
    pub(crate) fn is_measured(&self) -> bool {
        self.profile.at(self.moment).measured().is_some()
    }

    /// Its call tree, by its rank.
    pub(crate) fn tree(&self) -> CallTree<'_> {
        self.profile.at(self.moment).by(self.rank)
    }

    /// The line that every view names.
    pub(crate) fn culprit(&self) -> Option<&NamedChargedLine> {
        self.charged.first()
    }

    /// All bytes that count by its rank.
    pub(crate) fn ranked(&self) -> u64 {
        self.weight.by(self.rank).bytes
    }

    /// What it held, in words: first what its call sites are ranked by.
    pub(crate) fn held(&self) -> String {
        words::held(&self.weight, self.rank)
    }

    /// What its files are called.
    pub(crate) fn stem(&self) -> &'static str {
        match self.moment {
            Moment::OutOfMemory | Moment::Live => "out-of-memory",
            Moment::Peak => "peak-memory",
        }
    }
}

impl<'a> Concern<'a> {
    /// In one sentence.
    pub(crate) fn sentence(&self) -> String {
        match &self.what {
            What::Trouble(trouble) => trouble.clone(),
            What::Damage(Damage::SampleInFlight) => {
                "A sample was being written at that very moment: the totals may be off by it.".to_owned()
            }
            What::Damage(damage) => format!("The recording is damaged: {damage}."),
        }
    }

    fn unreadable(error: &'a Error) -> Concern<'a> {
        Concern {
            process: None,
            recording: error.path(),
            what: What::Trouble(format!("A file was left out: {error}.")),
        }
    }
}

fn has_failed(process: &Process) -> bool {
    let mut events = process.facts.events.iter();
    events.any(|event| event.kind == Some(EventKind::AllocationFailed))
}

/// Which processes are: all of them, or the chosen ones, those that failed, that run, and that held the most.
fn worth_a_line(processes: &[Process], chosen: [Option<&Process>; 2]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..processes.len()).collect();
    order.sort_by_key(|index| {
        let process = &processes[*index];
        let is_chosen = chosen.into_iter().flatten().any(|chosen| std::ptr::eq(chosen, process));
        let is_running = process.facts.state == State::Running;
        Reverse((
            is_chosen,
            process.facts.failures > 0,
            is_running,
            process.facts.peak_bytes,
        ))
    });
    let mut worth = vec![false; processes.len()];
    for index in order.into_iter().take(LISTED) {
        worth[index] = true;
    }
    worth
}
