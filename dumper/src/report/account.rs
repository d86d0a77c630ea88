//! What all texts of one report are made from. One recording is in memory at a time.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use recording::EventKind;

use super::own_lines::{self, OwnLine};
use super::pictures::Pictures;
use super::{Occasion, choice, ledger, words};
use crate::call_tree::{CallTree, Hot, Moment};
use crate::damage::Damage;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::outcome::Outcome;
use crate::process::Process;
use crate::rank::{self, Rank};
use crate::recording::{Facts, Growth, Recording, State, Tally};
use crate::run::{Headline, Run};
use crate::units::Share;
use crate::unrecorded::Unrecorded;

/// Call sites that are kept of each moment.
const SITES: usize = 200;
/// Processes that are looked at closely; of more than these, a job that starts hundreds has little to say.
const LISTED: usize = 20;

/// Parents whose callstacks are looked at for the sake of what their children inherited.
const PARENTS: usize = 5;

/// A run, as far as anything is to be said about it.
pub(super) struct Account<'a> {
    pub(super) run: &'a Run,
    /// Paths are shown relative to it.
    pub(super) directory: &'a str,
    pub(super) processes: &'a [Process],
    pub(super) occasion: Occasion,
    /// The processes that are worth a line of their own, in the order of their beginning.
    pub(super) listed: Vec<Listed>,
    /// All others.
    pub(super) folded: Vec<&'a Process>,
    pub(super) out_of_memory: Option<Shown<'a>>,
    pub(super) peak: Option<Shown<'a>>,
    pub(super) concerns: Vec<Concern<'a>>,
    pub(super) unrecorded: Unrecorded,
    /// Where processes held the most at their peaks from which others inherited memory.
    pub(super) inherited_from: Vec<(u32, String)>,
    /// The flame graph of all processes, where one has been drawn.
    pub(super) process_tree: Option<PathBuf>,
}

/// A process that is worth a line of its own.
pub(super) struct Listed {
    pub(super) facts: Facts,
    /// What happened, in words, for each of the events.
    pub(super) events: Vec<String>,
    /// How far it got, in words.
    pub(super) state: &'static str,
}

/// One moment of one process.
pub(super) struct Shown<'a> {
    pub(super) process: &'a Process,
    pub(super) moment: Moment,
    pub(super) facts: Facts,
    /// The allocation that failed at this moment, or failed last before it.
    pub(super) failed: Option<String>,
    pub(super) total: Tally,
    /// Bytes of that that were in memory; none if that was not measured.
    pub(super) resident: Option<u64>,
    /// What the call sites are ranked by.
    pub(super) rank: Rank,
    /// What the limit counts, and who has it.
    pub(super) ledger: Ledger,
    /// When the job ended, in nanoseconds since the Unix epoch; none as long as it runs.
    pub(super) ended_ns: Option<u64>,
    /// The call sites that held the most, the largest first.
    pub(super) sites: Vec<CallSite>,
    /// What each line of the user's own files held, if that is wanted.
    pub(super) own_lines: Vec<OwnLine>,
    /// The flame graph, where one has been drawn.
    pub(super) picture: Option<PathBuf>,
}

/// A line that allocated, with all its callers.
pub(super) struct CallSite {
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) function: String,
    /// Where that is, for a reader.
    pub(super) place: String,
    /// If it belongs to a library: the line of the user's own code that it held the most of this for.
    pub(super) caller: Option<String>,
    pub(super) held: Tally,
    /// Bytes of that that were in memory; none if that was not measured.
    pub(super) resident: Option<u64>,
    /// How much more it holds than at an earlier moment; none if no such moment is known.
    pub(super) growth: Option<Growth>,
}

/// Something that makes the report less than it should be.
pub(super) struct Concern<'a> {
    pub(super) process: Option<&'a Process>,
    pub(super) recording: &'a Path,
    pub(super) what: What,
}

/// Of what nature a concern is.
pub(super) enum What {
    Trouble(String),
    Damage(Damage),
}

impl<'a> Account<'a> {
    /// Reads what is needed of the recordings, and draws each moment while it is at hand.
    pub(super) fn of(
        run: &'a Run,
        processes: &'a [Process],
        unreadable: &'a [Error],
        occasion: Occasion,
        mut pictures: Option<&mut Pictures>,
    ) -> Result<Account<'a>, Error> {
        let mut account = Account {
            run,
            directory: run.directory.to_str().unwrap_or(""),
            processes,
            occasion,
            listed: Vec::new(),
            folded: Vec::new(),
            out_of_memory: None,
            peak: None,
            concerns: unreadable.iter().map(Concern::unreadable).collect(),
            unrecorded: Unrecorded::default(),
            inherited_from: Vec::new(),
            process_tree: None,
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
            let recording = account.look_at(process, !moments.is_empty() || is_listed && has_failed(process));
            if let Some(recording) = &recording {
                for moment in moments {
                    let shown = Shown::of(run, process, recording, moment, pictures.as_deref_mut())?;
                    match moment {
                        Moment::Peak => account.peak = Some(shown),
                        Moment::OutOfMemory | Moment::Live => account.out_of_memory = Some(shown),
                    }
                }
            }
            if is_listed {
                let state = words::state(process.facts.state, is_replaced);
                let listed = Listed::of(process, recording.as_ref(), account.directory, state);
                account.listed.push(listed);
            } else {
                account.folded.push(process);
            }
        }
        Ok(account)
    }

    /// The verdict, once the job has ended.
    pub(super) fn judged(&self) -> Option<&'a Outcome> {
        self.run.outcome.as_ref().filter(|_| self.occasion == Occasion::Ended)
    }

    /// The moment that matters most.
    pub(super) fn foremost(&self) -> Option<&Shown<'a>> {
        self.out_of_memory.as_ref().or(self.peak.as_ref())
    }

    /// What matters most, in short.
    pub(super) fn headline(&self) -> Option<Headline> {
        let shown = self.foremost()?;
        let site = shown.sites.first();
        Some(Headline {
            peak_bytes: self.peak.as_ref().unwrap_or(shown).ranked(),
            culprit: site.map(|site| site.caller.as_ref().unwrap_or(&site.place).clone()),
            share: site.map_or(0.0, |site| Share::of(site.by(shown.rank), shown.ranked()).fraction()),
        })
    }

    /// Looks up what is behind memory that was inherited.
    pub(super) fn find_inheritance(&mut self) {
        let heirs = self
            .processes
            .iter()
            .filter(|process| process.facts.inherited_bytes > 0);
        let mut parents: Vec<u32> = heirs.map(|process| process.facts.ppid).collect();
        parents.sort_unstable();
        parents.dedup();
        let of_pid = |pid: u32| self.processes.iter().filter(move |process| process.facts.pid == pid);
        let place = |pid: u32| {
            let parent = of_pid(pid).max_by_key(|process| process.facts.peak_bytes)?;
            let (recording, _) = parent.read().ok()?;
            let tree = CallTree::of(&recording, Moment::Peak);
            Some((pid, CallSite::of(tree.hottest(1).first()?, self.directory).place))
        };
        self.inherited_from = parents.into_iter().take(PARENTS).filter_map(place).collect();
    }

    /// Notes what is wrong with a process's recording, all of which is read only if it is `wanted`.
    fn look_at(&mut self, process: &'a Process, wanted: bool) -> Option<Recording> {
        let mut concern = |what| {
            self.concerns.push(Concern {
                process: Some(process),
                recording: &process.path,
                what,
            });
        };
        let (recording, damage) = match wanted.then(|| process.read()) {
            Some(Ok((recording, damage))) => (Some(recording), damage),
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
        recording
    }
}

impl Listed {
    fn of(process: &Process, recording: Option<&Recording>, directory: &str, state: &'static str) -> Listed {
        let facts = recording.map_or(&process.facts, |recording| &recording.facts).clone();
        let place = |node| recording.and_then(|recording| words::place(recording, node, directory));
        let events = facts.events.iter().map(|event| words::event(event, place(event.node)));
        Listed {
            events: events.collect(),
            facts,
            state,
        }
    }
}

impl<'a> Shown<'a> {
    pub(super) fn of(
        run: &Run,
        process: &'a Process,
        recording: &Recording,
        moment: Moment,
        pictures: Option<&mut Pictures>,
    ) -> Result<Shown<'a>, Error> {
        let directory = run.directory.to_str().unwrap_or("");
        let tree = CallTree::of(recording, moment);
        let (total, resident) = (tree.total(), tree.resident());
        let rank = Rank::of(run, moment, recording.measured(moment));
        let tree = tree.ranked_by(rank);
        let grown = tree.growth(moment);
        let failure = recording.facts.failure.as_ref();
        let mut shown = Shown {
            process,
            moment,
            facts: recording.facts.clone(),
            failed: failure.map(|failure| words::failed(recording, failure, directory)),
            total,
            resident,
            rank,
            ledger: ledger::of(recording, moment, rank::counts(run), run.ending.is_none()),
            ended_ns: run
                .ending
                .as_ref()
                .and_then(|ending| ledger::nanoseconds(&ending.ended)),
            sites: tree
                .hottest(SITES)
                .iter()
                .map(|hot| CallSite {
                    growth: grown.as_ref().map(|grown| grown.of(&hot.call)),
                    ..CallSite::of(hot, directory)
                })
                .collect(),
            own_lines: match run.text {
                true => own_lines::own_lines(&tree, directory),
                false => Vec::new(),
            },
            picture: None,
        };
        if let Some(pictures) = pictures {
            shown.picture = pictures.draw(run, &shown, tree);
        }
        Ok(shown)
    }

    /// The sum of what its call sites are ranked by.
    pub(super) fn ranked(&self) -> u64 {
        match self.rank {
            Rank::Requested => self.total.bytes,
            Rank::Resident => self.resident.unwrap_or(self.total.bytes),
        }
    }

    /// What it held, in words: first what its call sites are ranked by.
    pub(super) fn held(&self) -> String {
        words::held(self.total, self.resident.filter(|_| self.rank == Rank::Resident))
    }

    /// What its files are called.
    pub(super) fn stem(&self) -> &'static str {
        match self.moment {
            Moment::OutOfMemory | Moment::Live => "out-of-memory",
            Moment::Peak => "peak-memory",
        }
    }
}

impl CallSite {
    pub(super) fn of(hot: &Hot, directory: &str) -> CallSite {
        CallSite {
            file: hot.call.file.to_owned(),
            line: hot.call.line,
            function: hot.call.function.to_owned(),
            place: hot.call.short(directory),
            caller: hot.on_behalf_of.map(|caller| caller.short(directory)),
            held: hot.held,
            resident: hot.resident,
            growth: None,
        }
    }

    /// What it is ranked by.
    pub(super) fn by(&self, rank: Rank) -> u64 {
        match rank {
            Rank::Requested => self.held.bytes,
            Rank::Resident => self.resident.unwrap_or(self.held.bytes),
        }
    }
}

impl<'a> Concern<'a> {
    /// In one sentence.
    pub(super) fn sentence(&self) -> String {
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
