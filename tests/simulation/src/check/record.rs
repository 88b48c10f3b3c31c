use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use mesh_core::{Action, Decision};
use mesh_schemas::payload::{TaskCreated, TaskFailed, TimerFired, WorkflowCalled, WorkflowResumed};
use mesh_schemas::{
    Attempt, Decoded, Envelope, Namespace, PauseVerb, StoredMessage, Subject, TaskId, TaskKey, TaskVerb,
    Timer, WorkflowName, WorkflowVerb,
};
use serde::de::DeserializeOwned;

use super::folds::Folds;
use crate::interpreter::{Found, FoundEnd};

/// All that was stored about one run.
#[derive(Default)]
pub(super) struct Record {
    pub(super) origin: Origin,
    /// Its events.
    pub(super) log: Vec<StoredMessage>,
    /// Which deliveries of which attempts agents were handed, with how many events there were then.
    pub(super) handed: BTreeMap<(TaskId, Attempt, u64), usize>,
    /// What orchestrators have decided.
    pub(super) found: Found,
    /// How many events there were when each of it was stored.
    pub(super) when: When,
    /// Signals and outcomes that were put aside, by subject.
    pub(super) put_aside: BTreeSet<String>,
    /// What was archived of it.
    pub(super) histories: Vec<StoredMessage>,
    /// Subjects of what was removed from the log and from the tasks.
    pub(super) gone: BTreeSet<String>,
    /// Sequences of what was stored again after that.
    pub(super) again: BTreeSet<u64>,
    /// Subjects of what was removed because no run had it: all that is kept of it is a dead letter.
    pub(super) discarded: BTreeSet<String>,
    /// Subjects of the work that was ever created.
    pub(super) works: BTreeSet<String>,
    /// Subjects of the outcomes that runs had which tasks of this one have started.
    pub(super) of_runs: BTreeSet<String>,
    /// Whether the task that the run was started for has given it up, so that it need not be told of a failure.
    pub(super) is_given_up: bool,
    /// Whether the request for it was refused.
    pub(super) is_refused: bool,
    pub(super) folds: Folds,
}

/// Where a run comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nobody has asked for it, although it is told something.
    #[default]
    Nowhere,
    /// A request: its place in the workload.
    Asked(usize),
    /// A request to do another run again: the place of that in the workload.
    Again(usize),
    /// An attempt of a task of another run, which has the name of its workflow as a capability.
    Called(TaskKey),
}

/// How many events of the run were stored before what was decided.
#[derive(Default)]
pub(super) struct When {
    pub(super) created: BTreeMap<(TaskId, Attempt), usize>,
    pub(super) called: BTreeMap<(TaskId, Attempt), usize>,
    pub(super) timers: BTreeMap<Timer, usize>,
    pub(super) given_up: BTreeMap<(TaskId, Attempt), usize>,
    pub(super) end: usize,
}

impl Record {
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin, ..Self::default() }
    }

    /// A run that has not begun: what it was told has been put aside.
    pub(super) fn never_was(&self) -> Result<(), String> {
        let left = self.log.iter().find(|event| !self.put_aside.contains(&event.message.subject));
        left.map_or(Ok(()), |left| Err(format!("it never began, and has {}", left.message.subject)))
    }

    /// Whether its beginning is in the log.
    pub(super) fn has_begun(&self, namespace: &Namespace) -> bool {
        self.log.iter().any(|event| is_started(namespace, event))
    }

    /// The outcomes of an attempt.
    pub(super) fn outcomes(
        &self,
        namespace: &Namespace,
        key: &TaskKey,
    ) -> impl Iterator<Item = &StoredMessage> {
        let is_of_it = |event: &&StoredMessage| {
            let subject = Subject::parse(namespace, &event.message.subject);
            matches!(subject, Ok(Subject::Task { key: of, .. }) if of == *key)
        };
        self.log.iter().filter(is_of_it)
    }

    /// Takes a message of the run; whether it is one of its log.
    pub(super) fn take(&mut self, subject: &Subject, stored: StoredMessage) -> Result<bool, String> {
        let events = self.log.len();
        if self.gone.contains(&stored.message.subject) {
            // Somebody who has slept stores what is archived already, which nothing forbids any more.
            self.again.insert(stored.sequence);
            return Ok(false);
        }
        match subject {
            Subject::Task { verb: TaskVerb::Created, key } => {
                self.works.insert(stored.message.subject.clone());
                let task = (key.task.clone(), key.attempt);
                let (cause, data) = read::<TaskCreated>(&stored)?;
                if self.found.created.insert(task.clone(), (cause, data)).is_some() {
                    return Err(format!("{} was created twice", stored.message.subject));
                }
                self.when.created.insert(task, events);
                return Ok(false);
            }
            Subject::TimerSet { timer, .. } => return self.set(timer, &stored).map(|()| false),
            Subject::Task { verb: TaskVerb::Failed, key } => {
                let (cause, data) = read::<TaskFailed>(&stored)?;
                if data.agent.is_none() && !self.is_of_a_run(key, &cause) {
                    let task = (key.task.clone(), key.attempt);
                    self.found.given_up.insert(task.clone(), (cause, data.error));
                    self.when.given_up.insert(task, events);
                }
            }
            Subject::Workflow { verb, .. } => {
                let end = match verb {
                    WorkflowVerb::Completed => {
                        Some(read(&stored).map(|(cause, data)| (cause, FoundEnd::Completed(data)))?)
                    }
                    WorkflowVerb::Failed => {
                        Some(read(&stored).map(|(cause, data)| (cause, FoundEnd::Failed(data)))?)
                    }
                    WorkflowVerb::Cancelled => {
                        Some(read(&stored).map(|(cause, data)| (cause, FoundEnd::Cancelled(data)))?)
                    }
                    WorkflowVerb::Started => None,
                };
                if let Some(end) = end {
                    if let Some(other) = &self.found.end {
                        return Err(format!("a run ended twice: {other:?} and {end:?}"));
                    }
                    self.found.end = Some(end);
                    self.when.end = events;
                }
            }
            Subject::Called { workflow, task, attempt, .. } => {
                let (cause, data) = read::<WorkflowCalled>(&stored)?;
                return self
                    .called((task.clone(), *attempt), cause, (workflow.clone(), data))
                    .map(|()| false);
            }
            Subject::TaskRouted { task, .. } => {
                let routed = read(&stored)?;
                self.found.routed.insert(task.clone(), routed);
            }
            Subject::Pause { verb: PauseVerb::Paused, number, .. } => {
                let paused = read(&stored)?;
                self.found.paused.insert(*number, paused);
            }
            Subject::Pause { verb: PauseVerb::Resumed, number, .. } => {
                let (cause, WorkflowResumed {}) = read(&stored)?;
                self.found.resumed.insert(*number, (cause, ()));
            }
            Subject::Task { verb: TaskVerb::Completed, .. }
            | Subject::Signalled { .. }
            | Subject::TimerFired { .. } => {}
            _ => return Ok(false),
        }
        if self.log.iter().any(|event| event.message.subject == stored.message.subject) {
            return Err(format!("{} was stored twice", stored.message.subject));
        }
        self.log.push(stored);
        Ok(true)
    }

    /// Whether everything is stored that was decided up to the event of which a checkpoint says so. A run that has ended
    /// may lack what it does not need any more.
    pub(super) fn checkpoint(
        &mut self,
        namespace: &Namespace,
        upto: u64,
        is_cancelled: impl Fn(&TaskKey) -> bool,
    ) -> Result<(), String> {
        if self.found.end.is_some() {
            return Ok(());
        }
        let has_outcome = |key: &TaskKey| {
            let is_of_it = |subject| matches!(subject, Ok(Subject::Task { key: of, .. }) if of == *key);
            self.log.iter().any(|event| is_of_it(Subject::parse(namespace, &event.message.subject)))
        };
        let found = &self.found;
        for Decision { action, .. } in &self.folds.decided(namespace, &self.log, upto)? {
            let is_stored = match action {
                Action::Create(key, _) => {
                    let attempt = (key.task.clone(), key.attempt);
                    found.created.contains_key(&attempt) || found.given_up.contains_key(&attempt)
                }
                Action::GiveUp(key, _) => has_outcome(key),
                Action::Route(task, _) => self.log.iter().any(|event| {
                    let subject = Subject::parse(namespace, &event.message.subject);
                    matches!(subject, Ok(Subject::TaskRouted { task: of, .. }) if of == *task)
                }),
                Action::SetTimer(timer, _) => self.found.timers.contains_key(timer),
                Action::Pause(number, _) => found.paused.contains_key(number),
                Action::Resume(number) => found.resumed.contains_key(number),
                Action::StartChild(key, _) => {
                    let attempt = (key.task.clone(), key.attempt);
                    found.called.contains_key(&attempt) || has_outcome(key)
                }
                Action::CancelChild(key, _) => is_cancelled(key),
                Action::Report(..) | Action::End(_) => false,
            };
            if !is_stored {
                return Err(format!(
                    "a checkpoint says that up to {upto} all is stored, and this is not: {action:?}"
                ));
            }
        }
        Ok(())
    }

    /// Whether an attempt was asked for, or given up before it could be.
    pub(super) fn has(&self, key: &TaskKey) -> bool {
        let attempt = (key.task.clone(), key.attempt);
        self.found.called.contains_key(&attempt)
            || self.found.created.contains_key(&attempt)
            || self.found.given_up.contains_key(&attempt)
    }

    /// Whether the failure of an attempt is that of a run: it follows from what happened there, or from what the run was
    /// asked for by, if that was refused.
    fn is_of_a_run(&self, key: &TaskKey, cause: &str) -> bool {
        let called = self.found.called.get(&(key.task.clone(), key.attempt));
        called.is_some_and(|(called, _)| {
            called == cause || !self.log.iter().any(|event| event.message.subject == cause)
        })
    }

    /// A run may be asked for again, as it was.
    fn called(
        &mut self,
        key: (TaskId, Attempt),
        cause: String,
        what: (WorkflowName, WorkflowCalled),
    ) -> Result<(), String> {
        let called = (cause, what);
        match self.found.called.get(&key) {
            Some(other) if *other != called => Err(format!("{key:?} asks for {other:?} and for {called:?}")),
            Some(_) => Ok(()),
            None => {
                self.found.called.insert(key.clone(), called);
                self.when.called.insert(key, self.log.len());
                Ok(())
            }
        }
    }

    /// A timer may be set again, as it was.
    fn set(&mut self, timer: &Timer, stored: &StoredMessage) -> Result<(), String> {
        let (cause, TimerFired { due }) = read(stored)?;
        let set: (String, DateTime<Utc>) = (cause, due);
        match self.found.timers.get(timer) {
            Some(other) if *other != set => Err(format!("timer {timer} was set to {other:?} and to {set:?}")),
            Some(_) => Ok(()),
            None => {
                self.found.timers.insert(timer.clone(), set);
                self.when.timers.insert(timer.clone(), self.log.len());
                Ok(())
            }
        }
    }

    /// The log, for people.
    pub(super) fn told(&self) -> String {
        let mut told = String::new();
        for (place, event) in self.log.iter().enumerate() {
            let time = event.time.format("%H:%M:%S%.3f");
            let _ = writeln!(told, "  {place:>3} {time} #{} {}", event.sequence, event.message.subject);
            let data = read::<serde_json::Value>(event).map(|(_, data)| data.to_string()).unwrap_or_default();
            let _ = writeln!(told, "        {data}");
        }
        for ((task, attempt), (cause, data)) in &self.found.created {
            let after = self.when.created[&(task.clone(), *attempt)];
            let _ = writeln!(
                told,
                "  created {task} #{attempt} after {after} events, from {cause}: {}",
                data.input
            );
        }
        told
    }
}

pub(super) fn is_started(namespace: &Namespace, event: &StoredMessage) -> bool {
    let subject = Subject::parse(namespace, &event.message.subject);
    matches!(subject, Ok(Subject::Workflow { verb: WorkflowVerb::Started, .. }))
}

/// The cause and the data of an event.
pub(super) fn read<T: DeserializeOwned>(stored: &StoredMessage) -> Result<(String, T), String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", stored.message.subject);
    let decoded =
        Envelope::decode(&stored.message.headers, &stored.message.payload).map_err(|error| wrong(&error))?;
    let Decoded::Event(event) = decoded else { return Err(wrong(&"it has no envelope")) };
    let data = event.data().map_err(|error| wrong(&error))?;
    Ok((event.causationid.unwrap_or_default(), data))
}
