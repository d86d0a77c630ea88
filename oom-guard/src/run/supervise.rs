//! Watching over the job until it has ended: what its parent tells, the doorbell, the kernel's alarms and the clock in one loop.
//!
//! Neither the supervisor nor the job's parent is a subreaper: who outlives a parent finds the new one that it would find without
//! us, as programs that look whether that is process 1 expect. So a daemon's end, and what it uses, is not seen but in its recording.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dumper::outcome::ProcessName;
use nix::libc::{SIGCONT, SIGTERM, SIGTSTP, SIGURG, SIGUSR2, SIGWINCH};
use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use crate::kernel::end::End;
use crate::kernel::host::Host;
use crate::kernel::poll::Sources;
use crate::kernel::process::{self, Change};
use crate::kernel::procfs;
use crate::run::board::{Board, Ended};
use crate::run::footing;
use crate::run::glass::Glass;
use crate::run::reports::{Reports, Wanted};
use crate::run::signals::{Listener, News, pass_on, stop_as_the_job};
use crate::run::witness::Witness;
use crate::verdict::evidence::Evidence;
use crate::verdict::observed::{Ending, Observed, Sent};
use crate::watch::alarms::AlarmId;
use crate::watch::doorbell::{Doorbell, Ring};
use crate::watch::lookout::{Lookout, Near};
use crate::watch::measurer::Measurer;
use crate::watch::sampling::Sampling;

/// Signals that are remembered for the verdict: the last ones say the most.
const MOST_SIGNALS: usize = 16;

/// So long at most the preload waits to be measured.
const LONGEST_MEASUREMENT: Duration = Duration::from_secs(1);

/// What the supervisor wakes for.
#[derive(Debug)]
enum Event {
    /// The job has ended.
    Ended(Ended),
    /// The job has been stopped, and waits to be continued.
    Stopped(Signal),
    /// A child that is not the job has ended: a report's process, or as process 1 of a container, anybody's.
    Reaped(Pid, End),
    /// Somebody has sent us a signal that is meant for the job.
    ForTheJob { number: i32, sender: Pid },
    /// A signal has reached the job, or one has reached us that is not for the job.
    Seen { number: i32, sender: Pid },
    /// A report is wanted, or something has happened in the job.
    Rung(Ring),
    /// Something may be due.
    Clock,
}

/// Which source of events is ready.
enum Ready {
    /// The kernel has a signal for us, or news of a child.
    Signals,
    /// One of our own children has ended.
    Children,
    /// The job's parent has told something.
    Parent,
    /// A process of the job has rung.
    Doorbell,
    /// A limit is near, or processes wait for memory.
    Alarm(AlarmId),
}

/// The events of one job.
pub struct Events {
    source: Source,
    children: SignalFd,
    doorbell: Option<Doorbell>,
    waiting: VecDeque<Event>,
}

/// Where we hear from of signals and of the job's end.
pub enum Source {
    /// The kernel: there is no other process that waits for the job.
    Kernel {
        listener: Listener,
        witness: Witness,
        began: Instant,
    },
    /// The job's parent. Of our own children, which write reports and measure, the kernel tells us.
    Parent { signals_taken: u64 },
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
    pub glass: Glass<'a>,
    /// What the job's parent tells, and what we tell whoever comes after us.
    pub board: &'a Board,
    /// `--on-oom=exit`.
    pub exits_on_oom: bool,
    /// Signals that were passed on, in their order.
    pub signals: Vec<Sent>,
}

impl Events {
    /// The sources of events.
    pub fn new(source: Source, children: SignalFd, doorbell: Option<Doorbell>) -> Self {
        Self {
            source,
            children,
            doorbell,
            waiting: VecDeque::new(),
        }
    }

    /// Waits for the job to end, and meanwhile does what is asked of a supervisor.
    pub fn supervise(mut self, job: Pid, duties: &mut Duties) -> Ended {
        loop {
            match self.next(job, duties) {
                Event::Ended(ended) => {
                    duties.lookout.wait_for_room(ended.end);
                    // A short child may have rung just before its parent ended.
                    self.hear_doorbell();
                    for event in self.waiting.drain(..) {
                        if let Event::Rung(ring @ Ring::Unwatched(..)) = event {
                            duties.answer(job, ring);
                        }
                    }
                    return Ended {
                        end: duties.glass.end(ended.end),
                        ..ended
                    };
                }
                Event::Stopped(signal) => stop_as_the_job(signal),
                Event::Reaped(pid, end) => {
                    if duties.measurer.reaped(pid, end) {
                        duties.reports.put_off_failure(Duration::ZERO);
                    }
                    duties.reports.reaped(pid, end);
                }
                Event::ForTheJob { number, sender } => {
                    pass_on(number, job);
                    duties.hear_signal(job, number, sender);
                }
                Event::Seen { number, sender } => duties.hear_signal(job, number, sender),
                Event::Rung(ring) => duties.answer(job, ring),
                Event::Clock => duties.look(job),
            }
        }
    }

    fn next(&mut self, job: Pid, duties: &mut Duties) -> Event {
        if let Some(event) = self.waiting.pop_front() {
            return event;
        }
        let mut sources = Sources::new();
        match &self.source {
            Source::Kernel { listener, .. } => sources.add(listener, PollFlags::POLLIN, Ready::Signals),
            Source::Parent { .. } => {
                sources.add(&self.children, PollFlags::POLLIN, Ready::Children);
                sources.add(&duties.board.bell, PollFlags::POLLIN, Ready::Parent);
            }
        }
        if let Some(doorbell) = &self.doorbell {
            sources.add(doorbell, PollFlags::POLLIN, Ready::Doorbell);
        }
        duties.lookout.alarms().add_to(&mut sources, Ready::Alarm);
        for ready in sources.wait(duties.pause()) {
            match ready {
                Ready::Signals => self.hear_signals(job, duties.board),
                Ready::Children => self.hear_children(),
                Ready::Parent => drop(duties.board.bell.read()),
                Ready::Doorbell => self.hear_doorbell(),
                Ready::Alarm(alarm) => {
                    duties.lookout.answer(alarm);
                    if duties.lookout.out_of_memory() {
                        duties.board.note_alarm();
                    }
                }
            }
        }
        self.hear_parent(duties.board);
        if let Source::Kernel { listener, witness, .. } = &mut self.source
            && (listener.has_heard() || witness.is_due())
        {
            listener.forget_heard();
            witness.refresh();
            duties.board.tell_witness(witness.pid());
        }
        self.waiting.push_back(Event::Clock);
        self.waiting.pop_front().unwrap_or(Event::Clock)
    }

    /// Takes the news of signals and of children from the kernel.
    fn hear_signals(&mut self, job: Pid, board: &Board) {
        let Source::Kernel {
            listener,
            witness,
            began,
        } = &mut self.source
        else {
            return;
        };
        while let Some(news) = listener.next(job, witness) {
            self.waiting.push_back(match news {
                News::Ended(end) => {
                    board.tell_end(end, began.elapsed());
                    let Some(ended) = board.end() else { continue };
                    Event::Ended(ended)
                }
                News::Stopped(signal) => Event::Stopped(signal),
                News::Reaped(pid, end) => Event::Reaped(pid, end),
                News::ForTheJob { number, sender } => Event::ForTheJob { number, sender },
                News::Seen { number, sender } => Event::Seen { number, sender },
            });
        }
    }

    /// Waits for our own children that have ended.
    fn hear_children(&mut self) {
        while let Ok(Some(_)) = self.children.read_signal() {}
        while let Some((pid, change)) = process::next_change() {
            if let Change::Ended(end) = change {
                self.waiting.push_back(Event::Reaped(pid, end));
            }
        }
    }

    /// Takes what the job's parent has told, whether or not it has just rung: a supervisor before us may have heard that, and died.
    fn hear_parent(&mut self, board: &Board) {
        let Source::Parent { signals_taken } = &mut self.source else {
            return;
        };
        while let Some((number, sender)) = board.signal(signals_taken) {
            self.waiting.push_back(Event::Seen { number, sender });
        }
        if let Some(ended) = board.end() {
            self.waiting.push_back(Event::Ended(ended));
        }
    }

    /// Takes what processes of the job have told.
    fn hear_doorbell(&mut self) {
        let rings = self.doorbell.as_mut().map(Doorbell::answer).unwrap_or_default();
        self.waiting.extend(rings.into_iter().map(Event::Rung));
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
    pub fn observed(mut self, ended: Ended, job: ProcessName, evidence: &Evidence) -> Observed {
        let host = &Host::this();
        self.lookout.hear_the_last();
        self.sampling.close();
        let ending = match ended.end {
            End::Status(status) => Ending::Status(status),
            End::Signal(signal) => Ending::Signal(signal),
        };
        self.reports.finish();
        self.measurer.finish();
        // Without a limit, it is nobody's business who they are.
        let limited = evidence.cgroup.as_ref().filter(|_| self.lookout.is_limited());
        let others = limited.map(|cgroup| {
            let members = cgroup.leaf().file("cgroup.procs");
            let mut starters = procfs::ancestors(host, Pid::this());
            starters.push(Pid::this());
            starters.extend(self.board.witness());
            procfs::others(host, &members, &starters)
        });
        let mut others = others.unwrap_or_default();
        // The job's own, which nobody has waited for yet.
        others.retain(|other| other.resident_bytes > 0);
        Observed {
            ending,
            ended_ns: ended.at_ns,
            job,
            signals: self.signals,
            processes: Vec::new(),
            counted: evidence.after(),
            own_kills: self.board.kills(),
            alarmed: self.lookout.out_of_memory() || self.board.is_alarmed(),
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

    fn hear_signal(&mut self, job: Pid, number: i32, sender: Pid) {
        if number == SIGUSR2 {
            self.answer(job, Ring::Report);
        } else {
            self.note(number, sender);
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
            sender: procfs::name(&Host::this(), sender, false),
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
        if self.lookout.is_killing() {
            return;
        }
        if self.sampling.pause().is_zero() {
            self.lookout.hurry();
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
