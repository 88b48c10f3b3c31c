use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use fastrand::Rng;

/// Where every random choice comes from. The same seed makes the same choices on every machine.
///
/// Features are named when they are drawn, and counted when they are on: so a test can tell that none of them is rare.
#[derive(Debug, Clone)]
pub struct Choices {
    rng: Rng,
    on: BTreeMap<&'static str, u32>,
}

impl Choices {
    /// The choices of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), on: BTreeMap::new() }
    }

    /// Whether a feature is on, with a chance of so many in a hundred.
    pub fn chance(&mut self, feature: &'static str, percent: u32) -> bool {
        let on = self.rng.u32(0..100) < percent;
        if on {
            self.note(feature);
        }
        on
    }

    /// Counts a feature that came about without a chance of its own.
    pub fn note(&mut self, feature: &'static str) {
        *self.on.entry(feature).or_default() += 1;
    }

    /// A number from 0 to below `end`.
    ///
    /// # Panics
    /// If `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.rng.usize(0..end)
    }

    /// A number of a range.
    ///
    /// # Panics
    /// If the range is empty.
    pub fn among(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.rng.u64(range)
    }

    /// One of several.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// One of several, each with its weight.
    ///
    /// # Panics
    /// If there is none, or all weights are 0.
    pub fn weighted<T: Copy>(&mut self, from: &[(u32, T)]) -> T {
        let mut at = self.rng.u32(0..from.iter().map(|(weight, _)| weight).sum());
        for &(weight, item) in from {
            match at.checked_sub(weight) {
                Some(left) => at = left,
                None => return item,
            }
        }
        unreachable!("the number is below the sum of the weights")
    }

    /// Puts a list in a random order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        self.rng.shuffle(list);
    }

    /// How often each feature was on.
    #[must_use]
    pub fn on(&self) -> &BTreeMap<&'static str, u32> {
        &self.on
    }
}
