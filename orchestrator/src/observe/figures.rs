//! What is known of the open runs that are in memory, for metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use mesh_core::{Action, Decision, Event, Fact, Run, TaskView};
use mesh_schemas::{Attempt, Namespace, StoredMessage, Subject, TaskId, TaskKey, TaskVerb, WorkflowName};
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
pub(crate) struct Out {
    tasks: BTreeMap<TaskId, OneOut>,
    /// Sequences of outcomes of such tasks that were read from the log before they came by.
    read: BTreeSet<u64>,
}

#[derive(Debug)]
struct OneOut {
    attempt: Attempt,
    /// When it was decided on; not known of a run that was read from the log.
    since: Option<DateTime<Utc>>,
}

/// The first outcome of each attempt, of those outcomes that are read from the log before they come by: sequence and task.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(Vec<(u64, TaskId)>);

impl Outcomes {
    /// Those of a run's log that come by from this sequence on; none while nobody collects metrics.
    pub(crate) fn from(namespace: &Namespace, log: &[StoredMessage], sequence: u64) -> Self {
        if is_collected() { Self::first(namespace, log, sequence) } else { Self::default() }
    }

    fn first(namespace: &Namespace, log: &[StoredMessage], from: u64) -> Self {
        let mut before = BTreeSet::new();
        let first = log.iter().filter_map(|stored| {
            let Ok(Subject::Task { verb: TaskVerb::Completed | TaskVerb::Failed, key }) =
                Subject::parse(namespace, &stored.message.subject)
            else {
                return None;
            };
            let is_first = before.insert((key.task.clone(), key.attempt));
            (is_first && stored.sequence >= from).then_some((stored.sequence, key.task))
        });
        Self(first.collect())
    }
}

impl Out {
    /// Those of a run that was made from the log, in which there were these outcomes.
    pub(crate) fn of(run: &Run, outcomes: Outcomes) -> Self {
        if !is_collected() || run.has_ended() && outcomes.0.is_empty() {
            return Self::default();
        }
        let tasks = run.tasks().into_iter().filter(|task| task.agent.is_some());
        let tasks: BTreeMap<TaskId, TaskView> = tasks.map(|task| (task.id.clone(), task)).collect();
        let read = outcomes.0.into_iter().filter(|(_, task)| tasks.contains_key(task));
        let read = read.map(|(sequence, _)| sequence).collect();
        let active = tasks.into_values().filter(|task| task.status == "active" && !run.has_ended());
        let tasks = active.filter_map(|task| Some((task.id, OneOut { attempt: task.attempt?, since: None })));
        Self { tasks: tasks.collect(), read }
    }

    /// Notes what follows from an event.
    pub(crate) fn decided(&mut self, decisions: &[Decision]) {
        if !is_collected() {
            return;
        }
        for decision in decisions {
            if let Action::Create(key, _) = &decision.action {
                let one = OneOut { attempt: key.attempt, since: Some(decision.at) };
                self.tasks.insert(key.task.clone(), one);
            }
        }
    }

    /// Whether an event is the first outcome of an attempt that is out, which it is not any more then.
    pub(crate) fn take(&mut self, event: &Event) -> bool {
        let (Fact::Completed(key, _) | Fact::Lost(key, _) | Fact::Failed(key, _)) = &event.fact else {
            return false;
        };
        let Some(one) = self.remove(key) else { return false };
        if let Some(since) = one.since {
            let took = elapsed((event.time - since).num_milliseconds());
            TASK_DURATION.record(took, [key.capability.as_str()]);
        }
        true
    }

    /// Whether an event is one of the outcomes that were read before they came by, the first time that this is asked.
    pub(crate) fn was_read(&mut self, event: &Event) -> bool {
        self.read.remove(&event.sequence)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn remove(&mut self, key: &TaskKey) -> Option<OneOut> {
        let is_it = self.tasks.get(&key.task).is_some_and(|one| one.attempt == key.attempt);
        is_it.then(|| self.tasks.remove(&key.task))?
    }
}

#[cfg(test)]
mod tests {
    use mesh_schemas::{Headers, Lane, Message, RequestId, RunId, Shards};

    use super::*;

    #[test]
    fn of_an_attempt_only_the_first_outcome_counts_and_only_one_that_comes_by_later() {
        let namespace = Namespace::default();
        let request = RequestId { source: "test".to_owned(), id: "1".to_owned() };
        let run = RunId::for_request("workflow.w", &request, Shards::default());
        let stored = |sequence: u64, verb: TaskVerb, task: &str| {
            let key = TaskKey {
                capability: "work".parse().expect("a capability"),
                lane: Lane::Normal,
                run,
                task: TaskId::new(task).expect("a task"),
                attempt: Attempt::FIRST,
            };
            let subject = key.subject(verb).render(&namespace);
            let message = Message { subject, headers: Headers::new(), payload: "{}".into() };
            StoredMessage { message, sequence, time: DateTime::UNIX_EPOCH }
        };
        let log = [
            stored(2, TaskVerb::Completed, "a"),
            stored(3, TaskVerb::Failed, "a"),
            stored(4, TaskVerb::Failed, "b"),
            stored(5, TaskVerb::Completed, "b"),
        ];
        let counted = Outcomes::first(&namespace, &log, 3).0;
        assert_eq!(counted, [(4, TaskId::new("b").expect("a task"))]);
    }
}
