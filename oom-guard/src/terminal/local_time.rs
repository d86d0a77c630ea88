//! The local time, by the C library, which reads TZ or one file, /etc/localtime. A library with its own database of time zones would read
//! all of it before the job can start.
#![expect(unsafe_code, reason = "localtime_r has no safe form")]

use std::mem::MaybeUninit;

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

/// The time now, with the local offset from UTC; UTC if that is not known.
pub fn now() -> Zoned {
    let now = Timestamp::now();
    now.to_zoned(TimeZone::fixed(offset(now).unwrap_or(Offset::UTC)))
}

/// A time in nanoseconds since the Unix epoch, as run.json has it; empty if there is no such time.
pub fn of(nanoseconds: u64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(nanoseconds)).ok();
    time.map_or(String::new(), |time| {
        rfc3339(&time.to_zoned(TimeZone::fixed(offset(time).unwrap_or(Offset::UTC))))
    })
}

/// As run.json has it.
pub fn rfc3339(time: &Zoned) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

fn offset(time: Timestamp) -> Option<Offset> {
    let seconds: libc::time_t = time.as_second();
    let mut parts = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: localtime_r reads one time and fills in one tm, for which both pointers have room. It also reads TZ, which
    // nobody sets while we run: Rust calls setting it unsafe, and we never do.
    let filled = unsafe { libc::localtime_r(&seconds, parts.as_mut_ptr()) };
    if filled.is_null() {
        return None;
    }
    // SAFETY: where it does not return null, localtime_r has filled in the tm.
    let parts = unsafe { parts.assume_init() };
    Offset::from_seconds(i32::try_from(parts.tm_gmtoff).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_time_is_that_of_date() {
        let output = Command::new("date").arg("+%:z").output().unwrap();
        let shown = now().strftime("%:z").to_string();
        assert_eq!(shown, String::from_utf8(output.stdout).unwrap().trim());
    }

    #[test]
    fn a_time_that_no_calendar_has_is_no_trouble() {
        assert!(offset(Timestamp::UNIX_EPOCH).is_some());
        assert_eq!(
            now().timestamp().as_second() / 1000,
            Timestamp::now().as_second() / 1000
        );
    }
}
