use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Span;
use super::is_default;
use super::task::Task;
use crate::name::TaskId;

/// Tasks that are done when it is decided how a run ends, whatever that is: to clean up, or to tell. Expressions see
/// `run.outcome`, `{status, error}` with the status `completed`, `failed` or `cancelled`, and the tasks of the run. Their ids
/// begin with `finally:`. If one of them fails for good, a run that would have completed fails.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finally {
    /// The tasks by id.
    pub tasks: BTreeMap<TaskId, Task>,
    /// How long they may take in all, beyond the time of the run. 5 minutes if nothing is said.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout: Option<Span>,
}
