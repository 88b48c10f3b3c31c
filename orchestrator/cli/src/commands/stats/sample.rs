use serde::Serialize;

/// Most values that are kept of one figure.
const MOST: usize = 20_000;

/// Durations, of which some may stand for all: their number and their sum are exact, and so is what is asked of them as long
/// as there are no more than can be kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    kept: Vec<u64>,
    /// One of so many is kept.
    every: u64,
    pub(super) count: u64,
    pub(super) sum: u64,
    pub(super) max: u64,
}

/// What is told of durations, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Quantiles {
    pub(super) count: u64,
    pub(super) p50_ms: u64,
    pub(super) p90_ms: u64,
    pub(super) p99_ms: u64,
    pub(super) max_ms: u64,
}

impl Sample {
    pub(super) fn add(&mut self, value: u64) {
        self.every = self.every.max(1);
        if self.count.is_multiple_of(self.every) {
            if self.kept.len() >= MOST {
                let mut number = 0;
                self.kept.retain(|_| {
                    number += 1;
                    number % 2 == 1
                });
                self.every *= 2;
            }
            self.kept.push(value);
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    /// `None` if there is nothing to tell of.
    pub(super) fn quantiles(&self) -> Option<Quantiles> {
        let mut sorted = self.kept.clone();
        sorted.sort_unstable();
        // The smallest value that so many percent are not above.
        let at = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).checked_sub(1)?).copied();
        Some(Quantiles {
            count: self.count,
            p50_ms: at(50)?,
            p90_ms: at(90)?,
            p99_ms: at(99)?,
            max_ms: self.max,
        })
    }
}
