//! Attempts of work.

use std::time::Duration;

use mesh_schemas::definition::Span;
use mesh_schemas::payload::{TaskCompleted, TaskCreated, TaskError};
use mesh_schemas::{Attempt, Lane, TaskKey, Timer, WorkflowName};

use super::begin::failed;
use super::deliver::Hit;
use super::{Fold, output, task_id};
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
        let input = match (&work.with, around.item()) {
            (Some(with), _) => with.render(&self.scope(around, None)),
            (None, Some((item, ..))) => Ok(item.clone()),
            (None, None) => Ok(self.input.clone()),
        };
        let input = match input {
            Ok(input) => input,
            Err(error) => return Some(self.impossible(work, path, attempt, "with", &error)),
        };
        let key = self.key(work, path, attempt);
        let data = TaskCreated {
            workflow: self.header.workflow.as_ref().map_or("-", WorkflowName::as_str).to_owned(),
            digest: self.plan.digest.clone(),
            task: key.task.clone(),
            attempt,
            action: work.action.clone(),
            input,
            secrets: work.with.as_ref().map(|with| with.secrets().to_vec()).unwrap_or_default(),
            timeout_ms: work.timeout.map(Span::as_millis),
            deadline: Some(self.header.deadline),
            basis: self.time,
            idempotency_key: format!("{}.{path}", self.header.run),
        };
        self.note_work(&key, "active", Some(attempt));
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
                Some(self.completed(work, path, around, outcome))
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
            (Hit::Retry(after), Stand::Pausing(attempt)) if attempt == after => {
                self.again(work, stand, path, around, after.next())
            }
            _ => None,
        }
    }

    fn completed(&self, work: &Work, path: &str, around: &Around<'_>, outcome: &TaskCompleted) -> Outcome {
        let at = format!("tasks.{path}.output_schema");
        if let Some(failure) = output::refused(work.schema.as_ref(), &outcome.output, &at) {
            return Outcome::Failed(Failure { task: Some(task_id(path)), ..failure });
        }
        let output = match &work.output {
            Some(output) => output.render(&self.scope(around, Some(&outcome.output))),
            None => Ok(outcome.output.clone()),
        };
        output.map_or_else(|error| failed(path, "output", &error), Outcome::Done)
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
        match backoff::pause(&work.retry, key, error) {
            None => {
                let TaskError { code, message, .. } = error.clone();
                Some(Outcome::Failed(Failure { task: Some(key.task.clone()), code, message }))
            }
            Some(Duration::ZERO) => self.again(work, stand, path, around, key.attempt.next()),
            Some(pause) => {
                let due = self.time + pause;
                *stand = Stand::Pausing(key.attempt);
                self.note_work(key, "retrying", Some(key.attempt));
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

    pub(super) fn note_work(&mut self, key: &TaskKey, status: &'static str, attempt: Option<Attempt>) {
        let (id, agent) = (key.task.clone(), Some(key.capability.clone()));
        self.changed.push(crate::run::TaskView { id, agent, status, attempt });
    }
}
