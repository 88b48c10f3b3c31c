use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{Attempt, Digest, RequestId, RunId, Shards};
use crate::name::{Lane, Namespace, SignalId, TaskId, WorkflowName};
use crate::subject::TaskKey;

/// How deep runs may stand in one another: a run that a client asks for has depth 0. It bounds a workflow that starts itself
/// without an end: each level is a run of its own, and people must be able to follow them.
pub const MAX_RUN_DEPTH: u32 = 16;

/// Data of `workflow.called`: a run asks for another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowCalled {
    /// Input of the run that is asked for; not here if the event's `dataref` ends in `#/input`, but there.
    pub input: Value,
    /// The task that the run is for. Run, task and attempt are also in the subject.
    pub parent: Parent,
}

/// The task of another run that a run is started for: part of the data of its `workflow.started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Parent {
    /// The run with the task.
    pub run: RunId,
    /// Name of the workflow of that run.
    pub workflow: String,
    /// The task.
    pub task: TaskId,
    /// Which try of the task, from 1.
    pub attempt: Attempt,
    /// How many runs stand around the one that is started, one within the other: 1 if the run with the task was not itself
    /// started for a task. At most 16.
    pub depth: u32,
    /// Whether the task waits for the end of the run, which then is its outcome.
    pub wait: bool,
    /// The definition that the run is to follow; without one, that which is applied when it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Digest>,
    /// When the run ends whatever happens, if its own timeout is not over before. By the server's clock, as the times in the log
    /// are. A run that is not waited for may have none but its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DateTime<Utc>>,
}

impl Parent {
    /// The attempt that a run of this workflow is started for.
    #[must_use]
    pub fn key(&self, workflow: &WorkflowName) -> TaskKey {
        TaskKey {
            capability: workflow.into(),
            lane: Lane::Normal,
            run: self.run,
            task: self.task.clone(),
            attempt: self.attempt,
        }
    }
}

/// The run that an attempt of a task starts, if it starts one: the token for its capability is then the name of the workflow.
#[must_use]
pub fn child_run(namespace: &Namespace, shards: Shards, key: &TaskKey) -> RunId {
    let request = child_request(namespace, key.run, &key.task, key.attempt);
    RunId::for_request(&format!("workflow.{}", key.capability), &request, shards)
}

/// The request for the run that an attempt of a task starts: the same for every orchestrator, and another one for every
/// attempt.
#[must_use]
pub fn child_request(namespace: &Namespace, run: RunId, task: &TaskId, attempt: Attempt) -> RequestId {
    RequestId { source: format!("/{namespace}/runs/{run}"), id: format!("{task}.{attempt}") }
}

/// Id of the signal by which a run cancels one that it started. There is one such run, and so one such signal.
#[must_use]
pub fn parent_signal() -> SignalId {
    SignalId::new("parent").unwrap_or_else(|_| unreachable!("a valid id"))
}
