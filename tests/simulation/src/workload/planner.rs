use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::{Capability, TaskId};
use serde_json::Value;

use super::behaviour::Answer;
use super::task::{Body, Group, Task};
use super::workflow::Workflow;

/// That an agent plans: what it may, and what it does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Planner {
    /// What the tasks of a plan may ask for, if that is said.
    pub capabilities: BTreeSet<Capability>,
    /// How many they may be.
    pub max_tasks: Option<u32>,
    /// How deep plans may stand in plans.
    pub max_depth: Option<u32>,
    /// The plans that agents come up with, whether they may or not. No two have an id in common, so that an id tells which
    /// plan a task belongs to. The definition does not have them.
    pub plans: Vec<Group>,
}

impl Planner {
    /// Whether nothing is said of what it may.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.capabilities.is_empty() && self.max_tasks.is_none() && self.max_depth.is_none()
    }

    /// The plan that has a task.
    pub(super) fn with(&self, task: &TaskId) -> Option<&Group> {
        self.plans.iter().find(|plan| plan.tasks.contains_key(task))
    }
}

impl Workflow {
    /// What an agent returns for an input. One that plans returns one of its plans where another would return an object.
    #[must_use]
    pub fn answer(&self, task: &TaskId, answer: Answer, input: &Value) -> Value {
        let plans = self.work(task).and_then(|work| work.plan.as_ref()).map(|planner| &planner.plans);
        match (answer, plans) {
            (Answer::Object(number), Some(plans)) if !plans.is_empty() => {
                plans[number as usize % plans.len()].to_plan()
            }
            _ => answer.to(input),
        }
    }

    /// What the definition asks for: what its tasks do, and what is said that plans may.
    #[must_use]
    pub fn capabilities(&self) -> BTreeSet<Capability> {
        let mut found = BTreeSet::new();
        asked_by(&self.tasks, &mut found);
        self.finally.iter().for_each(|finally| asked_by(&finally.tasks, &mut found));
        found
    }
}

fn asked_by(tasks: &BTreeMap<TaskId, Task>, found: &mut BTreeSet<Capability>) {
    tasks.values().for_each(|task| asked_in(&task.body, found));
}

fn asked_in(body: &Body, found: &mut BTreeSet<Capability>) {
    match body {
        Body::Work(work) if work.call.is_some() => {}
        Body::Work(work) => {
            found.insert(work.agent.clone());
            found.extend(work.plan.iter().flat_map(|planner| planner.capabilities.iter().cloned()));
        }
        Body::Merge(_) => {}
        Body::Group(group) => asked_by(&group.tasks, found),
        Body::Switch(cases) => cases.iter().for_each(|case| asked_in(&case.body, found)),
    }
}
