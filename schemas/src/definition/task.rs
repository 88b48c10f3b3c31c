use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::duration::Span;
use crate::name::{Capability, TaskId};

/// One task of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The capability that an agent must have to do it.
    pub agent: Capability,
    /// What the agent is to do, for agents that can do several things.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Tasks that must have ended first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<TaskId>,
    /// Condition, a CEL expression with or without `${…}`; the task is skipped if it is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What becomes of the task when one of its needs was skipped.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_skipped: OnSkipped,
    /// Input of the task, with `${…}` over `input`, `tasks.<id>.output` of its needs, and `run`. Without it, the
    /// input of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Value>,
    /// Output of the task, with `${…}` over `result` (what the agent returned) and all that `with` may use.
    /// Without it, what the agent returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// How failed attempts are repeated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry: Retry,
    /// Longest time that one execution may take, from the start of the handler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What becomes of the run when the task failed for good.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_failure: OnFailure,
}

/// How failed attempts are repeated: after attempt n, a pause of `initial` × `factor`ⁿ⁻¹, at most `max`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Attempts in all, the first included: 1 to 1 000.
    #[schemars(range(min = 1, max = 1000))]
    pub max_attempts: u32,
    /// Pause after the first failed attempt; none if it is `0s`.
    pub initial: Span,
    /// How much longer each further pause is: 1 to 100.
    #[schemars(range(min = 1.0, max = 100.0))]
    pub factor: f64,
    /// Longest pause.
    pub max: Span,
    /// Share of a pause, from 0 to 1, that is taken off by chance, so that many retries do not come at once. The
    /// chance is a function of run, task and attempt.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
    /// Error codes that are not worth another attempt, whatever the agent says.
    pub fatal_on: Vec<String>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial: Span::from_secs(1),
            factor: 2.0,
            max: Span::from_secs(30),
            jitter: 0.2,
            fatal_on: Vec::new(),
        }
    }
}

/// What becomes of a task when one of its needs was skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnSkipped {
    /// It is skipped too.
    #[default]
    Skip,
    /// It runs; the skipped task's output is null.
    Run,
}

/// What becomes of a run when one of its tasks failed for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The run fails.
    #[default]
    Fail,
    /// The run goes on; the failed task's output is null.
    Continue,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
