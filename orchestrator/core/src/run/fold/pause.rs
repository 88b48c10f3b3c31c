//! Runs that are paused and go on.

use mesh_schemas::TaskId;
use mesh_schemas::payload::{RetrySignal, WorkflowPaused};

use super::deliver::Hit;
use super::{At, Fold};
use crate::decision::Action;
use crate::run::hold::Kept;
use crate::run::look::{self, Found};
use crate::run::state::{Frame, Stand};

impl Fold<'_> {
    /// From now on nothing new is begun.
    pub(in crate::run) fn pause(&mut self, reason: Option<String>, task: Option<TaskId>) {
        if !self.hold.is_paused {
            self.hold.is_paused = true;
            self.hold.pauses += 1;
            self.decide(Action::Pause(self.hold.pauses, WorkflowPaused { reason, task }));
        }
    }

    /// Somebody has the run go on, with what failed and was not given up.
    pub(in crate::run) fn resumed(&mut self, at: At<'_>, root: &mut Frame) {
        if self.hold.stuck.is_empty() {
            self.resume(root);
        } else {
            self.retry(at, root, &RetrySignal::default());
        }
    }

    /// The run goes on: what was kept back is begun.
    fn resume(&mut self, root: &Frame) {
        if !std::mem::take(&mut self.hold.is_paused) {
            return;
        }
        self.decide(Action::Resume(self.hold.pauses));
        for kept in std::mem::take(&mut self.hold.back) {
            let is_wanted = match (look::find(self.plan, root, self.closing.as_deref(), kept.task()), &kept) {
                (Found::Unrouted, Kept::Choice(..)) => true,
                (Found::Open(_, Stand::Active(attempt)), kept) => kept.attempt() == Some(*attempt),
                _ => false,
            };
            if is_wanted {
                let action = kept.action(self.header.run, self.time);
                self.decide(action);
            }
        }
    }

    /// Somebody has work tried again that failed for good: a task, or all there are. The run goes on once none is left.
    pub(in crate::run) fn retry(&mut self, at: At<'_>, root: &mut Frame, signal: &RetrySignal) {
        let stuck = self.hold.stuck.iter().filter(|task| signal.task.as_ref().is_none_or(|of| of == *task));
        let stuck: Vec<TaskId> = stuck.cloned().collect();
        if stuck.is_empty() {
            return;
        }
        self.hold.stuck.retain(|task| !stuck.contains(task));
        if self.hold.stuck.is_empty() {
            self.resume(root);
        }
        let is_paused = std::mem::take(&mut self.hold.is_paused);
        for task in stuck {
            if let Some(input) = &signal.input {
                self.hold.inputs.insert(task.clone(), input.clone());
            }
            if !self.has_ended() {
                self.hit(at, root, &task, &Hit::Again);
            }
        }
        // What is done at the end is not kept back.
        self.hold.is_paused |= is_paused && !self.has_ended() && self.closing.is_none();
    }
}
