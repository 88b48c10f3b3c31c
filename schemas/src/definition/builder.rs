//! Definitions built in Rust. The builder only assembles; whether the whole is sound is told at registration.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    Body, Case, Definition, Finally, Foreach, Join, Merge, OnFailure, OnSkipped, Planner, Recovery, Repeat,
    Retry, Span, Task, Version,
};
use crate::id::Digest;
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

    /// Values that a request may put others in place of.
    #[must_use]
    pub fn config(mut self, config: Map<String, Value>) -> Self {
        self.0.config = Some(config);
        self
    }

    /// Output of a run, with `${…}`.
    #[must_use]
    pub fn output(mut self, output: Value) -> Self {
        self.0.output = Some(output);
        self
    }

    /// JSON Schema that the output must follow.
    #[must_use]
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.0.output_schema = Some(schema);
        self
    }

    /// Longest time that a run may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Span) -> Self {
        self.0.timeout = Some(timeout);
        self
    }

    /// What is done when it is decided how a run ends.
    #[must_use]
    pub fn finally(mut self, finally: Finally) -> Self {
        self.0.finally = Some(finally);
        self
    }

    /// What becomes of a run when a task failed and nothing makes up for that.
    #[must_use]
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.0.recovery = recovery;
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

    /// A task that starts a run of a workflow and waits for its end.
    ///
    /// # Errors
    /// [`NameError`] if the name cannot be one.
    pub fn workflow(name: &str) -> Result<Self, NameError> {
        Ok(Self::of(Body { workflow: Some(WorkflowName::new(name)?), ..Body::default() }))
    }

    /// A group of tasks; [`TaskBuilder::task`] adds to it.
    #[must_use]
    pub fn group() -> Self {
        Self::of(Body { tasks: Some(BTreeMap::new()), ..Body::default() })
    }

    /// A choice between cases; [`TaskBuilder::case`] adds to it.
    #[must_use]
    pub fn switch() -> Self {
        Self::of(Body { switch: Some(Vec::new()), ..Body::default() })
    }

    /// One output of those of the tasks that it needs.
    #[must_use]
    pub fn merge(merge: Merge) -> Self {
        Self::of(Body { merge: Some(merge), ..Body::default() })
    }

    /// The task.
    #[must_use]
    pub fn build(self) -> Task {
        self.0
    }

    fn of(body: Body) -> Self {
        Self(Task { body, ..Task::default() })
    }

    /// Adds a task to a group, in place of one with the same id.
    ///
    /// # Errors
    /// [`NameError`] if the id cannot be one.
    pub fn task(mut self, id: &str, task: Self) -> Result<Self, NameError> {
        self.0.body.tasks.get_or_insert_default().insert(TaskId::new(id)?, task.0);
        Ok(self)
    }

    /// Adds a case to a switch: what is done when a condition in CEL holds and none before. Of the task that is given, only
    /// what is to be done counts, and neither needs nor loops.
    #[must_use]
    pub fn case(mut self, when: impl Into<String>, task: Self) -> Self {
        self.0.body.switch.get_or_insert_default().push(Case { when: Some(when.into()), body: task.0.body });
        self
    }

    /// Adds the last case to a switch, for when no other holds.
    #[must_use]
    pub fn otherwise(mut self, task: Self) -> Self {
        self.0.body.switch.get_or_insert_default().push(Case { when: None, body: task.0.body });
        self
    }

    /// What the agent is to do.
    #[must_use]
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.0.body.action = Some(action.into());
        self
    }

    /// The agent plans: what it returns are tasks that are done in place of one.
    #[must_use]
    pub fn plan(mut self, planner: Planner) -> Self {
        self.0.body.plan = Some(planner);
        self
    }

    /// The version of the workflow that is started.
    #[must_use]
    pub fn version(mut self, digest: Digest) -> Self {
        self.0.body.version = Some(digest);
        self
    }

    /// Does not wait for the end of the run that is started.
    #[must_use]
    pub fn no_wait(mut self) -> Self {
        self.0.body.wait = Some(false);
        self
    }

    /// For each item of a list or an object.
    #[must_use]
    pub fn foreach(mut self, foreach: Foreach) -> Self {
        self.0.foreach = Some(foreach);
        self
    }

    /// Again and again.
    #[must_use]
    pub fn repeat(mut self, repeat: Repeat) -> Self {
        self.0.repeat = Some(repeat);
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

    /// How many of the tasks that it needs must have ended.
    #[must_use]
    pub fn join(mut self, join: Join) -> Self {
        self.0.join = join;
        self
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
        self.0.body.with = Some(with);
        self
    }

    /// Output of the task, with `${…}`.
    #[must_use]
    pub fn output(mut self, output: Value) -> Self {
        self.0.body.output = Some(output);
        self
    }

    /// JSON Schema that what the agent returned, or the output of the group, must follow.
    #[must_use]
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.0.body.output_schema = Some(schema);
        self
    }

    /// How failed attempts are repeated.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.body.retry = retry;
        self
    }

    /// Longest time of one execution.
    #[must_use]
    pub fn timeout(mut self, timeout: Span) -> Self {
        self.0.body.timeout = Some(timeout);
        self
    }

    /// What becomes of the run when the task failed for good.
    #[must_use]
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.0.on_failure = on_failure;
        self
    }

    /// Pauses the run when everything is there for the task to begin.
    #[must_use]
    pub fn pause_before(mut self) -> Self {
        self.0.pause_before = true;
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
        config: None,
        output: None,
        output_schema: None,
        timeout: None,
        recovery: Recovery::Fail,
        tasks: BTreeMap::new(),
        finally: None,
    }
}

fn plain(agent: Capability) -> Task {
    Task { body: Body { agent: Some(agent), ..Body::default() }, ..Task::default() }
}
