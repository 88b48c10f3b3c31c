use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of a run when a task of it failed for good and nothing in the definition makes up for that: no `on_failure`
/// of the task or of what it belongs to, and no `tolerate` of a loop around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// It fails.
    #[default]
    Fail,
    /// It goes on without: the output of the failed task is null.
    Continue,
    /// It is paused, until somebody has the task tried again, perhaps with another input, or cancels the run.
    Pause,
    /// The task is tried again, so many times more than its `retry` says, whatever its error was; each after the longest pause
    /// of its `retry`. Then the run fails.
    Retry(#[schemars(range(min = 1, max = 100))] u32),
}
