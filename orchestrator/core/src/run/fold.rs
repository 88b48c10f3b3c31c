//! What one event leads to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mesh_schemas::definition::{OnFailure, OnSkipped, Span};
use mesh_schemas::payload::{
    RunError, TaskCompleted, TaskCounts, TaskCreated, TaskError, WorkflowCancelled, WorkflowCompleted,
    WorkflowFailed, code,
};
use mesh_schemas::{Attempt, TaskId, TaskKey, Timer, WorkflowName};
use serde_json::Value;

use super::{EndState, Run, Step, TaskState};
use crate::backoff;
use crate::decision::{Action, Decision, End};
use crate::expression::ExpressionError;
use crate::plan::{Plan, PlannedTask};

/// One step of the fold: the run, the event in hand, and what it has led to so far.
pub(super) struct Fold<'a> {
    pub(super) run: &'a mut Run,
    plan: Arc<Plan>,
    /// Id of the event.
    id: &'a str,
    /// Store time of the event.
    time: DateTime<Utc>,
    decisions: Vec<Decision>,
    /// Tasks that have ended in this step and whose dependents have not been told.
    ended: Vec<usize>,
    changed: Vec<usize>,
}

impl<'a> Fold<'a> {
    pub(super) fn new(run: &'a mut Run, id: &'a str, time: DateTime<Utc>) -> Self {
        let plan = Arc::clone(&run.plan);
        Self { run, plan, id, time, decisions: Vec::new(), ended: Vec::new(), changed: Vec::new() }
    }

    pub(super) fn decide(&mut self, action: Action) {
        self.decisions.push(Decision { cause: self.id.to_owned(), at: self.time, action });
    }

    pub(super) fn finish(mut self) -> Step {
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
        Step { decisions: self.decisions, stray: None, changed: self.changed }
    }

    fn set(&mut self, index: usize, state: TaskState) {
        self.run.tasks[index] = state;
        self.changed.push(index);
    }

    /// Every need of the task has ended: run it, skip it, or fail it.
    pub(super) fn begin(&mut self, index: usize) {
        if self.run.has_ended() {
            return;
        }
        let plan = Arc::clone(&self.plan);
        let task = &plan.tasks[index];
        let skipped = task.needs.iter().any(|&need| self.run.tasks[need] == TaskState::Skipped);
        if skipped && task.on_skipped == OnSkipped::Skip {
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
        let PlannedTask { id, action, timeout, with, .. } = &plan.tasks[index];
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
            action: action.clone(),
            input,
            timeout_ms: timeout.map(Span::as_millis),
            deadline: Some(header.deadline),
            basis: self.time,
            idempotency_key: format!("{}.{id}", header.run),
        };
        let key = self.run.key(index, attempt);
        self.set(index, TaskState::Active(attempt));
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
        self.fail(index, attempt, error);
    }

    pub(super) fn completed(&mut self, key: &TaskKey, outcome: &TaskCompleted) {
        let Some(index) = self.active(key) else { return };
        let plan = Arc::clone(&self.plan);
        let output = match &plan.tasks[index].output {
            Some(output) => output.render(&self.run.scope(Some(&outcome.output))),
            None => Ok(outcome.output.clone()),
        };
        match output {
            Ok(output) => self.over(index, TaskState::Done(key.attempt), output),
            Err(error) => {
                let message = format!("tasks.{}.output: {error}", key.task);
                let code = error.code().to_owned();
                let error = TaskError { code, message, retryable: false, retry_after: None };
                self.fail(index, key.attempt, error);
            }
        }
    }

    pub(super) fn failed(&mut self, key: &TaskKey, error: &TaskError) {
        let Some(index) = self.active(key).or_else(|| self.given_up(key)) else { return };
        match backoff::pause(&self.plan.tasks[index].retry, key, error) {
            None => self.fail(index, key.attempt, error.clone()),
            Some(Duration::ZERO) => self.create(index, key.attempt.next()),
            Some(pause) => {
                let due = self.time + pause;
                self.set(index, TaskState::Pausing(key.attempt));
                let timer = Timer::Retry { task: key.task.clone(), after: key.attempt };
                self.decide(Action::SetTimer(timer, due));
            }
        }
    }

    /// What an attempt made is lost. It is given up, and has failed when that stands in the log.
    pub(super) fn lost(&mut self, key: &TaskKey, error: &TaskError) {
        if let Some(index) = self.active(key) {
            self.set(index, TaskState::GivenUp(key.attempt));
            self.decide(Action::GiveUp(key.clone(), error.clone()));
        }
    }

    /// Without its input the run cannot go on.
    pub(super) fn input_lost(&mut self, error: &str) {
        let message = format!("the input of the run is lost: {error}");
        let error = RunError { code: code::LOST_INPUT.to_owned(), message };
        self.end_failed(error, None, "the input of the run is lost");
    }

    pub(super) fn retry(&mut self, task: &TaskId, after: Attempt) {
        let Some(index) = self.plan.index(task) else { return };
        if self.run.tasks[index] == TaskState::Pausing(after) {
            self.create(index, after.next());
        }
    }

    fn active(&self, key: &TaskKey) -> Option<usize> {
        let index = self.plan.index(&key.task)?;
        (self.run.tasks[index] == TaskState::Active(key.attempt)).then_some(index)
    }

    fn given_up(&self, key: &TaskKey) -> Option<usize> {
        let index = self.plan.index(&key.task)?;
        (self.run.tasks[index] == TaskState::GivenUp(key.attempt)).then_some(index)
    }

    fn over(&mut self, index: usize, state: TaskState, output: Value) {
        self.set(index, state);
        self.run.open -= 1;
        if self.run.readers[index] > 0 {
            self.run.outputs.insert(self.plan.tasks[index].id.clone(), output);
        }
        for &used in &self.plan.tasks[index].uses {
            self.run.readers[used] -= 1;
            if self.run.readers[used] == 0 {
                self.run.outputs.remove(&self.plan.tasks[used].id);
            }
        }
        self.ended.push(index);
    }

    fn fail(&mut self, index: usize, last: Attempt, error: TaskError) {
        let task = &self.plan.tasks[index];
        match task.on_failure {
            OnFailure::Continue => self.over(index, TaskState::Failed(last), Value::Null),
            OnFailure::Fail => {
                let id = task.id.clone();
                self.set(index, TaskState::Failed(last));
                let reason = format!("the run ended because task '{id}' failed");
                let message = format!("task '{id}' failed: {}", error.message);
                self.end_failed(RunError { code: error.code, message }, Some(id), &reason);
            }
        }
    }

    pub(super) fn timed_out(&mut self) {
        let took = humanly(self.plan.timeout());
        let message = format!("the run did not end within its timeout of {took}");
        let error = RunError { code: code::TIMEOUT.to_owned(), message };
        self.end_failed(error, None, "the run ended because its timeout was over");
    }

    pub(super) fn cancelled(&mut self, reason: Option<String>) {
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
        // Nothing is rendered any more.
        self.run.outputs.clear();
        let mut unborn = BTreeSet::new();
        self.decisions.retain(|decision| match &decision.action {
            Action::Create(key, _) => {
                unborn.insert(key.clone());
                false
            }
            Action::SetTimer(..) => false,
            Action::GiveUp(..) | Action::End(_) => true,
        });
        let mut counts = TaskCounts::default();
        for index in 0..self.run.tasks.len() {
            match self.run.tasks[index] {
                TaskState::Done(_) => counts.done += 1,
                TaskState::Failed(_) => counts.failed += 1,
                TaskState::Skipped => counts.skipped += 1,
                TaskState::Waiting(_) | TaskState::Pausing(_) | TaskState::GivenUp(_) => {
                    counts.cancelled += 1
                }
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
    Span::from_millis(millis).to_string()
}
