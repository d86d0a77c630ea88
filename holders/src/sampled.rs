//! The standard error of a sum of which some items are known.

/// Items that were chosen at random, and how far off a sum of theirs may be.
#[derive(Default)]
pub struct Sampled {
    count: f64,
    sum: f64,
    squares: f64,
    within: f64,
    /// Of how many each stands for one.
    weights: f64,
}

impl Sampled {
    /// Adds an item with its variance, which stands for `weight` items.
    pub fn add(&mut self, bytes: f64, variance: f64, weight: f64) {
        self.count += 1.0;
        self.sum += bytes;
        self.squares += bytes * bytes;
        self.within += variance;
        self.weights += weight;
    }

    /// Of a sample in two stages: between the items, and within them.
    pub fn variance(&self) -> f64 {
        if self.count == 0.0 {
            return 0.0;
        }
        let fraction = (self.count / self.weights).min(1.0);
        let between = match self.count {
            // One alone does not tell how different others are.
            1.0 => self.squares,
            count => ((self.squares - self.sum * self.sum / count) / (count - 1.0)).max(0.0) * count,
        };
        (1.0 - fraction) * between + fraction * self.within
    }
}
