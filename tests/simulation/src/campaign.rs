use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::sabotage::Sabotage;
use crate::scenario::{Failure, Scenario};
use crate::world::Figures;

/// Many seeds, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// How many there are.
    pub seeds: u64,
    /// When to stop before the last.
    pub time: Option<Duration>,
    /// How many are played at a time.
    pub threads: usize,
    /// The rule that is broken in all of them, if one is.
    pub sabotage: Option<Sabotage>,
}

/// What came of a campaign.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Seeds that went well.
    pub seeds: u64,
    /// What happened in them, added up.
    pub figures: Figures,
    /// How long it took.
    pub took: Duration,
    /// The first failure that was found; it ends the campaign.
    pub failure: Option<Failure>,
}

impl Campaign {
    /// So many seeds from the first on, on every core.
    #[must_use]
    pub fn new(from: u64, seeds: u64) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, Into::into);
        Self { from, seeds, time: None, threads, sabotage: None }
    }

    /// Plays all seeds, until one fails.
    #[must_use]
    pub fn run(&self) -> Report {
        let begun = Instant::now();
        let (begun_with, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let report =
            Mutex::new(Report { seeds: 0, figures: Figures::default(), took: Duration::ZERO, failure: None });
        let play = || {
            while !stop.load(Ordering::Relaxed) && self.time.is_none_or(|time| begun.elapsed() < time) {
                let index = begun_with.fetch_add(1, Ordering::Relaxed);
                // There is no seed after the greatest.
                let Some(seed) = self.from.checked_add(index).filter(|_| index < self.seeds) else { break };
                let scenario = self.scenario(seed);
                let played = scenario.run();
                let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                match played {
                    Ok(figures) => {
                        report.seeds += 1;
                        report.figures.add(figures);
                    }
                    Err(violation) => {
                        stop.store(true, Ordering::Relaxed);
                        report.failure.get_or_insert(Failure { scenario, violation });
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(play);
            }
        });
        let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        Report { took: begun.elapsed(), ..report }
    }

    fn scenario(&self, seed: u64) -> Scenario {
        let scenario = Scenario::generate(seed);
        match self.sabotage {
            Some(sabotage) => scenario.sabotaged(sabotage),
            None => scenario,
        }
    }
}
