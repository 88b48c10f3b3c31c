use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, Utc};
use mesh_schemas::payload::code;
use mesh_schemas::{
    Attempt, Capability, Lane, Namespace, StoredMessage, Subject, TaskId, TaskVerb, Timer, WorkflowVerb,
};
use serde_json::{Value, json};

use super::again::{self, Taken};
use super::expected::UNTOLD;
use crate::workload::Workflow;

/// Longest time that a run takes when its definition says nothing: 24 hours.
const DEFAULT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// The log of a run, read once.
pub(super) struct Log {
    /// Place of `started`.
    pub(super) started: usize,
    pub(super) input: Value,
    /// What expressions see as `run`.
    pub(super) variables: Value,
    /// The task that the run was started for, if it was.
    pub(super) parent: Option<Parent>,
    /// What it takes over from another run, if it does it again.
    pub(super) taken: Option<Taken>,
    /// The tasks before which it is paused, beside those that say so.
    pub(super) pause_before: BTreeSet<TaskId>,
    /// By place in the log.
    pub(super) events: Vec<Event>,
}

/// The task of another run that a run was started for.
pub(super) struct Parent {
    /// How many runs stand around the run.
    pub(super) depth: u64,
    /// Whether the task waits for it.
    pub(super) wait: bool,
    deadline: Option<DateTime<Utc>>,
}

pub(super) struct Event {
    /// Place in the stream.
    pub(super) sequence: u64,
    pub(super) time: DateTime<Utc>,
    pub(super) fact: Fact,
}

/// What an event says.
pub(super) enum Fact {
    /// An attempt went well.
    Completed(Tried, Made),
    /// An attempt did not go well.
    Failed(Tried, Error),
    /// A wait is over.
    Fired(Timer),
    /// It was chosen how many items of a loop are under way at a time.
    Routed(TaskId, usize),
    /// Somebody wants the run to begin nothing new.
    Pause(Option<String>),
    /// Somebody wants it to go on.
    Resume,
    /// Somebody wants work to be tried again, perhaps with another input.
    Retry(Option<TaskId>, Option<Value>),
    /// Somebody wants the run to end.
    Cancel(Option<String>),
    /// The run's end is in the log.
    Ended,
    /// Nothing that the rules know, or nothing that changes anything.
    Other,
}

/// Which attempt an outcome is for.
pub(super) struct Tried {
    pub(super) task: TaskId,
    pub(super) attempt: Attempt,
    pub(super) capability: Capability,
    pub(super) lane: Lane,
}

/// What an attempt made.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) output: Value,
    /// From 0 to 1, if the agent says it.
    pub(super) quality: Option<f64>,
}

/// Why an attempt failed.
#[derive(Clone)]
pub(super) struct Error {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) retryable: bool,
    /// Seconds.
    pub(super) retry_after: f64,
}

impl Error {
    /// An error that every attempt would meet, in words of the mesh.
    pub(super) fn fatal(code: &str) -> Self {
        Self { code: code.to_owned(), message: UNTOLD.to_string(), retryable: false, retry_after: 0.0 }
    }
}

impl Log {
    /// Reads a log; none if it has no readable `started`.
    pub(super) fn read(namespace: &Namespace, log: &[StoredMessage]) -> Option<Self> {
        let subjects: Vec<Option<Subject>> =
            log.iter().map(|stored| Subject::parse(namespace, &stored.message.subject).ok()).collect();
        let (started, workflow, run, body) =
            subjects.iter().zip(log).enumerate().find_map(|(place, pair)| {
                let (Some(Subject::Workflow { verb: WorkflowVerb::Started, workflow, run }), stored) = pair
                else {
                    return None;
                };
                let body = Body::of(stored)?;
                // Without either, nobody can tell what is to be done.
                (workflow.is_some() || body.data().get("capability").is_some()).then_some((
                    place,
                    workflow.clone(),
                    *run,
                    body,
                ))
            })?;
        let variables = json!({
            "id": run.to_string(),
            "workflow": workflow.as_ref().map_or("-", |name| name.as_str()),
            "correlation_id": body.correlation_id().map_or_else(|| run.to_string(), str::to_owned),
            "started_at": log[started].time.to_rfc3339_opts(SecondsFormat::Millis, true),
        });
        let events = subjects
            .into_iter()
            .zip(log)
            .map(|(subject, stored)| Event {
                sequence: stored.sequence,
                time: stored.time,
                fact: fact(subject, stored),
            })
            .collect();
        let data = body.data();
        Some(Self {
            started,
            input: data.get("input")?.clone(),
            variables,
            parent: data.get("parent").and_then(parent),
            taken: data.get("taken_over").map(again::taken),
            pause_before: data.get("pause_before").map(again::ids).unwrap_or_default(),
            events,
        })
    }

    /// When it is decided how the run ends, whatever happens.
    pub(super) fn deadline(&self, workflow: &Workflow) -> DateTime<Utc> {
        let started = self.events[self.started].time;
        let own = started + workflow.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let given = self.parent.as_ref().and_then(|parent| parent.deadline);
        // Time that was over before ends when the run begins.
        given.into_iter().fold(own, DateTime::min).max(started)
    }

    /// Where a timer fires behind a place.
    pub(super) fn fired_behind(&self, place: usize, timer: &Timer) -> Option<usize> {
        let fires = |fact: &Fact| matches!(fact, Fact::Fired(fired) if fired == timer).then_some(());
        self.first_behind(place, fires).map(|(at, ())| at)
    }

    /// The first event behind a place for which something can be found out.
    pub(super) fn first_behind<T>(
        &self,
        place: usize,
        mut find: impl FnMut(&Fact) -> Option<T>,
    ) -> Option<(usize, T)> {
        let behind = self.events.iter().enumerate().skip(place + 1);
        behind.into_iter().find_map(|(at, event)| Some((at, find(&event.fact)?)))
    }
}

fn parent(data: &Value) -> Option<Parent> {
    let deadline = data.get("deadline").and_then(Value::as_str).and_then(|time| time.parse().ok());
    Some(Parent { depth: data.get("depth")?.as_u64()?, wait: data.get("wait")?.as_bool()?, deadline })
}

fn fact(subject: Option<Subject>, stored: &StoredMessage) -> Fact {
    match subject {
        Some(Subject::Task { verb: verb @ (TaskVerb::Completed | TaskVerb::Failed), key }) => {
            let tried =
                Tried { task: key.task, attempt: key.attempt, capability: key.capability, lane: key.lane };
            outcome(verb, tried, Body::of(stored).as_ref().map(Body::data))
        }
        Some(Subject::TaskRouted { task, .. }) => {
            let body = Body::of(stored);
            let width = body.as_ref().and_then(|body| body.data().get("width")?.as_u64());
            // The loop has to go on, whatever stands there.
            Fact::Routed(task, width.and_then(|width| usize::try_from(width).ok()).unwrap_or(1))
        }
        Some(Subject::TimerFired { timer, .. }) => Fact::Fired(timer),
        Some(Subject::Signalled { signal, .. }) => signalled(signal.as_str(), stored),
        Some(Subject::Workflow {
            verb: WorkflowVerb::Completed | WorkflowVerb::Failed | WorkflowVerb::Cancelled,
            ..
        }) => Fact::Ended,
        _ => Fact::Other,
    }
}

/// What a signal says; one without a body says no more than its name.
fn signalled(name: &str, stored: &StoredMessage) -> Fact {
    let body = if stored.message.payload.is_empty() {
        json!({})
    } else {
        Body::of(stored).map(|body| body.data().clone()).unwrap_or_default()
    };
    let member = |key: &str| body.get(key).filter(|value| !value.is_null());
    let reason = || {
        member("reason")
            .map(|reason| reason.as_str().map(str::to_owned))
            .map_or(Some(None), |text| text.map(Some))
    };
    match name {
        "resume" => Fact::Resume,
        _ if !body.is_object() => Fact::Other,
        "cancel" => reason().map_or(Fact::Other, Fact::Cancel),
        "pause" => reason().map_or(Fact::Other, Fact::Pause),
        "retry" => match member("task").map(|task| task.as_str().and_then(|task| task.parse().ok())) {
            Some(None) => Fact::Other,
            task => Fact::Retry(task.flatten(), member("input").cloned()),
        },
        _ => Fact::Other,
    }
}

/// An outcome that cannot be read counts all the same, as a failure that is not tried again.
fn outcome(verb: TaskVerb, tried: Tried, data: Option<&Value>) -> Fact {
    let read = if verb == TaskVerb::Completed {
        data.and_then(made).map(Ok)
    } else {
        data.and_then(|data| error(data.get("error")?)).map(Err)
    };
    match read {
        Some(Ok(made)) => Fact::Completed(tried, made),
        Some(Err(error)) => Fact::Failed(tried, error),
        None => Fact::Failed(tried, Error::fatal(code::MALFORMED_OUTCOME)),
    }
}

/// What was made, by an outcome; a quality that is out of range is the nearest that is not.
fn made(data: &Value) -> Option<Made> {
    let quality = match data.get("quality") {
        None | Some(Value::Null) => None,
        Some(quality) => Some(quality.as_f64()?.clamp(0.0, 1.0)),
    };
    Some(Made { output: data.get("output")?.clone(), quality })
}

/// The error of an outcome; one that does not say so is retryable.
fn error(data: &Value) -> Option<Error> {
    let message = data.get("message")?.as_str()?.to_owned();
    let retryable = match data.get("retryable") {
        None => true,
        Some(says) => says.as_bool()?,
    };
    let retry_after = match data.get("retry_after") {
        None | Some(Value::Null) => 0.0,
        Some(seconds) => seconds.as_f64()?,
    };
    Some(Error { code: data.get("code")?.as_str()?.to_owned(), message, retryable, retry_after })
}

/// The JSON of a message: a CloudEvent in structured mode, or bare data.
struct Body(Value);

impl Body {
    fn of(stored: &StoredMessage) -> Option<Self> {
        serde_json::from_slice(&stored.message.payload).ok().map(Self)
    }

    fn data(&self) -> &Value {
        const NOTHING: &Value = &Value::Null;
        if self.0.get("specversion").is_some() { self.0.get("data").unwrap_or(NOTHING) } else { &self.0 }
    }

    fn correlation_id(&self) -> Option<&str> {
        self.0.get("specversion").and_then(|_| self.0.get("correlationid"))?.as_str()
    }
}
