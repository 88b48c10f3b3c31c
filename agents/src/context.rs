use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chrono::{DateTime, Utc};
use mesh_schemas::payload::TaskProgress;
use mesh_schemas::{
    AgentId, Attempt, Frame, Message, RunId, Subject, TaskId, TaskKey, TaskVerb, TraceContext,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::call;
use crate::common::Common;
use crate::failure::TaskFailure;
use crate::secret::Redactor;

/// What a handler knows of the task that it does, and what it can ask of the mesh meanwhile.
#[derive(Clone)]
pub struct Context(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) common: Arc<Common>,
    pub(crate) key: TaskKey,
    pub(crate) workflow: String,
    pub(crate) action: Option<String>,
    pub(crate) idempotency_key: String,
    pub(crate) correlation_id: String,
    pub(crate) created_id: String,
    pub(crate) deadline: Option<DateTime<Utc>>,
    pub(crate) delivery: u64,
    pub(crate) cancelled: CancellationToken,
    pub(crate) trace: Option<TraceContext>,
    /// The span of the processing, while spans are exported.
    pub(crate) processing: OnceLock<TraceContext>,
    /// How often this execution has asked which question of another agent.
    pub(crate) asked: Mutex<BTreeMap<String, u64>>,
    /// Takes out of what is said the secrets that were put into the input.
    pub(crate) redactor: OnceLock<Redactor>,
}

impl Context {
    /// The run that the task belongs to.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.0.key.run
    }

    /// Name of the workflow; `-` for a directly requested task.
    #[must_use]
    pub fn workflow(&self) -> &str {
        &self.0.workflow
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> &TaskId {
        &self.0.key.task
    }

    /// Which try of the task this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.0.key.attempt
    }

    /// Which delivery of this attempt this is, from 1: above 1, an earlier execution may have got some way.
    #[must_use]
    pub fn delivery(&self) -> u64 {
        self.0.delivery
    }

    /// What the workflow asks for, for agents that can do several things.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        self.0.action.as_deref()
    }

    /// The same for every execution and every attempt of the task, and for no other task: pass it to whatever must
    /// not happen twice.
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        &self.0.idempotency_key
    }

    /// What the requester calls the whole piece of work.
    #[must_use]
    pub fn correlation_id(&self) -> &str {
        &self.0.correlation_id
    }

    /// When the handler is stopped, if it has not ended.
    #[must_use]
    pub fn deadline(&self) -> Option<DateTime<Utc>> {
        self.0.deadline
    }

    /// This process.
    #[must_use]
    pub fn agent(&self) -> &AgentId {
        &self.0.common.agent
    }

    /// The trace that the task belongs to, to pass on to services that are called.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        self.0.hop()
    }

    /// Cancelled when nobody waits for the task any more, its time is over, or the agent stops. A handler that
    /// goes on regardless is dropped a little later.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.0.cancelled
    }

    /// Tells whoever watches how far the task is, from 0 to 1. Nothing is stored, and nothing fails if nobody
    /// listens.
    pub async fn progress(&self, progress: f64, message: Option<&str>) {
        let inner = &*self.0;
        let data = TaskProgress {
            agent: inner.common.agent.clone(),
            progress: progress.clamp(0.0, 1.0),
            message: message.map(|message| inner.redacted(message)),
        };
        let _ = inner.common.bus.notify(inner.event(&inner.key.subject(TaskVerb::Progress), &data)).await;
    }

    /// Asks another agent to do one task and waits for its output. The task runs with the same guarantees as any
    /// other, in a run of its own that is linked to this one; a handler that runs again after a crash and asks the
    /// same gets the same answer without its being worked out again.
    ///
    /// An agent that calls its own capability needs room for it: with all places taken by callers, nobody answers
    /// before the deadline.
    ///
    /// # Errors
    /// [`TaskFailure`]: that of the other agent, or retryable `timeout` when this task's own time is over.
    pub async fn call<I: Serialize, O: DeserializeOwned>(
        &self,
        capability: &str,
        input: I,
    ) -> Result<O, TaskFailure> {
        call::call(&self.0, capability, input).await
    }
}

impl Inner {
    /// A text without the secrets that were put into the input.
    pub(crate) fn redacted(&self, text: &str) -> String {
        self.redactor.get().map_or_else(|| text.to_owned(), |redactor| redactor.text(text))
    }

    /// The trace to pass on: of the span that the handler is in or, if that is none of its own, of the processing.
    pub(crate) fn hop(&self) -> Option<TraceContext> {
        let own = mesh_telemetry::propagation::current(&tracing::Span::current());
        own.or_else(|| self.processing.get().cloned()).or_else(|| self.trace.clone())
    }

    /// How often a question was asked before, counting this time from now on.
    pub(crate) fn asked_before(&self, question: &str) -> u64 {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let times = asked.entry(question.to_owned()).or_default();
        *times += 1;
        *times - 1
    }

    /// An event of this attempt.
    pub(crate) fn event(&self, subject: &Subject, data: &impl Serialize) -> Message {
        let (bus, hop) = (&*self.common.bus, self.hop());
        let frame = Frame {
            namespace: bus.namespace(),
            time: bus.now(),
            correlation_id: &self.correlation_id,
            cause: &self.created_id,
            trace: self.trace.as_ref(),
            hop: hop.as_ref(),
        };
        frame.message(&self.common.source, subject, data)
    }
}
