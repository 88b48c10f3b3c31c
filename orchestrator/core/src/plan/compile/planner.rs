//! What plans may have in them.

use std::sync::Arc;

use mesh_schemas::definition::{self, Body};
use mesh_schemas::document::Problem;
use mesh_schemas::{Capability, ErrorCode};

use super::super::block::Planner;
use super::super::problem;
use super::{Compiler, Within};

impl Compiler<'_> {
    /// What the plan of a task may have in it: no more than the plan that the task is in.
    pub(super) fn planner(&mut self, limits: definition::Limits, path: &str) -> Option<Planner> {
        let definition::Limits { capabilities, max_tasks, max_depth } = limits;
        let says_none = capabilities.is_empty();
        let mut capabilities = Arc::new(capabilities);
        let (mut max_tasks, mut max_depth) = (max_tasks as usize, max_depth);
        match self.within {
            Within::Definition(definition) if says_none => {
                let all = || Arc::new(definition.capabilities().into_iter().cloned().collect());
                capabilities = Arc::clone(self.asked_for.get_or_init(all));
            }
            Within::Definition(_) => {}
            Within::Plan(outer) => {
                if outer.max_depth <= 1 {
                    let message =
                        "this plan may have no task that plans: see 'max_depth' of the task that it is of";
                    self.refuse(ErrorCode::WrongValue, &format!("{path}.plan"), message);
                    return None;
                }
                max_depth = max_depth.min(outer.max_depth - 1);
                max_tasks = max_tasks.min(outer.max_tasks);
                if says_none {
                    capabilities = Arc::clone(&outer.capabilities);
                }
                for capability in capabilities.difference(&outer.capabilities) {
                    let problem = not_allowed(capability, outer, &format!("{path}.plan.capabilities"));
                    self.problems.push(problem);
                }
            }
        }
        Some(Planner { capabilities, max_tasks, max_depth, depth: self.depth, recovery: self.recovery })
    }

    /// Whether a plan has only what it may have; a definition may have everything.
    pub(super) fn may_ask_for(&mut self, body: &Body, path: &str) {
        let Within::Plan(planner) = self.within else { return };
        if let Some(capability) = body.agent.as_ref().filter(|agent| !planner.capabilities.contains(agent)) {
            self.problems.push(not_allowed(capability, planner, &format!("{path}.agent")));
        }
        if body.workflow.is_some() {
            let message = "a plan may not start runs of other workflows: have a task of the workflow do that";
            self.refuse(ErrorCode::WrongValue, &format!("{path}.workflow"), message);
        }
    }
}

fn not_allowed(capability: &Capability, planner: &Planner, path: &str) -> Problem {
    let allowed: Vec<&str> = planner.capabilities.iter().map(Capability::as_str).collect();
    let message = format!("a plan may not ask for '{capability}' here, but for {}", allowed.join(", "));
    problem(ErrorCode::WrongValue, path, message)
}
