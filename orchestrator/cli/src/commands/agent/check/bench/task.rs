//! Work for the agent, as an orchestrator would make it.

use std::time::Instant;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use mesh_bus::Publish;
use mesh_schemas::payload::{TaskCompleted, TaskCreated, TaskError, TaskFailed, WorkflowStarted};
use mesh_schemas::{
    Attempt, Capability, DataRef, Digest, Envelope, Headers, Lane, LargePart, Message, Namespace, ObjectName,
    ObjectOwner, RULES_VERSION, RequestId, RunId, Shards, Subject, TaskId, TaskKey, TaskVerb, TraceContext,
    WorkflowVerb,
};
use serde::Serialize;
use serde_json::{Value, json};

/// Header of everything that the check itself publishes about tasks.
pub(super) const MARK: &str = "mesh-check";
/// What the requester calls the work: not only ASCII, so that it shows if an agent mangles it.
pub(in super::super) const CORRELATION: &str = "check ä";
/// The trace that the work began in.
pub(in super::super) const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What is asked of the agent.
#[derive(Debug, Clone)]
pub(in super::super) struct Work {
    pub(in super::super) input: Value,
    /// Longest time in milliseconds that the work may take.
    pub(in super::super) timeout_ms: Option<u64>,
    /// Whether the task has members, attributes and headers of tomorrow.
    pub(in super::super) with_unknown: bool,
    /// Whether the input is an object that the task refers to.
    pub(in super::super) by_reference: bool,
    /// Major version of the schema.
    pub(in super::super) schema: u32,
    /// What stands in place of the task, if it is not to be readable.
    pub(in super::super) garbage: Option<Bytes>,
}

impl Work {
    /// A usual task.
    pub(in super::super) fn of(input: &Value) -> Self {
        Self {
            input: input.clone(),
            timeout_ms: None,
            with_unknown: false,
            by_reference: false,
            schema: 1,
            garbage: None,
        }
    }
}

/// A task that was given to the agent.
#[derive(Debug, Clone)]
pub(in super::super) struct Task {
    pub(super) namespace: Namespace,
    pub(super) key: TaskKey,
    /// Sequence in the stream of work.
    pub(in super::super) sequence: u64,
    /// When it was there for the agent to take.
    pub(in super::super) given: Instant,
}

impl Task {
    /// The subject of a verb for it.
    pub(in super::super) fn subject(&self, verb: TaskVerb) -> String {
        self.key.subject(verb).render(&self.namespace)
    }

    /// The run it belongs to.
    pub(in super::super) fn run(&self) -> RunId {
        self.key.run
    }

    /// The verb, if a subject is that of an outcome of this task.
    pub(super) fn outcome_verb(&self, subject: &str) -> Option<TaskVerb> {
        [TaskVerb::Completed, TaskVerb::Failed].into_iter().find(|verb| self.subject(*verb) == subject)
    }

    /// Whether a subject is that of an outcome of this task, or of a task of another run.
    pub(super) fn is_outcome_of_any(&self, subject: &str) -> bool {
        match Subject::parse(&self.namespace, subject) {
            Ok(Subject::Task { key, .. }) if key.run != self.key.run => true,
            _ => self.outcome_verb(subject).is_some(),
        }
    }
}

/// One attempt of the only task of a new run.
pub(super) fn new_key(capability: &Capability, shards: Shards) -> anyhow::Result<TaskKey> {
    let request = RequestId { source: "/mesh/check".to_owned(), id: uuid::Uuid::new_v4().to_string() };
    Ok(TaskKey {
        capability: capability.clone(),
        lane: Lane::Normal,
        run: RunId::for_request(&format!("task.{capability}"), &request, shards),
        task: TaskId::new("task")?,
        attempt: Attempt::FIRST,
    })
}

/// The first event of the task's run, as of a directly requested task.
pub(super) fn started(namespace: &Namespace, key: &TaskKey, input: &Value) -> Publish {
    let subject = Subject::Workflow { verb: WorkflowVerb::Started, workflow: None, run: key.run };
    let data = WorkflowStarted {
        digest: digest(),
        rules: RULES_VERSION,
        config: None,
        input: input.clone(),
        request: RequestId { source: "/mesh/check".to_owned(), id: key.run.to_string() },
        capability: Some(key.capability.clone()),
        parent: None,
        taken_over: None,
        pause_before: Vec::new(),
    };
    Publish::once(encode(event(namespace, &subject, &data, "mesh-check")))
}

/// The task.
pub(super) fn created(namespace: &Namespace, key: &TaskKey, work: &Work, basis: DateTime<Utc>) -> Publish {
    let subject = key.subject(TaskVerb::Created);
    if let Some(payload) = &work.garbage {
        let headers = Headers::new().with(MARK, "1");
        return Publish::once(Message {
            subject: subject.render(namespace),
            headers,
            payload: payload.clone(),
        });
    }
    let data = TaskCreated {
        workflow: "-".to_owned(),
        digest: digest(),
        task: key.task.clone(),
        attempt: key.attempt,
        action: None,
        input: work.input.clone(),
        secrets: Vec::new(),
        timeout_ms: work.timeout_ms,
        deadline: basis.checked_add_signed(TimeDelta::hours(1)),
        basis,
        idempotency_key: format!("{}.{}", key.run, key.task),
    };
    let cause = Subject::Workflow { verb: WorkflowVerb::Started, workflow: None, run: key.run };
    let mut event = event(namespace, &subject, &data, &cause.render(namespace));
    event.dataschema = Some(format!("urn:mesh:schema:task.created:{}", work.schema));
    if work.with_unknown {
        event.extensions.insert("tomorrow".to_owned(), json!(7));
        event.data["tomorrow"] = json!({"of": ["which", "nobody", "knows"]});
    }
    if work.by_reference {
        // Whoever makes the task stores what it refers to.
        let object = ObjectName::of(ObjectOwner::Run(key.run), work.input.to_string().as_bytes());
        let member = Some("input".to_owned());
        event.take_large(LargePart::Member("input"));
        event.refer(&DataRef { bucket: namespace.object_bucket(), object, member });
    }
    let mut message = encode(event);
    if work.with_unknown {
        message.headers.set("mesh-tomorrow", "yes");
    }
    Publish::once(message)
}

/// An outcome that somebody else brought about.
pub(super) fn completed_elsewhere(task: &Task) -> Publish {
    let data = TaskCompleted { output: json!("done elsewhere"), quality: None, usage: None, agent: None };
    let subject = task.key.subject(TaskVerb::Completed);
    Publish::once(encode(event(&task.namespace, &subject, &data, &task.subject(TaskVerb::Created))))
}

/// What an orchestrator stores for a task whose run is cancelled, and then tells whoever is at it.
pub(super) fn cancelled(task: &Task) -> (Publish, Message) {
    let error = TaskError {
        code: mesh_schemas::payload::code::RUN_ENDED.to_owned(),
        message: "the run was cancelled".to_owned(),
        retryable: false,
        retry_after: None,
    };
    let data = TaskFailed { error, agent: None };
    let say = |verb| {
        let subject = task.key.subject(verb);
        encode(event(&task.namespace, &subject, &data, &task.subject(TaskVerb::Created)))
    };
    (Publish::once(say(TaskVerb::Failed)), say(TaskVerb::Cancelled))
}

fn digest() -> Digest {
    Digest::of(b"mesh agent check")
}

fn event(namespace: &Namespace, subject: &Subject, data: &impl Serialize, cause: &str) -> Envelope {
    // Payloads are built from JSON and names, so that writing them cannot fail.
    let data = serde_json::to_value(data).unwrap_or_default();
    let source = format!("/{namespace}/check");
    let mut event = Envelope::new(subject.render(namespace), source, subject.event_type(), data);
    event.time = Some(Utc::now());
    event.correlationid = Some(CORRELATION.to_owned());
    event.causationid = Some(cause.to_owned());
    event.set_trace(TraceContext::new(TRACEPARENT, None).as_ref());
    event
}

fn encode(event: Envelope) -> Message {
    let (mut headers, body) = event.encode().unwrap_or_default();
    headers.set(TraceContext::TRACEPARENT, TRACEPARENT);
    headers.set(MARK, "1");
    Message { subject: event.id, headers, payload: Bytes::from(body) }
}
