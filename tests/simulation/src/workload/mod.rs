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

use mesh_schemas::{Capability, RunId, Shards, WorkflowName};

pub use behaviour::{Answer, Behaviour, Ending};
pub use choices::Choices;
pub use expression::{Expression, Local, NoValue, Sight};
pub use measure::{Measure, Measures};
pub use merge::{Merge, MergeBy};
pub use operator::Operator;
pub use optional::Optional;
pub use parts::Parts;
pub use planner::Planner;
pub use run::{Again, Inner, Run, Says, Script, Sending, Signal, Target, behaviour};
pub use scope::{Around, Brings, Scope, Seen};
pub use simpler::shrink;
pub use task::{
    Adaptive, Body, Call, Case, Each, Group, Join, Often, OnFailure, Quota, Recovery, Repeat, Retry, Task,
    Work,
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
    /// What agents do in the runs that tasks start: of each workflow several ways, of which the id of a run chooses one.
    pub called: BTreeMap<WorkflowName, Vec<Script>>,
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

    /// What agents do with the attempts of a run that is asked for, perhaps to do another one again.
    #[must_use]
    pub fn script(&self, id: RunId, shards: Shards) -> Option<&Script> {
        self.runs.iter().find_map(|run| match &run.again {
            _ if run.id(shards) == id => Some(&run.script),
            Some(again) if run.id_again(shards) == id => Some(&again.script),
            _ => None,
        })
    }

    /// What agents do with the attempts of a run of a workflow that a task has started.
    #[must_use]
    pub fn called(&self, workflow: &WorkflowName, run: RunId) -> &Script {
        const NOTHING: &Script = &Script::new();
        let ways = self.called.get(workflow).map_or(&[][..], Vec::as_slice);
        let place = usize::from(run.uuid().as_bytes()[0]);
        if ways.is_empty() { NOTHING } else { &ways[place % ways.len()] }
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
        for (workflow, ways) in &self.called {
            for (number, script) in ways.iter().enumerate().filter(|(_, script)| !script.is_empty()) {
                write!(f, "runs of {workflow} that tasks start, way {number}:\n{}", run::told(script))?;
            }
        }
        Ok(())
    }
}
