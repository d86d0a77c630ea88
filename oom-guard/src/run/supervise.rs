//! The loop of the supervisor: events of the job's parent, the doorbell, the kernel's alarms and timers, until the job has ended.
//!
//! Neither the supervisor nor the job's parent is a subreaper: an orphaned process gets the same new parent as without us, because some
//! programs check whether that is process 1. So the end and the memory of a daemon are seen only in its recording.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dumper::outcome::ProcessName;
use nix::libc::{SIGCONT, SIGTERM, SIGTSTP, SIGURG, SIGUSR2, SIGWINCH};
use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;
use recording::protocol::OnOom;

use crate::kernel::end::End;
use crate::kernel::host::Host;
use crate::kernel::poll::Sources;
use crate::kernel::process::{self, ChildEvent};
use crate::kernel::procfs;
use crate::run::forced_exit::ForcedExit;
use crate::run::measurer::Measurer;
use crate::run::pinned_pages;
use crate::run::reports::{Reports, Wanted};
use crate::run::shared_state::{Ended, SharedState};
use crate::run::signal_probe::SignalProbe;
use crate::run::signals::{Listener, News, pass_on, stop_as_the_job};
use crate::verdict::evidence::CountersAtStart;
use crate::verdict::observed::{Ending, Observed, Sent};
use crate::watch::alarms::AlarmId;
use crate::watch::doorbell::{Doorbell, Ring};
use crate::watch::entered::Entered;
use crate::watch::limit_poller::{LimitPoller, Near};
use crate::watch::sampling::Sampling;

/// How many signals are kept for the verdict: the last ones.
const MOST_SIGNALS: usize = 16;

/// The longest time that the preload waits for a measurement.
const LONGEST_MEASUREMENT: Duration = Duration::from_secs(1);

/// What the supervisor reacts to.
#[derive(Debug)]
enum Event {
    /// The job has ended.
    Ended(Ended),
    /// The job has been stopped, and waits to be continued.
    Stopped(Signal),
    /// A child that is not the job has ended: a report's process or, if we are process 1 of a container, any orphan.
    Reaped(Pid, End),
    /// Somebody has sent us a signal that is meant for the job.
    ForTheJob { number: i32, sender: Pid },
    /// A signal has reached the job, or we have received one that is not for the job.
    Seen { number: i32, sender: Pid },
    /// A message has come on the doorbell.
    Rung(Ring),
    /// Timers may be due.
    Clock,
}

/// Which source of events is ready.
enum Ready {
    /// The kernel has a signal for us, or news of a child.
    Signals,
    /// One of our own children has ended.
    Children,
    /// The job's parent has written to the shared state.
    Parent,
    /// A process of the job has written to the doorbell.
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

/// Where signals and the job's end come from.
pub enum Source {
    /// The kernel: there is no other process that waits for the job.
    Kernel {
        listener: Listener,
        probe: SignalProbe,
        began: Instant,
    },
    /// The job's parent. The ends of our own children, which write reports and measure, come from the kernel.
    Parent { signals_taken: u64 },
}

/// What a supervisor does while the job runs.
pub struct Duties<'a> {
    /// Writes reports.
    pub reports: Reports<'a>,
    /// Measures what is in memory.
    pub measurer: Measurer<'a>,
    /// Watches the limits.
    pub poller: LimitPoller,
    /// Keeps the timeline.
    pub sampling: Sampling,
    /// Where processes of the job have moved themselves.
    pub entered: Entered,
    /// Kills the job before a limit does.
    pub forced_exit: ForcedExit<'a>,
    /// Shared with the job's parent and with a supervisor after us.
    pub shared: &'a SharedState,
    /// `--on-oom=exit`.
    pub on_oom: OnOom,
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

    /// Handles events until the job has ended.
    pub fn supervise(mut self, job: Pid, duties: &mut Duties) -> Ended {
        loop {
            match self.next(job, duties) {
                Event::Ended(ended) => {
                    duties.poller.wait_for_room(ended.end);
                    // A short child may have rung just before its parent ended.
                    self.hear_doorbell();
                    for event in self.waiting.drain(..) {
                        if let Event::Rung(ring @ Ring::Unwatched(..)) = event {
                            duties.answer(job, ring);
                        }
                    }
                    return Ended {
                        end: duties.forced_exit.reported_end(ended.end),
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
                Event::Clock => duties.on_timer(job),
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
                sources.add(&duties.shared.bell, PollFlags::POLLIN, Ready::Parent);
            }
        }
        if let Some(doorbell) = &self.doorbell {
            sources.add(doorbell, PollFlags::POLLIN, Ready::Doorbell);
        }
        duties.poller.alarms().add_to(&mut sources, Ready::Alarm);
        let ready = sources.wait(duties.pause()).unwrap_or_else(|_| {
            // If it is poll itself that fails, the job's end must not be missed.
            vec![Ready::Signals, Ready::Children, Ready::Doorbell]
        });
        for ready in ready {
            match ready {
                Ready::Signals => self.hear_signals(job, duties.shared),
                Ready::Children => self.hear_children(),
                Ready::Parent => drop(duties.shared.bell.read()),
                Ready::Doorbell => self.hear_doorbell(),
                Ready::Alarm(alarm) => {
                    duties.poller.answer(alarm);
                    if duties.poller.out_of_memory() {
                        duties.shared.note_alarm();
                    }
                }
            }
        }
        self.hear_parent(duties.shared);
        if let Source::Kernel { listener, probe, .. } = &mut self.source
            && (listener.has_heard() || probe.is_due())
        {
            listener.forget_heard();
            probe.refresh();
            duties.shared.tell_probe(probe.pid());
        }
        self.waiting.push_back(Event::Clock);
        self.waiting.pop_front().unwrap_or(Event::Clock)
    }

    /// Reads signals and the ends of children.
    fn hear_signals(&mut self, job: Pid, shared: &SharedState) {
        let Source::Kernel { listener, probe, began } = &mut self.source else {
            return;
        };
        while let Some(news) = listener.next(job, probe) {
            self.waiting.push_back(match news {
                News::Ended(end) => {
                    shared.tell_end(end, began.elapsed());
                    let Some(ended) = shared.end() else { continue };
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
        let Source::Parent { .. } = self.source else { return };
        while let Ok(Some(_)) = self.children.read_signal() {}
        while let Some((pid, change)) = process::next_child_event() {
            if let ChildEvent::Ended(end) = change {
                self.waiting.push_back(Event::Reaped(pid, end));
            }
        }
    }

    /// Reads what the job's parent has told. Does so even if the bell has not rung: an earlier supervisor may have read it before it died.
    fn hear_parent(&mut self, shared: &SharedState) {
        let Source::Parent { signals_taken } = &mut self.source else {
            return;
        };
        while let Some((number, sender)) = shared.signal(signals_taken) {
            self.waiting.push_back(Event::Seen { number, sender });
        }
        if let Some(ended) = shared.end() {
            self.waiting.push_back(Event::Ended(ended));
        }
    }

    /// Reads the messages of the job's processes.
    fn hear_doorbell(&mut self) {
        let rings = self.doorbell.as_mut().map(Doorbell::answer).unwrap_or_default();
        self.waiting.extend(rings.into_iter().map(Event::Rung));
    }
}

impl Duties<'_> {
    fn pause(&self) -> Duration {
        [
            self.reports.pause(),
            self.poller.pause(),
            self.sampling.pause(),
            self.forced_exit.pause(),
        ]
        .into_iter()
        .min()
        .unwrap_or(Duration::ZERO)
    }

    /// What is known of the job that has ended, without the recordings.
    pub fn observed(mut self, ended: Ended, job: ProcessName, evidence: &CountersAtStart) -> Observed {
        let host = &Host::this();
        self.poller.hear_the_last();
        self.sampling.close();
        let ending = match ended.end {
            End::Status(status) => Ending::Status(status),
            End::Signal(signal) => Ending::Signal(signal),
        };
        self.reports.finish();
        self.measurer.finish();
        // Other processes matter only if a limit is shared with them.
        let limited = evidence.cgroup.as_ref().filter(|_| self.poller.is_limited());
        let others = limited.map(|cgroup| {
            let members = cgroup.leaf().file("cgroup.procs");
            let mut starters = procfs::ancestors(host, Pid::this());
            starters.push(Pid::this());
            starters.extend(self.shared.probe());
            procfs::others(host, &members, &starters)
        });
        let mut others = others.unwrap_or_default();
        // Without those that use nothing: ended processes of the job that are not waited for yet.
        others.retain(|other| other.resident_bytes > 0);
        Observed {
            ending,
            ended_ns: ended.at_ns,
            job,
            signals: self.signals,
            processes: Vec::new(),
            counted: evidence.after(),
            entered: self.entered.after(),
            own_kills: self.shared.kills(),
            alarmed: self.poller.out_of_memory() || self.shared.is_alarmed(),
            rings: self.poller.rings(),
            is_shared: evidence.is_shared,
            is_killed_as_group: evidence.is_killed_as_group,
            bounds: self.poller.bounds().to_vec(),
            near: self.poller.near().cloned(),
            on_oom: self.on_oom,
            was_ended: self.forced_exit.is_done(),
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
                self.poller.read_now();
                self.sampling.mark("an allocation failed");
                self.reports.want(Wanted::Failed);
                self.reports.put_off_failure(LONGEST_MEASUREMENT);
            }
            Ring::Mark(name) => self.sampling.mark(&name),
            Ring::Unwatched(pid, program) => self.sampling.unwatched(pid, program),
            Ring::Large(request) => {
                if let Some(near) = self.poller.consider(request) {
                    self.is_near(job, near);
                }
            }
        }
    }

    fn on_timer(&mut self, job: Pid) {
        if self.poller.is_killing() {
            return;
        }
        if self.sampling.pause().is_zero() {
            self.poller.make_due();
        }
        if let Some(near) = self.poller.poll() {
            self.is_near(job, near);
        } else if self.on_oom == OnOom::Exit && self.poller.is_running_out() {
            self.end(job);
        }
        self.forced_exit.kill_late_children(job);
        self.entered.look(job);
        if let Some(resident) = self.sampling.take(|| self.poller.tightest()) {
            self.sampling.members().for_each(|pid| self.entered.look(pid));
            self.entered.read();
            self.measurer.consider(resident);
        }
        self.reports.start();
    }

    /// A large request alone is no reason to kill the job: memory that is never touched is not used.
    fn is_near(&mut self, job: Pid, near: Near) {
        if self.on_oom == OnOom::Exit && near.request.is_none() {
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
            // If the job is to be killed, there must be no delay for reading our own program again.
            if self.on_oom == OnOom::Report {
                pinned_pages::pin();
            }
        }
    }

    fn end(&mut self, job: Pid) {
        self.forced_exit.kill_job(job);
        self.sampling.mark("too close to the limit: ended");
    }
}
