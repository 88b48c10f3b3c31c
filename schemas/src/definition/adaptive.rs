use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many items are under way at a time is chosen once, when the loop begins, from the shape of the work and from how many
/// tasks agents could take on right now: all that are free, but at most `max_parallel` (5), if the work is complex (over 0.8)
/// and most of the agents are idle (over 0.7); one after the other if it is interdependent (over 0.6); else 3. The choice and
/// what it was made from stand in the log, in `task.routed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Adaptive {
    /// How complex the work is, from 0 to 1: a number or one `${…}` that gives one.
    pub complexity: Value,
    /// How much its parts depend on each other, from 0 to 1: a number or one `${…}` that gives one. 0 if nothing is said.
    #[serde(default = "nothing", skip_serializing_if = "is_nothing")]
    pub dependency: Value,
}

pub(super) fn nothing() -> Value {
    Value::from(0)
}

fn is_nothing(value: &Value) -> bool {
    *value == nothing()
}
