//! Whether what an agent planned can be followed.

use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::{Capability, TaskId};
use serde_json::Value;

use crate::workload::{Body, Group, Planner, Task, Workflow};

/// Most tasks of a plan if nothing is said.
const DEFAULT_MAX_TASKS: usize = 100;

/// How deep plans stand in plans if nothing is said.
const DEFAULT_MAX_DEPTH: u32 = 2;

/// What the tasks of a plan may be.
struct Limits {
    capabilities: BTreeSet<Capability>,
    max_tasks: usize,
    max_depth: u32,
}

/// The plan that the agent of a task returned, if it can be followed. What is none of those that agents come up with is no
/// plan at all.
pub(super) fn followed<'a>(
    planner: &'a Planner,
    path: &TaskId,
    returned: &Value,
    workflow: &Workflow,
) -> Option<&'a Group> {
    let plan = planner.plans.iter().find(|plan| plan.to_plan() == *returned)?;
    let limits = Limits::of(path, workflow)?;
    let count = count(&plan.tasks);
    ((1..=limits.max_tasks).contains(&count) && limits.admit(&plan.tasks)).then_some(plan)
}

impl Limits {
    /// Those of the plan of a task: no plan in another may have more than that one.
    fn of(path: &TaskId, workflow: &Workflow) -> Option<Self> {
        workflow.way(path).planners.into_iter().fold(None, |outer, planner| {
            let Planner { capabilities, max_tasks, max_depth, .. } = planner;
            let max_tasks = max_tasks.map_or(DEFAULT_MAX_TASKS, |most| most as usize);
            let max_depth = max_depth.unwrap_or(DEFAULT_MAX_DEPTH);
            let (all, max_tasks, max_depth) = match outer {
                None => (workflow.capabilities(), max_tasks, max_depth),
                Some(Self { capabilities, max_tasks: tasks, max_depth: depth }) => {
                    (capabilities, max_tasks.min(tasks), max_depth.min(depth.saturating_sub(1)))
                }
            };
            let capabilities = if capabilities.is_empty() { all } else { capabilities.clone() };
            Some(Self { capabilities, max_tasks, max_depth })
        })
    }

    fn admit(&self, tasks: &BTreeMap<TaskId, Task>) -> bool {
        tasks
            .values()
            .all(|task| task.needs.iter().all(|need| tasks.contains_key(need)) && self.admit_in(&task.body))
    }

    fn admit_in(&self, body: &Body) -> bool {
        match body {
            Body::Work(work) => {
                let plans = |planner: &Planner| {
                    self.max_depth > 1 && planner.capabilities.is_subset(&self.capabilities)
                };
                self.capabilities.contains(&work.agent) && work.plan.as_deref().is_none_or(plans)
            }
            Body::Merge(_) => true,
            Body::Group(group) => self.admit(&group.tasks),
            Body::Switch(cases) => cases.iter().all(|case| self.admit_in(&case.body)),
        }
    }
}

/// How many tasks there are, those in groups and cases included.
fn count(tasks: &BTreeMap<TaskId, Task>) -> usize {
    tasks.values().map(|task| 1 + count_in(&task.body)).sum()
}

fn count_in(body: &Body) -> usize {
    match body {
        Body::Work(_) | Body::Merge(_) => 0,
        Body::Group(group) => count(&group.tasks),
        Body::Switch(cases) => cases.iter().map(|case| count_in(&case.body)).sum(),
    }
}
