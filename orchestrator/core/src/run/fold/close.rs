//! What is left when a block or a loop is over.

use std::collections::BTreeSet;

use mesh_schemas::payload::TaskError;
use mesh_schemas::{TaskId, Timer};

use super::{At, Fold};
use crate::decision::Action;
use crate::plan::Step;
use crate::run::state::{Frame, NodeState, Stand};

/// Why what is left is given up.
#[derive(Clone, Copy)]
pub(super) struct Ending<'a> {
    pub(super) code: &'static str,
    pub(super) reason: &'a str,
}

impl Fold<'_> {
    /// Gives up what is left of a block. What this step meant to create in it, behind a mark among the decisions, is not
    /// created.
    pub(super) fn close(&mut self, at: At<'_>, frame: &mut Frame, mark: usize, ending: Ending<'_>) {
        let unborn = self.unborn(at.prefix, mark);
        self.close_frame(at, frame, &unborn, ending);
    }

    /// Gives up what is done once.
    pub(super) fn close_one(
        &mut self,
        step: &Step,
        stand: &mut Stand,
        path: &str,
        mark: usize,
        ending: Ending<'_>,
    ) {
        let mut unborn = self.unborn(&format!("{path}:"), mark);
        unborn.extend(self.unborn_itself(path, mark));
        self.close_stand(step, stand, path, &unborn, ending);
    }

    fn close_frame(&mut self, at: At<'_>, frame: &mut Frame, unborn: &BTreeSet<TaskId>, ending: Ending<'_>) {
        for place in 0..frame.nodes.len() {
            let node = &at.block.nodes[place];
            let path = at.path(place);
            match &mut frame.nodes[place] {
                NodeState::Waiting(_) => {
                    self.counts.cancelled += 1;
                    if !at.prefix.is_empty() {
                        self.note(&path, &node.step, "cancelled", None);
                    }
                }
                NodeState::Once(stand) => self.close_stand(&node.step, stand, &path, unborn, ending),
                NodeState::Each(each) => {
                    for (number, stand) in &mut each.running {
                        self.close_stand(&node.step, stand, &format!("{path}:{number}"), unborn, ending);
                    }
                    self.count_cancelled(each.items.len() - each.next);
                }
                NodeState::Loop(state) => {
                    let path = format!("{path}:{}", state.number);
                    self.close_stand(&node.step, &mut state.stand, &path, unborn, ending);
                }
                NodeState::Recovering(..)
                | NodeState::Done(_)
                | NodeState::Failed(_)
                | NodeState::Skipped => {}
            }
        }
    }

    fn close_stand(
        &mut self,
        step: &Step,
        stand: &mut Stand,
        path: &str,
        unborn: &BTreeSet<TaskId>,
        ending: Ending<'_>,
    ) {
        match (step, stand) {
            (Step::Work(work), Stand::Active(attempt)) => {
                self.counts.cancelled += 1;
                let key = self.key(work, path, *attempt);
                self.note_work(work, &key, "cancelled", None);
                if !unborn.contains(&key.task) {
                    let Ending { code, reason } = ending;
                    let error = TaskError {
                        code: code.to_owned(),
                        message: reason.to_owned(),
                        retryable: false,
                        retry_after: None,
                    };
                    self.cancel_child(work, &key, reason);
                    self.decide(Action::GiveUp(key, error));
                }
            }
            (Step::Work(work), Stand::Stuck(attempt)) => {
                self.counts.failed += 1;
                let key = self.key(work, path, *attempt);
                self.hold.stuck.remove(&key.task);
                self.note_work(work, &key, "failed", None);
            }
            (Step::Work(_), Stand::Pausing(_) | Stand::GivenUp(_)) => {
                self.counts.cancelled += 1;
                self.note(path, step, "cancelled", None);
            }
            (Step::Work(_), Stand::Planned(planned)) => {
                self.counts.cancelled += 1;
                self.note(path, step, "cancelled", None);
                let (block, prefix) = (planned.block(), format!("{path}:"));
                let at = At { block: &block, prefix: &prefix, around: None };
                self.close_frame(at, &mut planned.frame, unborn, ending);
            }
            (Step::Group(block), Stand::Group(frame)) => {
                let prefix = format!("{path}:");
                self.close_frame(At { block, prefix: &prefix, around: None }, frame, unborn, ending);
            }
            (Step::Switch(cases), Stand::Case(number, stand)) => {
                let path = format!("{path}:{number}");
                self.close_stand(&cases[*number].step, stand, &path, unborn, ending);
            }
            _ => {}
        }
    }

    pub(super) fn count_cancelled(&mut self, number: usize) {
        // No run has more items than that.
        self.counts.cancelled += u32::try_from(number).unwrap_or(u32::MAX);
    }

    /// Takes back what this step meant to create behind a mark among the decisions, of all whose ids begin so; the tasks
    /// that are not created.
    fn unborn(&mut self, prefix: &str, mark: usize) -> BTreeSet<TaskId> {
        // The timer of the run goes only with the run.
        let is_run = prefix.is_empty();
        self.take_back(mark, |task| task.map_or(is_run, |task| task.as_str().starts_with(prefix)))
    }

    fn unborn_itself(&mut self, path: &str, mark: usize) -> BTreeSet<TaskId> {
        self.take_back(mark, |task| task.is_some_and(|task| task.as_str() == path))
    }

    fn take_back(&mut self, mark: usize, belongs: impl Fn(Option<&TaskId>) -> bool) -> BTreeSet<TaskId> {
        let mut unborn = BTreeSet::from_iter(self.hold.take_back(|task| belongs(Some(task))));
        let behind = self.decisions.split_off(mark);
        self.decisions.extend(behind.into_iter().filter(|decision| match &decision.action {
            Action::Create(key, _) | Action::StartChild(key, _) if belongs(Some(&key.task)) => {
                unborn.insert(key.task.clone());
                false
            }
            Action::Route(task, _) => !belongs(Some(task)),
            Action::SetTimer(timer, _) => !belongs(task_of(timer)),
            Action::Create(..)
            | Action::StartChild(..)
            | Action::CancelChild(..)
            | Action::Report(..)
            | Action::GiveUp(..)
            | Action::Pause(..)
            | Action::Resume(_)
            | Action::End(_) => true,
        }));
        unborn
    }
}

/// The task that a timer is of; none for that of the run.
fn task_of(timer: &Timer) -> Option<&TaskId> {
    match timer {
        Timer::Deadline | Timer::Finally => None,
        Timer::Grace(task) | Timer::Join(task) | Timer::Retry { task, .. } => Some(task),
    }
}
