//! Definitions built in Rust. The builder only assembles; whether the whole is sound is told at registration.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Definition, OnFailure, OnSkipped, Retry, Span, Task, Version};
use crate::name::{Capability, NameError, TaskId, WorkflowName};

/// Assembles a [`Definition`].
#[derive(Debug, Clone)]
pub struct DefinitionBuilder(Definition);

impl DefinitionBuilder {
    pub(super) fn new(name: &str) -> Result<Self, NameError> {
        Ok(Self(empty(WorkflowName::new(name)?)))
    }

    /// What the workflow is for.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.0.description = Some(text.into());
        self
    }

    /// JSON Schema that the input must follow.
    #[must_use]
    pub fn input(mut self, schema: Value) -> Self {
        self.0.input = Some(schema);
        self
    }

    /// Output of a run, with `${…}`.
    #[must_use]
    pub fn output(mut self, output: Value) -> Self {
        self.0.output = Some(output);
        self
    }

    /// Longest time that a run may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Span) -> Self {
        self.0.timeout = Some(timeout);
        self
    }

    /// Adds a task, in place of one with the same id.
    ///
    /// # Errors
    /// [`NameError`] if the id cannot be one.
    pub fn task(mut self, id: &str, task: TaskBuilder) -> Result<Self, NameError> {
        self.0.tasks.insert(TaskId::new(id)?, task.0);
        Ok(self)
    }

    /// The definition.
    #[must_use]
    pub fn build(self) -> Definition {
        self.0
    }
}

/// Assembles a [`Task`].
#[derive(Debug, Clone)]
pub struct TaskBuilder(Task);

impl TaskBuilder {
    /// A task for agents with a capability.
    ///
    /// # Errors
    /// [`NameError`] if the capability cannot be one.
    pub fn new(agent: &str) -> Result<Self, NameError> {
        Ok(Self(plain(Capability::new(agent)?)))
    }

    /// What the agent is to do.
    #[must_use]
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.0.action = Some(action.into());
        self
    }

    /// Adds a task that must have ended first.
    ///
    /// # Errors
    /// [`NameError`] if the id cannot be one.
    pub fn needs(mut self, id: &str) -> Result<Self, NameError> {
        self.0.needs.push(TaskId::new(id)?);
        Ok(self)
    }

    /// Condition, in CEL.
    #[must_use]
    pub fn when(mut self, condition: impl Into<String>) -> Self {
        self.0.when = Some(condition.into());
        self
    }

    /// What becomes of the task when one of its needs was skipped.
    #[must_use]
    pub fn on_skipped(mut self, on_skipped: OnSkipped) -> Self {
        self.0.on_skipped = on_skipped;
        self
    }

    /// Input of the task, with `${…}`.
    #[must_use]
    pub fn with(mut self, with: Value) -> Self {
        self.0.with = Some(with);
        self
    }

    /// Output of the task, with `${…}`.
    #[must_use]
    pub fn output(mut self, output: Value) -> Self {
        self.0.output = Some(output);
        self
    }

    /// How failed attempts are repeated.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Longest time of one execution.
    #[must_use]
    pub fn timeout(mut self, timeout: Span) -> Self {
        self.0.timeout = Some(timeout);
        self
    }

    /// What becomes of the run when the task failed for good.
    #[must_use]
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.0.on_failure = on_failure;
        self
    }
}

pub(super) fn single_task(capability: &Capability) -> Definition {
    let mut definition = empty(WorkflowName::new("task").unwrap_or_else(|_| unreachable!("a valid name")));
    let id = TaskId::new("task").unwrap_or_else(|_| unreachable!("a valid task id"));
    definition.tasks.insert(id, plain(capability.clone()));
    definition.output = Some(Value::String("${tasks.task.output}".to_owned()));
    definition
}

fn empty(name: WorkflowName) -> Definition {
    Definition {
        mesh: Version::V1,
        name,
        description: None,
        input: None,
        output: None,
        timeout: None,
        tasks: BTreeMap::new(),
    }
}

fn plain(agent: Capability) -> Task {
    Task {
        agent,
        action: None,
        needs: Vec::new(),
        when: None,
        on_skipped: OnSkipped::default(),
        with: None,
        output: None,
        retry: Retry::default(),
        timeout: None,
        on_failure: OnFailure::default(),
    }
}
