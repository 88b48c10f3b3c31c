use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{Digest, RequestId};
use crate::name::{Capability, TaskId};
use crate::payload::{Parent, TakenOver};

/// Data of `workflow.started`: the first event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowStarted {
    /// Digest of the definition that the run follows to its end.
    pub digest: Digest,
    /// Version of the rules by which the run is folded.
    pub rules: u32,
    /// Input of the run; not here if the event's `dataref` ends in `#/input`, but there.
    pub input: Value,
    /// What the request put in place of values of the definition's `config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
    /// The request that started it.
    pub request: RequestId,
    /// For a directly requested task: its capability. The run then has this one task, named `task`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<Capability>,
    /// For a run that a task of another run started: that task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// For a run that does another again in part: what it takes over; not here if the event's `dataref` ends in
    /// `#/taken_over`, but there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over: Option<TakenOver>,
    /// Tasks before which it is paused, beside those of which the definition says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pause_before: Vec<TaskId>,
}

/// Data of `workflow.checkpointed`: how a run stood after some event. It is a cache of the log up to there, written by
/// an orchestrator for orchestrators: whoever leaves it out of account sees the same run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowCheckpointed {
    /// Sequence in the log of the last event that it knows; everything that was decided up to there is stored.
    pub upto: u64,
    /// Version of the rules that its writer follows. Readers with others do not use it.
    pub rules: u32,
    /// Digest of the state.
    pub digest: Digest,
    /// The state, for orchestrators; absent if it is too large for an event and stands in the object of the run that
    /// has this digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// How many tasks of a run ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskCounts {
    /// Completed.
    pub done: u32,
    /// Failed for good.
    pub failed: u32,
    /// Not run, because of a condition or of a skipped need.
    pub skipped: u32,
    /// Open or not yet begun when the run ended.
    #[serde(default)]
    pub cancelled: u32,
}

/// Data of `workflow.completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowCompleted {
    /// Output of the run; not here if the event's `dataref` ends in `#/output`, but there.
    pub output: Value,
    /// Milliseconds from the store time of `started` to that of the last event.
    pub duration_ms: u64,
    /// How its tasks ended.
    pub tasks: TaskCounts,
}

/// Data of `workflow.failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowFailed {
    /// Why.
    pub error: RunError,
    /// The task that failed, if it was a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// Milliseconds from the store time of `started` to that of the last event.
    pub duration_ms: u64,
    /// How its tasks ended.
    pub tasks: TaskCounts,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunError {
    /// Stable and short, for programs; the failed task's own code where a task failed.
    pub code: String,
    /// For people.
    pub message: String,
}

/// Data of `workflow.cancelled`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowCancelled {
    /// Why, as the canceller said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Milliseconds from the store time of `started` to that of the last event.
    pub duration_ms: u64,
    /// How its tasks ended.
    pub tasks: TaskCounts,
}

/// Data of `workflow.paused`: nothing new is begun until the run is resumed. What agents are at goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowPaused {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The task before which it stands, or that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
}

/// Data of `workflow.resumed`: the run goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowResumed {}

/// Data of `workflow.signalled` for the signal `retry`: work that failed and paused its run is tried again, and the run goes
/// on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RetrySignal {
    /// The task; all that failed if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// Its input from now on, in place of what the definition makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

/// Data of `workflow.signalled` for the signals `cancel` and `pause`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelSignal {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
