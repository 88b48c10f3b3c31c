use std::collections::BTreeMap;

use mesh_schemas::TaskId;
use serde_json::Value;

/// What an expression can see.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Input of the run, `input`.
    pub input: &'a Value,
    /// Outputs of the tasks that have ended, `tasks.<id>.output`. A task that is not here has the output null.
    pub outputs: &'a BTreeMap<TaskId, Value>,
    /// The run itself, `run`: `id`, `workflow`, `correlation_id`, `started_at`.
    pub run: &'a Value,
    /// What the agent returned, `result`; only for a task's own output. Null elsewhere.
    pub result: Option<&'a Value>,
}
