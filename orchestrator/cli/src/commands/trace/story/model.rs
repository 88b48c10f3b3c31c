use chrono::{DateTime, Utc};
use mesh_schemas::payload::{Parent, RunError, TaskError};
use mesh_schemas::{
    AgentId, Attempt, Capability, Digest, Lane, RunId, TaskId, Timer, TraceContext, WorkflowName,
};
use serde::Serialize;

use super::fact::Fact;
use super::path::Path;
use crate::commands::runs::{RunStatus, RunTarget};
use crate::text;

/// The course of a run: what was done when, by whom, and what was waited for.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Story {
    pub(crate) run: RunId,
    #[serde(flatten)]
    pub(crate) target: RunTarget,
    pub(crate) status: RunStatus,
    pub(crate) started: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<DateTime<Utc>>,
    /// Milliseconds from its start to its end, or to now.
    pub(crate) duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<RunError>,
    /// Why it was cancelled, if somebody said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The task of another run that it was started for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<Parent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Digest>,
    pub(crate) correlation_id: String,
    #[serde(skip)]
    pub(crate) trace: Option<TraceContext>,
    /// When the last that is known of it was stored.
    pub(crate) last_event: DateTime<Utc>,
    /// What it waits for, in words: the tasks that are open, timers, a pause. Empty if it has ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) waiting_for: Vec<String>,
    /// In the order in which they were first heard of.
    pub(crate) tasks: Vec<TaskStory>,
    /// Timers that fired, but for the pauses before retries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) timers: Vec<TimerStory>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pauses: Vec<PauseStory>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) signals: Vec<SignalStory>,
    /// Why parts of it are not told, if they are not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) untold: Vec<String>,
    pub(crate) critical_path: Path,
    #[serde(skip)]
    pub(crate) facts: Vec<Fact>,
}

/// The course of a task.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TaskStory {
    pub(crate) id: TaskId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) capability: Option<Capability>,
    /// The workflow of which it starts a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workflow: Option<WorkflowName>,
    /// How it stands by the definition, if that is known: `done`, `skipped`, `pending`…
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<&'static str>,
    /// The tasks that it waits for before it begins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) needs: Vec<TaskId>,
    /// Milliseconds of the critical path that are its own.
    pub(crate) critical_ms: u64,
    pub(crate) attempts: Vec<AttemptStory>,
}

/// The course of an attempt of a task.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AttemptStory {
    pub(crate) attempt: Attempt,
    #[serde(skip)]
    pub(crate) capability: Option<Capability>,
    #[serde(skip)]
    pub(crate) lane: Option<Lane>,
    /// When the work was asked for, or the event that led to it if only that is known.
    pub(crate) created: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<DateTime<Utc>>,
    pub(crate) outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<AgentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<TaskError>,
    /// Every time that an agent took it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) deliveries: Vec<Delivery>,
    /// Milliseconds until an agent took it first, or so far; absent where nobody noted that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wait_ms: Option<u64>,
    /// Milliseconds that the agent was at it which took it last, or is so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) work_ms: Option<u64>,
    /// Milliseconds in all.
    pub(crate) took_ms: u64,
    /// When the next attempt follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_at: Option<DateTime<Utc>>,
    /// Milliseconds of the pause before the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backoff_ms: Option<u64>,
    /// Outcomes that came after the one that counts.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) late: u64,
    /// Milliseconds of the critical path that are its own.
    pub(crate) critical_ms: u64,
    /// The run that it consists of, if it is no work of an agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<RunId>,
    /// The course of that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) story: Option<Box<Story>>,
    /// The event that led to it.
    #[serde(skip)]
    pub(crate) cause: Option<String>,
    /// Whether it is known that no agent has taken it.
    #[serde(skip)]
    pub(crate) was_never_taken: bool,
    /// Whether it is known that no agent that is alive could take it.
    #[serde(skip)]
    pub(crate) is_unserved: bool,
    /// Whether it is known that the agent that has it is not alive any more.
    #[serde(skip)]
    pub(crate) is_silent: bool,
}

/// How an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// An agent is at it, or the run that it consists of goes on.
    Running,
    /// No agent has taken it.
    Waiting,
    Completed,
    /// The agent said that it cannot be done.
    Failed,
    /// The orchestrator stored its failure: nobody could do it, or waits for it.
    GivenUp,
    /// It was open when its run ended.
    Dropped,
}

/// That an agent took an attempt.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Delivery {
    pub(crate) delivery: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<AgentId>,
    pub(crate) assigned: DateTime<Utc>,
    /// When the agent gave it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) released: Option<DateTime<Utc>>,
}

/// A timer that fired.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TimerStory {
    #[serde(serialize_with = "as_text")]
    pub(crate) timer: Timer,
    /// Store time of the event that it was set for.
    pub(crate) set: DateTime<Utc>,
    pub(crate) fired: DateTime<Utc>,
}

/// A time in which the run began nothing new.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PauseStory {
    pub(crate) from: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<TaskId>,
}

/// A signal from outside.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SignalStory {
    pub(crate) signal: String,
    pub(crate) at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

impl Story {
    /// Name of the workflow; `-` for a directly requested task.
    pub(crate) fn workflow(&self) -> &str {
        self.target.workflow.as_ref().map_or("-", WorkflowName::as_str)
    }

    /// The end of the time that is told of.
    pub(crate) fn until(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.ended.unwrap_or_else(|| now.max(self.last_event))
    }

    /// The story itself and all that are told within it.
    pub(crate) fn all(&self) -> Vec<&Self> {
        let mut all = vec![self];
        let mut next = 0;
        while let Some(story) = all.get(next).copied() {
            next += 1;
            let attempts = story.tasks.iter().flat_map(|task| &task.attempts);
            all.extend(attempts.filter_map(|attempt| attempt.story.as_deref()));
        }
        all
    }
}

impl AttemptStory {
    pub(crate) fn new(attempt: Attempt, created: DateTime<Utc>) -> Self {
        Self {
            attempt,
            capability: None,
            lane: None,
            created,
            ended: None,
            outcome: Outcome::Waiting,
            agent: None,
            error: None,
            deliveries: Vec::new(),
            wait_ms: None,
            work_ms: None,
            took_ms: 0,
            retry_at: None,
            backoff_ms: None,
            late: 0,
            critical_ms: 0,
            run: None,
            story: None,
            cause: None,
            was_never_taken: false,
            is_unserved: false,
            is_silent: false,
        }
    }

    /// Whether something is still to become of it.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.outcome, Outcome::Running | Outcome::Waiting)
    }

    /// When an agent took it first.
    pub(crate) fn assigned(&self) -> Option<DateTime<Utc>> {
        self.deliveries.first().map(|delivery| delivery.assigned)
    }

    /// When it was taken by the agent that had it last.
    pub(crate) fn taken(&self) -> Option<DateTime<Utc>> {
        self.deliveries.last().map(|delivery| delivery.assigned)
    }

    /// Works out how long it took, up to a time if it is open.
    pub(super) fn measure(&mut self, until: DateTime<Utc>) {
        let end = self.ended.unwrap_or(until);
        self.took_ms = text::millis(self.created, end);
        self.wait_ms = match self.assigned() {
            // It is noted beside the work, and so may be stored after a quick outcome.
            Some(assigned) => Some(text::millis(self.created, assigned.min(end))),
            None if self.was_never_taken => Some(self.took_ms),
            None => None,
        };
        self.work_ms = match self.outcome {
            Outcome::Waiting => None,
            _ => self.taken().map(|taken| text::millis(taken, end)),
        };
    }
}

fn as_text<S: serde::Serializer>(timer: &Timer, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(timer)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
