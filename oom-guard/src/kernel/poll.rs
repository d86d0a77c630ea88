//! Waits for several files at once. Each is added with the event that it makes when it is ready.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// No wait is longer: the kernel's own clock may not hold more.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What one wait waits for.
pub struct Sources<'a, Event> {
    files: Vec<PollFd<'a>>,
    events: Vec<Event>,
}

impl<'a, Event> Sources<'a, Event> {
    /// None.
    pub fn new() -> Self {
        Self {
            files: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Adds a file that makes this event when poll(2) reports one of `flags`, or an error.
    pub fn add(&mut self, file: &'a impl AsFd, flags: PollFlags, event: Event) {
        self.files.push(PollFd::new(file.as_fd(), flags));
        self.events.push(event);
    }

    /// Waits until one is ready, but no longer than `longest`, and returns the events of those that are, in the order in which they were
    /// added.
    ///
    /// # Errors
    ///
    /// The wait was interrupted, as when we have been stopped and continued, or it failed.
    pub fn wait(mut self, longest: Duration) -> nix::Result<Vec<Event>> {
        let longest = TimeSpec::from_duration(longest.min(LONGEST_WAIT));
        ppoll(&mut self.files, Some(longest), None)?;
        let ready = self.files.iter().map(|file| file.any().unwrap_or(false));
        let events = self.events.into_iter().zip(ready);
        Ok(events
            .filter_map(|(event, is_ready)| is_ready.then_some(event))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Write, pipe};

    use super::*;

    #[test]
    fn each_source_that_is_ready_makes_its_own_event() {
        let (silent, _open) = pipe().unwrap();
        let (ready, mut writer) = pipe().unwrap();
        let (closed, gone) = pipe().unwrap();
        drop(gone);
        writer.write_all(b"x").unwrap();
        let mut sources = Sources::new();
        sources.add(&silent, PollFlags::POLLIN, "silent");
        sources.add(&ready, PollFlags::POLLIN, "ready");
        sources.add(&closed, PollFlags::POLLIN, "closed");
        assert_eq!(sources.wait(Duration::MAX).unwrap(), ["ready", "closed"]);
        let mut sources = Sources::new();
        sources.add(&silent, PollFlags::POLLIN, "silent");
        assert_eq!(sources.wait(Duration::ZERO).unwrap(), [""; 0]);
    }
}
