//! Waiting for the job: signals, the doorbell, the kernel's alarms and the clock in one loop.
//!
//! The supervisor is no subreaper: who outlives a parent finds the new one that it would find without us, as programs that
//! look whether that is process 1 expect. So a daemon's end, and what it uses, is not seen but in its recording.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dumper::outcome::ProcessName;
use nix::libc::{SIGALRM, SIGCHLD, SIGCONT, SIGTERM, SIGTSTP, SIGURG, SIGUSR2, SIGWINCH, signalfd_siginfo};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::unistd::{Pid, getpgrp, tcgetpgrp};

use crate::doorbell::{Doorbell, Ring};
use crate::evidence::Evidence;
use crate::exit::End;
use crate::footing;
use crate::glass::Glass;
use crate::lookout::{Lookout, Near};
use crate::measurer::Measurer;
use crate::process::{self, Change};
use crate::procfs;
use crate::reports::{Reports, Wanted};
use crate::sampling::Sampling;
use crate::verdict::observed::{Ending, Observed, Sent};
use crate::witness::Witness;

/// Signals that are remembered for the verdict: the last ones say the most.
const MOST_SIGNALS: usize = 16;

/// So long at most the preload waits to be measured.
const LONGEST_MEASUREMENT: Duration = Duration::from_secs(1);

/// No clock is due later than this; more may not fit the kernel's own.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What the supervisor wakes for.
#[derive(Debug)]
enum Event {
    /// The job has ended.
    Ended(End),
    /// The job has been stopped, and waits to be continued.
    Stopped(Signal),
    /// A child that is not the job has ended: a report's process, or as process 1 of a container, anybody's.
    Reaped(Pid, End),
    /// Somebody has sent us a signal that is meant for the job.
    ForTheJob { number: i32, sender: Pid },
    /// Somebody has sent a signal to the whole process group.
    ToTheGroup { number: i32, sender: Pid },
    /// A report is wanted, or something has happened in the job.
    Rung(Ring),
    /// Something may be due.
    Clock,
}

/// The events of one job.
pub struct Events {
    signals: SignalFd,
    doorbell: Option<Doorbell>,
    waiting: VecDeque<Event>,
}

/// What a supervisor does meanwhile.
pub struct Duties<'a> {
    /// Writes reports.
    pub reports: Reports<'a>,
    /// Measures what is in memory.
    pub measurer: Measurer<'a>,
    /// Watches the limits.
    pub lookout: Lookout,
    /// Keeps the timeline.
    pub sampling: Sampling,
    /// Ends the job before a limit does.
    pub glass: Glass,
    /// Tells our signals from those of our process group.
    pub witness: Witness,
    /// `--on-oom=exit`.
    pub exits_on_oom: bool,
    /// Signals that were passed on, in their order.
    pub signals: Vec<Sent>,
}

impl Events {
    /// The sources of events. Signals are among them as soon as they are held.
    pub fn new(doorbell: Option<Doorbell>) -> nix::Result<Self> {
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&SigSet::all(), flags)?;
        Ok(Self {
            signals,
            doorbell,
            waiting: VecDeque::new(),
        })
    }

    /// Waits for the job to end, and meanwhile does what is asked of a supervisor.
    pub fn supervise(mut self, job: Pid, duties: &mut Duties) -> End {
        loop {
            match self.next(job, duties) {
                Event::Ended(end) => {
                    // What a short child has told is read together with its parent's end.
                    for event in self.waiting.drain(..) {
                        if let Event::Rung(ring @ Ring::Unwatched(..)) = event {
                            duties.answer(job, ring);
                        }
                    }
                    return duties.glass.end(end);
                }
                Event::Stopped(signal) => stop_as_the_job(signal),
                Event::Reaped(pid, end) => {
                    if duties.measurer.reaped(pid, end) {
                        duties.reports.put_off_failure(Duration::ZERO);
                    }
                    duties.reports.reaped(pid, end);
                }
                Event::ForTheJob { number, sender } => {
                    process::send(job, number);
                    duties.note(number, sender);
                }
                Event::ToTheGroup { number, sender } => duties.note(number, sender),
                Event::Rung(ring) => duties.answer(job, ring),
                Event::Clock => duties.look(job),
            }
        }
    }

    fn next(&mut self, job: Pid, duties: &mut Duties) -> Event {
        if let Some(event) = self.waiting.pop_front() {
            return event;
        }
        let pause = duties.pause().min(LONGEST_WAIT);
        let own = std::iter::once(self.signals.as_fd()).chain(self.doorbell.iter().map(AsFd::as_fd));
        let mut sources: Vec<_> = own.map(|source| PollFd::new(source, PollFlags::POLLIN)).collect();
        let count = sources.len();
        sources.extend(duties.lookout.sources());
        // Interrupted, when we have been stopped and continued, it tells nothing; neither does any other failure.
        let _ = ppoll(&mut sources, Some(TimeSpec::from_duration(pause)), None);
        let alarms = sources.iter().skip(count);
        let rung: Vec<_> = alarms.map(|source| source.any().unwrap_or(false)).collect();
        if rung.contains(&true) {
            duties.lookout.ring(&rung);
        }
        let mut has_signals = false;
        while let Ok(Some(signal)) = self.signals.read_signal() {
            self.sort(&signal, job, &duties.witness);
            has_signals = true;
        }
        if has_signals {
            duties.witness.refresh();
        }
        let rings = self.doorbell.as_mut().map(Doorbell::answer).unwrap_or_default();
        self.waiting.extend(rings.into_iter().map(Event::Rung));
        self.waiting.push_back(Event::Clock);
        self.waiting.pop_front().unwrap_or(Event::Clock)
    }

    fn sort(&mut self, signal: &signalfd_siginfo, job: Pid, witness: &Witness) {
        let number = signal.ssi_signo as i32;
        // The terminal signals the whole process group, so the job has it already. An alarm that was set before we were
        // executed is the kernel's too, but ours alone.
        let by_a_process = signal.ssi_code <= 0 || number == SIGALRM;
        let sender = Pid::from_raw(signal.ssi_pid as i32);
        match number {
            SIGCHLD => self.reap(job),
            _ if !by_a_process => {}
            // What the job sends to its process group has reached it.
            _ if sender == job || sender == Pid::this() => {}
            SIGUSR2 => self.waiting.push_back(Event::Rung(Ring::Report)),
            _ if witness.has_reached(number, job) => self.waiting.push_back(Event::ToTheGroup { number, sender }),
            number => self.waiting.push_back(Event::ForTheJob { number, sender }),
        }
    }

    /// Takes the news of every child: one SIGCHLD may stand for many.
    fn reap(&mut self, job: Pid) {
        while let Some((pid, change)) = process::next_change() {
            self.waiting.push_back(match change {
                Change::Ended(end) if pid == job => Event::Ended(end),
                Change::Ended(end) => Event::Reaped(pid, end),
                Change::Stopped(signal) if pid == job => Event::Stopped(signal),
                Change::Stopped(_) => continue,
            });
        }
    }
}

impl Duties<'_> {
    fn pause(&self) -> Duration {
        [
            self.reports.pause(),
            self.lookout.pause(),
            self.sampling.pause(),
            self.glass.pause(),
        ]
        .into_iter()
        .min()
        .unwrap_or(Duration::ZERO)
    }

    /// What is known of the job now that it has ended, what is recorded apart.
    pub fn observed(mut self, end: End, job: ProcessName, evidence: &Evidence) -> Observed {
        let root = Path::new("/");
        self.lookout.hear_the_last();
        self.sampling.close();
        let ending = match end {
            End::Status(status) => Ending::Status(status),
            End::Signal(signal) => Ending::Signal(signal),
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let own_kills = self.reports.finish() + self.measurer.finish();
        // Without a limit, it is nobody's business who they are.
        let limited = evidence.cgroup.as_ref().filter(|_| self.lookout.is_limited());
        let others = limited.map(|cgroup| {
            let members = cgroup.leaf().file("cgroup.procs");
            let mut starters = procfs::ancestors(root, Pid::this());
            starters.push(Pid::this());
            starters.extend(self.witness.pid());
            procfs::others(root, &members, &starters)
        });
        let mut others = others.unwrap_or_default();
        // The job's own, which nobody has waited for yet.
        others.retain(|other| other.resident_bytes > 0);
        Observed {
            ending,
            ended_ns: u64::try_from(since.as_nanos()).unwrap_or(0),
            job,
            signals: self.signals,
            processes: Vec::new(),
            counted: evidence.after(),
            own_kills,
            alarmed: self.lookout.out_of_memory(),
            rings: self.lookout.rings(),
            is_shared: evidence.is_shared,
            is_killed_as_group: evidence.is_killed_as_group,
            bounds: self.lookout.bounds().to_vec(),
            near: self.lookout.near().cloned(),
            exits_on_oom: self.exits_on_oom,
            was_ended: self.glass.is_broken(),
            killers: Vec::new(),
            others,
        }
    }

    /// A signal has reached the job.
    fn note(&mut self, number: i32, sender: Pid) {
        if [SIGCONT, SIGTSTP, SIGURG, SIGWINCH].contains(&number) {
            return;
        }
        if self.signals.len() == MOST_SIGNALS {
            self.signals.remove(0);
        }
        let sent = Sent {
            signal: number,
            sender: procfs::name(Path::new("/"), sender, false),
        };
        let name = Signal::try_from(number).map_or("a signal", Signal::as_str);
        self.sampling.mark(name);
        if number == SIGTERM {
            self.reports.want(Wanted::Terminating(sent.clone()));
        }
        self.signals.push(sent);
    }

    fn answer(&mut self, job: Pid, ring: Ring) {
        match ring {
            Ring::Report => self.reports.want(Wanted::Requested),
            Ring::Failed(pid) => {
                self.measurer.failed(pid);
                self.lookout.note();
                self.sampling.mark("an allocation failed");
                self.reports.want(Wanted::Failed);
                self.reports.put_off_failure(LONGEST_MEASUREMENT);
            }
            Ring::Mark(name) => self.sampling.mark(&name),
            Ring::Unwatched(pid, program) => self.sampling.unwatched(pid, program),
            Ring::Large(request) => {
                if let Some(near) = self.lookout.consider(request) {
                    self.is_near(job, near);
                }
            }
        }
    }

    fn look(&mut self, job: Pid) {
        if self.sampling.pause().is_zero() {
            self.lookout.hurry();
            self.witness.refresh_if_due();
        }
        if let Some(near) = self.lookout.look() {
            self.is_near(job, near);
        } else if self.exits_on_oom && self.lookout.is_running_out() {
            self.end(job);
        }
        self.glass.look(job);
        if let Some(resident) = self.sampling.take(|| self.lookout.tightest()) {
            self.measurer.consider(resident);
        }
        self.reports.start();
    }

    /// A request alone ends no job: what is never touched fills no memory.
    fn is_near(&mut self, job: Pid, near: Near) {
        if self.exits_on_oom && near.request.is_none() {
            self.end(job);
        } else {
            let is_request = near.request.is_some();
            let mark = if is_request {
                "a block larger than what is left"
            } else {
                "close to the limit"
            };
            self.sampling.mark(mark);
            self.reports.want(Wanted::Near(near));
            // Who ends the job soon has no time to read its own program again.
            if !self.exits_on_oom {
                footing::keep();
            }
        }
    }

    fn end(&mut self, job: Pid) {
        self.glass.break_now(job);
        self.sampling.mark("too close to the limit: ended");
    }
}

/// Stops as the job has been stopped, so that an interactive shell gets its prompt; its `fg` continues both of us.
///
/// Only where a shell is waiting: elsewhere whoever stopped the job will continue the job, and nobody would us.
fn stop_as_the_job(signal: Signal) {
    let in_foreground = || File::open("/dev/tty").and_then(|tty| Ok(tcgetpgrp(tty)? == getpgrp()));
    let by_terminal = matches!(signal, Signal::SIGTTIN | Signal::SIGTTOU);
    if by_terminal || in_foreground().unwrap_or(false) {
        process::stop_of(signal);
    }
}
