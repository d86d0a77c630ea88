//! Jobs that end badly after one of their processes has ended another one: a supervisor of workers, or a check of the job's own.

use dumper::outcome::{Certainty, Kind, Outcome};
use nix::libc::SIGKILL;

use super::observed::{KillWithin, Observed, ProcessState};
use super::role::Role;
use super::words;

/// The raylet also ends workers when it ends itself. Its memory monitor ends none that holds less than one part in this many of a limit.
const SMALL: u64 = 20;

/// The verdict, if there was such a signal and it may be the reason. Of several it is the one to the process that held the most.
pub fn verdict(observed: &Observed) -> Option<Outcome> {
    let kills = observed
        .kills_within
        .iter()
        .filter(|kill| may_be_the_reason(observed, kill));
    let kill = kills.max_by_key(|kill| kill.resident_bytes)?;
    Some(Outcome {
        kind: match kill.role.is_about_memory() {
            true => Kind::OomKilledBySupervisor,
            false => Kind::Terminated,
        },
        certainty: Certainty::Likely,
        sentence: words::ended_within(observed, kill),
        process: Some(kill.victim.clone()),
        signal: Some(kill.signal),
        sender: Some(kill.sender.clone()),
        ..Outcome::default()
    })
}

/// A pool ends its workers by SIGTERM when it ends itself, whatever the reason for that is; those that supervise workers are known. Whoever
/// has gone through its exit handlers was not ended by a signal.
fn may_be_the_reason(observed: &Observed, kill: &KillWithin) -> bool {
    let is_meant = match kill.role {
        Role::Pool => false,
        Role::Unknown => kill.signal == SIGKILL,
        Role::Ray => kill.resident_bytes >= observed.bounds.iter().map(|bound| bound.bytes / SMALL).min(),
        Role::Dask | Role::Gunicorn | Role::Celery => true,
    };
    let victim = observed.latest().find(|facts| facts.name.pid == kill.victim.pid);
    is_meant && victim.is_none_or(|facts| facts.state == ProcessState::Cut)
}
