//! Events become the course of a run.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mesh_schemas::{
    Attempt, Namespace, PauseVerb, RunId, Subject, TaskId, TaskKey, TaskVerb, Timer, WorkflowName,
    WorkflowVerb,
};

use super::fact::Fact;
use super::model::{AttemptStory, Delivery, Outcome, PauseStory, SignalStory, Story, TaskStory, TimerStory};
use super::path::Path;
use crate::commands::runs::{RunStatus, RunTarget};
use crate::text;

impl Story {
    /// Tells the course of a run by its events, in whatever order they come. `None` if its beginning is not among them.
    pub(crate) fn of(namespace: &Namespace, mut facts: Vec<Fact>) -> Option<Self> {
        facts.sort_by_key(Fact::order);
        let begins =
            |fact: &Fact| matches!(fact.subject, Subject::Workflow { verb: WorkflowVerb::Started, .. });
        let begin = facts.iter().find(|fact| begins(fact))?;
        let Subject::Workflow { workflow, run, .. } = begin.subject.clone() else { return None };
        let mut story = Self {
            run,
            target: RunTarget { workflow, capability: begin.member("capability") },
            status: RunStatus::Running,
            started: begin.time,
            ended: None,
            duration_ms: 0,
            error: None,
            reason: None,
            parent: begin.member("parent"),
            digest: begin.member("digest"),
            correlation_id: begin.correlation_id.clone().unwrap_or_else(|| run.to_string()),
            trace: begin.trace.clone(),
            last_event: begin.time,
            waiting_for: Vec::new(),
            tasks: Vec::new(),
            timers: Vec::new(),
            pauses: Vec::new(),
            signals: Vec::new(),
            untold: Vec::new(),
            critical_path: Path::default(),
            facts: Vec::new(),
        };
        let mut teller = Teller {
            orchestrator: mesh_orchestrator::source(namespace),
            places: BTreeMap::new(),
            times: BTreeMap::new(),
        };
        for fact in &facts {
            teller.take(&mut story, fact);
        }
        story.facts = facts;
        Some(story)
    }
}

/// What is known while a story is told.
struct Teller {
    /// Who decides.
    orchestrator: String,
    /// Where each task is.
    places: BTreeMap<TaskId, usize>,
    /// When each event was stored.
    times: BTreeMap<String, DateTime<Utc>>,
}

impl Teller {
    fn take(&mut self, story: &mut Story, fact: &Fact) {
        self.times.insert(fact.id.clone(), fact.time);
        if story.ended.is_none() {
            story.last_event = fact.time.max(story.last_event);
        }
        match &fact.subject {
            Subject::Workflow { verb, .. } => end(story, fact, *verb),
            Subject::Task { verb: TaskVerb::Created, key } => {
                let attempt = self.attempt(story, key, fact.time);
                attempt.created = fact.time;
                attempt.cause.clone_from(&fact.cause);
            }
            Subject::Task { verb: TaskVerb::Completed | TaskVerb::Failed, key } => {
                let caused = fact.cause.as_ref().and_then(|cause| self.times.get(cause)).copied();
                let is_given_up = fact.source.as_ref() == Some(&self.orchestrator);
                let is_known = self.knows(story, &key.task, key.attempt);
                let attempt = self.attempt(story, key, caused.unwrap_or(fact.time));
                if !is_known {
                    // Nobody was asked: what led to the outcome is what led to the attempt.
                    attempt.cause.clone_from(&fact.cause);
                }
                take_outcome(attempt, fact, is_given_up);
            }
            Subject::TaskAssigned { key, delivery } => {
                let attempt = self.attempt(story, key, fact.time);
                let agent = fact.member("agent");
                if attempt.ended.is_none() {
                    attempt.agent.clone_from(&agent);
                    attempt.outcome = Outcome::Running;
                }
                let taken = Delivery { delivery: *delivery, agent, assigned: fact.time, released: None };
                attempt.deliveries.push(taken);
            }
            Subject::TaskReleased { key, delivery } => {
                let attempt = self.attempt(story, key, fact.time);
                if let Some(taken) = attempt.deliveries.iter_mut().find(|taken| taken.delivery == *delivery) {
                    taken.released = Some(fact.time);
                }
                if attempt.ended.is_none() && attempt.deliveries.iter().all(|taken| taken.released.is_some())
                {
                    (attempt.agent, attempt.outcome) = (None, Outcome::Waiting);
                }
            }
            Subject::TimerFired { timer, .. } => self.fired(story, fact, timer),
            Subject::Pause { verb: PauseVerb::Paused, .. } => {
                let (reason, task) = (fact.member("reason"), fact.member("task"));
                story.pauses.push(PauseStory { from: fact.time, until: None, reason, task });
                if story.ended.is_none() {
                    story.status = RunStatus::Paused;
                }
            }
            Subject::Pause { verb: PauseVerb::Resumed, .. } => {
                if let Some(pause) = story.pauses.last_mut() {
                    pause.until.get_or_insert(fact.time);
                }
                if story.ended.is_none() {
                    story.status = RunStatus::Running;
                }
            }
            Subject::Signalled { signal, .. } if signal.as_str() != "check" => {
                let (signal, reason) = (signal.to_string(), fact.member("reason"));
                story.signals.push(SignalStory { signal, at: fact.time, reason });
            }
            _ => {}
        }
    }

    fn fired(&self, story: &mut Story, fact: &Fact, timer: &Timer) {
        let set =
            fact.cause.as_ref().and_then(|cause| self.times.get(cause)).copied().unwrap_or(story.started);
        if let Timer::Retry { task, after } = timer {
            let Some(place) = self.places.get(task) else { return };
            let attempts = &mut story.tasks[*place].attempts;
            if let Some(attempt) = attempts.iter_mut().find(|attempt| attempt.attempt == *after) {
                attempt.backoff_ms = Some(text::millis(attempt.ended.unwrap_or(set), fact.time));
            }
        } else {
            story.timers.push(TimerStory { timer: timer.clone(), set, fired: fact.time });
        }
    }

    fn knows(&self, story: &Story, task: &TaskId, attempt: Attempt) -> bool {
        let place = self.places.get(task);
        place.is_some_and(|place| story.tasks[*place].attempts.iter().any(|known| known.attempt == attempt))
    }

    /// An attempt, which is told of from now on if it was not known.
    fn attempt<'a>(
        &mut self,
        story: &'a mut Story,
        key: &TaskKey,
        at: DateTime<Utc>,
    ) -> &'a mut AttemptStory {
        let place = *self.places.entry(key.task.clone()).or_insert_with(|| {
            story.tasks.push(TaskStory::new(key.task.clone()));
            story.tasks.len() - 1
        });
        let task = &mut story.tasks[place];
        task.capability.get_or_insert_with(|| key.capability.clone());
        let attempts = &mut task.attempts;
        let known = attempts.iter().position(|known| known.attempt == key.attempt);
        let place = known.unwrap_or_else(|| {
            let mut attempt = AttemptStory::new(key.attempt, at);
            (attempt.capability, attempt.lane) = (Some(key.capability.clone()), Some(key.lane.clone()));
            attempts.push(attempt);
            attempts.len() - 1
        });
        &mut attempts[place]
    }
}

impl TaskStory {
    pub(crate) fn new(id: TaskId) -> Self {
        Self {
            id,
            capability: None,
            workflow: None,
            status: None,
            needs: Vec::new(),
            critical_ms: 0,
            attempts: Vec::new(),
        }
    }

    /// Takes it for one that starts runs of a workflow.
    pub(crate) fn starts(&mut self, workflow: WorkflowName) {
        self.capability = None;
        self.workflow = Some(workflow);
    }
}

/// The first outcome counts.
fn take_outcome(attempt: &mut AttemptStory, fact: &Fact, is_given_up: bool) {
    if attempt.ended.is_some() {
        attempt.late += 1;
        return;
    }
    attempt.ended = Some(fact.time);
    attempt.agent = fact.member("agent").or_else(|| attempt.agent.take());
    attempt.error = fact.member("error");
    let has_completed = matches!(fact.subject, Subject::Task { verb: TaskVerb::Completed, .. });
    attempt.outcome = match (has_completed, is_given_up) {
        (true, _) => Outcome::Completed,
        (false, true) => Outcome::GivenUp,
        (false, false) => Outcome::Failed,
    };
}

fn end(story: &mut Story, fact: &Fact, verb: WorkflowVerb) {
    let status = match verb {
        WorkflowVerb::Started => return,
        WorkflowVerb::Completed => RunStatus::Completed,
        WorkflowVerb::Failed => RunStatus::Failed,
        WorkflowVerb::Cancelled => RunStatus::Cancelled,
    };
    if story.ended.is_none() {
        story.status = status;
        story.ended = Some(fact.time);
        (story.error, story.reason) = (fact.member("error"), fact.member("reason"));
    }
}

/// The run that asked for another one, and the task and attempt that it is for, if that is what an id tells.
pub(super) fn caller(id: &str) -> Option<(RunId, TaskId, Attempt)> {
    let (namespace, _) = id.split_once('.')?;
    match Subject::parse(&Namespace::new(namespace).ok()?, id).ok()? {
        Subject::Called { run, task, attempt, .. } => Some((run, task, attempt)),
        _ => None,
    }
}
