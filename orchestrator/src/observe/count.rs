//! What is counted as it happens: each fact when it is stored, or followed for the first time.

use chrono::TimeDelta;
use mesh_bus::Stored;
use mesh_core::{Event, Fact, Header};
use mesh_schemas::payload::Reason;
use mesh_schemas::{
    Attempt, Decoded, Envelope, Namespace, StoredMessage, Subject, TaskKey, WorkflowName, WorkflowVerb,
};
use mesh_telemetry::metrics::table::{
    CACHE_LOOKUPS, DEAD_LETTERS, EVENT_LAG, NATS_RECONNECTS, PUBLISH_CONFLICTS, REDELIVERED,
    REQUESTS_REJECTED, RUN_DURATION, RUNS_ENDED, RUNS_STARTED, TASKS_CREATED, TASKS_ENDED, TASKS_RETRIED,
};
use mesh_telemetry::metrics::{Seen, elapsed, is_collected};

use crate::encode::source;

/// All that follows from an event is stored, so long after the event was.
pub(crate) fn settled(lag: TimeDelta) {
    EVENT_LAG.record(elapsed(lag.num_milliseconds()), []);
}

/// How a run may end.
const OUTCOMES: [&str; 3] = ["completed", "failed", "cancelled"];
/// How an attempt may end.
const TASK_OUTCOMES: [&str; 3] = ["completed", "failed", "given_up"];

/// Workflows and capabilities of which the first was told.
static WORKFLOWS: Seen = Seen::new();
static CAPABILITIES: Seen = Seen::new();

/// Lets everything be seen that has not happened yet, as far as it is known, so that its first time is a change.
pub(crate) fn begin() {
    for reason in Reason::ALL {
        DEAD_LETTERS.add(0, [reason.as_str()]);
    }
    for result in ["hit", "miss"] {
        CACHE_LOOKUPS.add(0, [result]);
    }
    for stream in ["events", "inbox"] {
        REDELIVERED.add(0, [stream]);
    }
    PUBLISH_CONFLICTS.add(0, []);
    NATS_RECONNECTS.add(0, []);
}

/// A run began.
pub(crate) fn began(workflow: Option<&WorkflowName>) {
    let workflow = label(workflow);
    RUNS_STARTED.add(1, [workflow]);
    see(workflow);
}

/// Runs of a workflow are followed here, which is not always where they began.
pub(crate) fn follows(workflow: Option<&WorkflowName>) {
    see(label(workflow));
}

/// Lets the ends of a workflow's runs be seen before there is one.
fn see(workflow: &str) {
    if WORKFLOWS.is_new(workflow) {
        for outcome in OUTCOMES {
            RUNS_ENDED.add(0, [workflow, outcome]);
        }
    }
}

/// The end of a run came by for the first time, stored on a subject then.
pub(crate) fn ended(
    namespace: &Namespace,
    header: &Header,
    subject: &str,
    time: chrono::DateTime<chrono::Utc>,
) {
    if !is_collected() {
        return;
    }
    let Ok(Subject::Workflow { verb, .. }) = Subject::parse(namespace, subject) else { return };
    if !matches!(verb, WorkflowVerb::Completed | WorkflowVerb::Failed | WorkflowVerb::Cancelled) {
        return;
    }
    let outcome = verb.as_str();
    let workflow = label(header.workflow.as_ref());
    see(workflow);
    RUNS_ENDED.add(1, [workflow, outcome]);
    RUN_DURATION.record(elapsed((time - header.started_at).num_milliseconds()), [workflow, outcome]);
}

/// The first outcome of an attempt that was given out to agents came by for the first time.
pub(crate) fn outcome(namespace: &Namespace, stored: &StoredMessage, event: &Event) {
    if !is_collected() {
        return;
    }
    let (key, outcome) = match &event.fact {
        Fact::Completed(key, _) | Fact::Lost(key, _) => (key, "completed"),
        Fact::Failed(key, _) if is_ours(namespace, stored) => (key, "given_up"),
        Fact::Failed(key, _) => (key, "failed"),
        _ => return,
    };
    TASKS_ENDED.add(1, [key.capability.as_str(), outcome]);
}

/// Whether an orchestrator wrote a message.
fn is_ours(namespace: &Namespace, stored: &StoredMessage) -> bool {
    let decoded = Envelope::decode(&stored.message.headers, &stored.message.payload);
    let envelope = decoded.as_ref().ok().and_then(Decoded::envelope);
    envelope.is_some_and(|envelope| envelope.source == source(namespace))
}

/// Work for agents was stored.
pub(crate) fn created(key: &TaskKey) {
    let capability = key.capability.as_str();
    TASKS_CREATED.add(1, [capability]);
    TASKS_RETRIED.add(u64::from(key.attempt > Attempt::FIRST), [capability]);
    if CAPABILITIES.is_new(capability) {
        for outcome in TASK_OUTCOMES {
            TASKS_ENDED.add(0, [capability, outcome]);
        }
    }
}

/// Something was to be stored.
pub(crate) fn conflict(stored: Stored) {
    PUBLISH_CONFLICTS.add(u64::from(stored == Stored::Already), []);
}

/// A message was put aside.
pub(crate) fn letter(reason: Reason) {
    DEAD_LETTERS.add(1, [reason.as_str()]);
}

/// A request started no run.
pub(crate) fn rejected(code: &str) {
    REQUESTS_REJECTED.add(1, [code]);
}

/// A workflow as it is told; `-` for a task without one, as in subjects.
pub(super) fn label(workflow: Option<&WorkflowName>) -> &str {
    workflow.map_or("-", WorkflowName::as_str)
}
