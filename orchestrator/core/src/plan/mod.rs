//! Plans: definitions that were checked as a whole and compiled once, for all runs that follow them.

mod check;
mod compile;
mod graph;
mod limits;
mod order;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use mesh_schemas::definition::{DEFAULT_RUN_TIMEOUT, OnFailure, OnSkipped, Retry, Span};
use mesh_schemas::document::Problem;
use mesh_schemas::{Capability, Definition, Digest, ErrorCode, TaskId};

pub use check::check;

use crate::expression::{Condition, Template};

/// Most tasks of a workflow, in sequence or side by side. At about 100 bytes a task that is a definition of ten
/// megabytes, a plan of some 150, and a log of a hundred: what one orchestrator holds, reads and stores in seconds.
pub const MAX_TASKS: usize = 100_000;

/// Most entries of all `needs` together: ten for each of [`MAX_TASKS`]. Compiling looks at each a few times, and a
/// run once.
pub const MAX_NEEDS: usize = 1_000_000;

/// A definition, ready to be followed. Immutable; share it in an `Arc`.
#[derive(Debug)]
pub struct Plan {
    /// What it was made of.
    pub definition: Definition,
    /// Content digest of the definition.
    pub digest: Digest,
    /// The tasks in the order of their ids; places in this list name tasks elsewhere in the plan.
    pub tasks: Vec<PlannedTask>,
    /// Output of a run.
    pub output: Template,
    /// Places of the tasks whose outputs the output of a run uses, each once, in order.
    pub(crate) uses: Vec<usize>,
}

/// A task of a plan.
#[derive(Debug)]
pub struct PlannedTask {
    /// Its id.
    pub id: TaskId,
    /// The capability that an agent must have to do it.
    pub agent: Capability,
    /// What the agent is to do.
    pub action: Option<String>,
    /// What becomes of it when one of its needs was skipped.
    pub on_skipped: OnSkipped,
    /// How failed attempts are repeated.
    pub retry: Retry,
    /// Longest time that one execution may take.
    pub timeout: Option<Span>,
    /// What becomes of the run when it failed for good.
    pub on_failure: OnFailure,
    /// Condition; without one, the task runs.
    pub when: Option<Condition>,
    /// Input; without one, the input of the run.
    pub with: Option<Template>,
    /// Output; without one, what the agent returned.
    pub output: Option<Template>,
    /// Places of the tasks that must have ended first, each once, in order.
    pub needs: Vec<usize>,
    /// Places of the tasks that need this one, each once, in order.
    pub dependents: Vec<usize>,
    /// Places of the tasks whose outputs its expressions use, each once, in order.
    pub(crate) uses: Vec<usize>,
}

/// Plans of the same digest are the same.
impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Plan {
    /// Checks and compiles a definition. Whether its `input` is a valid JSON Schema is not looked at.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its path and without a position.
    pub fn compile(definition: &Definition) -> Result<Self, Vec<Problem>> {
        compile::plan(Cow::Borrowed(definition))
    }

    /// [`Plan::compile`], without a copy: a definition may be large.
    ///
    /// # Errors
    /// As [`Plan::compile`].
    pub fn of(definition: Definition) -> Result<Self, Vec<Problem>> {
        compile::plan(Cow::Owned(definition))
    }

    /// The place of a task.
    #[must_use]
    pub fn index(&self, task: &TaskId) -> Option<usize> {
        self.tasks.binary_search_by(|planned| planned.id.cmp(task)).ok()
    }

    /// How many may ask for the output of each task: the tasks, by their places, that are `open`, and the output of
    /// the run.
    pub(crate) fn readers(&self, open: impl Fn(usize) -> bool) -> Vec<u32> {
        let mut readers = vec![0; self.tasks.len()];
        let open = self.tasks.iter().enumerate().filter(|(place, _)| open(*place));
        for &used in open.flat_map(|(_, task)| &task.uses).chain(&self.uses) {
            readers[used] += 1;
        }
        readers
    }

    /// Longest time that a run may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.definition.timeout.map_or(DEFAULT_RUN_TIMEOUT.get(), Span::get)
    }
}

fn problem(code: ErrorCode, path: impl Into<String>, message: impl Into<String>) -> Problem {
    Problem { code, path: path.into(), position: None, message: message.into() }
}
