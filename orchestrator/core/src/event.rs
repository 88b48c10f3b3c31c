//! One entry of a run's log, read from the stored message.

mod quick;

use chrono::{DateTime, Utc};
use mesh_schemas::payload::{
    CancelSignal, RetrySignal, TaskCompleted, TaskError, TaskFailed, TaskRouted, TimerFired,
    WorkflowCancelled, WorkflowCompleted, WorkflowFailed, WorkflowStarted, code,
};
use mesh_schemas::{
    DataRef, Decoded, Envelope, Namespace, ObjectOwner, RunId, SCHEMA_VERSION, StoredMessage, Subject,
    SubjectError, TAKEN_OVER, TaskId, TaskKey, TaskVerb, Timer, TraceContext, WorkflowName, WorkflowVerb,
};
use serde_json::Value;

/// An event of a run, as the fold takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The run.
    pub run: RunId,
    /// The subject as published: the event's id, and the cause of what follows from it.
    pub id: String,
    /// Place in the log.
    pub sequence: u64,
    /// When it was stored: the only time that the rules know.
    pub time: DateTime<Utc>,
    /// What happened.
    pub fact: Fact,
    /// What is wrong with a payload that counts all the same.
    pub defect: Option<String>,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// The run began.
    Started(Box<Started>),
    /// The run ended, as decided from an earlier event.
    Ended,
    /// Somebody wants the run to end.
    Cancel(CancelSignal),
    /// Somebody wants the run to begin nothing new for now.
    Pause(CancelSignal),
    /// Somebody wants the run to go on.
    Resume,
    /// Somebody wants work to be tried again that failed for good.
    Retry(RetrySignal),
    /// The run was paused or resumed, as decided from an earlier event.
    Told,
    /// Somebody wants the run to be looked at again.
    Check,
    /// An orchestrator wrote down how the run stood: nothing follows from that.
    Checkpoint,
    /// An attempt went well.
    Completed(TaskKey, Box<TaskCompleted>),
    /// An attempt went well, but what it made is lost. Nothing follows from that but that the attempt is given up: what
    /// counts is that failure, once it stands in the log, or others who still had the result would decide otherwise.
    Lost(TaskKey, TaskError),
    /// An attempt did not go well.
    Failed(TaskKey, TaskError),
    /// It was chosen how many items of this loop are under way at a time.
    Routed(TaskId, u32),
    /// A wait is over.
    Fired(Timer),
}

/// The first event of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// Name of the workflow; none for a directly requested task.
    pub workflow: Option<WorkflowName>,
    /// What the event carries.
    pub data: WorkflowStarted,
    /// What of it is lost; null stands in its place.
    pub lost: Option<Lost>,
    /// What the requester calls the whole piece of work.
    pub correlation_id: Option<String>,
    /// The trace that the work began in.
    pub trace: Option<TraceContext>,
}

/// A message in the log that is no event of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The payload or the subject is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// The subject is of no kind that these rules know.
    #[error("{0}")]
    UnknownType(String),
    /// It says that it is of a schema which newer rules may know.
    #[error("{0}")]
    Newer(String),
    /// It can be read with what it refers to: by [`Event::read_with`].
    #[error("its data is elsewhere: {0}")]
    Elsewhere(DataRef),
}

/// What was found where an event refers to.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// This.
    Found(Value),
    /// Nothing, and nothing will be found there: why.
    Lost(String),
}

impl Event {
    /// Reads a message of the log.
    ///
    /// An outcome that cannot be read is the outcome all the same, for its subject is taken for good: it counts as
    /// a failure that is not worth another attempt, and [`Event::defect`] says what is wrong with it. In the same
    /// way a timer has fired, or it never would, and a run has ended.
    ///
    /// # Errors
    /// [`Unreadable`] if the message is no event that the fold could take. No reading again helps, but of
    /// [`Unreadable::Elsewhere`].
    pub fn read(namespace: &Namespace, stored: &StoredMessage) -> Result<Self, Unreadable> {
        Self::read_as(namespace, stored, None)
    }

    /// Reads a message of the log whose data is elsewhere, with what was found there.
    ///
    /// # Errors
    /// As [`Event::read`], and never [`Unreadable::Elsewhere`].
    pub fn read_with(
        namespace: &Namespace,
        stored: &StoredMessage,
        content: Content,
    ) -> Result<Self, Unreadable> {
        Self::read_as(namespace, stored, Some(content))
    }

    fn read_as(
        namespace: &Namespace,
        stored: &StoredMessage,
        content: Option<Content>,
    ) -> Result<Self, Unreadable> {
        let StoredMessage { message, sequence, time } = stored;
        if content.is_none()
            && let Some((run, fact)) = quick::read(namespace, &stored.message)
        {
            let (id, defect) = (message.subject.clone(), None);
            return Ok(Self { run, id, sequence: *sequence, time: *time, fact, defect });
        }
        let decoded = Envelope::decode(&message.headers, &message.payload)
            .map_err(|error| Unreadable::Malformed(error.to_string()));
        let subject = Subject::parse(namespace, &message.subject);
        let is_cache = matches!(subject, Ok(Subject::Checkpointed { .. }));
        let schema = decoded.as_ref().ok().and_then(Decoded::envelope).and_then(Envelope::mesh_schema);
        if let Some((type_, version)) = schema
            && version > SCHEMA_VERSION
            && !is_cache
        {
            return Err(Unreadable::Newer(format!("schema {type_}:{version} is not known here")));
        }
        let is_of_mesh = schema.is_some();
        let read = subject.map_err(|error| match error {
            SubjectError::Unknown { .. } => Unreadable::UnknownType(error.to_string()),
            SubjectError::Namespace { .. } | SubjectError::Token { .. } => {
                Unreadable::Malformed(error.to_string())
            }
        });
        let read = read.and_then(|subject| {
            let run = subject.run().ok_or_else(|| unknown(&message.subject))?;
            let whole = decoded.and_then(|decoded| whole(namespace, run, &subject, decoded, content));
            let (payload, lost) = match whole {
                Ok((decoded, lost)) => (Ok(decoded), lost),
                Err(elsewhere @ Unreadable::Elsewhere(_)) => return Err(elsewhere),
                Err(error) => (Err(error), None),
            };
            let (fact, defect) = fact(subject, stored, payload.as_ref(), lost)?;
            Ok(Self { run, id: message.subject.clone(), sequence: *sequence, time: *time, fact, defect })
        });
        read.map_err(|unreadable| match unreadable {
            // Whoever claims a schema of the mesh for a kind of event that is not known here may be a newer mesh.
            Unreadable::UnknownType(error) if is_of_mesh => Unreadable::Newer(error),
            unreadable => unreadable,
        })
    }
}

/// The envelope and payload of a message, or why they cannot be read.
type Payload<'a> = Result<&'a Decoded, &'a Unreadable>;

/// An event of a run as if it carried its data itself. Null stands for what is lost of it, which is told too, and for what
/// nothing depends on.
fn whole(
    namespace: &Namespace,
    run: RunId,
    subject: &Subject,
    decoded: Decoded,
    content: Option<Content>,
) -> Result<(Decoded, Option<Lost>), Unreadable> {
    let mut event = match decoded {
        Decoded::Event(event) => event,
        bare @ Decoded::Bare(_) => return Ok((bare, None)),
    };
    let malformed = |error: &dyn std::fmt::Display| Unreadable::Malformed(error.to_string());
    let Some(reference) = event.dataref(namespace).map_err(|error| malformed(&error))? else {
        return Ok((Decoded::Event(event), None));
    };
    // What belongs to another run goes with that one.
    if *reference.object.owner() != ObjectOwner::Run(run) {
        return Err(malformed(&format_args!("dataref: the object does not belong to run {run}")));
    }
    let (content, lost) = match (subject, content) {
        // The ends of runs, and what has nothing that could be large.
        (Subject::Workflow { verb, .. }, _) if *verb != WorkflowVerb::Started => (Value::Null, None),
        (Subject::Checkpointed { .. } | Subject::Pause { .. }, _) => (Value::Null, None),
        (Subject::Task { verb: TaskVerb::Failed, .. }, _) => {
            return Err(malformed(&"dataref: an error is carried by its event"));
        }
        (_, None) => return Err(Unreadable::Elsewhere(reference)),
        (_, Some(Content::Found(content))) => (content, None),
        (_, Some(Content::Lost(error))) if reference.member.as_deref() == Some(TAKEN_OVER) => {
            (Value::Null, Some(Lost::TakenOver(error)))
        }
        (_, Some(Content::Lost(error))) => (Value::Null, Some(Lost::Content(error))),
    };
    event.put_large(&reference, content).map_err(|error| malformed(&error))?;
    Ok((Decoded::Event(event), lost))
}

/// What an event on a subject says, and what is wrong with a payload that counts all the same; `lost` tells why null stands
/// in place of some of it.
fn fact(
    subject: Subject,
    stored: &StoredMessage,
    payload: Payload<'_>,
    lost: Option<Lost>,
) -> Result<(Fact, Option<String>), Unreadable> {
    Ok(match subject {
        Subject::Workflow { verb: WorkflowVerb::Started, workflow, .. } => {
            (Fact::Started(Box::new(started(workflow, payload, lost)?)), None)
        }
        Subject::Workflow { verb: WorkflowVerb::Completed, .. } => end::<WorkflowCompleted>(payload),
        Subject::Workflow { verb: WorkflowVerb::Failed, .. } => end::<WorkflowFailed>(payload),
        Subject::Workflow { verb: WorkflowVerb::Cancelled, .. } => end::<WorkflowCancelled>(payload),
        Subject::Signalled { signal, .. } => match signal.as_str() {
            "cancel" => (Fact::Cancel(signal_data(stored, payload)?), None),
            "pause" => (Fact::Pause(signal_data(stored, payload)?), None),
            "resume" => (Fact::Resume, None),
            "retry" => (Fact::Retry(signal_data(stored, payload)?), None),
            "check" => (Fact::Check, None),
            _ => {
                return Err(Unreadable::UnknownType(format!(
                    "unknown signal '{signal}': use cancel, pause, resume, retry or check"
                )));
            }
        },
        Subject::Checkpointed { .. } => (Fact::Checkpoint, None),
        Subject::Pause { .. } => (Fact::Told, None),
        Subject::Task { verb: TaskVerb::Completed, key } if lost.is_some() => {
            (Fact::Lost(key, lost_output(lost.as_ref().map_or("", Lost::why))), None)
        }
        Subject::Task { verb: TaskVerb::Completed, key } => {
            outcome(payload, key, |key, data| Fact::Completed(key, Box::new(data)))
        }
        Subject::Task { verb: TaskVerb::Failed, key } => {
            outcome(payload, key, |key, data: TaskFailed| Fact::Failed(key, data.error))
        }
        Subject::TaskRouted { task, .. } => match data::<TaskRouted>(payload) {
            Ok(routed) => (Fact::Routed(task, routed.width), None),
            // Its subject is taken for good, and the loop has to go on.
            Err(error) => (Fact::Routed(task, 1), Some(error.to_string())),
        },
        Subject::TimerFired { timer, .. } => {
            (Fact::Fired(timer), data::<TimerFired>(payload).err().map(|error| error.to_string()))
        }
        _ => return Err(unknown(&stored.message.subject)),
    })
}

impl Event {
    /// Whether a client sent it, at a time of its own choosing.
    #[must_use]
    pub fn is_signal(&self) -> bool {
        matches!(self.fact, Fact::Cancel(_) | Fact::Pause(_) | Fact::Resume | Fact::Retry(_) | Fact::Check)
    }

    /// The task that it is the outcome of, if it is one.
    #[must_use]
    pub fn task(&self) -> Option<&TaskId> {
        match &self.fact {
            Fact::Completed(key, _) | Fact::Lost(key, _) | Fact::Failed(key, _) => Some(&key.task),
            _ => None,
        }
    }

    /// The attempt that this says was given up because its result is lost.
    #[must_use]
    pub fn gives_up_as_lost(&self) -> Option<&TaskKey> {
        match &self.fact {
            Fact::Failed(key, error) if error.code == code::LOST_OUTPUT => Some(key),
            _ => None,
        }
    }
}

fn unknown(subject: &str) -> Unreadable {
    Unreadable::UnknownType(format!("events on {subject:?} are not known here"))
}

fn data<T: serde::de::DeserializeOwned>(payload: Payload<'_>) -> Result<T, Unreadable> {
    let decoded = payload.map_err(Clone::clone)?;
    T::deserialize(decoded.data())
        .map_err(|error| Unreadable::Malformed(format!("the data is wrong: {error}")))
}

fn started(
    workflow: Option<WorkflowName>,
    payload: Payload<'_>,
    lost: Option<Lost>,
) -> Result<Started, Unreadable> {
    let data: WorkflowStarted = data(payload)?;
    if workflow.is_none() && data.capability.is_none() {
        let error = "a run has a workflow in its subject or a capability in its data, and this has neither";
        return Err(Unreadable::Malformed(error.to_owned()));
    }
    let envelope = payload.ok().and_then(Decoded::envelope);
    Ok(Started {
        workflow,
        data,
        lost,
        correlation_id: envelope.and_then(|envelope| envelope.correlationid.clone()),
        trace: envelope.and_then(Envelope::trace),
    })
}

fn end<T: serde::de::DeserializeOwned>(payload: Payload<'_>) -> (Fact, Option<String>) {
    (Fact::Ended, data::<T>(payload).err().map(|error| error.to_string()))
}

/// A signal without a body says no more than its name.
fn signal_data<T: serde::de::DeserializeOwned + Default>(
    stored: &StoredMessage,
    payload: Payload<'_>,
) -> Result<T, Unreadable> {
    if stored.message.payload.is_empty() { Ok(T::default()) } else { data(payload) }
}

/// What an event refers to and cannot be had, with why that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// What the event is about: the input of a run, or the output of an attempt.
    Content(String),
    /// What a run takes over from another one.
    TakenOver(String),
}

impl Lost {
    /// Why it cannot be had.
    #[must_use]
    pub fn why(&self) -> &str {
        let (Self::Content(why) | Self::TakenOver(why)) = self;
        why
    }

    /// Of what a run begins with, in words.
    #[must_use]
    pub fn told_of_beginning(&self) -> String {
        match self {
            Self::Content(why) => format!("the input of the run is lost: {why}"),
            Self::TakenOver(why) => format!("what the run takes over from another one is lost: {why}"),
        }
    }
}

/// Why an attempt failed whose result is lost.
fn lost_output(error: &str) -> TaskError {
    TaskError {
        code: code::LOST_OUTPUT.to_owned(),
        message: format!("the result of the task is lost: {error}"),
        retryable: false,
        retry_after: None,
    }
}

fn outcome<T: serde::de::DeserializeOwned>(
    payload: Payload<'_>,
    key: TaskKey,
    fact: impl FnOnce(TaskKey, T) -> Fact,
) -> (Fact, Option<String>) {
    match data(payload) {
        Ok(data) => (fact(key, data), None),
        Err(error) => {
            let message = format!("the outcome that the agent published cannot be read: {error}");
            let failure = TaskError {
                code: code::MALFORMED_OUTCOME.to_owned(),
                message,
                retryable: false,
                retry_after: None,
            };
            (Fact::Failed(key, failure), Some(error.to_string()))
        }
    }
}
