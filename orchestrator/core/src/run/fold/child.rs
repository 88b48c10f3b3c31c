//! Runs that are started for tasks: what a run asks of those that it starts, and what it tells the one that started it.

use mesh_schemas::definition::Span;
use mesh_schemas::payload::{Parent, RunError, TaskError, code};
use mesh_schemas::{TaskKey, WorkflowName};
use serde_json::Value;

use super::{Fold, humanly};
use crate::decision::{Action, Child};
use crate::plan::{self, Work};

impl Fold<'_> {
    /// Asks for the run that an attempt consists of.
    pub(super) fn start_child(
        &mut self,
        child: &plan::Child,
        timeout: Option<Span>,
        key: TaskKey,
        input: Value,
    ) {
        let header = self.header;
        let own = timeout.map(|timeout| self.time + timeout.get());
        let around = child.wait.then_some(self.deadline);
        let parent = Parent {
            run: header.run,
            workflow: header.workflow.as_ref().map_or("-", WorkflowName::as_str).to_owned(),
            task: key.task.clone(),
            attempt: key.attempt,
            depth: header.parent.as_ref().map_or(0, |parent| parent.depth).saturating_add(1),
            wait: child.wait,
            version: child.version.clone(),
            deadline: own.into_iter().chain(around).min(),
        };
        let child = Child { workflow: child.workflow.clone(), input, parent };
        self.decide(Action::StartChild(key, Box::new(child)));
    }

    /// Nobody waits any more for what an attempt comes to: if that is a run, it is cancelled.
    pub(super) fn cancel_child(&mut self, work: &Work, key: &TaskKey, reason: &str) {
        if work.child.as_ref().is_some_and(|child| child.wait) {
            let (task, run) = (&key.task, self.header.run);
            let reason = format!("task '{task}' of run {run} does not wait for it any more: {reason}");
            self.decide(Action::CancelChild(key.clone(), reason));
        }
    }

    /// Tells who waits for this run that it completed.
    pub(super) fn report_completed(&mut self, output: &Value) {
        self.report(|| Ok(output.clone()));
    }

    /// Tells who waits for this run that it failed.
    pub(super) fn report_failed(&mut self, error: &RunError, retryable: bool) {
        let message = format!("run {} failed: {}", self.header.run, error.message);
        self.report(|| Err(TaskError { code: error.code.clone(), message, retryable, retry_after: None }));
    }

    /// Tells who waits for this run that it was cancelled. Somebody wanted it to end, so it is not tried again.
    pub(super) fn report_cancelled(&mut self, reason: Option<&str>) {
        let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        let message = format!("run {} was cancelled{why}", self.header.run);
        let code = code::CHILD_CANCELLED.to_owned();
        self.report(|| Err(TaskError { code, message, retryable: false, retry_after: None }));
    }

    fn report(&mut self, result: impl FnOnce() -> Result<Value, TaskError>) {
        // Only a run of a workflow has a parent.
        let (Some(parent), Some(workflow)) = (&self.header.parent, &self.header.workflow) else { return };
        if parent.wait {
            self.decide(Action::Report(parent.key(workflow), Box::new(result())));
        }
    }

    /// Why a run ends whose time is over.
    pub(super) fn out_of_time(&self) -> String {
        let own = self.plan.timeout();
        let had = (self.header.deadline - self.header.started_at).to_std().unwrap_or_default();
        if had < own {
            let had = humanly(had);
            format!("the run did not end within the {had} that the task had left for which it was started")
        } else {
            format!("the run did not end within its timeout of {}", humanly(own))
        }
    }
}
