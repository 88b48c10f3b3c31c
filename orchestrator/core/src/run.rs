//! A run: the fold of its events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mesh_schemas::definition::{OnFailure, OnSkipped};
use mesh_schemas::payload::{
    RunError, TaskCompleted, TaskCounts, TaskCreated, TaskError, WorkflowCancelled, WorkflowCompleted,
    WorkflowFailed, code,
};
use mesh_schemas::{Attempt, Capability, Lane, RunId, TaskId, TaskKey, Timer, TraceContext, WorkflowName};
use serde_json::{Value, json};

use crate::backoff;
use crate::decision::{Action, Decision, End};
use crate::event::{Event, Fact, Started};
use crate::expression::{ExpressionError, Scope};
use crate::plan::{Plan, PlannedTask};

/// State of a run after some prefix of its log.
#[derive(Debug, Clone)]
pub struct Run {
    /// What every event of the run carries along.
    pub header: Header,
    plan: Arc<Plan>,
    /// What expressions see as `run`.
    variables: Value,
    input: Value,
    /// By place in the plan.
    tasks: Vec<TaskState>,
    /// How many of them have not ended.
    open: usize,
    /// Outputs of tasks that have ended; null for those that were skipped or failed.
    outputs: BTreeMap<TaskId, Value>,
    end: EndState,
    /// Sequence of the last event that was taken.
    upto: u64,
}

/// What every event of a run carries along.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The run.
    pub run: RunId,
    /// Its workflow; none for a directly requested task.
    pub workflow: Option<WorkflowName>,
    /// What the requester calls the whole piece of work; the run id if it said nothing.
    pub correlation_id: String,
    /// The trace that the work began in.
    pub trace: Option<TraceContext>,
    /// When `started` was stored.
    pub started_at: DateTime<Utc>,
    /// When the run ends whatever happens.
    pub deadline: DateTime<Utc>,
}

/// Where a task stands. Transitions: waiting → active | skipped | failed; active → done | pausing | failed;
/// pausing → active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TaskState {
    /// Needs that have not ended: this many.
    Waiting(usize),
    /// An attempt is with an agent.
    Active(Attempt),
    /// The attempt failed; another follows when the timer has fired.
    Pausing(Attempt),
    Done,
    Failed,
    Skipped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndState {
    Open,
    /// The end is decided.
    Decided,
    /// The end stands in the log.
    Stored,
}

/// How a task stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TaskView {
    /// The task.
    pub id: TaskId,
    /// The capability that it asks for.
    pub agent: Capability,
    /// `pending`, `active`, `retrying`, `done`, `failed`, `skipped`, or `cancelled` when the run ended before it.
    pub status: &'static str,
    /// The current attempt of a task that has begun and not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}

/// What an event leads to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// To be stored, in this order as far as order matters to anyone who watches.
    pub decisions: Vec<Decision>,
    /// Why the event means nothing to this run, if it names something that the run does not have.
    pub stray: Option<String>,
}

impl Run {
    /// The run that a `started` event begins, and what follows from it.
    #[must_use]
    pub fn start(event: &Event, started: &Started, plan: Arc<Plan>) -> (Self, Step) {
        let (run, at) = (event.run, event.time);
        let header = Header {
            run,
            workflow: started.workflow.clone(),
            correlation_id: started.correlation_id.clone().unwrap_or_else(|| run.to_string()),
            trace: started.trace.clone(),
            started_at: at,
            deadline: at + plan.timeout(),
        };
        let variables = json!({
            "id": run.to_string(),
            "workflow": header.workflow.as_ref().map_or("-", WorkflowName::as_str),
            "correlation_id": header.correlation_id,
            "started_at": at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        });
        let tasks: Vec<_> = plan.tasks.iter().map(|task| TaskState::Waiting(task.needs.len())).collect();
        let mut state = Self {
            header,
            plan,
            variables,
            input: started.data.input.clone(),
            open: tasks.len(),
            tasks,
            outputs: BTreeMap::new(),
            end: EndState::Open,
            upto: event.sequence,
        };
        let mut fold = Fold::new(&mut state, &event.id, at);
        let deadline = fold.run.header.deadline;
        fold.decide(Action::SetTimer(Timer::Deadline, deadline));
        for task in 0..fold.run.tasks.len() {
            if fold.run.tasks[task] == TaskState::Waiting(0) {
                fold.begin(task);
            }
        }
        let step = fold.finish();
        (state, step)
    }

    /// Takes the next event of the log. What it decides is decided for good: later events take nothing back. An
    /// event that was taken before changes nothing.
    pub fn apply(&mut self, event: &Event) -> Step {
        if event.sequence <= self.upto {
            return Step::default();
        }
        self.upto = event.sequence;
        if let Fact::Ended = event.fact {
            self.end = EndState::Stored;
            return Step::default();
        }
        if let Some(stray) = self.stray(event) {
            return Step { decisions: Vec::new(), stray: Some(stray) };
        }
        if self.end != EndState::Open {
            return Step::default();
        }
        let mut fold = Fold::new(self, &event.id, event.time);
        match &event.fact {
            Fact::Completed(key, outcome) => fold.completed(key, outcome),
            Fact::Failed(key, error) => fold.failed(key, error),
            Fact::Fired(Timer::Retry { task, after }) => fold.retry(task, *after),
            Fact::Fired(Timer::Deadline) => fold.timed_out(),
            Fact::Cancel(signal) => fold.cancelled(signal.reason.clone()),
            Fact::Started(_) | Fact::Ended | Fact::Check => {}
        }
        fold.finish()
    }

    /// Whether the run's end is decided.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.end != EndState::Open
    }

    /// Whether a decision made at an earlier event may still be missing from the log. A decision that is not
    /// needed any more, because its consequence is known, is not.
    #[must_use]
    pub fn may_be_missing(&self, decision: &Decision) -> bool {
        match &decision.action {
            Action::Create(key, _) => self.task(&key.task) == Some(TaskState::Active(key.attempt)),
            Action::SetTimer(Timer::Deadline, _) => !self.has_ended(),
            Action::SetTimer(Timer::Retry { task, after }, _) => {
                self.task(task) == Some(TaskState::Pausing(*after))
            }
            Action::GiveUp(..) => true,
            Action::End(_) => self.end != EndState::Stored,
        }
    }

    /// How every task stands, in the order of their ids.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskView> {
        let view = |(task, state): (&PlannedTask, &TaskState)| {
            let (status, attempt) = match *state {
                TaskState::Waiting(_) => ("pending", None),
                TaskState::Active(attempt) => ("active", Some(attempt)),
                TaskState::Pausing(attempt) => ("retrying", Some(attempt)),
                TaskState::Done => ("done", None),
                TaskState::Failed => ("failed", None),
                TaskState::Skipped => ("skipped", None),
            };
            let open = !matches!(state, TaskState::Done | TaskState::Failed | TaskState::Skipped);
            let status = if open && self.has_ended() { "cancelled" } else { status };
            TaskView { id: task.id.clone(), agent: task.definition.agent.clone(), status, attempt }
        };
        self.plan.tasks.iter().zip(&self.tasks).map(view).collect()
    }

    fn task(&self, task: &TaskId) -> Option<TaskState> {
        if self.has_ended() { None } else { self.tasks.get(self.plan.index(task)?).copied() }
    }

    /// Why an event belongs to nothing that this run has asked for so far, if so. Changes nothing, so that it can
    /// be asked about an event that was taken already.
    #[must_use]
    pub fn stray(&self, event: &Event) -> Option<String> {
        match &event.fact {
            Fact::Completed(key, _) | Fact::Failed(key, _) => {
                self.stray_attempt(&key.task, key.attempt).or_else(|| self.misrouted(key))
            }
            Fact::Fired(Timer::Retry { task, after }) => self.stray_attempt(task, *after),
            Fact::Started(_) | Fact::Ended | Fact::Check | Fact::Cancel(_) | Fact::Fired(Timer::Deadline) => {
                None
            }
        }
    }

    fn misrouted(&self, key: &TaskKey) -> Option<String> {
        let agent = &self.plan.tasks[self.plan.index(&key.task)?].definition.agent;
        (*agent != key.capability || key.lane != Lane::Normal).then(|| {
            format!(
                "task '{}' went to '{agent}' in the lane 'normal', not to '{}' in '{}'",
                key.task, key.capability, key.lane
            )
        })
    }

    fn stray_attempt(&self, task: &TaskId, attempt: Attempt) -> Option<String> {
        let Some(index) = self.plan.index(task) else {
            return Some(format!("the workflow has no task '{task}'"));
        };
        let last = match &self.tasks[index] {
            TaskState::Waiting(_) | TaskState::Skipped => 0,
            TaskState::Active(attempt) | TaskState::Pausing(attempt) => attempt.get(),
            TaskState::Done | TaskState::Failed => u32::MAX,
        };
        (attempt.get() > last).then(|| format!("attempt {attempt} of task '{task}' was never created"))
    }

    fn key(&self, index: usize, attempt: Attempt) -> TaskKey {
        let task = &self.plan.tasks[index];
        TaskKey {
            capability: task.definition.agent.clone(),
            lane: Lane::Normal,
            run: self.header.run,
            task: task.id.clone(),
            attempt,
        }
    }

    fn scope<'a>(&'a self, result: Option<&'a Value>) -> Scope<'a> {
        Scope { input: &self.input, outputs: &self.outputs, run: &self.variables, result }
    }
}

/// One step of the fold: the run, the event in hand, and what it has led to so far.
struct Fold<'a> {
    run: &'a mut Run,
    plan: Arc<Plan>,
    /// Id of the event.
    id: &'a str,
    /// Store time of the event.
    time: DateTime<Utc>,
    decisions: Vec<Decision>,
    /// Tasks that have ended in this step and whose dependents have not been told.
    ended: Vec<usize>,
}

impl<'a> Fold<'a> {
    fn new(run: &'a mut Run, id: &'a str, time: DateTime<Utc>) -> Self {
        let plan = Arc::clone(&run.plan);
        Self { run, plan, id, time, decisions: Vec::new(), ended: Vec::new() }
    }

    fn decide(&mut self, action: Action) {
        self.decisions.push(Decision { cause: self.id.to_owned(), at: self.time, action });
    }

    fn finish(mut self) -> Step {
        while let Some(task) = self.ended.pop() {
            let plan = Arc::clone(&self.plan);
            for &dependent in &plan.tasks[task].dependents {
                if let TaskState::Waiting(needs) = &mut self.run.tasks[dependent] {
                    *needs -= 1;
                    if *needs == 0 {
                        self.begin(dependent);
                    }
                }
            }
        }
        if !self.run.has_ended() && self.run.open == 0 {
            self.complete();
        }
        Step { decisions: self.decisions, stray: None }
    }

    /// Every need of the task has ended: run it, skip it, or fail it.
    fn begin(&mut self, index: usize) {
        if self.run.has_ended() {
            return;
        }
        let plan = Arc::clone(&self.plan);
        let task = &plan.tasks[index];
        let skipped = task.needs.iter().any(|&need| self.run.tasks[need] == TaskState::Skipped);
        if skipped && task.definition.on_skipped == OnSkipped::Skip {
            return self.over(index, TaskState::Skipped, Value::Null);
        }
        match task.when.as_ref().map(|when| when.evaluate(&self.run.scope(None))) {
            Some(Ok(false)) => self.over(index, TaskState::Skipped, Value::Null),
            Some(Err(error)) => self.impossible(index, Attempt::FIRST, "when", &error),
            Some(Ok(true)) | None => self.create(index, Attempt::FIRST),
        }
    }

    fn create(&mut self, index: usize, attempt: Attempt) {
        let plan = Arc::clone(&self.plan);
        let PlannedTask { definition, id, with, .. } = &plan.tasks[index];
        let input = match with {
            Some(with) => with.render(&self.run.scope(None)),
            None => Ok(self.run.input.clone()),
        };
        let input = match input {
            Ok(input) => input,
            Err(error) => return self.impossible(index, attempt, "with", &error),
        };
        let header = &self.run.header;
        let data = TaskCreated {
            workflow: header.workflow.as_ref().map_or("-", WorkflowName::as_str).to_owned(),
            digest: plan.digest.clone(),
            task: id.clone(),
            attempt,
            action: definition.action.clone(),
            input,
            timeout_ms: definition.timeout.map(mesh_schemas::definition::Span::as_millis),
            deadline: Some(header.deadline),
            basis: self.time,
            idempotency_key: format!("{}.{id}", header.run),
        };
        let key = self.run.key(index, attempt);
        self.run.tasks[index] = TaskState::Active(attempt);
        self.decide(Action::Create(key, Box::new(data)));
    }

    /// The task cannot be created, or its result not be used, because an expression cannot be evaluated.
    fn impossible(&mut self, index: usize, attempt: Attempt, place: &str, error: &ExpressionError) {
        let error = TaskError {
            code: error.code().to_owned(),
            message: format!("tasks.{}.{place}: {error}", self.plan.tasks[index].id),
            retryable: false,
            retry_after: None,
        };
        self.decide(Action::GiveUp(self.run.key(index, attempt), error.clone()));
        self.fail(index, error);
    }

    fn completed(&mut self, key: &TaskKey, outcome: &TaskCompleted) {
        let Some(index) = self.active(key) else { return };
        let plan = Arc::clone(&self.plan);
        let output = match &plan.tasks[index].output {
            Some(output) => output.render(&self.run.scope(Some(&outcome.output))),
            None => Ok(outcome.output.clone()),
        };
        match output {
            Ok(output) => self.over(index, TaskState::Done, output),
            Err(error) => {
                let message = format!("tasks.{}.output: {error}", key.task);
                let code = error.code().to_owned();
                self.fail(index, TaskError { code, message, retryable: false, retry_after: None });
            }
        }
    }

    fn failed(&mut self, key: &TaskKey, error: &TaskError) {
        let Some(index) = self.active(key) else { return };
        match backoff::pause(&self.plan.tasks[index].definition.retry, key, error) {
            None => self.fail(index, error.clone()),
            Some(Duration::ZERO) => self.create(index, key.attempt.next()),
            Some(pause) => {
                let due = self.time + pause;
                self.run.tasks[index] = TaskState::Pausing(key.attempt);
                let timer = Timer::Retry { task: key.task.clone(), after: key.attempt };
                self.decide(Action::SetTimer(timer, due));
            }
        }
    }

    fn retry(&mut self, task: &TaskId, after: Attempt) {
        let Some(index) = self.plan.index(task) else { return };
        if self.run.tasks[index] == TaskState::Pausing(after) {
            self.create(index, after.next());
        }
    }

    fn active(&self, key: &TaskKey) -> Option<usize> {
        let index = self.plan.index(&key.task)?;
        (self.run.tasks[index] == TaskState::Active(key.attempt)).then_some(index)
    }

    fn over(&mut self, index: usize, state: TaskState, output: Value) {
        self.run.tasks[index] = state;
        self.run.open -= 1;
        self.run.outputs.insert(self.plan.tasks[index].id.clone(), output);
        self.ended.push(index);
    }

    fn fail(&mut self, index: usize, error: TaskError) {
        let task = &self.plan.tasks[index];
        match task.definition.on_failure {
            OnFailure::Continue => self.over(index, TaskState::Failed, Value::Null),
            OnFailure::Fail => {
                let id = task.id.clone();
                self.run.tasks[index] = TaskState::Failed;
                let reason = format!("the run ended because task '{id}' failed");
                let message = format!("task '{id}' failed: {}", error.message);
                self.end_failed(RunError { code: error.code, message }, Some(id), &reason);
            }
        }
    }

    fn timed_out(&mut self) {
        let took = humanly(self.plan.timeout());
        let message = format!("the run did not end within its timeout of {took}");
        let error = RunError { code: code::TIMEOUT.to_owned(), message };
        self.end_failed(error, None, "the run ended because its timeout was over");
    }

    fn cancelled(&mut self, reason: Option<String>) {
        let tasks = self.end("the run was cancelled");
        let duration_ms = self.duration_ms();
        self.decide(Action::End(End::Cancelled(WorkflowCancelled { reason, duration_ms, tasks })));
    }

    fn complete(&mut self) {
        match self.plan.output.render(&self.run.scope(None)) {
            Ok(output) => {
                let tasks = self.end("the run completed");
                let duration_ms = self.duration_ms();
                self.decide(Action::End(End::Completed(WorkflowCompleted { output, duration_ms, tasks })));
            }
            Err(error) => {
                let error = RunError { code: error.code().to_owned(), message: format!("output: {error}") };
                self.end_failed(error, None, "the run failed");
            }
        }
    }

    fn end_failed(&mut self, error: RunError, task: Option<TaskId>, reason: &str) {
        let tasks = self.end(reason);
        let duration_ms = self.duration_ms();
        self.decide(Action::End(End::Failed(WorkflowFailed { error, task, duration_ms, tasks })));
    }

    /// Ends the run: what this step meant to create is not created, what is with agents is given up.
    fn end(&mut self, reason: &str) -> TaskCounts {
        self.run.end = EndState::Decided;
        self.ended.clear();
        let mut unborn = Vec::new();
        self.decisions.retain(|decision| match &decision.action {
            Action::Create(key, _) => {
                unborn.push(key.clone());
                false
            }
            Action::SetTimer(..) => false,
            Action::GiveUp(..) | Action::End(_) => true,
        });
        let mut counts = TaskCounts::default();
        for index in 0..self.run.tasks.len() {
            match self.run.tasks[index] {
                TaskState::Done => counts.done += 1,
                TaskState::Failed => counts.failed += 1,
                TaskState::Skipped => counts.skipped += 1,
                TaskState::Waiting(_) | TaskState::Pausing(_) => counts.cancelled += 1,
                TaskState::Active(attempt) => {
                    counts.cancelled += 1;
                    let key = self.run.key(index, attempt);
                    if !unborn.contains(&key) {
                        self.decide(Action::GiveUp(key, given_up(reason)));
                    }
                }
            }
        }
        counts
    }

    fn duration_ms(&self) -> u64 {
        let duration = self.time - self.run.header.started_at;
        u64::try_from(duration.num_milliseconds()).unwrap_or_default()
    }
}

fn given_up(reason: &str) -> TaskError {
    TaskError {
        code: code::RUN_ENDED.to_owned(),
        message: reason.to_owned(),
        retryable: false,
        retry_after: None,
    }
}

fn humanly(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    mesh_schemas::definition::Span::from_millis(millis).to_string()
}
