//! How a run stands, as its log tells: what `runs show` prints and `runs watch` follows.

mod fold;
mod lost;
mod past;
mod progress;
mod read;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use mesh_bus::RunOutcome;
use mesh_core::{Plan, Run};
use mesh_schemas::payload::{Parent, RunError, TaskCounts, WorkflowPaused};
use mesh_schemas::{
    AgentId, Attempt, Capability, Digest, Namespace, RequestId, RunId, Shards, TaskId, WorkflowName,
};
use serde::Serialize;
use serde_json::{Map, Value};

use lost::Results;
pub(crate) use past::Past;
pub(crate) use progress::Progress;
use progress::top;
pub(crate) use read::{RunReader, data, ended, registered, run_filters, task_notes};
pub(crate) use task::{AttemptState, Served, TaskState, Waiting, has_ended, rank};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunStatus {
    Running,
    Paused,
    Completed,
    Failed,
    Cancelled,
}

impl RunStatus {
    /// Whether the run has not ended.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A run and its tasks.
#[derive(Serialize)]
pub(crate) struct RunState {
    pub(crate) run: RunId,
    #[serde(flatten)]
    pub(crate) target: RunTarget,
    pub(crate) status: RunStatus,
    pub(crate) started: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) duration_ms: Option<u64>,
    /// When it ends whatever happens.
    pub(crate) deadline: DateTime<Utc>,
    /// The definition that it follows.
    pub(crate) digest: Digest,
    /// The request that it is for.
    pub(crate) request: RequestId,
    /// The task of another run that it was started for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<Parent>,
    /// The run that it does again in part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rerun: Option<Rerun>,
    pub(crate) correlation_id: String,
    pub(crate) input: Value,
    /// What the request put in place of values of the workflow's `config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<Map<String, Value>>,
    /// Why its input cannot be had any more, if it cannot; null stands in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input_lost: Option<String>,
    /// Why what it takes over from another run cannot be had any more, if it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) taken_over_lost: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<Value>,
    /// Why its output cannot be had any more, if it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output_lost: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<RunError>,
    /// Why it was cancelled, if somebody said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Why it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) paused: Option<WorkflowPaused>,
    /// How far it is, if it has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) progress: Option<Progress>,
    /// How many tasks stand how.
    pub(crate) counts: Counts,
    /// By id; what belongs to a task behind it.
    pub(crate) tasks: Vec<TaskState>,
    /// Where each task is.
    #[serde(skip)]
    places: BTreeMap<TaskId, usize>,
    /// Whether it was moved from the log to its history.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) archived: bool,
    /// How many events came after that. They are kept, and nothing follows from them.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) late: usize,
    /// Whether its events are gone, so that only its beginning and its end are known: of its tasks, how many ended
    /// how.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) events_gone: bool,
    #[serde(skip)]
    pub(crate) outcome: Option<RunOutcome>,
    /// Whether it ended by what its end says, and not by the events before that.
    #[serde(skip)]
    is_unexplained: bool,
    #[serde(skip)]
    fold: Run,
    #[serde(skip)]
    plan: Arc<Plan>,
    /// How long its tasks took in an earlier run.
    #[serde(skip)]
    pub(crate) past: Option<Past>,
    /// Who took attempts that the log has not led to yet: notes may be read ahead of it.
    #[serde(skip)]
    early: BTreeMap<(TaskId, Attempt), (AgentId, DateTime<Utc>)>,
    /// What the ids of runs that it starts come from.
    #[serde(skip)]
    namespace: Namespace,
    #[serde(skip)]
    shards: Shards,
    #[serde(skip)]
    results: Results,
}

impl RunState {
    pub(crate) fn is_paused(&self) -> bool {
        self.status == RunStatus::Paused
    }

    /// The tasks of the workflow itself in which anything failed, in the order of their ids: also those that went well all the
    /// same.
    pub(crate) fn failed(&self) -> Vec<TaskId> {
        let failed = self.tasks.iter().filter(|task| task.status == "failed");
        let tasks: BTreeSet<TaskId> = failed.filter_map(|task| top(&task.id)).collect();
        tasks.into_iter().filter(|task| self.plan.has_task(task)).collect()
    }

    /// The tasks that a task of the workflow waits for before it begins, in the order of the definition.
    pub(crate) fn needs(&self, task: &TaskId) -> Vec<TaskId> {
        self.plan.definition.tasks.get(task).map(|task| task.needs.clone()).unwrap_or_default()
    }

    /// The tasks that failed for good and can be tried again.
    pub(crate) fn stuck(&self) -> Vec<TaskId> {
        self.fold.stuck()
    }
}

/// What a run does again.
#[derive(Serialize)]
pub(crate) struct Rerun {
    /// The other run.
    pub(crate) of: RunId,
    /// The tasks whose outputs are taken over from there.
    pub(crate) taken_over: Vec<TaskId>,
}

/// Said of a run whose events are gone.
pub(crate) const EVENTS_GONE: &str = "its events are gone, as the oldest histories are dropped where --history-limit is \
                                      reached: only its beginning and its end are known";

/// How many tasks of a run stand how, by status.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Counts(BTreeMap<&'static str, usize>);

impl Counts {
    fn of(tasks: &[TaskState]) -> Self {
        let mut counts = Self::default();
        tasks.iter().for_each(|task| counts.add(task.status));
        counts
    }

    /// As the end of the run tells.
    fn told_by(outcome: &RunOutcome) -> Option<Self> {
        let TaskCounts { done, failed, skipped, cancelled } = match outcome {
            RunOutcome::Completed(completed) => completed.tasks,
            RunOutcome::Failed(failed) => failed.tasks,
            RunOutcome::Cancelled(cancelled) => cancelled.tasks,
            RunOutcome::Rejected(_) => return None,
        };
        let all = [("done", done), ("failed", failed), ("skipped", skipped), ("cancelled", cancelled)];
        let told = all.into_iter().filter(|(_, count)| *count > 0);
        Some(Self(told.map(|(status, count)| (status, count as usize)).collect()))
    }

    fn add(&mut self, status: &'static str) {
        *self.0.entry(status).or_default() += 1;
    }

    fn change(&mut self, from: &'static str, to: &'static str) {
        if let Some(count) = self.0.get_mut(from) {
            *count -= 1;
        }
        self.0.retain(|_, count| *count > 0);
        self.add(to);
    }

    /// How many have ended.
    pub(crate) fn ended(&self) -> usize {
        let ended = self.0.iter().filter(|(status, _)| has_ended(status));
        ended.map(|(_, count)| count).sum()
    }
}

impl std::fmt::Display for Counts {
    /// As in `3 done, 1 active`, those first that matter most.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut counts: Vec<_> = self.0.iter().collect();
        counts.sort_by_key(|(status, _)| rank(status));
        let counts: Vec<String> = counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
        f.pad(&counts.join(", "))
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What a run is of: a workflow, or the one task that was asked for.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RunTarget {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workflow: Option<WorkflowName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) capability: Option<Capability>,
}

impl std::fmt::Display for RunTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.workflow, &self.capability) {
            (Some(workflow), _) => f.pad(workflow.as_str()),
            (None, Some(capability)) => f.pad(&format!("call {capability}")),
            (None, None) => f.pad("-"),
        }
    }
}
