//! What a paused run keeps back.

use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::payload::TaskCreated;
use mesh_schemas::{Attempt, Capability, Lane, RunId, TaskId, TaskKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::view::TaskView;
use crate::decision::{Action, Child, Route};

/// What a run keeps back while it is paused, what people told it, and what it does otherwise than another run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hold {
    /// Nothing new is begun.
    pub(super) is_paused: bool,
    /// How often it was paused.
    #[serde(default)]
    pub(super) pauses: u64,
    /// What would have been begun meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) back: Vec<Kept>,
    /// Work that failed for good and that somebody may have tried again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) stuck: BTreeSet<TaskId>,
    /// Tasks that went otherwise than in the run that this one does again: what needs them is not taken over.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) otherwise: BTreeSet<TaskId>,
    /// Inputs that people gave to tasks, in place of those that the definition makes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) inputs: BTreeMap<TaskId, Value>,
}

/// Something that would have been begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Kept {
    Work(Capability, Box<TaskCreated>),
    Child(Capability, Box<Child>),
    Choice(TaskId, Box<Route>),
}

impl Hold {
    /// Keeps something back, if the run is paused and it is one that begins something; else gives it back.
    pub(super) fn keep(&mut self, action: Action) -> Option<Action> {
        match action {
            Action::Create(key, data) if self.is_paused => self.back.push(Kept::Work(key.capability, data)),
            Action::StartChild(key, child) if self.is_paused => {
                self.back.push(Kept::Child(key.capability, child));
            }
            Action::Route(task, route) if self.is_paused => self.back.push(Kept::Choice(task, route)),
            action => return Some(action),
        }
        None
    }

    /// Takes back what was kept of tasks that are given up; these.
    pub(super) fn take_back(&mut self, belongs: impl Fn(&TaskId) -> bool) -> Vec<TaskId> {
        if self.back.is_empty() {
            return Vec::new();
        }
        let (gone, back) = std::mem::take(&mut self.back).into_iter().partition(|kept| belongs(kept.task()));
        self.back = back;
        let gone: Vec<Kept> = gone;
        gone.iter().map(|kept| kept.task().clone()).collect()
    }

    /// Tells of tasks whose work is kept back that it is.
    pub(super) fn mark(&self, views: &mut [TaskView]) {
        if self.back.is_empty() {
            return;
        }
        let held: BTreeSet<&TaskId> = self.back.iter().map(Kept::task).collect();
        for view in views.iter_mut().filter(|view| view.attempt.is_some() && held.contains(&view.id)) {
            view.status = "held";
        }
    }
}

impl Kept {
    pub(super) fn task(&self) -> &TaskId {
        match self {
            Self::Work(_, data) => &data.task,
            Self::Child(_, child) => &child.parent.task,
            Self::Choice(task, _) => task,
        }
    }

    /// The attempt, of what is tried more than once.
    pub(super) fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::Work(_, data) => Some(data.attempt),
            Self::Child(_, child) => Some(child.parent.attempt),
            Self::Choice(..) => None,
        }
    }

    /// What is to be stored, now that the run goes on.
    pub(super) fn action(self, run: RunId, now: chrono::DateTime<chrono::Utc>) -> Action {
        match self {
            Self::Work(capability, mut data) => {
                data.basis = now;
                let (lane, task, attempt) = (Lane::Normal, data.task.clone(), data.attempt);
                Action::Create(TaskKey { capability, lane, run, task, attempt }, data)
            }
            Self::Child(capability, child) => {
                let (lane, task, attempt) = (Lane::Normal, child.parent.task.clone(), child.parent.attempt);
                Action::StartChild(TaskKey { capability, lane, run, task, attempt }, child)
            }
            Self::Choice(task, route) => Action::Route(task, route),
        }
    }
}
