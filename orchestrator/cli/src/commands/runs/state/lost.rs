//! Runs of which data is lost that was there when they were decided. By the rules they would go another way now, so that
//! what stands in the log of them is told instead.

use std::collections::BTreeSet;

use mesh_bus::RunOutcome;
use mesh_core::{Event, Fact, Unreadable};
use mesh_schemas::payload::{TaskCreated, code};
use mesh_schemas::{Namespace, StoredMessage, Subject, TaskKey, TaskVerb};

use super::fold::told_by;
use super::read::data;
use super::task::{AttemptState, TaskState};
use super::{Counts, RunState};
use crate::text;

/// Results of attempts that cannot be had.
#[derive(Default)]
pub(super) struct Results {
    lost: BTreeSet<TaskKey>,
    /// Attempts that the log says were given up because their results are lost.
    given_up: BTreeSet<TaskKey>,
    /// Whether anything came of any attempt.
    has_outcomes: bool,
}

impl Results {
    /// Takes the next event of the run, with all that can be had of what it refers to.
    pub(super) fn hear(
        &mut self,
        namespace: &Namespace,
        stored: &StoredMessage,
        read: &Result<Event, Unreadable>,
    ) {
        match read {
            Ok(event) => {
                self.has_outcomes |= matches!(event.fact, Fact::Completed(..) | Fact::Failed(..));
                self.given_up.extend(event.gives_up_as_lost().cloned());
            }
            Err(Unreadable::Elsewhere(_)) => {
                let attempt = completed(namespace, stored);
                self.has_outcomes |= attempt.is_some();
                self.lost.extend(attempt);
            }
            Err(_) => {}
        }
    }
}

impl RunState {
    /// Whether the rules lead elsewhere than the run went, as something is lost that was there then.
    pub(crate) fn is_misled(&self) -> bool {
        let went_on = self.results.has_outcomes || !self.ended_without_input();
        self.lost_beginning().is_some() && went_on || !self.results.lost.is_subset(&self.results.given_up)
    }

    /// What of its beginning is lost, if anything is, and why.
    pub(crate) fn lost_beginning(&self) -> Option<(&'static str, &str)> {
        let input = self.input_lost.as_ref().map(|why| ("the input", why.as_str()));
        input.or_else(|| self.taken_over_lost.as_ref().map(|why| ("what is taken over", why.as_str())))
    }

    /// Whether it ended because its input is lost, or what it takes over.
    pub(super) fn ended_without_input(&self) -> bool {
        let Some(RunOutcome::Failed(failed)) = &self.outcome else { return false };
        self.lost_beginning().is_some() && failed.task.is_none() && failed.error.code == code::LOST_INPUT
    }

    /// Takes over how its tasks stood from the work that it asked for and from what came of that, whatever the rules say.
    pub(super) fn tell_by_log<'a>(
        &mut self,
        namespace: &Namespace,
        work: impl Iterator<Item = &'a StoredMessage>,
        events: &[StoredMessage],
    ) {
        let has_ended = self.outcome.is_some();
        for task in &mut self.tasks {
            let status = if has_ended { "unknown" } else { "pending" };
            *task = TaskState::new(task.id.clone(), task.capability.clone(), status);
        }
        for stored in work {
            if let Ok(Subject::Task { verb: TaskVerb::Created, key }) =
                Subject::parse(namespace, &stored.message.subject)
            {
                let attempt = self.asked(&key, stored);
                attempt.input = data::<TaskCreated>(stored).map(|created| created.input);
            }
        }
        for stored in events {
            let (key, result) = match Event::read(namespace, stored).map(|event| event.fact) {
                Ok(Fact::Completed(key, done)) => (key, Ok(Some(done.output))),
                Ok(Fact::Failed(key, error)) => (key, Err(error)),
                Err(Unreadable::Elsewhere(_)) => match completed(namespace, stored) {
                    Some(key) => (key, Ok(None)),
                    None => continue,
                },
                _ => continue,
            };
            self.asked(&key, stored).end(stored.time, told_by(stored), result);
        }
        for task in &mut self.tasks {
            task.attempts.sort_by_key(|attempt| attempt.attempt);
            let Some(last) = task.attempts.last() else { continue };
            task.status = match (last.ended, &last.error) {
                (None, _) => {
                    if has_ended {
                        "cancelled"
                    } else {
                        "active"
                    }
                }
                (Some(_), Some(_)) => {
                    if has_ended {
                        "failed"
                    } else {
                        "retrying"
                    }
                }
                (Some(_), None) => "done",
            };
            let (started, ended) = (task.attempts.first().map(|first| first.started), last.ended);
            (task.started, task.ended) = (started, ended);
            task.duration_ms = started.zip(ended).map(|(started, ended)| text::millis(started, ended));
        }
        let told = self.outcome.as_ref().and_then(Counts::told_by);
        self.counts = told.unwrap_or_else(|| Counts::of(&self.tasks));
        self.refresh(self.ended.unwrap_or(self.started), (0..self.tasks.len()).collect());
    }

    /// The attempt that a message is about.
    fn asked(&mut self, key: &TaskKey, stored: &StoredMessage) -> &mut AttemptState {
        if self.attempt_mut(&key.task, key.attempt).is_none() {
            self.add(key, AttemptState::new(key.attempt, stored.time));
        }
        self.attempt_mut(&key.task, key.attempt).unwrap_or_else(|| unreachable!("it was added"))
    }
}

/// Why data of an event cannot be had, if it cannot.
pub(super) fn lost(namespace: &Namespace, stored: &StoredMessage) -> Option<String> {
    let decoded = mesh_schemas::Envelope::decode(&stored.message.headers, &stored.message.payload).ok()?;
    let reference = decoded.envelope()?.dataref(namespace).ok().flatten()?;
    Some(format!("object {} is missing or damaged", reference.object))
}

/// The attempt that went well by a message.
fn completed(namespace: &Namespace, stored: &StoredMessage) -> Option<TaskKey> {
    match Subject::parse(namespace, &stored.message.subject) {
        Ok(Subject::Task { verb: TaskVerb::Completed, key }) => Some(key),
        _ => None,
    }
}
