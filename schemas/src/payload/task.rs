use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{Attempt, Digest};
use crate::name::{AgentId, SecretName, TaskId};

/// Data of `task.created`: work for an agent. Run, task and attempt are also in the subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskCreated {
    /// Name of the workflow; `-` for a directly requested task.
    pub workflow: String,
    /// Digest of the definition that the run is pinned to.
    pub digest: Digest,
    /// The task.
    pub task: TaskId,
    /// Which try, from 1.
    pub attempt: Attempt,
    /// What the agent is to do, for agents that can do several things.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The input of the task; not here if the event's `dataref` ends in `#/input`, but there.
    pub input: Value,
    /// Secrets that the agent is to put into the input before it does the task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretUse>,
    /// Longest time in milliseconds that one execution may take, from the start of the handler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// When the run ends whatever happens: nothing started after that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DateTime<Utc>>,
    /// Store time of the event that led to the task; an old one is a reason to look whether it is still wanted.
    pub basis: DateTime<Utc>,
    /// The same for every attempt of the task and for no other task: pass it on to what must not happen twice.
    pub idempotency_key: String,
}

/// A secret that the input of a task refers to. In the text at `at` stands `${secret("<name>")}`, once or more often: the agent
/// puts the value in its place. The value is in no event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretUse {
    /// Where in the input the text stands, as a JSON pointer (RFC 6901).
    pub at: String,
    /// Name of the secret.
    pub name: SecretName,
}

impl SecretUse {
    /// What stands in the text in place of a secret.
    #[must_use]
    pub fn placeholder(name: &SecretName) -> String {
        format!("${{secret(\"{name}\")}}")
    }
}

/// Data of `task.completed`: the outcome of an attempt that went well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskCompleted {
    /// The result; not here if the event's `dataref` ends in `#/output`, but there.
    pub output: Value,
    /// How good the agent holds the result to be, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub quality: Option<f64>,
    /// What the work consumed (tokens, money…), for whoever adds it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Value>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
}

/// Data of `task.failed`: the outcome of an attempt that did not go well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskFailed {
    /// What went wrong.
    pub error: TaskError,
    /// Who tried it; absent when the orchestrator gave the attempt up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskError {
    /// Stable and short, for programs.
    pub code: String,
    /// For people.
    pub message: String,
    /// Whether another attempt may go better. An error that does not say is retryable.
    #[serde(default = "yes")]
    pub retryable: bool,
    /// Seconds to wait at least before the next attempt, as in HTTP's `Retry-After`; more than a day is a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub retry_after: Option<f64>,
}

fn yes() -> bool {
    true
}

/// Data of `task.assigned`: an agent took an attempt. Advisory: it is not part of a run's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskAssigned {
    /// Who took it.
    pub agent: AgentId,
    /// Which delivery of the attempt, from 1.
    pub delivery: u64,
}

/// Data of `task.routed`: how many items of a loop are under way at a time, where that depends on what agents could take on
/// when it began. The first that is stored counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskRouted {
    /// Why so many.
    pub mode: Mode,
    /// How many are under way at a time at most.
    #[schemars(range(min = 1))]
    pub width: u32,
    /// How complex the work is, from 0 to 1.
    pub complexity: f64,
    /// How much its parts depend on each other, from 0 to 1.
    pub dependency: f64,
    /// How many more tasks agents of the scarcest capability could take.
    pub free: u32,
    /// How many tasks these agents run at once.
    pub capacity: u64,
}

/// Why a loop is as wide as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The work is complex, and most agents are idle.
    Parallel,
    /// Its parts depend on each other.
    Sequential,
    /// Neither.
    Usual,
}

/// Data of `task.released`: an agent gave a delivery back in order, without an outcome. Advisory: it is not part of a
/// run's log, but it keeps the attempt from being taken for poison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskReleased {
    /// Who gave it back.
    pub agent: AgentId,
    /// Which delivery of the attempt, from 1.
    pub delivery: u64,
    /// How many earlier deliveries of the attempt had neither an outcome nor a release: agents that died, or were
    /// silent for too long.
    pub lost: u64,
}

/// Data of `task.progress`, over core NATS only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskProgress {
    /// Who is at work.
    pub agent: AgentId,
    /// How far it is, from 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub progress: f64,
    /// What it is doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
