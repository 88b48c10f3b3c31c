//! Workflow definitions, version 1: one model that is written as YAML by people, sent as JSON, and built in Rust.

mod adaptive;
mod builder;
mod duration;
mod finally;
mod merge;
mod parse;
mod planner;
mod quota;
mod recovery;
mod task;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use adaptive::Adaptive;
pub use builder::{DefinitionBuilder, TaskBuilder};
pub use duration::{DurationError, Span};
pub use finally::Finally;
pub use merge::{Merge, MergeBy, Weights};
pub use parse::{Graph, Reading, graph, parse, read};
pub use planner::{Limits, Planner};
pub use quota::{Quota, QuotaError};
pub use recovery::Recovery;
pub use task::{Body, Case, Foreach, Join, OnFailure, OnMax, OnSkipped, Quorum, Repeat, Retry, Task};

use crate::id::Digest;
use crate::name::{Capability, NameError, TaskId, WorkflowName};

/// Longest time that a run takes when its definition says nothing: 24 hours.
pub const DEFAULT_RUN_TIMEOUT: Span = Span::from_secs(24 * 60 * 60);

/// Version of the definition format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Version {
    /// The first and only one.
    #[default]
    #[serde(rename = "v1")]
    V1,
}

/// A workflow: tasks, what each needs, and how data flows between them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Version of the format.
    pub mesh: Version,
    /// Name of the workflow.
    pub name: WorkflowName,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema (2020-12) that the input of a run must follow. Without one, every input is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// Configuration: values that expressions see as `config`, and in whose place a request may put others of the same kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
    /// Output of a run, with `${…}` over `input`, `tasks.<id>.output` and `run`. Without one, an object with
    /// the output of each task that no other task needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// JSON Schema (2020-12) that the output must follow, or else the run fails with the code `invalid_output`. It refers to
    /// itself only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Longest time that a run may take; 24 hours if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What becomes of a run when a task failed and nothing makes up for that.
    #[serde(default, skip_serializing_if = "is_default")]
    pub recovery: Recovery,
    /// The tasks by id.
    pub tasks: BTreeMap<TaskId, Task>,
    /// What is done when it is decided how a run ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally: Option<Finally>,
}

impl Definition {
    /// Begins a definition in Rust.
    ///
    /// # Errors
    /// [`NameError`] if the name cannot be one.
    pub fn builder(name: &str) -> Result<DefinitionBuilder, NameError> {
        DefinitionBuilder::new(name)
    }

    /// The definition that a directly requested task runs by: the one task `task`, whose input and output are
    /// those of the run.
    #[must_use]
    pub fn single_task(capability: &Capability) -> Self {
        builder::single_task(capability)
    }

    /// The definition as canonical JSON: keys sorted, no white space, absent keys left out. The digest is made of
    /// this text, so two spellings of one definition have one digest.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        let Self {
            mesh,
            name,
            description,
            input,
            config,
            output,
            output_schema,
            timeout,
            recovery,
            tasks: _,
            finally,
        } = self;
        // Task by task, so that a long definition is not held three times over.
        let head = Self {
            mesh: *mesh,
            name: name.clone(),
            description: description.clone(),
            input: input.clone(),
            config: config.clone(),
            output: output.clone(),
            output_schema: output_schema.clone(),
            timeout: *timeout,
            recovery: *recovery,
            tasks: BTreeMap::new(),
            finally: finally.clone(),
        };
        // Every key is a string and every number finite, so writing cannot fail.
        let Ok(Value::Object(head)) = serde_json::to_value(&head).map(sorted) else { return String::new() };
        let mut text = String::from("{");
        for (key, value) in &head {
            let value = if key == "tasks" { self.canonical_tasks() } else { value.to_string() };
            entry(&mut text, key, &value);
        }
        text.push('}');
        text
    }

    fn canonical_tasks(&self) -> String {
        let mut text = String::from("{");
        for (id, task) in &self.tasks {
            let task = serde_json::to_value(task).map(sorted).unwrap_or_default();
            entry(&mut text, id.as_str(), &task.to_string());
        }
        text.push('}');
        text
    }

    /// The work for agents in it, and the runs that it starts, each with the id of its task behind those of the groups around, without numbers of items,
    /// iterations and cases.
    #[must_use]
    pub fn work(&self) -> Vec<(TaskId, &Body)> {
        let mut found = Vec::new();
        work_of(&self.tasks, None, &mut found);
        if let Some(finally) = &self.finally {
            let around = TaskId::new("finally").unwrap_or_else(|_| unreachable!("a valid id"));
            work_of(&finally.tasks, Some(&around), &mut found);
        }
        found
    }

    /// The capabilities that its tasks ask for, and those that plans of its agents may ask for.
    #[must_use]
    pub fn capabilities(&self) -> BTreeSet<&Capability> {
        let mut all = BTreeSet::new();
        for (_, body) in self.work() {
            all.extend(&body.agent);
            if let Some(Planner::Limited(limits)) = &body.plan {
                all.extend(&limits.capabilities);
            }
        }
        all
    }

    /// The workflows of which its tasks start runs.
    #[must_use]
    pub fn workflows(&self) -> BTreeSet<&WorkflowName> {
        self.work().into_iter().filter_map(|(_, body)| body.workflow.as_ref()).collect()
    }

    /// How many tasks it has, those in groups and cases included.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of(&self.tasks) + self.finally.as_ref().map_or(0, |finally| size_of(&finally.tasks))
    }

    /// The content digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.canonical_json().as_bytes())
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn work_of<'a>(
    tasks: &'a BTreeMap<TaskId, Task>,
    group: Option<&TaskId>,
    found: &mut Vec<(TaskId, &'a Body)>,
) {
    for (id, task) in tasks {
        work_of_body(&task.body, &id.within(group), found);
    }
}

fn work_of_body<'a>(body: &'a Body, id: &TaskId, found: &mut Vec<(TaskId, &'a Body)>) {
    for case in body.switch.iter().flatten() {
        work_of_body(&case.body, id, found);
    }
    if let Some(tasks) = &body.tasks {
        work_of(tasks, Some(id), found);
    }
    if body.agent.is_some() || body.workflow.is_some() {
        found.push((id.clone(), body));
    }
}

fn size_of(tasks: &BTreeMap<TaskId, Task>) -> usize {
    fn in_body(body: &Body) -> usize {
        let cases: usize = body.switch.iter().flatten().map(|case| in_body(&case.body)).sum();
        cases + body.tasks.as_ref().map_or(0, size_of)
    }
    tasks.values().map(|task| 1 + in_body(&task.body)).sum()
}

/// Appends an entry to an object that has begun. A key of a definition, or the id of a task, needs no escapes.
fn entry(object: &mut String, key: &str, value: &str) {
    if !object.ends_with('{') {
        object.push(',');
    }
    object.push('"');
    object.push_str(key);
    object.push_str("\":");
    object.push_str(value);
}

/// Sorts object keys whatever map serde_json was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<String, Value> =
                map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(ordered.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
