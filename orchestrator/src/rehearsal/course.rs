use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use mesh_bus::RunOutcome;
use mesh_core::Run;
use mesh_schemas::payload::TaskCreated;
use mesh_schemas::{TaskId, TaskKey};

/// Work that a run has asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Which attempt of which task, and who can do it.
    pub key: TaskKey,
    /// What the agent is given.
    pub created: TaskCreated,
    /// When it was asked for.
    pub at: DateTime<Utc>,
}

/// How a run went.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// How it ended; `None` if it has not.
    pub outcome: Option<RunOutcome>,
    /// Time from its beginning to its end, if it has ended.
    pub took: Option<TimeDelta>,
    /// How each task stands.
    pub tasks: BTreeMap<TaskId, TaskCourse>,
}

/// How a task of a run went.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskCourse {
    /// As in [`mesh_core::TaskView`]: `done`, `failed`, `skipped`, `cancelled`, or how it stands in a run that goes on.
    pub status: &'static str,
    /// Its attempts, in order.
    pub attempts: Vec<Work>,
}

impl Course {
    pub(super) fn new(run: &Run, work: &[Work], end: Option<(RunOutcome, DateTime<Utc>)>) -> Self {
        let views = run.tasks().into_iter();
        let mut tasks: BTreeMap<_, _> =
            views.map(|view| (view.id, TaskCourse { status: view.status, attempts: Vec::new() })).collect();
        for work in work {
            if let Some(task) = tasks.get_mut(&work.key.task) {
                task.attempts.push(work.clone());
            }
        }
        let (outcome, at) = end.unzip();
        Self { outcome, took: at.map(|at| at - run.header.started_at), tasks }
    }
}

impl TaskCourse {
    /// Whether nothing more becomes of the task.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.status, "done" | "failed" | "skipped" | "cancelled")
    }
}

/// The word for how a run ended: `completed`, `failed`, `cancelled` or `rejected`.
#[must_use]
pub fn outcome_name(outcome: &RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Completed(_) => "completed",
        RunOutcome::Failed(_) => "failed",
        RunOutcome::Cancelled(_) => "cancelled",
        RunOutcome::Rejected(_) => "rejected",
    }
}
