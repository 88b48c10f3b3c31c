//! How the tasks of a run stand, for people.

use mesh_schemas::{Attempt, Capability, TaskId, WorkflowName};

use super::state::{EachState, Frame, ItemEnd, NodeState, Stand};
use crate::plan::{Block, Step};

/// How a task stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TaskView {
    /// The task, with what it belongs to.
    pub id: TaskId,
    /// The capability that it asks for; none for what is made of other tasks, or starts a run.
    pub agent: Option<Capability>,
    /// The workflow of which it starts a run, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowName>,
    /// `pending`, `active`, `held` while the run is paused, `retrying`, `done`, `failed`, `skipped`, or `cancelled` when what
    /// it belongs to ended before it.
    pub status: &'static str,
    /// The current attempt of a task that has begun and not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}

/// Lists tasks, each before what belongs to it.
pub(super) struct Views {
    pub(super) all: Vec<TaskView>,
    /// The run has ended: what is open will stay so.
    pub(super) is_over: bool,
}

impl Views {
    pub(super) fn frame(&mut self, block: &Block, frame: &Frame, prefix: &str) {
        for (node, state) in block.nodes.iter().zip(&frame.nodes) {
            let path = format!("{prefix}{}", node.id);
            match state {
                NodeState::Waiting(_) => self.push(&path, &node.step, "pending", None),
                NodeState::Once(stand) => self.stand(&node.step, stand, &path),
                NodeState::Each(each) => {
                    self.push(&path, &node.step, "active", None);
                    self.items(&node.step, each, &path);
                }
                NodeState::Loop(state) => {
                    self.push(&path, &node.step, "active", None);
                    self.stand(&node.step, &state.stand, &format!("{path}:{}", state.number));
                }
                NodeState::Recovering(..) | NodeState::Failed(_) => {
                    self.push(&path, &node.step, "failed", None);
                }
                NodeState::Done(_) => self.push(&path, &node.step, "done", None),
                NodeState::Skipped => self.push(&path, &node.step, "skipped", None),
            }
        }
    }

    fn items(&mut self, step: &Step, each: &EachState, path: &str) {
        for (number, end) in each.ends[..each.next].iter().enumerate() {
            let path = format!("{path}:{number}");
            match (end, each.running.get(&number)) {
                (_, Some(stand)) => self.stand(step, stand, &path),
                (ItemEnd::Done(_), None) => self.push(&path, step, "done", None),
                (ItemEnd::Failed(_), None) => self.push(&path, step, "failed", None),
                (ItemEnd::Skipped | ItemEnd::None, None) => self.push(&path, step, "skipped", None),
            }
        }
    }

    fn stand(&mut self, step: &Step, stand: &Stand, path: &str) {
        match (step, stand) {
            (_, Stand::Active(attempt) | Stand::GivenUp(attempt)) => {
                self.push(path, step, "active", Some(*attempt));
            }
            (_, Stand::Stuck(attempt)) => self.push(path, step, "failed", Some(*attempt)),
            (_, Stand::Pausing(attempt)) => self.push(path, step, "retrying", Some(*attempt)),
            (_, Stand::Planned(planned)) => {
                self.push(path, step, "active", None);
                self.frame(&planned.block(), &planned.frame, &format!("{path}:"));
            }
            (Step::Group(block), Stand::Group(frame)) => {
                self.push(path, step, "active", None);
                self.frame(block, frame, &format!("{path}:"));
            }
            (Step::Switch(cases), Stand::Case(number, stand)) => {
                self.push(path, step, "active", None);
                self.stand(&cases[*number].step, stand, &format!("{path}:{number}"));
            }
            (_, Stand::Group(_) | Stand::Case(..)) => unreachable!("a state follows its plan"),
        }
    }

    fn push(&mut self, path: &str, step: &Step, status: &'static str, attempt: Option<Attempt>) {
        let is_open = matches!(status, "pending" | "active" | "retrying");
        let status = if is_open && self.is_over { "cancelled" } else { status };
        let id = TaskId::new(path).unwrap_or_else(|_| unreachable!("{path:?} is made of ids and numbers"));
        let (agent, workflow) = (step.agent().cloned(), step.workflow().cloned());
        self.all.push(TaskView { id, agent, workflow, status, attempt });
    }
}
