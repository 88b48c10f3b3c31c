use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use mesh_schemas::{Capability, TaskId, WorkflowName};
use serde_json::Value;

use super::expression::Expression;
use super::template::Template;

/// A workflow as the workload means it. What is absent here is absent in the definition too: which value then counts is
/// for its reader to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// Its name; none for the workflow of a directly requested task.
    pub name: Option<WorkflowName>,
    /// The tasks by id.
    pub tasks: BTreeMap<TaskId, Task>,
    /// Output of a run.
    pub output: Option<Template>,
    /// Longest time that a run may take.
    pub timeout: Option<Duration>,
}

/// A task of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The capability that does it.
    pub agent: Capability,
    /// What the agent is to do.
    pub action: Option<String>,
    /// Tasks that must have ended first.
    pub needs: BTreeSet<TaskId>,
    /// Condition.
    pub when: Option<Expression>,
    /// Whether it says `on_skipped: run`.
    pub runs_when_skipped: bool,
    /// Input.
    pub with: Option<Template>,
    /// Output.
    pub output: Option<Template>,
    /// How failed attempts are repeated.
    pub retry: Option<Retry>,
    /// Longest time of one execution.
    pub timeout: Option<Duration>,
    /// Whether it says `on_failure: continue`.
    pub continues: bool,
}

/// What a task says about repeated attempts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retry {
    /// Attempts in all.
    pub max_attempts: Option<u32>,
    /// Pause after the first failed attempt, in whole milliseconds.
    pub initial: Option<Duration>,
    /// How much longer each further pause is.
    pub factor: Option<f64>,
    /// Longest pause, in whole milliseconds.
    pub max: Option<Duration>,
    /// Share of a pause that is taken off by chance.
    pub jitter: Option<f64>,
    /// Codes that are not worth another attempt.
    pub fatal_on: Vec<String>,
}

/// Longest time that a hanging attempt may keep a run open, so that a simulation of it ends soon.
const LONGEST_HANG: Duration = Duration::from_secs(60);

impl Task {
    /// A task that says nothing but which agents do it.
    #[must_use]
    pub fn new(agent: Capability) -> Self {
        Self {
            agent,
            action: None,
            needs: BTreeSet::new(),
            when: None,
            runs_when_skipped: false,
            with: None,
            output: None,
            retry: None,
            timeout: None,
            continues: false,
        }
    }

    /// The tasks whose outputs it uses.
    #[must_use]
    pub fn uses(&self) -> BTreeSet<TaskId> {
        let mut tasks = BTreeSet::new();
        if let Some(when) = &self.when {
            when.uses(&mut tasks);
        }
        for template in self.with.iter().chain(&self.output) {
            template.uses(&mut tasks);
        }
        tasks
    }
}

impl Workflow {
    /// The workflow of a directly requested task: one task named `task`, with input and output of the run.
    ///
    /// # Panics
    /// Never: `task` is a task id.
    #[must_use]
    pub fn single_task(capability: &Capability) -> Self {
        let task: TaskId = "task".parse().unwrap_or_else(|_| unreachable!("a task id"));
        Self {
            name: None,
            output: Some(Template::Whole(Expression::Output(task.clone()))),
            tasks: BTreeMap::from([(task, Task::new(capability.clone()))]),
            timeout: None,
        }
    }

    /// The tasks that surely have ended before a task begins.
    #[must_use]
    pub fn before(&self, task: &TaskId) -> BTreeSet<TaskId> {
        let mut before = BTreeSet::new();
        let mut open: Vec<&TaskId> = self.tasks.get(task).into_iter().flat_map(|task| &task.needs).collect();
        while let Some(task) = open.pop() {
            if before.insert(task.clone()) {
                open.extend(self.tasks.get(task).into_iter().flat_map(|task| &task.needs));
            }
        }
        before
    }

    /// The tasks that need a task directly, in the order of their ids.
    pub fn after<'a>(&'a self, task: &'a TaskId) -> impl Iterator<Item = (&'a TaskId, &'a Task)> {
        self.tasks.iter().filter(move |(_, other)| other.needs.contains(task))
    }

    /// Whether an attempt of a task that hangs ends soon, by its own timeout or with the run.
    #[must_use]
    pub fn may_hang(&self, task: &TaskId) -> bool {
        let timeout = self.tasks.get(task).and_then(|task| task.timeout);
        timeout.is_some() || self.timeout.is_some_and(|timeout| timeout <= LONGEST_HANG)
    }

    /// The definition as YAML.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut yaml = Yaml::default();
        yaml.line(0, "mesh", "v1");
        yaml.optional(0, "name", self.name.as_ref());
        yaml.optional(0, "timeout", self.timeout.map(span));
        yaml.optional(0, "output", self.output.as_ref().map(Template::to_json));
        yaml.line(0, "tasks", "");
        for (id, task) in &self.tasks {
            yaml.line(1, id.as_str(), "");
            yaml.line(2, "agent", task.agent.as_str());
            yaml.optional(2, "action", task.action.as_ref());
            let needs: Vec<&str> = task.needs.iter().map(TaskId::as_str).collect();
            yaml.optional(2, "needs", (!needs.is_empty()).then(|| format!("[{}]", needs.join(", "))));
            yaml.optional(2, "when", task.when.as_ref().map(|when| Value::from(when.to_cel())));
            yaml.optional(2, "on_skipped", task.runs_when_skipped.then_some("run"));
            yaml.optional(2, "with", task.with.as_ref().map(Template::to_json));
            yaml.optional(2, "output", task.output.as_ref().map(Template::to_json));
            yaml.optional(2, "timeout", task.timeout.map(span));
            yaml.optional(2, "on_failure", task.continues.then_some("continue"));
            if let Some(retry) = &task.retry {
                yaml.line(2, "retry", if *retry == Retry::default() { "{}" } else { "" });
                yaml.optional(3, "max_attempts", retry.max_attempts);
                yaml.optional(3, "initial", retry.initial.map(span));
                yaml.optional(3, "factor", retry.factor.map(|factor| format!("{factor:?}")));
                yaml.optional(3, "max", retry.max.map(span));
                yaml.optional(3, "jitter", retry.jitter.map(|jitter| format!("{jitter:?}")));
                let codes = (!retry.fatal_on.is_empty()).then(|| format!("[{}]", retry.fatal_on.join(", ")));
                yaml.optional(3, "fatal_on", codes);
            }
        }
        yaml.0
    }
}

/// Writes keys with their values; data is written as JSON, which is YAML too.
#[derive(Default)]
struct Yaml(String);

impl Yaml {
    fn line(&mut self, depth: usize, key: &str, value: &str) {
        let space = if value.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{:depth$}{key}:{space}{value}", "", depth = depth * 2);
    }

    fn optional(&mut self, depth: usize, key: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.line(depth, key, &value.to_string());
        }
    }
}

/// A time as definitions write it.
fn span(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}
