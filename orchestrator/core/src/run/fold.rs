//! What one event leads to.

mod adaptive;
mod again;
mod begin;
mod child;
mod close;
mod closing;
mod deliver;
mod joins;
mod loops;
mod merge;
mod output;
mod over;
mod pause;
mod planned;
mod work;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use mesh_schemas::definition::Span;
use mesh_schemas::payload::{
    RunError, TakenOver, TaskCounts, WorkflowCancelled, WorkflowCompleted, WorkflowFailed, code,
};
use mesh_schemas::{Attempt, TaskId};
use serde_json::Value;

use super::hold::Hold;
use super::state::{Closing, Failure, Frame, Outcome};
use super::{EndState, Run, Step, TaskView};
use crate::decision::{Action, Decision, End};
use crate::event::{Event, Fact, Lost};
use crate::expression::{Around, Ended, Scope};
use crate::plan::{Block, Plan, Step as PlanStep};

use close::Ending;
pub(super) use closing::PREFIX as FINALLY;
pub(super) use deliver::Hit;

/// One step of the fold: what the run is about, the event in hand, and what it has led to so far.
pub(super) struct Fold<'a> {
    pub(super) header: &'a super::Header,
    plan: &'a Plan,
    input: &'a Value,
    config: &'a Value,
    variables: &'a mut Value,
    counts: &'a mut TaskCounts,
    hold: &'a mut Hold,
    end: &'a mut EndState,
    closing: &'a mut Option<Box<Closing>>,
    taken: Option<&'a TakenOver>,
    pause_before: &'a BTreeSet<TaskId>,
    kept: &'a mut Option<BTreeMap<TaskId, Ended>>,
    /// When what is begun is over whatever happens.
    deadline: DateTime<Utc>,
    /// Id of the event.
    id: &'a str,
    /// Store time of the event.
    time: DateTime<Utc>,
    /// Its place in the log.
    sequence: u64,
    /// Whether what it is for is something that a join has gone on without.
    is_spare: bool,
    /// The quality that an agent says in it.
    quality: Option<f64>,
    /// The quality that the last merge came to, if it reckons one.
    merged: Option<f64>,
    decisions: Vec<Decision>,
    changed: Vec<TaskView>,
}

/// A block, what its tasks belong to, and what stands around it.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    block: &'a Block,
    /// What the ids of its tasks begin with.
    prefix: &'a str,
    around: Option<&'a Around<'a>>,
}

impl At<'_> {
    /// Whether it is that of the workflow itself.
    fn is_run(&self) -> bool {
        self.prefix.is_empty()
    }

    /// The id of a task with all that it belongs to.
    fn path(&self, place: usize) -> Cow<'_, str> {
        let id = self.block.nodes[place].id.as_str();
        if self.prefix.is_empty() { Cow::Borrowed(id) } else { Cow::Owned(format!("{}{id}", self.prefix)) }
    }
}

impl Run {
    /// Takes one event, if the run is open.
    pub(super) fn step(
        &mut self,
        event: &Event,
        take: impl FnOnce(&mut Fold<'_>, At<'_>, &mut Frame),
    ) -> Step {
        let plan = std::sync::Arc::clone(&self.plan);
        let mut fold = Fold {
            header: &self.header,
            plan: &plan,
            input: &self.input,
            config: &self.config,
            variables: &mut self.variables,
            counts: &mut self.counts,
            hold: &mut self.hold,
            end: &mut self.end,
            deadline: self.closing.as_ref().map_or(self.header.deadline, |closing| closing.due),
            closing: &mut self.closing,
            taken: self.taken.as_deref(),
            pause_before: &self.pause_before,
            kept: &mut self.kept,
            id: &event.id,
            time: event.time,
            sequence: event.sequence,
            is_spare: false,
            quality: match &event.fact {
                Fact::Completed(_, outcome) => outcome.quality.map(|quality| quality.clamp(0.0, 1.0)),
                _ => None,
            },
            merged: None,
            decisions: Vec::new(),
            changed: Vec::new(),
        };
        let at = At { block: &plan.root, prefix: "", around: None };
        take(&mut fold, at, &mut self.root);
        let (decisions, mut changed) = (fold.decisions, fold.changed);
        self.hold.mark(&mut changed);
        Step { decisions, stray: None, changed }
    }
}

impl Fold<'_> {
    pub(super) fn decide(&mut self, action: Action) {
        if let Some(action) = self.hold.keep(action) {
            self.decisions.push(Decision { cause: self.id.to_owned(), at: self.time, action });
        }
    }

    fn has_ended(&self) -> bool {
        *self.end != EndState::Open
    }

    /// Begins the run.
    pub(super) fn start(&mut self, at: At<'_>, root: &mut Frame) {
        let outcome = self.open(at, root);
        self.conclude(at, root, outcome);
    }

    /// Takes what happened to a task.
    pub(super) fn hit(&mut self, at: At<'_>, root: &mut Frame, task: &TaskId, hit: &Hit<'_>) {
        let outcome = self.deliver(at, root, &mut task.parts(), hit);
        self.conclude(at, root, outcome);
    }

    /// Without its input, or what it takes over, the run cannot go on.
    pub(super) fn beginning_lost(&mut self, at: At<'_>, root: &mut Frame, lost: &Lost) {
        let message = lost.told_of_beginning();
        let error = RunError { code: code::LOST_INPUT.to_owned(), message: message.clone() };
        self.end_failed(at, root, error, None, &message, false);
    }

    pub(super) fn timed_out(&mut self, at: At<'_>, root: &mut Frame) {
        let message = self.out_of_time();
        let error = RunError { code: code::TIMEOUT.to_owned(), message };
        self.end_failed(at, root, error, None, "the run ended because its timeout was over", true);
    }

    pub(super) fn cancelled(&mut self, at: At<'_>, root: &mut Frame, reason: Option<String>) {
        self.end_run(at, root, "the run was cancelled");
        let (duration_ms, tasks) = (self.duration_ms(), *self.counts);
        self.end(root, End::Cancelled(WorkflowCancelled { reason, duration_ms, tasks }), false);
    }

    /// Ends the run if all of it has ended.
    fn conclude(&mut self, at: At<'_>, root: &mut Frame, outcome: Option<Outcome>) {
        match outcome {
            None => {}
            Some(Outcome::Done(output)) => {
                self.end_run(at, root, "the run completed");
                let (duration_ms, tasks) = (self.duration_ms(), *self.counts);
                self.end(root, End::Completed(WorkflowCompleted { output, duration_ms, tasks }), false);
            }
            Some(Outcome::Failed(Failure { task, code, message, retryable })) => {
                let reason = task.as_ref().map_or_else(
                    || "the run failed".to_owned(),
                    |task| format!("the run ended because task '{task}' failed"),
                );
                let error = run_error(task.as_ref(), code, message);
                self.end_failed(at, root, error, task, &reason, retryable);
            }
            Some(Outcome::Skipped) => unreachable!("a run is not skipped"),
        }
    }

    fn end_failed(
        &mut self,
        at: At<'_>,
        root: &mut Frame,
        error: RunError,
        task: Option<TaskId>,
        reason: &str,
        retryable: bool,
    ) {
        self.end_run(at, root, reason);
        let (duration_ms, tasks) = (self.duration_ms(), *self.counts);
        self.end(root, End::Failed(WorkflowFailed { error, task, duration_ms, tasks }), retryable);
    }

    /// Ends the run: what this step meant to create is not created, what is with agents is given up.
    fn end_run(&mut self, at: At<'_>, root: &mut Frame, reason: &str) {
        self.close(at, root, 0, Ending { code: code::RUN_ENDED, reason });
    }

    fn scope<'s>(&'s self, around: &'s Around<'s>, result: Option<&'s Value>) -> Scope<'s> {
        Scope { input: self.input, config: self.config, run: self.variables, around, result }
    }

    /// Notes that a task stands otherwise than before.
    fn note(&mut self, id: &str, step: &PlanStep, status: &'static str, attempt: Option<Attempt>) {
        let (agent, workflow) = (step.agent().cloned(), step.workflow().cloned());
        self.changed.push(TaskView { id: task_id(id), agent, workflow, status, attempt });
    }

    fn duration_ms(&self) -> u64 {
        let duration = self.time - self.header.started_at;
        u64::try_from(duration.num_milliseconds()).unwrap_or_default()
    }
}

/// The error of a run that fails with a task, or by itself.
fn run_error(task: Option<&TaskId>, code: String, message: String) -> RunError {
    let message = match task {
        Some(task) => format!("task '{task}' failed: {message}"),
        None => message,
    };
    RunError { code, message }
}

/// The failure of the task at a path.
fn failure(path: &str, code: &str, message: String, retryable: bool) -> Outcome {
    Outcome::Failed(Failure { task: Some(task_id(path)), code: code.to_owned(), message, retryable })
}

pub(super) fn humanly(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Span::from_millis(millis).to_string()
}

/// An id that was put together of sound ones, and is not too long by the checks of the plan.
fn task_id(path: &str) -> TaskId {
    TaskId::new(path).unwrap_or_else(|_| unreachable!("{path:?} is made of ids and numbers"))
}
