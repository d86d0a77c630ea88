//! Whether numbers that ought to be normally distributed around 0 with variance 1 are.

/// A false alarm of any of the bounds below is less likely than 1e-6: beyond so many standard deviations lie 6e-7 of a normal
/// distribution.
const STANDARD_DEVIATIONS: f64 = 5.0;

/// Scores that have been collected.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    scores: Vec<f64>,
}

impl Extend<f64> for Spread {
    fn extend<T: IntoIterator<Item = f64>>(&mut self, scores: T) {
        self.scores.extend(scores);
    }
}

impl Spread {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.scores.len()
    }

    /// Their mean.
    pub fn mean(&self) -> f64 {
        self.scores.iter().sum::<f64>() / self.count() as f64
    }

    /// Their variance around 0.
    pub fn variance(&self) -> f64 {
        self.scores.iter().map(|score| score * score).sum::<f64>() / self.count() as f64
    }

    /// How many are further away than that.
    pub fn beyond(&self, bound: f64) -> usize {
        self.scores.iter().filter(|score| score.abs() > bound).count()
    }

    /// The furthest.
    pub fn furthest(&self) -> f64 {
        self.scores.iter().fold(
            0.0,
            |most, score| if score.abs() > f64::abs(most) { *score } else { most },
        )
    }

    /// Asserts a mean of 0 within what chance allows, and `bias` beside it.
    #[track_caller]
    pub fn assert_mean_is_zero(&self, bias: f64) {
        let allowed = STANDARD_DEVIATIONS / (self.count() as f64).sqrt() + bias;
        assert!(self.mean().abs() < allowed, "{allowed:.3} allowed: {self}");
    }

    /// Asserts a variance of 1 within what chance allows, and a share of `bias` beside it.
    #[track_caller]
    pub fn assert_variance_is_one(&self, bias: f64) {
        // Of a chi-squared variable, the cube root is close to normal (Wilson and Hilferty 1931).
        let part = 2.0 / (9.0 * self.count() as f64);
        let bound = |deviations: f64| (1.0 - part + deviations * part.sqrt()).max(0.0).powi(3);
        let (least, most) = (bound(-STANDARD_DEVIATIONS) - bias, bound(STANDARD_DEVIATIONS) + bias);
        assert!(
            (least..most).contains(&self.variance()),
            "{least:.3} to {most:.3} allowed: {self}"
        );
    }

    /// Asserts that no more than chance allows are more than three away, of which there are 2.7 in 1000.
    #[track_caller]
    pub fn assert_within_three(&self) {
        let expected = 0.0027 * self.count() as f64;
        // So many are allowed that more are less likely than the bound above, by the Poisson distribution.
        let (mut allowed, mut term) = (0u32, (-expected).exp());
        let mut more = 1.0 - term;
        while more > 6e-7 {
            allowed += 1;
            term *= expected / f64::from(allowed);
            more -= term;
        }
        assert!(
            self.beyond(3.0) <= allowed as usize,
            "{allowed} may be beyond 3: {self}"
        );
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (count, mean, variance) = (self.count(), self.mean(), self.variance());
        let (beyond, furthest) = (self.beyond(3.0), self.furthest());
        write!(
            f,
            "{count} scores, mean {mean:.3}, variance {variance:.3}, {beyond} beyond 3, the furthest {furthest:.2}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Chance;

    /// Sums of twelve uniform numbers are close to normal (with a variance of 1), and the bounds tell when they are stretched or shifted.
    #[test]
    fn the_bounds_pass_what_is_normal_and_nothing_else() {
        let mut chance = Chance::new();
        let mut normal = || {
            (0..12)
                .map(|_| chance.below(1 << 20) as f64 / f64::from(1 << 20))
                .sum::<f64>()
                - 6.0
        };
        let scores: Vec<f64> = (0..2000).map(|_| normal()).collect();
        let of = |change: fn(&f64) -> f64| Spread {
            scores: scores.iter().map(change).collect(),
        };
        let passes = |check: fn(&Spread), spread: Spread| std::panic::catch_unwind(|| check(&spread)).is_ok();
        assert!(passes(|spread| spread.assert_mean_is_zero(0.0), of(|score| *score)));
        assert!(passes(|spread| spread.assert_variance_is_one(0.0), of(|score| *score)));
        assert!(passes(Spread::assert_within_three, of(|score| *score)));
        assert!(!passes(
            |spread| spread.assert_mean_is_zero(0.0),
            of(|score| score + 0.25)
        ));
        assert!(!passes(
            |spread| spread.assert_variance_is_one(0.0),
            of(|score| score * 1.3)
        ));
        assert!(!passes(
            |spread| spread.assert_variance_is_one(0.0),
            of(|score| score * 0.8)
        ));
        assert!(!passes(Spread::assert_within_three, of(|score| score * 1.5)));
    }
}
