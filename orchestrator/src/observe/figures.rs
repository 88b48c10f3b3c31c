//! What is known of the open runs that are in memory, for metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use mesh_core::{Action, Decision, Event, Fact, Run};
use mesh_schemas::{Attempt, TaskId, TaskKey, WorkflowName};
use mesh_telemetry::metrics::table::TASK_DURATION;
use mesh_telemetry::metrics::{elapsed, is_collected};

/// How the open runs of each shard that is followed here are.
#[derive(Default)]
pub(crate) struct Figures(Mutex<BTreeMap<u32, Open>>);

/// The open runs of a shard that are in memory.
#[derive(Default)]
pub(crate) struct Open {
    /// Runs in memory, ended ones, too.
    pub(crate) cached: usize,
    /// Those with a task out with agents.
    pub(crate) active: usize,
    /// When the oldest began, by its workflow.
    pub(crate) oldest: BTreeMap<Option<WorkflowName>, DateTime<Utc>>,
}

impl Figures {
    /// So it is in a shard.
    pub(crate) fn tell(&self, shard: u32, open: Open) {
        self.all().insert(shard, open);
    }

    /// A shard is not followed here any more.
    pub(crate) fn forget(&self, shard: u32) {
        self.all().remove(&shard);
    }

    pub(super) fn all(&self) -> MutexGuard<'_, BTreeMap<u32, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tasks of a run that are out with agents. Kept only while somebody collects metrics.
#[derive(Debug, Default)]
pub(crate) struct Out(BTreeMap<TaskId, OneOut>);

#[derive(Debug)]
struct OneOut {
    attempt: Attempt,
    /// When it was decided on; not known of a run that was read from the log.
    since: Option<DateTime<Utc>>,
}

impl Out {
    /// Those of a run that was made from the log.
    pub(crate) fn of(run: &Run) -> Self {
        if !is_collected() || run.has_ended() {
            return Self::default();
        }
        let active = run.tasks().into_iter().filter(|task| task.status == "active" && task.agent.is_some());
        let out = active.filter_map(|task| Some((task.id, OneOut { attempt: task.attempt?, since: None })));
        Self(out.collect())
    }

    /// Notes what follows from an event.
    pub(crate) fn decided(&mut self, decisions: &[Decision]) {
        if !is_collected() {
            return;
        }
        for decision in decisions {
            if let Action::Create(key, _) = &decision.action {
                let one = OneOut { attempt: key.attempt, since: Some(decision.at) };
                self.0.insert(key.task.clone(), one);
            }
        }
    }

    /// Notes an outcome.
    pub(crate) fn take(&mut self, event: &Event) {
        let (Fact::Completed(key, _) | Fact::Lost(key, _) | Fact::Failed(key, _)) = &event.fact else {
            return;
        };
        if let Some(OneOut { since: Some(since), .. }) = self.remove(key) {
            let took = elapsed((event.time - since).num_milliseconds());
            TASK_DURATION.record(took, [key.capability.as_str()]);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn remove(&mut self, key: &TaskKey) -> Option<OneOut> {
        let is_it = self.0.get(&key.task).is_some_and(|one| one.attempt == key.attempt);
        is_it.then(|| self.0.remove(&key.task))?
    }
}
