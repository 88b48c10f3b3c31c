//! How tasks begin.

use mesh_schemas::Attempt;
use mesh_schemas::definition::{Join, OnSkipped};

use super::close::Ending;
use super::merge::{merge, reckoned};
use super::{At, Fold, failure, task_id};
use crate::expression::{Around, Brings, ExpressionError};
use crate::plan::{Node, Recurring, Step};
use crate::run::rerun;
use crate::run::state::{Failure, Frame, NodeState, Outcome, Stand};

/// What something that begins came to: how it stands, if it began at all, and its outcome if it is over at once.
pub(super) type Begun = (Option<Stand>, Option<Outcome>);

impl Fold<'_> {
    /// Begins a block.
    pub(super) fn open(&mut self, at: At<'_>, frame: &mut Frame) -> Option<Outcome> {
        let mut queue = Vec::new();
        let mut result = Ok(());
        for place in 0..frame.nodes.len() {
            if result.is_ok()
                && matches!(&frame.nodes[place], NodeState::Waiting(waiting) if waiting.missing == 0)
            {
                result = self.begin(at, frame, &mut queue, place);
            }
        }
        self.settle(at, frame, queue, result)
    }

    /// Enough of what the task needs has ended: do it, skip it, or fail it.
    pub(super) fn begin(
        &mut self,
        at: At<'_>,
        frame: &mut Frame,
        queue: &mut Vec<usize>,
        place: usize,
    ) -> Result<(), Failure> {
        self.time_joins(at, frame, place);
        let node = &at.block.nodes[place];
        if is_skipped(node, frame) {
            return self.over(at, frame, queue, place, Outcome::Skipped);
        }
        let path = at.path(place);
        let taken = self.taken_for(at, node);
        if taken.is_none() && self.stops_before(at, node) {
            self.pause(None, Some(task_id(&path)));
        }
        let around = Around { parent: at.around, brings: Brings::Tasks(&frame.ended) };
        let (state, outcome) = match node.when.as_ref().map(|when| when.evaluate(&self.scope(&around, None)))
        {
            Some(Ok(false)) => (None, Some(Outcome::Skipped)),
            Some(Err(error)) => self.no_condition(node, &path, &error),
            Some(Ok(true)) | None if taken.is_some() => (None, None),
            Some(Ok(true)) | None => match &node.recurring {
                Recurring::Once => {
                    let (stand, outcome) = self.start_step(&node.step, &path, &around);
                    (stand.map(NodeState::Once), outcome)
                }
                Recurring::Each(each) => self.start_each(each, &node.step, &path, &around),
                Recurring::Loop(rule) => self.start_loop(rule, node, &path, &around),
            },
        };
        if let (Some(taken), None) = (taken, &outcome) {
            // What is made of other tasks is counted by those.
            self.counts.done +=
                u32::from(matches!((&node.recurring, &node.step), (Recurring::Once, Step::Work(_))));
            self.note_end(at, frame, queue, place, NodeState::Done(None), rerun::ended(taken));
            return Ok(());
        }
        if let Some(state) = state {
            frame.nodes[place] = state;
        }
        if node.is_measured {
            frame.began.insert(place, self.time);
        }
        match outcome {
            Some(outcome) => self.over(at, frame, queue, place, outcome),
            None => {
                self.note_begun(node, &path, frame.nodes[place].attempt());
                Ok(())
            }
        }
    }

    /// Whether the run is to be paused when everything is there for a task.
    fn stops_before(&self, at: At<'_>, node: &Node) -> bool {
        node.pause_before || at.is_run() && self.pause_before.contains(&node.id)
    }

    /// The condition of a task has no value. What would have been work is reported as failed.
    fn no_condition(
        &mut self,
        node: &Node,
        path: &str,
        error: &ExpressionError,
    ) -> (Option<NodeState>, Option<Outcome>) {
        match (&node.recurring, &node.step) {
            (Recurring::Once, Step::Work(work)) => {
                let outcome = self.impossible(work, path, Attempt::FIRST, "when", error);
                (Some(NodeState::Once(Stand::Active(Attempt::FIRST))), Some(outcome))
            }
            _ => (None, Some(failed(path, "when", error))),
        }
    }

    /// Begins what is done once.
    pub(super) fn start_step(&mut self, step: &Step, path: &str, around: &Around<'_>) -> Begun {
        match step {
            Step::Work(work) => {
                let failure = self.create(work, path, Attempt::FIRST, around);
                (Some(Stand::Active(Attempt::FIRST)), failure)
            }
            Step::Group(block) => {
                let mut frame = Box::new(Frame::new(block));
                let prefix = format!("{path}:");
                let at = At { block, prefix: &prefix, around: Some(around) };
                let mark = self.decisions.len();
                let outcome = self.open(at, &mut frame);
                let outcome = outcome.map(|outcome| self.leave(at, &mut frame, path, mark, outcome));
                (Some(Stand::Group(frame)), outcome)
            }
            Step::Switch(cases) => {
                for (number, case) in cases.iter().enumerate() {
                    match case.when.as_ref().map(|when| when.evaluate(&self.scope(around, None))) {
                        Some(Ok(false)) => {}
                        Some(Err(error)) => {
                            return (None, Some(failed(path, &format!("switch[{number}].when"), &error)));
                        }
                        Some(Ok(true)) | None => {
                            let path = format!("{path}:{number}");
                            let (stand, outcome) = self.start_step(&case.step, &path, around);
                            if let Some(outcome) = &outcome {
                                self.note_part(&case.step, &path, outcome);
                            }
                            return (stand.map(|stand| Stand::Case(number, Box::new(stand))), outcome);
                        }
                    }
                }
                (None, Some(Outcome::Skipped))
            }
            Step::Merge(rule) => {
                let outcome = merge(rule, path, around);
                self.merged = reckoned(rule, &outcome);
                (None, Some(outcome))
            }
        }
    }

    /// A group is over: what is left of it is given up.
    pub(super) fn leave(
        &mut self,
        at: At<'_>,
        frame: &mut Frame,
        path: &str,
        mark: usize,
        outcome: Outcome,
    ) -> Outcome {
        let reason = match &outcome {
            Outcome::Failed(Failure { task: Some(task), .. }) => {
                format!("'{path}' ended because task '{task}' failed")
            }
            Outcome::Failed(_) => format!("'{path}' failed"),
            Outcome::Done(_) | Outcome::Skipped => format!("'{path}' is done"),
        };
        self.close(at, frame, mark, Ending { code: mesh_schemas::payload::code::OVERTAKEN, reason: &reason });
        match outcome {
            Outcome::Failed(failure) => {
                let task = failure.task.or_else(|| Some(task_id(path)));
                Outcome::Failed(Failure { task, ..failure })
            }
            outcome => outcome,
        }
    }

    fn note_begun(&mut self, node: &Node, path: &str, attempt: Option<Attempt>) {
        // Work that is done once was noted when it was created.
        if attempt.is_none() {
            self.note(path, &node.step, "active", None);
        }
    }
}

/// Whether a task is skipped for what it needs was.
fn is_skipped(node: &Node, frame: &Frame) -> bool {
    let skipped = |need: &usize| frame.nodes[*need] == NodeState::Skipped;
    node.on_skipped == OnSkipped::Skip
        && match node.join {
            Join::All => node.needs.iter().any(skipped),
            Join::Any | Join::Quorum(_) => !node.needs.is_empty() && node.needs.iter().all(skipped),
        }
}

/// What cannot be done because an expression of it has no value.
pub(super) fn failed(path: &str, place: &str, error: &ExpressionError) -> Outcome {
    failure(path, error.code(), format!("tasks.{path}.{place}: {error}"), false)
}
