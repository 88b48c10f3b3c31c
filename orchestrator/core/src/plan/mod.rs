//! Plans: definitions that were checked as a whole and compiled once, for all runs that follow them.

mod block;
mod check;
mod compile;
mod config;
mod fit;
mod graph;
mod inside;
mod limits;
mod names;
mod order;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use mesh_schemas::definition::{DEFAULT_RUN_TIMEOUT, Span};
use mesh_schemas::document::Problem;
use mesh_schemas::{Definition, Digest, ErrorCode, TaskId};

pub(crate) use block::{
    Adaptive, Block, Child, Each, Finally, Loop, Merge, Node, Planner, Recurring, Step, Work,
};
pub use check::check;
pub(crate) use compile::graph;

/// Most tasks of a workflow, in sequence or side by side. At about 100 bytes a task that is a definition of ten
/// megabytes, a plan of some 150, and a log of a hundred: what one orchestrator holds, reads and stores in seconds.
pub const MAX_TASKS: usize = 100_000;

/// Most entries of all `needs` together: ten for each of [`MAX_TASKS`]. Compiling looks at each a few times, and a
/// run once.
pub const MAX_NEEDS: usize = 1_000_000;

/// How deep groups and cases may stand inside each other: each is a part of the ids of the tasks in it.
pub const MAX_DEPTH: usize = 8;

/// A definition, ready to be followed. Immutable; share it in an `Arc`.
#[derive(Debug)]
pub struct Plan {
    /// What it was made of.
    pub definition: Definition,
    /// Content digest of the definition.
    pub digest: Digest,
    /// The tasks, and the output of a run.
    pub(crate) root: Block,
    /// What is done when it is decided how a run ends.
    pub(crate) finally: Option<Finally>,
    /// How many tasks it has, those in groups and cases included.
    pub size: usize,
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

    /// Whether the workflow itself has such a task: none that stands in another.
    #[must_use]
    pub fn has_task(&self, task: &TaskId) -> bool {
        self.root.index(task.as_str()).is_some()
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
