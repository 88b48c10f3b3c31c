use std::fmt;

use crate::sabotage::Sabotage;
use crate::storm::Storm;
use crate::workload::{Workload, shrink};
use crate::world::{self, Figures, Violation};

/// A workload in a storm. The same scenario goes the same way each time.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What is to be done.
    pub workload: Workload,
    /// What goes wrong meanwhile.
    pub storm: Storm,
    /// The rule that is broken on purpose, if one is.
    pub sabotage: Option<Sabotage>,
}

/// A scenario in which something is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The scenario.
    pub scenario: Scenario,
    /// What is wrong.
    pub violation: Violation,
}

impl Scenario {
    /// The scenario of a seed.
    #[must_use]
    pub fn generate(seed: u64) -> Self {
        Self { workload: Workload::generate(seed), storm: Storm::generate(seed), sabotage: None }
    }

    /// The same with a rule broken.
    #[must_use]
    pub fn sabotaged(self, sabotage: Sabotage) -> Self {
        Self { sabotage: Some(sabotage), ..self }
    }

    /// Plays it through in this thread, in a runtime of its own whose clock jumps.
    ///
    /// # Errors
    /// What was found wrong first.
    pub fn run(&self) -> Result<Figures, Violation> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.map_err(|error| Violation(format!("no runtime: {error}")))?;
        let run = world::run(&self.workload, &self.storm, self.sabotage);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(run)))
            .unwrap_or_else(|_| Err(Violation("somebody panicked".to_owned())))
    }

    /// A smaller scenario in which something is wrong, too.
    #[must_use]
    pub fn shrink(self) -> Self {
        let Self { mut workload, mut storm, sabotage } = self;
        loop {
            let before = (workload.clone(), storm.clone());
            let fails = |workload: &Workload, storm: &Storm| {
                Self { workload: workload.clone(), storm: storm.clone(), sabotage }.run().is_err()
            };
            while let Some(simpler) = storm.simpler().into_iter().find(|storm| fails(&workload, storm)) {
                storm = simpler;
            }
            workload = shrink(workload, |workload| fails(workload, &storm));
            if before == (workload.clone(), storm.clone()) {
                return Self { workload, storm, sabotage };
            }
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sabotage) = self.sabotage {
            writeln!(f, "sabotage: {sabotage}")?;
        }
        write!(f, "{}{}", self.storm, self.workload)
    }
}
