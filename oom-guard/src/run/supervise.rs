//! The loop of the supervisor: events of the job's parent, the message pipe, the kernel's notifications and timers, until the job has ended.
//!
//! Neither the supervisor nor the job's parent is a subreaper: an orphaned process gets the same new parent as without us, because some
//! programs check whether that is process 1. So the end and the memory of a daemon are seen only in its recording.

use std::collections::VecDeque;
use std::path::Path;
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
use crate::terminal::say::say;
use crate::verdict::evidence::CountersAtStart;
use crate::verdict::observed::Sent;
use crate::verdict::{judge, words};
use crate::watch::deaths::Deaths;
use crate::watch::entered::Entered;
use crate::watch::kills::Kills;
use crate::watch::limit_poller::{LimitPoller, Near};
use crate::watch::message_pipe::{MessagePipe, Received};
use crate::watch::notifications::NotificationId;
use crate::watch::refusals::Refusals;
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
    /// A message has come.
    Message(Received),
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
    /// A process of the job has written to the message pipe.
    Messages,
    /// A limit is near, or processes wait for memory.
    Notification(NotificationId),
}

/// The events of one job.
pub struct Events {
    source: Source,
    children: SignalFd,
    pipe: Option<MessagePipe>,
    waiting: VecDeque<Event>,
}

/// Where signals and the job's end come from.
pub enum Source {
    /// The kernel: there is no other process that waits for the job.
    Kernel {
        listener: Listener,
        probe: Box<SignalProbe>,
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
    /// Notices kills of the job's processes.
    pub kills: Kills,
    /// Kills the job before a limit does.
    pub forced_exit: ForcedExit<'a>,
    /// Shared with the job's parent and with a supervisor after us.
    pub shared: &'a SharedState,
    /// The kernel's counters before the job.
    pub evidence: &'a CountersAtStart,
    /// The job's first process.
    pub job: ProcessName,
    /// `--on-oom=exit`.
    pub on_oom: OnOom,
    /// Notes what is refused to the job.
    pub refusals: Refusals,
    /// Notes processes of the job that a signal has ended.
    pub deaths: Deaths,
    /// Where the job was started.
    pub directory: &'a Path,
    /// What of the job was in memory at the last sample.
    pub resident: u64,
    /// Signals that were passed on, in their order.
    pub signals: Vec<Sent>,
    /// The processor time of the job's first process itself, and when that was read, where it is limited.
    pub own_time: Option<(Duration, Instant)>,
    /// Whether it has been told that processes wait at a limit.
    pub has_told_of_waiting: bool,
}

impl Events {
    /// The sources of events.
    pub fn new(source: Source, children: SignalFd, pipe: Option<MessagePipe>) -> Self {
        Self {
            source,
            children,
            pipe,
            waiting: VecDeque::new(),
        }
    }

    /// Handles events until the job has ended.
    pub fn supervise(mut self, job: Pid, duties: &mut Duties) -> Ended {
        loop {
            match self.next(job, duties) {
                Event::Ended(ended) => {
                    duties.poller.wait_for_room(ended.end);
                    // A short child may have sent a message just before its parent ended.
                    self.read_messages();
                    for event in self.waiting.drain(..) {
                        if let Event::Message(message) = event
                            && message.says_why()
                        {
                            duties.answer(job, message);
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
                Event::Message(message) => duties.answer(job, message),
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
                sources.add(&duties.shared.wakeup, PollFlags::POLLIN, Ready::Parent);
            }
        }
        if let Some(pipe) = &self.pipe {
            sources.add(pipe, PollFlags::POLLIN, Ready::Messages);
        }
        duties.poller.notifications().add_to(&mut sources, Ready::Notification);
        let ready = sources.wait(duties.pause()).unwrap_or_else(|_| {
            // If it is poll itself that fails, the job's end must not be missed.
            vec![Ready::Signals, Ready::Children, Ready::Messages]
        });
        for ready in ready {
            match ready {
                Ready::Signals => self.hear_signals(job, duties.shared),
                Ready::Children => self.hear_children(),
                Ready::Parent => drop(duties.shared.wakeup.read()),
                Ready::Messages => self.read_messages(),
                Ready::Notification(id) => {
                    duties.poller.take_notification(id);
                    if duties.poller.out_of_memory() {
                        duties.shared.note_out_of_memory();
                        duties.tell_of_waiting();
                    }
                }
            }
        }
        self.hear_parent(duties.shared);
        if let Source::Kernel { probe, .. } = &mut self.source
            && probe.is_due()
        {
            probe.refresh(duties.shared);
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
        while let Some(news) = listener.next(job, probe, shared) {
            self.waiting.push_back(match news {
                News::Ended(end) => {
                    shared.tell_end(end, began.elapsed());
                    let Some(ended) = shared.end() else { continue };
                    Event::Ended(ended)
                }
                News::Stopped(signal) => Event::Stopped(signal),
                News::Reaped(pid, end) => {
                    probe.reaped(pid, end, shared);
                    Event::Reaped(pid, end)
                }
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

    /// Reads what the job's parent has told. Does so even if it was not woken for that: an earlier supervisor may have read it before it died.
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
    fn read_messages(&mut self) {
        let messages = self.pipe.as_mut().map(MessagePipe::read).unwrap_or_default();
        self.waiting.extend(messages.into_iter().map(Event::Message));
    }
}

impl Duties<'_> {
    fn pause(&self) -> Duration {
        [
            self.kills.pause(),
            self.reports.pause(),
            self.poller.pause(),
            self.sampling.pause(),
            self.forced_exit.pause(),
        ]
        .into_iter()
        .min()
        .unwrap_or(Duration::ZERO)
    }

    /// Tells once that processes wait at a limit at which the kernel may not kill: nothing may come after that.
    fn tell_of_waiting(&mut self) {
        if self.has_told_of_waiting {
            return;
        }
        let limits = self.poller.bounds().iter();
        if let Some(limit) = limits
            .filter(|bound| self.evidence.is_without_kills_at(bound))
            .min_by_key(|bound| bound.left())
        {
            self.has_told_of_waiting = true;
            say(words::waits(&self.job, limit));
        }
    }

    /// Has a report written of each process of the job that the kernel has killed.
    fn look_for_kills(&mut self) {
        let is_short = self.poller.near().is_some();
        let family = &mut self.sampling.family;
        if self
            .kills
            .look(self.shared.kills(), is_short, &mut self.entered, family)
        {
            let outcome = judge(&self.observed());
            self.kills.killed.clone_from(&outcome.killed);
            self.sampling.mark("a process was killed for memory");
            self.reports.want(Wanted::Killed(Box::new(outcome)));
        }
    }

    fn hear_signal(&mut self, job: Pid, number: i32, sender: Pid) {
        if number == SIGUSR2 {
            self.answer(job, Received::Report);
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

    fn answer(&mut self, job: Pid, message: Received) {
        match message {
            Received::Report => self.reports.want(Wanted::Requested),
            Received::Failed(pid) => {
                // Before the measurement, at whose end the process goes on. It opens files, for which a full cgroup has no memory.
                if self.poller.near().is_none() {
                    self.refusals.failed(pid);
                }
                self.measurer.failed(pid);
                self.poller.read_now();
                self.sampling.mark("an allocation failed");
                let at_failures = self.refusals.at_failures().to_vec();
                self.reports.want(Wanted::Failed(at_failures));
                self.reports.put_off_failure(LONGEST_MEASUREMENT);
            }
            Received::Mark(name) => self.sampling.mark(&name),
            Received::Unwatched(pid, program) => self.sampling.family.unwatched(pid, program),
            Received::Refused(refusing) => self.refusals.refused(refusing),
            Received::Signals(sending) => self.refusals.ends(sending),
            Received::Raised(raising) => self.refusals.raised(raising, self.directory),
            Received::Died(child, signal) => {
                self.deaths.note(self.sampling.family.last_seen(child), signal);
                self.kills.make_due();
            }
            Received::Large(request) => {
                if let Some(near) = self.poller.consider(request) {
                    self.is_near(job, near);
                }
            }
        }
    }

    fn on_timer(&mut self, job: Pid) {
        if self.poller.is_killing() {
            self.kills.make_due();
            return;
        }
        if self.sampling.pause().is_zero() {
            self.poller.make_due();
            self.kills.make_due();
        }
        for (gone, signal) in self.sampling.family.unwaited() {
            self.deaths.note(gone, signal);
        }
        if self.kills.is_due() {
            self.look_for_kills();
        }
        self.deaths.settle(&self.kills, &self.refusals);
        if let Some(near) = self.poller.poll() {
            self.is_near(job, near);
        } else if self.on_oom == OnOom::Exit && self.poller.is_running_out() {
            self.end(job);
        }
        self.forced_exit.kill_late_children(job);
        self.entered.look(job);
        if let Some(resident) = self.sampling.take(|| self.poller.tightest(), || self.kills.is_quiet()) {
            self.sampling.family.members().for_each(|pid| self.entered.look(pid));
            self.entered.read();
            self.resident = resident;
            if process::most_processor_time().is_some() {
                let own = procfs::processor_time(&Host::this(), job);
                self.own_time = own.map(|own| (own, Instant::now())).or(self.own_time);
            }
            let used = self.poller.tightest().filter(|bound| !bound.path.is_empty());
            self.measurer.consider(resident, used.map_or(0, |bound| bound.used));
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
