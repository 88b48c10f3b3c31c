use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use mesh_schemas::payload::{TaskCounts, code};
use mesh_schemas::{Attempt, TaskId, Timer};
use serde_json::{Value, json};

use super::expected::{Decided, Expected, UNTOLD};
use super::hold::Hold;
use super::log::Log;
use crate::workload::{Around, Measure, Scope, Workflow};

/// A log that is read, and what has been found to follow from it so far.
pub(super) struct Reading<'a> {
    pub(super) workflow: &'a Workflow,
    pub(super) log: &'a Log,
    pub(super) expected: Expected,
    /// Until when what begins may take.
    pub(super) deadline: DateTime<Utc>,
    /// What expressions see as `run.outcome`.
    pub(super) outcome: Value,
    /// Work that is over, and what never began.
    pub(super) counts: TaskCounts,
    pub(super) hold: Hold,
    /// Tasks that went otherwise than in the run that this one does again.
    pub(super) otherwise: BTreeSet<TaskId>,
    /// Whether what goes on is something, or in something, that nobody waits for.
    pub(super) is_spare: bool,
}

/// How something has ended.
pub(super) enum Fate {
    Done(Value, Marks),
    Skipped,
    Failed(Failure),
}

/// How good it was, for who asks.
#[derive(Default)]
pub(super) struct Marks {
    pub(super) quality: Option<f64>,
    /// Of a loop over items: those that went well.
    pub(super) items: Option<BTreeMap<usize, Measure>>,
}

/// Why something failed.
#[derive(Clone)]
pub(super) struct Failure {
    /// The task that failed first; none for the output of a block, as long as nobody says which.
    pub(super) task: Option<TaskId>,
    pub(super) code: String,
    pub(super) message: String,
    /// Whether another run may go better.
    pub(super) retryable: bool,
}

impl Failure {
    /// One that the mesh itself finds, in words of its own. Another run may get together what a join waits for, and a loop
    /// that repeats may come to its end.
    pub(super) fn found(code: &str, task: Option<&TaskId>) -> Self {
        let retryable = [code::QUORUM_MISSED, code::REPEAT_EXHAUSTED].contains(&code);
        Self { task: task.cloned(), code: code.to_owned(), message: UNTOLD.to_string(), retryable }
    }

    /// An expression has no value.
    pub(super) fn expression(task: &TaskId) -> Self {
        Self::found(code::EXPRESSION, Some(task))
    }

    /// As expressions and the outputs of loops have it.
    pub(super) fn seen(&self) -> Value {
        json!({ "code": self.code, "message": self.message })
    }
}

impl<'a> Reading<'a> {
    pub(super) fn scope<'s>(&'s self, around: &'s Around<'s>, result: &'s Value) -> Scope<'s> {
        Scope { input: &self.log.input, run: &self.log.variables, outcome: &self.outcome, result, around }
    }

    /// How good and how fast something was that began with one event and was done with another.
    pub(super) fn measure(&self, quality: Option<f64>, began: usize, at: usize) -> Measure {
        let event = &self.log.events[at];
        let took = event.time - self.log.events[began].time;
        let millis = u64::try_from(took.num_milliseconds()).unwrap_or_default();
        Measure { quality, millis, at: event.sequence }
    }

    pub(super) fn count(&mut self, fate: &Fate) {
        match fate {
            Fate::Done(..) => self.counts.done += 1,
            Fate::Skipped => self.counts.skipped += 1,
            Fate::Failed(_) => self.counts.failed += 1,
        }
    }

    pub(super) fn give_up(&mut self, task: &TaskId, attempt: Attempt, at: usize, code: &'static str) {
        self.expected.given_up.insert((task.clone(), attempt), Decided { at, what: code });
    }

    /// Something made of parts is over: what still comes for them is late, and no more than that.
    pub(super) fn is_over(&mut self, path: &TaskId, at: usize) {
        self.expected.over.entry(path.clone()).or_insert(at);
    }

    /// What was to follow, in a task or in the run, from the event that ended it, does not.
    pub(super) fn void(&mut self, within: Option<&TaskId>, at: usize) {
        let prefix = within.map(|path| format!("{path}:"));
        let is_in = |task: Option<&TaskId>| match (&prefix, task) {
            (None, _) => true,
            (Some(prefix), Some(task)) => task.as_str().starts_with(prefix),
            (Some(_), None) => false,
        };
        self.expected.created.retain(|(task, _), work| work.at != at || !is_in(Some(task)));
        self.expected.called.retain(|(task, _), run| run.at != at || !is_in(Some(task)));
        self.expected.routed.retain(|task, route| route.at != at || !is_in(Some(task)));
        self.expected.timers.retain(|timer, wait| {
            let task = match timer {
                Timer::Deadline | Timer::Finally => None,
                Timer::Grace(task) | Timer::Join(task) | Timer::Retry { task, .. } => Some(task),
            };
            wait.at != at || !is_in(task)
        });
    }
}

/// The id of a part of a task.
pub(super) fn part(of: Option<&TaskId>, part: impl std::fmt::Display) -> TaskId {
    let path = of.map_or_else(|| part.to_string(), |of| format!("{of}:{part}"));
    path.parse().unwrap_or_else(|_| unreachable!("{path:?} is made of ids and numbers"))
}
