use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::RunId;
use crate::name::TaskId;

/// Which run a request has done again, and from where on: the extensions `rerunof` and `rerunfrom` of `workflow.requested`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rerun {
    /// The run; it must have ended.
    pub of: RunId,
    /// Tasks of the workflow itself that are done again, with all that follows from them; what did not go well is in any case.
    pub from: Vec<TaskId>,
}

/// What a run takes over from another, which it does again in part: part of the data of its `workflow.started`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TakenOver {
    /// The other run.
    pub run: RunId,
    /// The tasks that are not done again, unless something that they need goes otherwise now.
    pub tasks: BTreeMap<TaskId, Taken>,
    /// The tasks that were skipped.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub skipped: BTreeSet<TaskId>,
}

/// What became of a task in an earlier run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Taken {
    /// Its output.
    pub output: Value,
    /// The outputs of its iterations, if the workflow asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iterations: Option<Value>,
    /// How good and how fast it was, for orchestrators, if the workflow asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measures: Option<Value>,
}
