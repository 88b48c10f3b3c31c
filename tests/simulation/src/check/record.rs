use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use mesh_core::{Action, Decision};
use mesh_schemas::payload::{TaskCreated, TaskFailed, TimerFired, WorkflowResumed};
use mesh_schemas::{
    Attempt, Decoded, Envelope, Namespace, PauseVerb, StoredMessage, Subject, TaskId, TaskKey, TaskVerb,
    Timer, WorkflowVerb,
};
use serde::de::DeserializeOwned;

use super::folds::Folds;
use crate::interpreter::{Found, FoundEnd};

/// All that was stored about one run.
#[derive(Default)]
pub(super) struct Record {
    /// Place of the run in the workload.
    pub(super) place: usize,
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
    pub(super) folds: Folds,
}

/// How many events of the run were stored before what was decided.
#[derive(Default)]
pub(super) struct When {
    pub(super) created: BTreeMap<(TaskId, Attempt), usize>,
    pub(super) timers: BTreeMap<Timer, usize>,
    pub(super) given_up: BTreeMap<(TaskId, Attempt), usize>,
    pub(super) end: usize,
}

impl Record {
    pub(super) fn new(place: usize) -> Self {
        Self { place, ..Self::default() }
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
                if data.agent.is_none() {
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
    pub(super) fn checkpoint(&mut self, namespace: &Namespace, upto: u64) -> Result<(), String> {
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
                // The workflows of the simulation start no runs.
                Action::StartChild(..) | Action::CancelChild(..) | Action::Report(..) | Action::End(_) => {
                    false
                }
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
        self.found.created.contains_key(&attempt) || self.found.given_up.contains_key(&attempt)
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

/// The cause and the data of an event.
pub(super) fn read<T: DeserializeOwned>(stored: &StoredMessage) -> Result<(String, T), String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", stored.message.subject);
    let decoded =
        Envelope::decode(&stored.message.headers, &stored.message.payload).map_err(|error| wrong(&error))?;
    let Decoded::Event(event) = decoded else { return Err(wrong(&"it has no envelope")) };
    let data = event.data().map_err(|error| wrong(&error))?;
    Ok((event.causationid.unwrap_or_default(), data))
}
