use chrono::{DateTime, Utc};
use mesh_schemas::payload::TaskError;
use mesh_schemas::{AgentId, Attempt, Capability, RunId, TaskId, WorkflowName};
use serde::Serialize;
use serde_json::Value;

use crate::text;

/// How a task of a run stands.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TaskState {
    pub(crate) id: TaskId,
    /// What it asks of an agent; none for what is made of other tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) capability: Option<Capability>,
    /// The workflow of which it starts a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workflow: Option<WorkflowName>,
    /// `pending`, `active`, `retrying`, `done`, `failed`, `skipped` or `cancelled`; `unknown` where the events of its
    /// run are gone.
    pub(crate) status: &'static str,
    /// The last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<Attempt>,
    /// Who has, or had, the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<AgentId>,
    /// The run that the last attempt started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<RunId>,
    /// When everything was there that it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) duration_ms: Option<u64>,
    /// Why it failed, or why it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<TaskError>,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waiting: Option<Waiting>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) attempts: Vec<AttemptState>,
    /// Whether it was done in the run that its run does again, unless it is done anew all the same.
    #[serde(skip)]
    pub(super) is_taken_over: bool,
    /// How it stood when it was told of last.
    #[serde(skip)]
    pub(super) told: Option<(&'static str, Option<Attempt>)>,
}

/// How an attempt of a task stands.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AttemptState {
    pub(crate) attempt: Attempt,
    /// Store time of the event that led to it.
    pub(crate) started: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<AgentId>,
    /// The run that it consists of, if it is no work of an agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<RunId>,
    /// When the agent took it, if it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assigned: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<DateTime<Utc>>,
    /// What the agent returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<Value>,
    /// Whether the agent returned something that cannot be had any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) result_lost: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<TaskError>,
    /// How far the agent says it is, from 0 to 1, and what it is doing.
    #[serde(skip)]
    pub(crate) progress: Option<(f64, Option<String>)>,
    /// When the next attempt follows.
    #[serde(skip)]
    pub(crate) retry_at: Option<DateTime<Utc>>,
}

/// What a task waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Waiting {
    /// These tasks, which have not ended.
    Needs(Vec<TaskId>),
    /// An agent: none has taken it.
    Agent(Served),
    /// The end of this run.
    Run(RunId),
    /// The end of the pause after a failed attempt.
    RetryAt(DateTime<Utc>),
}

/// Whether an agent has the capability that a task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Served {
    /// It is not known: nobody looked.
    Unknown,
    /// No agent that is registered has it.
    ByNobody,
    /// There are agents that have it.
    BySomebody,
}

/// Whether nothing more becomes of tasks of this status.
pub(crate) fn has_ended(status: &str) -> bool {
    matches!(status, "done" | "failed" | "skipped" | "cancelled" | "unknown")
}

/// Orders statuses by how much people want to know of such tasks, where there are too many to tell of all.
pub(crate) fn rank(status: &str) -> usize {
    const ORDER: [&str; 8] =
        ["failed", "retrying", "active", "held", "cancelled", "done", "skipped", "pending"];
    ORDER.iter().position(|known| *known == status).unwrap_or(ORDER.len())
}

impl AttemptState {
    pub(crate) fn new(attempt: Attempt, started: DateTime<Utc>) -> Self {
        Self {
            attempt,
            started,
            input: None,
            agent: None,
            run: None,
            assigned: None,
            ended: None,
            result: None,
            result_lost: false,
            error: None,
            progress: None,
            retry_at: None,
        }
    }

    /// Takes its outcome, the result if it can be had. The first that stands in the log counts.
    pub(super) fn end(
        &mut self,
        at: DateTime<Utc>,
        agent: Option<AgentId>,
        result: Result<Option<Value>, TaskError>,
    ) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(at);
        self.agent = agent.or_else(|| self.agent.take());
        match result {
            Ok(result) => (self.result_lost, self.result) = (result.is_none(), result),
            Err(error) => self.error = Some(error),
        }
    }
}

impl TaskState {
    /// One of which no more is known than how it stands.
    pub(super) fn new(id: TaskId, capability: Option<Capability>, status: &'static str) -> Self {
        Self {
            id,
            capability,
            workflow: None,
            status,
            attempt: None,
            agent: None,
            run: None,
            started: None,
            ended: None,
            duration_ms: None,
            error: None,
            waiting: None,
            attempts: Vec::new(),
            is_taken_over: false,
            told: None,
        }
    }

    /// Whether nothing more will become of it.
    pub(crate) fn has_ended(&self) -> bool {
        has_ended(self.status)
    }

    pub(super) fn attempt_mut(&mut self, attempt: Attempt) -> Option<&mut AttemptState> {
        self.attempts.iter_mut().find(|known| known.attempt == attempt)
    }

    /// What there is to say beside its status: an error, or what it waits for.
    pub(crate) fn note(&self) -> String {
        let error = match &self.error {
            Some(error) => Some(text::error(&error.code, &error.message)),
            None if self.attempts.last().is_some_and(|last| last.result_lost) => {
                Some("its result is lost".to_owned())
            }
            None if self.status == "failed" && self.capability.is_some() => {
                Some("its output could not be made of what the agent returned".to_owned())
            }
            None if self.is_taken_over && self.status == "done" && self.attempts.is_empty() => {
                Some("taken over".to_owned())
            }
            None => None,
        };
        let waiting = self.waiting.as_ref().map(|waiting| waiting.describe(self));
        [error, waiting].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

impl Waiting {
    fn describe(&self, task: &TaskState) -> String {
        let capability = task.capability.as_ref().map_or("-", Capability::as_str);
        match self {
            Self::Needs(tasks) => {
                let tasks: Vec<&str> = tasks.iter().map(TaskId::as_str).collect();
                format!("needs {}", tasks.join(", "))
            }
            Self::Agent(Served::ByNobody) => format!("no agent is registered for '{capability}'"),
            Self::Agent(Served::BySomebody) => format!("queued for an agent with '{capability}'"),
            Self::Agent(Served::Unknown) => "no agent has taken it yet".to_owned(),
            Self::Run(_) => "waits for its run to end".to_owned(),
            Self::RetryAt(at) => {
                let failed = task.attempts.last().and_then(|last| last.ended).unwrap_or(*at);
                format!("again at {}", text::to_come(failed, *at))
            }
        }
    }
}
