//! What a simulation works on: workflows, requests, signals and the behaviour of agents, all decided by a seed.
//!
//! A workload is data. It is generated once from a seed and then only read, so a smaller one ([`Workload::simpler`]) runs
//! the same way as one that was generated.

mod behaviour;
mod choices;
mod expression;
mod generate;
mod measure;
mod merge;
mod operator;
mod optional;
mod parts;
mod planner;
mod run;
mod scope;
mod simpler;
mod task;
mod template;
mod way;
mod workflow;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mesh_schemas::{Attempt, Capability, TaskId, WorkflowName};
use serde_json::Value;

pub use behaviour::{Answer, Behaviour, Ending};
pub use choices::Choices;
pub use expression::{Expression, Local, NoValue, Sight};
pub use measure::{Measure, Measures};
pub use merge::{Merge, MergeBy};
pub use operator::Operator;
pub use optional::Optional;
pub use parts::Parts;
pub use planner::Planner;
pub use run::{Run, Says, Sending, Signal, Target};
pub use scope::{Around, Brings, Scope, Seen};
pub use simpler::shrink;
pub use task::{
    Adaptive, Body, Case, Each, Group, Join, Often, OnFailure, Quota, Recovery, Repeat, Retry, Task, Work,
};
pub use template::{Fragment, Template};
pub(crate) use way::is_final;
pub(crate) use workflow::{FINALLY, after, rescued_by};
pub use workflow::{Finally, Workflow};

/// All that a simulation is given to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// The seed that it was generated from, also if it was made simpler since.
    pub seed: u64,
    /// The workflows by name.
    pub workflows: BTreeMap<WorkflowName, Workflow>,
    /// The runs, no two of which have both request and target in common.
    pub runs: Vec<Run>,
}

impl Workload {
    /// The workload of a seed.
    #[must_use]
    pub fn generate(seed: u64) -> Self {
        Self::draw(seed, &mut Choices::new(seed))
    }

    /// The workload that some choices lead to.
    #[must_use]
    pub fn draw(seed: u64, choices: &mut Choices) -> Self {
        generate::workload(seed, choices)
    }

    /// The workflow that a run follows; none if no workflow of its name is there.
    #[must_use]
    pub fn workflow(&self, run: &Run) -> Option<Workflow> {
        match &run.target {
            Target::Workflow(name) => self.workflows.get(name).cloned(),
            Target::Task(capability) => Some(Workflow::single_task(capability)),
        }
    }

    /// What an agent does with an attempt of a run, which is named by its place in [`Workload::runs`].
    #[must_use]
    pub fn behaviour(&self, run: usize, task: &TaskId, attempt: Attempt) -> &Behaviour {
        self.runs.get(run).map_or(&Behaviour::PLAIN, |run| run.behaviour(task, attempt))
    }

    /// What an agent returns for an input, of a run that is named by its place.
    #[must_use]
    pub fn answer(&self, run: usize, task: &TaskId, answer: Answer, input: &Value) -> Value {
        let workflow = self.runs.get(run).and_then(Run::workflow).and_then(|name| self.workflows.get(name));
        workflow.map_or_else(|| answer.to(input), |workflow| workflow.answer(task, answer, input))
    }

    /// Every capability that is asked for.
    #[must_use]
    pub fn capabilities(&self) -> BTreeSet<Capability> {
        let asked = self.workflows.values().flat_map(Workflow::capabilities);
        let direct = self.runs.iter().filter_map(|run| match &run.target {
            Target::Task(capability) => Some(capability.clone()),
            Target::Workflow(_) => None,
        });
        asked.chain(direct).collect()
    }
}

impl fmt::Display for Workload {
    /// The definitions as YAML with what agents plan, and for each run what is sent and what agents do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for workflow in self.workflows.values() {
            writeln!(f, "{}", workflow.told())?;
        }
        for (place, run) in self.runs.iter().enumerate() {
            write!(f, "run {place}: {run}")?;
        }
        Ok(())
    }
}
