//! Attempts of work.

use std::time::Duration;

use mesh_schemas::definition::{Recovery, Span};
use mesh_schemas::payload::{TaskCreated, TaskError};
use mesh_schemas::{Attempt, Lane, TaskKey, Timer, WorkflowName};

use super::begin::failed;
use super::deliver::Hit;
use super::{Fold, task_id};
use crate::backoff;
use crate::decision::Action;
use crate::expression::{Around, ExpressionError};
use crate::plan::Work;
use crate::run::state::{Failure, Outcome, Stand};

impl Fold<'_> {
    /// Creates an attempt; what it comes to if it cannot be.
    pub(super) fn create(
        &mut self,
        work: &Work,
        path: &str,
        attempt: Attempt,
        around: &Around<'_>,
    ) -> Option<Outcome> {
        let inputs = &self.hold.inputs;
        let given = if inputs.is_empty() { None } else { inputs.get(&task_id(path)).cloned() };
        let made = work.with.as_ref().filter(|_| given.is_none());
        let secrets = made.map(|with| with.secrets().to_vec()).unwrap_or_default();
        let input = match (given, &work.with, around.item()) {
            (Some(given), ..) => Ok(given),
            (None, Some(with), _) => with.render(&self.scope(around, None)),
            (None, None, Some((item, ..))) => Ok(item.clone()),
            (None, None, None) => Ok(self.input.clone()),
        };
        let input = match input {
            Ok(input) => input,
            Err(error) => return Some(self.impossible(work, path, attempt, "with", &error)),
        };
        let key = self.key(work, path, attempt);
        self.note_work(work, &key, "active", Some(attempt));
        if let Some(child) = &work.child {
            self.start_child(child, work.timeout, key, input);
            return None;
        }
        let data = TaskCreated {
            workflow: self.header.workflow.as_ref().map_or("-", WorkflowName::as_str).to_owned(),
            digest: self.plan.digest.clone(),
            task: key.task.clone(),
            attempt,
            action: work.action.clone(),
            input,
            secrets,
            timeout_ms: work.timeout.map(Span::as_millis),
            deadline: Some(self.deadline),
            basis: self.time,
            idempotency_key: format!("{}.{path}", self.header.run),
        };
        self.decide(Action::Create(key, Box::new(data)));
        None
    }

    /// The work cannot be created because an expression has no value.
    pub(super) fn impossible(
        &mut self,
        work: &Work,
        path: &str,
        attempt: Attempt,
        place: &str,
        error: &ExpressionError,
    ) -> Outcome {
        let outcome = failed(path, place, error);
        if let Outcome::Failed(Failure { code, message, .. }) = &outcome {
            let (code, message) = (code.clone(), message.clone());
            let error = TaskError { code, message, retryable: false, retry_after: None };
            self.decide(Action::GiveUp(self.key(work, path, attempt), error));
        }
        outcome
    }

    /// What happened to work.
    pub(super) fn work(
        &mut self,
        work: &Work,
        stand: &mut Stand,
        path: &str,
        around: &Around<'_>,
        hit: &Hit<'_>,
    ) -> Option<Outcome> {
        match (hit, &*stand) {
            (Hit::Completed(key, outcome), Stand::Active(attempt)) if *attempt == key.attempt => {
                match &work.planner {
                    Some(planner) => {
                        let attempt = key.attempt;
                        self.graft(work, planner, stand, path, around, attempt, &outcome.output)
                    }
                    None => Some(self.rendered(work, path, around, outcome.output.clone())),
                }
            }
            (Hit::Failed(key, error), Stand::Active(attempt) | Stand::GivenUp(attempt))
                if *attempt == key.attempt =>
            {
                self.failed(work, stand, path, around, key, error)
            }
            // What it made is lost. It is given up, and has failed when that stands in the log.
            (Hit::Lost(key, error), Stand::Active(attempt)) if *attempt == key.attempt => {
                *stand = Stand::GivenUp(key.attempt);
                self.decide(Action::GiveUp((*key).clone(), (*error).clone()));
                None
            }
            (Hit::Again, Stand::Stuck(attempt)) => {
                let attempt = attempt.next();
                self.again(work, stand, path, around, attempt)
            }
            (Hit::Retry(after), Stand::Pausing(attempt)) if attempt == after => {
                self.again(work, stand, path, around, after.next())
            }
            _ => None,
        }
    }

    fn failed(
        &mut self,
        work: &Work,
        stand: &mut Stand,
        path: &str,
        around: &Around<'_>,
        key: &TaskKey,
        error: &TaskError,
    ) -> Option<Outcome> {
        let recovery = if self.is_spare { Recovery::Fail } else { work.recovery };
        let pause = backoff::pause(&work.retry, key, error).or_else(|| recovered(work, recovery, key));
        match pause {
            None if recovery == Recovery::Pause => {
                *stand = Stand::Stuck(key.attempt);
                self.hold.stuck.insert(key.task.clone());
                self.note_work(work, key, "failed", Some(key.attempt));
                let TaskError { code, message, .. } = error;
                let reason = format!("task '{}' failed: {message} ({code})", key.task);
                self.pause(Some(reason), Some(key.task.clone()));
                None
            }
            None => {
                let TaskError { code, message, retryable, .. } = error.clone();
                let retryable = retryable && !work.retry.fatal_on.contains(&code);
                Some(Outcome::Failed(Failure { task: Some(key.task.clone()), code, message, retryable }))
            }
            Some(Duration::ZERO) => self.again(work, stand, path, around, key.attempt.next()),
            Some(pause) => {
                let due = self.time + pause;
                *stand = Stand::Pausing(key.attempt);
                self.note_work(work, key, "retrying", Some(key.attempt));
                let timer = Timer::Retry { task: key.task.clone(), after: key.attempt };
                self.decide(Action::SetTimer(timer, due));
                None
            }
        }
    }

    fn again(
        &mut self,
        work: &Work,
        stand: &mut Stand,
        path: &str,
        around: &Around<'_>,
        attempt: Attempt,
    ) -> Option<Outcome> {
        *stand = Stand::Active(attempt);
        self.create(work, path, attempt, around)
    }

    pub(super) fn key(&self, work: &Work, path: &str, attempt: Attempt) -> TaskKey {
        TaskKey {
            capability: work.agent.clone(),
            lane: Lane::Normal,
            run: self.header.run,
            task: task_id(path),
            attempt,
        }
    }

    pub(super) fn note_work(
        &mut self,
        work: &Work,
        key: &TaskKey,
        status: &'static str,
        attempt: Option<Attempt>,
    ) {
        let (agent, workflow) = (work.capability().cloned(), work.workflow().cloned());
        self.changed.push(crate::run::TaskView { id: key.task.clone(), agent, workflow, status, attempt });
    }
}

/// The pause before one more attempt that the workflow allows beyond what the task does.
fn recovered(work: &Work, recovery: Recovery, key: &TaskKey) -> Option<Duration> {
    let Recovery::Retry(more) = recovery else { return None };
    (key.attempt.get() < work.retry.max_attempts + more).then(|| work.retry.max.get())
}
