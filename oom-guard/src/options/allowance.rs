//! `--fail-above`: by how much memory may grow from one run to another.

use crate::options::size;

/// By how much memory may grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Allowance {
    /// A part of what it was.
    Percent(f64),
    /// So many bytes.
    Bytes(u64),
}

impl Allowance {
    /// `10%`, or a size.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(percent) = text.trim().strip_suffix('%') else {
            let bytes = size::parse(text).map(Self::Bytes);
            return bytes.map_err(|_| "write a share like 10% or a size like 100MiB".to_owned());
        };
        let percent = percent.trim().parse().ok();
        let percent = percent.filter(|percent: &f64| percent.is_finite() && *percent >= 0.0);
        percent
            .map(Self::Percent)
            .ok_or_else(|| "write a share like 10%".to_owned())
    }

    /// Whether memory has grown by more, from `old` to `new` bytes.
    pub fn is_exceeded(self, old: u64, new: u64) -> bool {
        match self {
            Self::Bytes(bytes) => new.saturating_sub(old) > bytes,
            Self::Percent(percent) => new as f64 > old as f64 * (1.0 + percent / 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_allowed_as_a_share_or_in_bytes() {
        let is_exceeded = |text, old, new| Allowance::parse(text).unwrap().is_exceeded(old, new);
        assert!(!is_exceeded("10%", 1000, 1100) && is_exceeded("10%", 1000, 1101));
        assert!(!is_exceeded("0%", 1000, 1000) && is_exceeded("0 %", 1000, 1001));
        assert!(!is_exceeded("1K", 1000, 2024) && is_exceeded("1K", 1000, 2025));
        assert!(!is_exceeded("0", 1000, 10) && is_exceeded("50%", 0, 1));
        for wrong in ["", "%", "x%", "-1%", "nan%", "lots"] {
            assert!(Allowance::parse(wrong).is_err(), "{wrong}");
        }
    }
}
