//! How a run stands, as its log tells: what `runs show` prints and `runs watch` follows.

mod fold;
mod read;
mod task;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use mesh_bus::RunOutcome;
use mesh_core::{Plan, Run};
use mesh_schemas::payload::RunError;
use mesh_schemas::{AgentId, Attempt, Capability, Digest, RequestId, RunId, TaskId, WorkflowName};
use serde::Serialize;
use serde_json::Value;

pub(crate) use read::{RunReader, data, ended, registered, run_filters, task_notes};
pub(crate) use task::{AttemptState, Served, TaskState, Waiting};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunStatus {
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl RunStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
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
    pub(crate) correlation_id: String,
    pub(crate) input: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<RunError>,
    /// Why it was cancelled, if somebody said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// By id.
    pub(crate) tasks: Vec<TaskState>,
    /// Whether it was moved from the log to its history.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) archived: bool,
    /// How many events came after that. They are kept, and nothing follows from them.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) late: usize,
    #[serde(skip)]
    pub(crate) outcome: Option<RunOutcome>,
    #[serde(skip)]
    fold: Run,
    #[serde(skip)]
    plan: Arc<Plan>,
    /// Who took attempts that the log has not led to yet: notes may be read ahead of it.
    #[serde(skip)]
    early: BTreeMap<(TaskId, Attempt), (AgentId, DateTime<Utc>)>,
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
