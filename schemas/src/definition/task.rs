use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::adaptive::Adaptive;
use super::duration::Span;
use super::is_default;
use super::merge::Merge;
use super::planner::Planner;
use super::quota::Quota;
use crate::id::Digest;
use crate::name::{Capability, TaskId, WorkflowName};

/// One task of a workflow: what is to be done, how often, and when.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// What is to be done.
    #[serde(flatten)]
    pub body: Body,
    /// Does it for each item of a list or of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreach: Option<Foreach>,
    /// Does it again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// Tasks that must have ended first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<TaskId>,
    /// How many of them must have ended.
    #[serde(default, skip_serializing_if = "is_default")]
    pub join: Join,
    /// Condition, a CEL expression with or without `${…}`; the task is skipped if it is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What becomes of the task when one of its needs was skipped.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_skipped: OnSkipped,
    /// What becomes of the run when the task failed for good.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_failure: OnFailure,
    /// Pauses the run when everything is there for the task to begin.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pause_before: bool,
}

/// What is to be done: exactly one of `agent`, `workflow`, `tasks`, `switch` and `merge`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Body {
    /// The capability that an agent must have to do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Capability>,
    /// What the agent is to do, for agents that can do several things.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The workflow of which a run is started: a run of its own, whose end is the outcome of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowName>,
    /// The version of `workflow`, by its digest; without it, the one that is applied when the run starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Digest>,
    /// Whether the task waits for the end of the run that it starts, as it does if nothing is said. With `false` it is done
    /// as soon as the run has started, and returns `{"run": "<id>"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
    /// Input for the agent, or of the run, with `${…}` over `input`, `tasks.<id>.output` of what has ended before, `run`, and what
    /// loops around bring along, and `${secret("name")}`, which the agent puts in. Without it, the item of the loop around, or
    /// else the input of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Value>,
    /// How failed attempts are repeated; each attempt of a `workflow` is another run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry: Retry,
    /// Longest time that one execution may take, from the start of the handler; for a `workflow`, that the run may take, from
    /// when it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// The agent plans: what it returns are tasks that are done in place of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Planner>,
    /// A group: tasks that are done in place of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<BTreeMap<TaskId, Task>>,
    /// The first case whose condition holds is done; none of them, and the task is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch: Option<Vec<Case>>,
    /// Makes one output of those of the tasks that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<Merge>,
    /// Output: for an agent or a workflow with `${…}` over `result` (what it returned, or what its plan came to) and all that
    /// `with` may use, without it that result itself; for a group as the output of a workflow. A switch has that of its case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// JSON Schema (2020-12): what the agent returned must follow it, and for a group its output, or else the task fails for
    /// good with the code `invalid_output`. It refers to itself only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
}

/// One case of a `switch`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Condition, a CEL expression with or without `${…}`. Only the last case may go without: it is done when no other is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What is to be done.
    #[serde(flatten)]
    pub body: Body,
}

/// For each item of a list, or of an object in the order of its keys. Expressions see it as `item`, its place from 0 as
/// `index` and, for an object, its key as `key`. The output is the list of all outputs, or an object with the same keys; in
/// place of what failed stands `{"error": {"code", "message"}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Foreach {
    /// The list or object, as one `${…}` or written out.
    #[serde(rename = "in")]
    pub items: Value,
    /// How many are under way at a time at most; all if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_parallel: Option<u32>,
    /// Chooses how many are under way at a time when the loop begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<Adaptive>,
    /// How many items there may be: the task fails with the code `too_many_items` if there are more. 10 000 if nothing is
    /// said, at most 100 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_items: Option<u32>,
    /// How many items may fail, as a number or as a share of all, before the task fails with the code `too_many_failures`.
    /// None if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerate: Option<Quota>,
}

/// Again and again, one iteration after the other. Expressions see the number of the iteration from 1 as `iteration`, and
/// the output of the one before as `previous`, null in the first. The output is that of the last one; those of all are
/// `tasks.<id>.iterations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// Condition to end, a CEL expression with or without `${…}` over `result` (the output of the iteration that has just
    /// ended) and what the iteration could use.
    pub until: String,
    /// How many iterations there are at most.
    #[schemars(range(min = 1, max = 10_000))]
    pub max: u32,
    /// What becomes of the task when the condition does not hold after the last of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_max: OnMax,
}

/// What becomes of a `repeat` whose condition never held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMax {
    /// The task fails with the code `repeat_exhausted`.
    #[default]
    Fail,
    /// The task is done, with the output of the last iteration.
    Continue,
}

/// How many of the tasks that a task needs must have ended before it begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// All of them.
    #[default]
    All,
    /// One that went well. The output of those that have not ended is null.
    Any,
    /// Enough that went well.
    #[serde(untagged)]
    Quorum(Quorum),
}

/// Enough of the tasks that are needed. If all have ended and too few went well, the task fails with the code
/// `quorum_missed`. The others go on, and what they come to is recorded; when everything else has ended they are given up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// How many must have gone well, as a number or as a share of all.
    pub quorum: Quota,
    /// How long it waits for the others once there are enough. Not at all if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<Span>,
    /// How long it waits for enough of them, from the beginning of the first: then it begins if there are enough, or else
    /// fails with the code `quorum_missed`. As long as the run lasts if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// What the task belongs to fails: the group, or else the run.
    #[default]
    Fail,
    /// All goes on; the failed task's output is null.
    Continue,
    /// This task is done, which nobody else needs to wait for: its output stands in place of that of the failed one. It is
    /// skipped if the other does not fail.
    Task(TaskId),
}
