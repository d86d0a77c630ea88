//! Numbers as people read them.

use std::fmt;

/// What [`Bytes`] are shown in from 1024 on.
pub(crate) const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `bytes` times `some` of `all`.
pub(crate) fn part(bytes: u64, some: u64, all: u64) -> u64 {
    match all {
        0 => 0,
        all => (u128::from(bytes) * u128::from(some.min(all)) / u128::from(all)) as u64,
    }
}

/// The sum of numbers that a file gives, which may be of any size: no more than the largest number there is.
pub(crate) fn sum(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().fold(0, u64::saturating_add)
}

/// A number of bytes, shown in binary units with one decimal: `517 B`, `1.2 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        // In tenths of a unit, rounded as floating point numbers are: a half to the even neighbour.
        let tenths = |unit: usize| {
            let (tenfold, unit) = (u128::from(self.0) * 10, 1u128 << (10 * (unit + 1)));
            let (whole, twice_left) = (tenfold / unit, tenfold % unit * 2);
            whole + u128::from(twice_left > unit || twice_left == unit && whole % 2 == 1)
        };
        // 1023.96 KiB would be rounded to 1024.0 KiB.
        let unit = (0..UNITS.len())
            .find(|unit| tenths(*unit) < 10240)
            .unwrap_or(UNITS.len() - 1);
        let (tenths, unit) = (tenths(unit), UNITS[unit]);
        match f.width() {
            None => write!(f, "{}.{} {unit}", tenths / 10, tenths % 10),
            Some(_) => f.pad(&format!("{}.{} {unit}", tenths / 10, tenths % 10)),
        }
    }
}

/// A share of a whole, shown in percent with one decimal: `63.1 %`. A share of nothing is none.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// `part` of `whole`, both in the same unit.
    pub fn of(part: u64, whole: u64) -> Share {
        Share(if whole == 0 { 0.0 } else { part as f64 / whole as f64 })
    }

    /// As a fraction of one.
    pub fn fraction(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.1} %", self.0 * 100.0))
    }
}

/// A time in seconds, shown in two units at most: `4.9 s`, `2 h 5 min`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Seconds(pub f64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seconds(seconds) = *self;
        let whole = seconds as u64;
        let minutes = whole / 60;
        match minutes {
            0..2 => write!(f, "{seconds:.1} s"),
            2..120 => write!(f, "{minutes} min {} s", whole % 60),
            120..2880 => write!(f, "{} h {} min", minutes / 60, minutes % 60),
            _ => write!(f, "{} d {} h", minutes / 1440, minutes / 60 % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_two_units_at_most() {
        let shown = [4.94, 119.9, 120.0, 7199.9, 7500.0, 200_000.0].map(|seconds| Seconds(seconds).to_string());
        assert_eq!(
            shown,
            ["4.9 s", "119.9 s", "2 min 0 s", "119 min 59 s", "2 h 5 min", "2 d 7 h"]
        );
    }

    #[test]
    fn bytes_have_one_decimal_and_never_read_as_1024_of_a_unit() {
        let shown = |bytes| Bytes(bytes).to_string();
        assert_eq!(shown(0), "0 B");
        assert_eq!(shown(1023), "1023 B");
        assert_eq!(shown(1024), "1.0 KiB");
        assert_eq!(shown(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(shown(1_288_490_189), "1.2 GiB");
        assert_eq!(shown(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn bytes_are_rounded_as_floating_point_numbers_are() {
        let as_float = |bytes: u64| format!("{:.1} KiB", bytes as f64 / 1024.0);
        for bytes in (1024..1024 * 1000).step_by(7).chain([1280, 1331, 1332, 1792, 3840]) {
            assert_eq!(Bytes(bytes).to_string(), as_float(bytes));
        }
    }

    #[test]
    fn a_sum_of_any_numbers_is_a_number() {
        assert_eq!(sum([1, 2, 3]), 6);
        assert_eq!(sum([u64::MAX, 1, u64::MAX]), u64::MAX);
        assert_eq!(sum([]), 0);
    }

    #[test]
    fn a_share_of_nothing_is_none() {
        assert_eq!(Share::of(0, 0).to_string(), "0.0 %");
        assert_eq!(Share::of(1, 3).to_string(), "33.3 %");
    }
}
