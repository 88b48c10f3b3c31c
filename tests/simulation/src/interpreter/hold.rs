use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::{Attempt, TaskId};
use serde_json::Value;

use super::block::Block;
use super::expected::{Called, Decided, Pause, Route, Work};
use super::log::Fact;
use super::reading::{Fate, Reading};
use crate::workload::Around;

/// What a run keeps back while it is paused, and what it was told.
#[derive(Default)]
pub(super) struct Hold {
    pub(super) is_paused: bool,
    /// How often it was paused.
    pauses: u64,
    /// What would have been asked for meanwhile.
    back: Vec<((TaskId, Attempt), Asked)>,
    /// The choices that would have been made.
    choices: Vec<(TaskId, Route)>,
    /// Work that failed and that somebody may have tried again.
    pub(super) stuck: BTreeSet<TaskId>,
    /// Inputs that tasks were given in place of their own.
    pub(super) inputs: BTreeMap<TaskId, Value>,
    /// The work that is tried again by the event in hand.
    pub(super) retried: Option<TaskId>,
}

/// What an attempt is.
pub(super) enum Asked {
    /// Work for an agent.
    Work(Work),
    /// A run of another workflow.
    Run(Called),
}

impl<'a> Reading<'a> {
    /// An attempt is asked for, now or when the run goes on.
    pub(super) fn ask_for(&mut self, key: (TaskId, Attempt), what: Asked, at: usize) {
        if self.hold.is_paused {
            self.hold.back.push((key, what));
            return;
        }
        match what {
            Asked::Work(what) => drop(self.expected.created.insert(key, Decided { at, what })),
            Asked::Run(what) => drop(self.expected.called.insert(key, Decided { at, what })),
        }
    }

    /// A choice is asked for, now or when the run goes on.
    pub(super) fn ask_for_choice(&mut self, task: &TaskId, what: Route, at: usize) {
        if self.hold.is_paused {
            self.hold.choices.push((task.clone(), what));
        } else {
            self.expected.routed.insert(task.clone(), Decided { at, what });
        }
    }

    /// Nobody asks for a choice any more.
    pub(super) fn forget_choice(&mut self, task: &TaskId) {
        self.hold.choices.retain(|(kept, _)| kept != task);
    }

    /// An attempt is over, or given up: if it was not asked for, it will not be.
    pub(super) fn forget(&mut self, task: &TaskId, attempt: Attempt) {
        self.hold.back.retain(|((kept, of), _)| kept != task || *of != attempt);
    }

    /// From now on nothing new is begun.
    pub(super) fn pause(&mut self, task: Option<TaskId>, reason: Option<String>, at: usize) {
        if !self.hold.is_paused {
            self.hold.is_paused = true;
            self.hold.pauses += 1;
            let what = Pause { task, reason };
            self.expected.paused.insert(self.hold.pauses, Decided { at, what });
        }
    }

    fn resume(&mut self, at: usize) {
        if !std::mem::take(&mut self.hold.is_paused) {
            return;
        }
        self.expected.resumed.insert(self.hold.pauses, Decided { at, what: () });
        for (task, what) in std::mem::take(&mut self.hold.choices) {
            self.expected.routed.insert(task, Decided { at, what });
        }
        let basis = self.log.events[at].time;
        for (key, asked) in std::mem::take(&mut self.hold.back) {
            let now = match asked {
                Asked::Work(work) => Asked::Work(Work { basis, ..work }),
                run @ Asked::Run(_) => run,
            };
            self.ask_for(key, now, at);
        }
    }

    /// Takes a signal that is not for the end of the run; what comes of all tasks, if that ends them.
    pub(super) fn told(
        &mut self,
        block: &mut Block<'a>,
        at: usize,
        around: Option<&Around<'_>>,
    ) -> Option<Fate> {
        let log = self.log;
        match &log.events[at].fact {
            Fact::Pause(reason) => self.pause(None, reason.clone(), at),
            Fact::Resume if self.hold.stuck.is_empty() => self.resume(at),
            Fact::Resume => return self.retry(block, None, None, at, around),
            Fact::Retry(task, input) => return self.retry(block, task.as_ref(), input.as_ref(), at, around),
            _ => {}
        }
        None
    }

    /// Work is tried again that failed: one task, or all there are. The run goes on once none is left.
    fn retry(
        &mut self,
        block: &mut Block<'a>,
        task: Option<&TaskId>,
        input: Option<&Value>,
        at: usize,
        around: Option<&Around<'_>>,
    ) -> Option<Fate> {
        let is_meant = |stuck: &&TaskId| task.is_none_or(|task| task == *stuck);
        let meant: Vec<TaskId> = self.hold.stuck.iter().filter(is_meant).cloned().collect();
        if meant.is_empty() {
            return None;
        }
        self.hold.stuck.retain(|stuck| !meant.contains(stuck));
        if self.hold.stuck.is_empty() {
            self.resume(at);
        }
        // What somebody wants to be tried again is not kept back.
        let is_paused = std::mem::take(&mut self.hold.is_paused);
        let mut fate = None;
        for task in meant {
            if let Some(input) = input {
                self.hold.inputs.insert(task.clone(), input.clone());
            }
            if fate.is_none() {
                self.hold.retried = Some(task);
                fate = block.go_on(at, self, around);
                self.hold.retried = None;
            }
        }
        self.hold.is_paused |= is_paused;
        fate
    }
}
